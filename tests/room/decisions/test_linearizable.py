"""Claims are linearizable: whatever clients do, lose and crash, what they acted on is the history of one lock.

A client acts on a claim when its fence has come back, as the client libraries do. Each operation is a span from the
moment at which it was asked to that at which its client knows; a lock that does one thing after the other must be
able to give the same answers in an order that keeps to these spans.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

import pytest
from room.decisions.stage import Actor, Stage

KEYS = ("j", "k")
CLIENTS = 3
SEEDS = 150
STEPS = 60


@dataclass
class Operation:
    """What a client did to a lock: got it, or ceased to have it.

    Attributes:
        client: whose it is.
        kind: `take` or `give`.
        epoch: of the grant.
        called: when it was asked for.
        returned: when the client knew; None while it doesn't.
    """

    client: int
    kind: str
    epoch: int
    called: int
    returned: int | None = None


@dataclass
class Client:
    """One client, and what it believes."""

    actor: Actor
    connected: bool = True
    asked: dict[str, int] = field(default_factory=dict[str, int])
    holds: dict[str, int] = field(default_factory=dict[str, int])


def is_linear(history: Sequence[Operation]) -> bool:
    """Whether one lock can have done all this, one operation at a time: a search, after Wing and Gong."""
    seen: set[tuple[frozenset[int], int | None, int]] = set()

    def search(left: frozenset[int], holder: int | None, epoch: int) -> bool:
        if all(history[number].returned is None for number in left):
            return True
        if (left, holder, epoch) in seen:
            return False
        seen.add((left, holder, epoch))
        first_return = min(
            (returned for number in left if (returned := history[number].returned) is not None), default=None
        )
        for number in left:
            one = history[number]
            if first_return is not None and one.called > first_return:
                continue
            takes = one.kind == "take" and holder is None and one.epoch > epoch
            gives = one.kind == "give" and (holder, epoch) == (one.client, one.epoch)
            if (takes or gives) and search(left - {number}, one.client if takes else None, one.epoch):
                return True
        return False

    return search(frozenset(range(len(history))), None, 0)


def test_the_search_tells_a_lock_from_what_is_none() -> None:
    take, again = Operation(1, "take", 5, 0, 2), Operation(2, "take", 6, 1, 3)
    assert is_linear([take])
    assert not is_linear([take, again])
    assert is_linear([take, Operation(1, "give", 5, 2, 4), again])
    assert not is_linear([take, Operation(1, "give", 5, 4, 5), again]), "it was given back too late"
    assert not is_linear(
        [Operation(1, "take", 6, 0, 1), Operation(1, "give", 6, 2, 3), Operation(2, "take", 5, 4, 5)]
    )


class Claiming:
    """Clients that ask, let go, leave, come back; a server that crashes and loses what isn't committed."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.now = 0
        self.stage = Stage()
        self.committed = 0
        self.clients = [Client(self.stage.actor(f"p{number % 2}")) for number in range(CLIENTS)]
        self.history: dict[str, list[Operation]] = {key: [] for key in KEYS}
        self.acted: dict[tuple[str, int], int] = {}
        self.commit()

    def step(self) -> None:
        client = self.random.choice(self.clients)
        acts = {self.ask: 4, self.let_go: 2, self.lose_the_line: 1, self.say_goodbye: 0.3, self.come_back: 3}
        befalls = {self.commit: 5, self.ring: 1, self.crash: 0.4}
        [act] = self.random.choices([*acts, *befalls], [*acts.values(), *befalls.values()])
        if act in befalls:
            act()
        elif client.connected is (act != self.come_back):
            act(client)
        assert len(self.stage.document.requests) == 0

    def tick(self) -> int:
        self.now += 1
        return self.now

    def ask(self, client: Client) -> None:
        key = self.random.choice(KEYS)
        if key not in client.asked and key not in client.holds:
            client.asked[key] = self.tick()
            client.actor.claim(key, wait=self.random.random() < 0.5)

    def let_go(self, client: Client) -> None:
        key = self.random.choice(KEYS)
        if key in client.holds:
            self.ceases(client, key, asked=True)
            client.actor.release(key)

    def lose_the_line(self, client: Client) -> None:
        client.actor.leave()
        client.connected = False

    def say_goodbye(self, client: Client) -> None:
        for key in list(client.holds):
            self.ceases(client, key, asked=True)
        client.asked.clear()
        client.actor.say_goodbye()
        self.lose_the_line(client)

    def come_back(self, client: Client) -> None:
        client.actor.come(self.stage)
        client.connected = True

    def ring(self) -> None:
        """A grace is over. Who is away knows that as well: it doesn't act after half of one."""
        if not self.stage.timers:
            return
        for client in self.clients:
            if not client.connected:
                for key in list(client.holds):
                    self.ceases(client, key, asked=False)
                client.asked.clear()
        self.stage.ring(self.random.choice(sorted(self.stage.timers)))

    def commit(self) -> None:
        """The log is on the disk: fences come back, and who was granted something may act."""
        self.committed = len(self.stage.rows)
        self.stage.do(self.stage.room.committed(self.stage.room.version))
        for client in self.clients:
            if client.connected:
                self.hear_the_fence(client)

    def crash(self) -> None:
        """What isn't committed is lost; those who were connected aren't any more."""
        self.stage = self.stage.restart(self.committed)
        for client in self.clients:
            client.connected = False

    def hear_the_fence(self, client: Client) -> None:
        """Look at what is granted: all that one has seen is on the disk now."""
        for key in KEYS:
            fact = client.actor.document.claims.get(key) or {}
            mine = fact.get("client") == client.actor.client
            kept = mine and fact["epoch"] == client.holds.get(key)
            assert kept or key not in client.holds, f"{key} was taken from a client that is here"
            if mine and key in client.asked:
                self.takes(client, key, fact["epoch"])
            elif mine and key not in client.holds:
                client.actor.release(key)  # a crash undid that it was let go
            elif not mine and not any(one["client"] == client.actor.client for one in fact.get("waiting", [])):
                client.asked.pop(key, None)

    def takes(self, client: Client, key: str, epoch: int) -> None:
        called, history = client.asked.pop(key), self.history[key]
        undone = [one for one in history if (one.client, one.kind, one.epoch) == (client.actor.client, "give", epoch)]
        if undone:  # a crash undid that it was let go, so nobody else has had it since
            history.remove(*undone)
        else:
            history.append(Operation(client.actor.client, "take", epoch, called, self.tick()))
        client.holds[key] = epoch
        assert self.acted.setdefault((key, epoch), client.actor.client) == client.actor.client

    def ceases(self, client: Client, key: str, *, asked: bool) -> None:
        """A client stops to act: from before it knew, until now."""
        epoch = client.holds.pop(key)
        began = next(one.returned or 0 for one in reversed(self.history[key]) if one.epoch == epoch)
        called = self.tick() if asked else began
        self.history[key].append(Operation(client.actor.client, "give", epoch, called, self.tick()))


@pytest.mark.parametrize("part", range(5))
def test_what_clients_acted_on_is_the_history_of_one_lock(part: int) -> None:
    taken = 0
    for seed in range(part, SEEDS, 5):
        world = Claiming(seed)
        for _ in range(STEPS):
            world.step()
        for key, history in world.history.items():
            assert is_linear(history), f"no lock does this with {key}, seed {seed}: {history}"
            taken += len(history)
    assert taken > SEEDS // 5, "something is tried"
