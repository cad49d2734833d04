"""Who somebody is: one answer from all that a session says of a participant. Reads only, and never raises.

The server's `participants` go before what an agent says of itself, and both before presence. Presence is whatever
its clients wrote: what doesn't read as an identity is passed over.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

from cosession.document import SessionDocument

NOBODY = "Someone"
"""The name of a participant of whom not even the id is known."""


@dataclass(frozen=True, slots=True)
class Who:
    """A participant, as people know them.

    Attributes:
        id: the participant's id; empty when nobody is named.
        name: what people call them; never empty.
        kind: `human`, `agent` or `operator`.
    """

    id: str
    name: str
    kind: str


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
            found.setdefault(id_, Who(id_, _text(user.get("name")) or id_, _text(user.get("kind")) or "human"))
    return list(found.values())


def find_participant(id: str | None, document: SessionDocument, present: Iterable[Who]) -> Who:  # noqa: A002
    """Return who a participant is.

    Args:
        id: the participant's id, as a message or a steer gives it.
        document: the session.
        present: whom presence names.
    """
    id_ = id or ""
    known, agent = document.participants.get(id_), document.agents.get(id_)
    here = next((who for who in present if who.id == id_), None)
    name = (known and known.name) or (agent and agent.name) or (here and here.name) or id_ or NOBODY
    kind = (known and _text(known.get("kind"))) or (here and here.kind) or ("agent" if agent else "human")
    return Who(id_, name, kind)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
