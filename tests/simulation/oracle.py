"""What must be true of a world that has grown calm."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from simulation.disk import words_of

from cosession.document import SessionDocument
from cosession.document.values import JsonObject
from cosession.protocol import decode_state_vector

if TYPE_CHECKING:
    from simulation.replica import Replica
    from simulation.world import World


def disagreement(world: "World") -> str:
    """What is not yet as it must be in the end; empty when all is."""
    assert world.process is not None
    loaded = {live.session for live in world.process.rooms()}
    for replica in world.replicas:
        if replica.line is None or replica.session not in loaded:
            return f"{replica.name} is not connected"
    for live in world.process.rooms():
        here = [replica for replica in world.replicas if replica.session == live.session]
        vector = decode_state_vector(live.room.document.doc.get_state())
        declined = [replica for replica in here if replica.is_declined]
        for replica in here:
            if replica not in declined and decode_state_vector(replica.doc.get_state()) != vector:
                return f"{replica.name} has not the clocks of the room"
        room = live.room.document.to_json()
        if room["requests"]:
            return f"the wishes {sorted(room['requests'])} are not answered"
        if world.disk.replica(live.session).to_json() != room:
            return "the log is not the live document"
        for replica in declined:
            if trouble := _departure(replica, vector, room, world.taken):
                return trouble
        for replica in here:
            if replica not in declined and replica.document.to_json() != room:
                return f"{replica.name} is not equal to the room: {_difference(replica.document.to_json(), room)}"
            if replica.waits_for:
                return f"{replica.name} has not been told {replica.waits_for}"
            if replica.unfenced:
                return f"{replica.unfenced} fences of {replica.name} did not come back"
            is_behind = replica in declined and replica.reach > vector.get(replica.client, 0)
            waits = replica.echoed < replica.reach and replica.dialled == replica.last_dialled and not is_behind
            if not replica.extended and waits:
                return f"{replica.name} was not sent its last words back"
        trouble = presence(here, of=here) if world.strict_presence else ""
        if trouble:
            return trouble
        if live.connections != len(here):
            return f"the room has {live.connections} connections and not {len(here)}"
    return ""


def _departure(
    replica: "Replica", vector: Mapping[int, int], room: JsonObject, taken: Mapping[tuple[str, int], int]
) -> str:
    """What a replica with something that the server declined has otherwise than it may; empty when nothing is.

    It has all of the room. What it has besides is its own, or a crash took it from the server. Its document holds
    nothing that the room doesn't: what was declined has vanished from it, and what it deleted or wrote over without
    the right to may be missing. It may show more where a crash took something, and where the server can't know that a
    client id is its own, because it shows itself to nobody and nothing of it was taken.
    """
    has = decode_state_vector(replica.doc.get_state())
    if behind := {client: clock for client, clock in vector.items() if has.get(client, 0) < clock}:
        return f"{replica.name} lacks {behind} of the room"
    more = {client: clock for client, clock in has.items() if clock > vector.get(client, 0)}
    for client, clock in more.items():
        if client != replica.client and clock > taken.get((replica.session, client), 0):
            return f"{replica.name} has {clock} clocks of {client}, which no crash took from the room"
    shows = replica.document.to_json()
    is_excused = any((replica.session, client) in taken for client in more)
    if replica.client in more and replica.client not in vector and replica.awareness.shown is None:
        is_excused = True
    if is_excused or _is_part(shows, room):
        return ""
    return f"{replica.name} shows what is not: {_difference(shows, room)}"


def _is_part(part: object, whole: object) -> bool:
    """Whether a JSON value is another one without some of its keys and entries."""
    match part, whole:
        case dict(), dict():
            return all(key in whole and _is_part(value, whole[key]) for key, value in part.items())
        case list(), list():
            rest = iter(whole)
            return all(any(_is_part(one, other) for other in rest) for one in part)
        case _:
            return part == whole


def check_words(world: "World") -> None:
    """Check that nothing was lost and nothing doubled."""
    for session, document in world.disk.replicas.items():
        text = words_of(document)
        authors = [replica for replica in world.replicas if replica.session == session]
        known = 0
        for author in authors:
            for word in author.written:
                times = text.count(word)
                known += len(word) * times
                if word in author.doubtful:
                    assert times <= 1, f"{word} is there {times} times"
                else:
                    assert times == (word not in author.deleted), f"{word} is there {times} times"
        assert known == len(text), f"somebody unknown wrote into {text!r}"
        _check_run(document, authors)
        for fact in world.posted:
            where, _, key = fact.partition("/")
            assert where != session or document.state.get((key,)) is not None, f"{fact} is lost"


def _check_run(document: SessionDocument, authors: "list[Replica]") -> None:
    run = document.runs.get("run")
    assert run is not None
    steers = [str(steer["id"]) for steer in run.steers]
    assert len(steers) == len(set(steers)), f"a steer is there twice: {steers}"
    asked = {steer for author in authors for steer in author.steers}
    certain = {steer for author in authors for steer in author.steers - author.doubtful}
    assert set(steers) <= asked, f"asked for {sorted(asked)}, and there are {steers}"
    if run.status == "running" and run.epoch == 1:  # else it was lost for a while, and took none in
        assert certain <= set(steers), f"asked for {sorted(certain)}, and there are {steers}"
    by = {author.participant.id for author in authors if author.cancelled}
    if run.cancel is not None:
        assert run.cancel["by"] in by, f"{run.cancel} was asked by {by}"
    elif run.status not in ("complete", "error"):  # what has ended can't be cancelled any more
        assert not any(author.surely_cancelled for author in authors), "a cancel is lost"


def presence(viewers: "list[Replica]", of: "list[Replica]") -> str:
    """Whether these see exactly those who are here; what is wrong, if not."""
    present = {
        replica.client: _mood(replica.awareness.shown) for replica in of if replica.awareness.shown is not None
    }
    for replica in viewers:
        seen = {client: _mood(state) for client, state in replica.awareness.states.items()}
        others = {client: mood for client, mood in present.items() if client != replica.client}
        if seen != others:
            return f"{replica.name} sees {seen} and not {others}"
    return ""


def _mood(state: str) -> object:
    """What somebody says of itself; the server adds who it is."""
    return json.loads(state)["mood"]


def _difference(one: JsonObject, other: JsonObject) -> str:
    """Where two documents part."""
    parts: list[str] = []
    for key in one:
        mine, theirs = (json.dumps(side[key], sort_keys=True) for side in (one, other))
        if mine != theirs:
            at = next((at for at, (a, b) in enumerate(zip(mine, theirs, strict=False)) if a != b), len(mine))
            parts.append(f"{key} from {at} on: …{mine[at : at + 60]} and …{theirs[at : at + 60]}")
    return "; ".join(parts)
