"""What durability costs: updates a second from many sessions, the round trip of a fence, and what a kill leaves."""

import time
from collections import Counter

from benchmarks.live import SECOND, Result, Usage, gather, percentiles
from benchmarks.load import Client, alive, quiet_memory
from benchmarks.peers import Peer
from benchmarks.yframes import FENCE, fence_frame


def paced(
    peer: Peer,
    sessions: int = 200,
    rate: int = 20_000,
    fence_every: int = 20,
    seconds: float = 6.0,
    silence: float = 5.0,
) -> Result:
    """Updates at a steady rate from many sessions, with a fence after every few: does the disk keep up?

    Args:
        peer: a server that understands fences, and runs.
        sessions: how many, one writer each.
        rate: updates a second, all sessions together.
        fence_every: after how many updates of a writer it sends a fence.
        seconds: how long.
        silence: for how long nothing more must come until it is over, in seconds.
    """
    crowd = gather(peer, sessions, 0, "ext=1")
    load = crowd.load
    total = int(rate * seconds)
    frames = [crowd.authors[number % sessions].frame(b"~@%08x" % number) for number in range(total)]
    interval = SECOND / rate
    start = load.start = time.monotonic_ns() + SECOND // 10
    position = 0
    fences = 0

    def act(now: int) -> int | None:
        nonlocal position, fences
        writer = crowd.writers[position % sessions]
        writer.send(frames[position])
        if (position // sessions) % fence_every == fence_every - 1:
            writer.send(fence_frame((time.monotonic_ns() - start) // 1000))
            fences += 1
        position += 1
        return start + int(position * interval) if position < total else None

    with quiet_memory():
        usage = Usage(peer)
        load.receive(until=start + int(seconds * SECOND), due=start, act=act)
        report = usage.report()
        sent_for = (time.monotonic_ns() - start) / SECOND
        for writer in crowd.writers:
            writer.send(fence_frame((time.monotonic_ns() - start) // 1000))
        load.receive(until=time.monotonic_ns() + 30 * SECOND, silence=silence)
    delays: Counter[int] = Counter()
    answered, last = 0, start
    for writer in crowd.writers:
        for at, payload in writer.frames():
            for fence in FENCE.findall(payload):
                answered += 1
                last = max(last, at)
                moment = int(fence[2:], 16)
                if moment >= 1_000_000:
                    delays[((at - start) // 1000 - moment) // 10] += 1
    lost = len(load.clients) - alive(load.clients)
    load.close()
    peer.kill()
    return {
        "sessions": sessions,
        "offered_per_second": rate,
        "sent_per_second": round(position / sent_for),
        "durable_per_second": round(position / ((last - start) / SECOND)) if answered == fences + sessions else None,
        "fences": fences + sessions,
        "fences_answered": answered,
        "survived_kill": peer.stored_tokens() / max(1, position),
        "connections_lost": lost,
        **percentiles(delays, 0.01),
    } | report


def most(peer: Peer, sessions: int = 200, batch: int = 20, seconds: float = 5.0) -> Result:
    """The most updates a second: each writer sends its next batch when the last one has come back.

    From us it comes back as a fence: it is on the disk. From the others it comes back as seen by a watcher of the
    session, which says nothing of the disk; so the server is killed at the end, and what is stored is counted.

    Args:
        peer: a server that runs.
        sessions: how many, one writer each.
        batch: updates that a writer sends at once.
        seconds: how long.
    """
    fenced = peer.durable
    crowd = gather(peer, sessions, 0 if fenced else 1, "ext=1" if fenced else "")
    load = crowd.load
    listener = {id(client): n for n, client in enumerate(crowd.writers)} if fenced else {}
    listener |= {id(group[0]): n for n, group in enumerate(crowd.watchers) if group}
    waiting = [0] * sessions
    mark = b"~#" if fenced else b"~@"
    start = time.monotonic_ns()
    end = start + int(seconds * SECOND)
    sent = done = 0

    def send(session: int) -> None:
        nonlocal sent
        author = crowd.authors[session]
        data = b"".join(author.frame(b"~@%08x" % (sent + number)) for number in range(batch))
        sent += batch
        waiting[session] = 1 if fenced else batch
        crowd.writers[session].send(data + (fence_frame(0) if fenced else b""))

    def heard(client: Client, data: bytes) -> None:
        nonlocal done
        session = listener.get(id(client))
        if session is None:
            return
        waiting[session] -= data.count(mark)
        if waiting[session] <= 0:
            done += batch
            send(session)

    with quiet_memory():
        usage = Usage(peer)
        for session in range(sessions):
            send(session)
        load.receive(until=end, heard=heard)
        elapsed = (time.monotonic_ns() - start) / SECOND
        report = usage.report()
    peer.kill()
    load.close()
    stored = peer.stored_tokens()
    return {
        "sessions": sessions,
        "applied_per_second": round(done / elapsed),
        "stored_per_second": round(min(stored, sent) / elapsed),
        "durable": "by fence" if fenced else "no promise",
    } | report
