"""Attendance: what the document says of who takes part: the root `participants`, which the server alone writes.

Whatever happens is noted, and written only once it is at least one tick old, as what is true by then: so a reload or
a glance at another tab writes nothing, and many who come at once are one update. Pure: the shell ticks.
"""

from collections.abc import Mapping, Sequence

from cosession.auth.participant import ANONYMOUS, Participant
from cosession.document import SessionDocument


class Attendance:
    """The participants of whom something has changed, each with the time of the last change."""

    __slots__ = ("_due", "_fresh")

    def __init__(self) -> None:
        self._fresh: dict[str, str] = {}
        self._due: dict[str, str] = {}

    def __bool__(self) -> bool:
        return bool(self._fresh or self._due)

    def note(self, participant: str, at: str) -> None:
        """Note that something has changed; what waits of the same participant waits anew."""
        self._due.pop(participant, None)
        self._fresh[participant] = at

    def take(self, *, at_once: bool = False) -> dict[str, str]:
        """Take what is to be written now: what changed before the last tick, or all of it."""
        due, self._due, self._fresh = self._due, self._fresh, {}
        if at_once:
            due, self._due = due | self._due, {}
        return due


def is_introduced(document: SessionDocument, who: Participant) -> bool:
    """Whether `introduce` would write nothing."""
    return who.id == ANONYMOUS.id or (_has_name(document, who) and _is_declared(document, who))


def introduce(document: SessionDocument, who: Participant, at: str) -> None:
    """Note who somebody is, so that a name outlives its presence; what is known already is not written again.

    Args:
        document: the session.
        who: whoever joins; the anonymous leave no trace.
        at: the server's time, RFC 3339.
    """
    if who.id == ANONYMOUS.id:
        return
    if document.participants.get(who.id) is None:
        here = (
            {"online": True, "devices": 1, "looking": assume_looking(who)} if who.capabilities.may("presence") else {}
        )
        document.participants.set(who.id, name=who.name, kind=who.kind, since=at, **here)
    elif not _has_name(document, who):
        document.participants.set(who.id, name=who.name, kind=who.kind)
    if not _is_declared(document, who):
        document.agents.declare(who.id, name=who.name)


def _has_name(document: SessionDocument, who: Participant) -> bool:
    known = document.participants.get(who.id)
    return known is not None and (known.get("name"), known.get("kind")) == (who.name, who.kind)


def _is_declared(document: SessionDocument, who: Participant) -> bool:
    return who.kind != "agent" or document.agents.get(who.id) is not None


def attend(document: SessionDocument, here: Mapping[str, Sequence[bool]], at: Mapping[str, str]) -> None:
    """Note who is here now; what is known already is not written again.

    Args:
        document: the session.
        here: of each participant's connections, whether somebody looks at it.
        at: when that last changed, RFC 3339.
    """
    for id_, looks in here.items():
        known = document.participants.get(id_)
        if known is None or not (looks or known.online):
            continue
        left = {"last_seen": at[id_]} if known.online and not looks else {}
        document.participants.set(id_, online=bool(looks), devices=len(looks), looking=any(looks), **left)


def assume_looking(who: Participant) -> bool:
    """Whether somebody looks at a connection whose presence doesn't say: a program does not, a person does."""
    return who.kind != "agent"
