"""Attendance: the record of the session's participants: the root `participants`, which only the server writes.

A change is noted at once and written only when it is at least one tick old, in its state by then: so a reload or a
glance at another tab writes nothing, and participants that join together are one update. Pure: the shell ticks.
"""

from collections.abc import Mapping, Sequence

from cosession.auth.participant import ANONYMOUS, Participant
from cosession.document import SessionDocument


class Attendance:
    """The participants whose attendance has changed, each with the time of the last change."""

    __slots__ = ("_due", "_fresh")

    def __init__(self) -> None:
        self._fresh: dict[str, str] = {}
        self._due: dict[str, str] = {}

    def __bool__(self) -> bool:
        return bool(self._fresh or self._due)

    def note(self, participant: str, at: str) -> None:
        """Note that something has changed; a change of the same participant that waits starts to wait anew."""
        self._due.pop(participant, None)
        self._fresh[participant] = at

    def take(self, *, at_once: bool = False) -> dict[str, str]:
        """Return and forget the changes to write now: those from before the last tick, or all."""
        due, self._due, self._fresh = self._due, self._fresh, {}
        if at_once:
            due, self._due = due | self._due, {}
        return due


def is_introduced(document: SessionDocument, who: Participant) -> bool:
    """Whether `introduce` would write nothing."""
    return who.id == ANONYMOUS.id or (_has_name(document, who) and _is_declared(document, who))


def introduce(document: SessionDocument, who: Participant, at: str) -> None:
    """Write a participant's name and kind, so that they outlive its presence; known values are not written again.

    Args:
        document: the session.
        who: the participant that joins; nothing is written of an anonymous one.
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
    """Write which participants are connected now; known values are not written again.

    Args:
        document: the session.
        here: per participant, for each of its connections whether its page is looked at.
        at: when that last changed, RFC 3339.
    """
    for id_, looks in here.items():
        known = document.participants.get(id_)
        if known is None or not (looks or known.online):
            continue
        left = {"last_seen": at[id_]} if known.online and not looks else {}
        document.participants.set(id_, online=bool(looks), devices=len(looks), looking=any(looks), **left)


def assume_looking(who: Participant) -> bool:
    """Return whether a connection whose presence doesn't say is looked at: a person's is, a program's is not."""
    return who.kind != "agent"
