"""Roots with flat keys that end in, or begin with, their writer: nobody makes a container here, so nobody loses one.

Segments of a key are percent-encoded as encodeURIComponent does, so an id may hold any character.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pycrdt import Map

from cosession.errors import BadDocument

from .values import (
    JsonObject,
    checked,
    checked_id,
    checked_object,
    is_same,
    join_key,
    keys_of,
    plain,
    plain_object,
    split_key,
    transaction,
)


class Selections:
    """What each participant has selected or focused: `PARTICIPANT/NAME` → JSON."""

    __slots__ = ("shared",)

    def __init__(self, shared: Map[Any]) -> None:
        self.shared = shared

    def set(self, participant: str, name: str, value: Any) -> None:
        """Say what a participant has selected.

        Raises:
            BadDocument: the value isn't JSON.
        """
        key, prepared = join_key(participant, name), checked(value, "The selection")
        if key not in self.shared or not is_same(plain(self.shared[key]), prepared):
            self.shared[key] = prepared

    def get(self, participant: str, name: str) -> Any:
        """What a participant has selected, or None."""
        return plain(self.shared.get(join_key(participant, name)))

    def clear(self, participant: str, name: str) -> None:
        """Say that a participant has selected nothing."""
        key = join_key(participant, name)
        if key in self.shared:
            del self.shared[key]

    def of(self, participant: str) -> JsonObject:
        """All that a participant has selected, by name."""
        return {
            segments[1]: plain(self.shared[key])
            for key in keys_of(self.shared)
            if len(segments := split_key(key)) == 2 and segments[0] == participant
        }

    def to_json(self) -> JsonObject:
        """All selections, by their keys."""
        return plain_object(self.shared)


class Counters:
    """Counters: `NAME/PARTICIPANT` or `NAME/PARTICIPANT/DEVICE` → number.

    The value is the sum over all of them, so nothing that is added is lost, as long as no two write under one key.
    """

    __slots__ = ("shared",)

    def __init__(self, shared: Map[Any]) -> None:
        self.shared = shared

    def add(self, name: str, writer: str, amount: float = 1, *, device: str = "") -> None:
        """Add to a counter.

        Args:
            name: the counter.
            writer: who adds: a participant's id.
            amount: how much; negative takes away.
            device: one per process, when a participant has several that add.

        Raises:
            BadDocument: the amount is no number.
        """
        if isinstance(amount, bool) or not isinstance(checked(amount, "The amount"), int | float):
            raise BadDocument(f"A counter adds numbers, not {amount!r}.")
        key = join_key(name, writer, device) if device else join_key(name, writer)
        with transaction(self.shared):
            self.shared[key] = checked(_number(self.shared.get(key)) + amount, "The counter")

    def value(self, name: str) -> int | float:
        """What a counter stands at; 0 when nobody has added anything."""
        return self.to_json().get(name, 0)

    def to_json(self) -> dict[str, int | float]:
        """The value of every counter, by name."""
        sums: dict[str, int | float] = {}
        for key in keys_of(self.shared):
            name = split_key(key)[0]
            sums[name] = plain(float(sums.get(name, 0) + _number(self.shared[key])))
        return sums


@dataclass(frozen=True, slots=True)
class Request:
    """Something that a participant asks the server to decide.

    Attributes:
        key: where it is written.
        kind: `cancel`, `steer`, `claim`, `release`, `vote`, …
        subject: what it is about, e.g. (run,).
        participant: who asks.
        value: what exactly they want.
    """

    key: str
    kind: str
    subject: tuple[str, ...]
    participant: str
    value: JsonObject


class Requests:
    """What waits for the server's decision: `KIND/…/PARTICIPANT` → JSON, removed by the server when it is decided."""

    __slots__ = ("shared",)

    def __init__(self, shared: Map[Any]) -> None:
        self.shared = shared

    def __len__(self) -> int:
        return len(self.shared)

    def put(self, kind: str, *subject: str, participant: str, value: Mapping[str, Any] | None = None) -> Request:
        """Ask for something.

        Args:
            kind: what is asked for.
            subject: what it is about.
            participant: who asks.
            value: what exactly they want, a JSON object.
        """
        key = join_key(kind, *subject, participant)
        prepared = checked_object(value or {}, "The request")
        self.shared[key] = prepared
        return Request(key, kind, subject, participant, prepared)

    def remove(self, key: str) -> None:
        """Take a request away; one that is gone already is no error."""
        if key in self.shared:
            del self.shared[key]

    def items(self) -> Iterator[Request]:
        """The requests, by key; a key of fewer than two segments has no kind or no participant (both empty then)."""
        for key in keys_of(self.shared):
            kind, *subject = split_key(key)
            participant = subject.pop() if subject else ""
            yield Request(key, kind, tuple(subject), participant, plain_object(self.shared[key]))

    def ask_cancel(self, run: str, participant: str, reason: str = "") -> Request:
        """Ask that a run be cancelled."""
        return self.put("cancel", run, participant=participant, value={"reason": reason})

    def ask_steer(self, run: str, id: str, participant: str, text: str) -> Request:  # noqa: A002 - the field's name
        """Ask that a running run take something in; the id is the steer's."""
        return self.put("steer", run, id, participant=participant, value={"text": text})

    def ask_claim(self, key: str, participant: str) -> Request:
        """Ask to hold something that one participant at a time holds."""
        return self.put("claim", key, participant=participant)

    def ask_release(self, key: str, participant: str) -> Request:
        """Ask to give back what one holds."""
        return self.put("release", key, participant=participant)

    def ask_vote(self, approval: str, participant: str, decision: str, value: Any = None) -> Request:
        """Answer an approval."""
        return self.put("vote", approval, participant=participant, value={"decision": decision, "value": value})

    def to_json(self) -> JsonObject:
        """All requests, by their keys."""
        return plain_object(self.shared)


class Claims:
    """Who holds what, one holder at a time: key → {by, epoch, at}. Only the server writes it."""

    __slots__ = ("shared",)

    def __init__(self, shared: Map[Any]) -> None:
        self.shared = shared

    def get(self, key: str) -> JsonObject | None:
        """{by, epoch, at} of who holds it, or None."""
        return plain_object(self.shared.get(key)) or None

    def grant(self, key: str, *, by: str, epoch: int, at: str) -> None:
        """Write that a participant holds it now."""
        self.shared[checked_id(key, "What is claimed")] = checked({"by": by, "epoch": epoch, "at": at}, "The claim")

    def release(self, key: str) -> None:
        """Write that nobody holds it."""
        if key in self.shared:
            del self.shared[key]

    def to_json(self) -> JsonObject:
        """All claims, by key."""
        return plain_object(self.shared)


def _number(value: object) -> int | float:
    number = plain(value)
    return number if isinstance(number, int | float) and not isinstance(number, bool) else 0
