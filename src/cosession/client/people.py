"""Identities of participants, from everything that a session records of them. Read-only, and never raises.

The server's `participants` take precedence over an agent's own record, and both over presence. Presence may hold
anything that a client wrote: an entry that isn't a valid identity is skipped.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from cosession.document import SessionDocument

from .identity import color_of
from .types import Kind

NOBODY = "Someone"
"""The name of a participant without a known id."""


@dataclass(frozen=True, slots=True)
class Who:
    """A participant, as people know them.

    Attributes:
        id: the participant's id; empty when none is known.
        name: the name to show; never empty.
        kind: `human`, `agent` or `operator`.
        color: a CSS color.
    """

    id: str
    name: str
    kind: Kind
    color: str


@dataclass(frozen=True, slots=True)
class Person(Who):
    """A participant of the session, with its presence.

    Attributes:
        online: whether the participant has a connection.
        devices: the number of its connections.
        looking: whether the session is visible on a screen of the participant, as far as known.
        since: the time of the first join, if the server has recorded it.
        last_seen: the time of the last departure, if there was one.
    """

    online: bool
    devices: int
    looking: bool
    since: str | None
    last_seen: str | None


@dataclass(frozen=True, slots=True)
class Me(Person):
    """The participant of this client.

    Attributes:
        capabilities: the granted capabilities, as written in tokens; None before the server has sent them.
        expires_at: the end of the grant unless renewed; None is never, or not known yet.
    """

    capabilities: tuple[str, ...] | None
    expires_at: datetime | None


def people(document: SessionDocument, states: Iterable[dict[str, Any]]) -> list[Person]:
    """Return all participants of a session, connected ones first. Presence overrides the server's record.

    Args:
        document: the session.
        states: awareness states of all connections.
    """
    here: dict[str, list[dict[str, Any]]] = {}
    for state in states:
        for who in identities([state]):
            here.setdefault(who.id, []).append(state)
    present = identities(state for own in here.values() for state in own)
    found = [
        _person(id_, document, present, here.get(id_, []))
        for id_ in {**here, **dict.fromkeys(document.participants.to_json())}
    ]
    return sorted(found, key=lambda person: (not person.online, person.id))


def _person(id: str, document: SessionDocument, present: list[Who], states: list[dict[str, Any]]) -> Person:  # noqa: A002
    who, known = find_participant(id, document, present), document.participants.get(id)
    record = known.to_json() if known else {}
    online = bool(states) or record.get("online") is True
    devices = len(states) or (record["devices"] if online and isinstance(record.get("devices"), int | float) else 0)
    looking = any(state.get("visible") is True for state in states) if states else record.get("looking") is True
    since, last_seen = _text(record.get("since")) or None, _text(record.get("last_seen")) or None
    return Person(who.id, who.name, who.kind, who.color, online, int(devices), online and looking, since, last_seen)


def identities(states: Iterable[dict[str, Any]]) -> list[Who]:
    """Return the participants that presence states name, each once.

    Args:
        states: awareness states; their `user` may be anything.
    """
    found: dict[str, Who] = {}
    for state in states:
        said = state.get("user")
        user = cast("dict[str, Any]", said) if isinstance(said, dict) else {}
        if id_ := _text(user.get("id")):
            color = _text(user.get("color")) or color_of(id_)
            found.setdefault(id_, Who(id_, _text(user.get("name")) or id_, kind_of(user.get("kind")), color))
    return list(found.values())


def find_participant(id: str | None, document: SessionDocument, present: Iterable[Who]) -> Who:  # noqa: A002
    """Return the identity of a participant.

    Args:
        id: the participant's id, as a message or a steer gives it.
        document: the session.
        present: the participants named in presence.
    """
    id_ = id or ""
    known, agent = document.participants.get(id_), document.agents.get(id_)
    here = next((who for who in present if who.id == id_), None)
    name = (known and known.name) or (agent and agent.name) or (here and here.name) or id_ or NOBODY
    kind = (known and _text(known.get("kind"))) or (here and here.kind) or ("agent" if agent else "human")
    return Who(id_, name, kind_of(kind), here.color if here else color_of(id_))


def kind_of(value: object) -> Kind:
    """Return the kind of a participant; `human` where a client wrote something else."""
    return value if value in ("agent", "operator") else "human"


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
