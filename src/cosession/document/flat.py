"""Roots with flat keys that end in, or begin with, their writer: no client makes a container here, so none is lost.

Segments of a key are percent-encoded as encodeURIComponent does, so an id may hold any character.
"""

import sys
from collections.abc import Generator, Mapping, Sequence
from typing import Any

from pycrdt import Map

from cosession.errors import BadDocument
from cosession.protocol.steps import AT_ONCE, finish

from .values import (
    JsonObject,
    checked,
    checked_id,
    checked_object,
    is_same,
    join_key,
    keys_of,
    plain,
    plain_in_steps,
    plain_object,
    split_key,
    transaction,
)


def prompt_key(message: str, agent: str = "") -> str:
    """Return the key of the claim to answer a prompt: for the agent that it names, or, if it names none, for any."""
    return join_key("prompt", message, agent) if agent else join_key("prompt", message)


def tool_key(call: str) -> str:
    """Return the key of the claim to answer a call to a tool that clients offer."""
    return join_key("tool", call)


class Selections:
    """The selections and focus of each participant: `PARTICIPANT/NAME` → JSON."""

    __slots__ = ("shared",)

    def __init__(self, shared: Map[Any]) -> None:
        self.shared = shared

    def set(self, participant: str, name: str, value: Any) -> None:
        """Set a selection of a participant.

        Raises:
            BadDocument: the value isn't JSON.
        """
        key, prepared = join_key(participant, name), checked(value, "The selection")
        if key not in self.shared or not is_same(plain(self.shared[key]), prepared):
            self.shared[key] = prepared

    def get(self, participant: str, name: str) -> Any:
        """Return a selection of a participant, or None."""
        return plain(self.shared.get(join_key(participant, name)))

    def clear(self, participant: str, name: str) -> None:
        """Remove a selection of a participant."""
        key = join_key(participant, name)
        if key in self.shared:
            del self.shared[key]

    def of(self, participant: str) -> JsonObject:
        """Return all selections of a participant, by name."""
        return {
            segments[1]: plain(self.shared[key])
            for key in keys_of(self.shared)
            if len(segments := split_key(key)) == 2 and segments[0] == participant
        }

    def to_json(self) -> JsonObject:
        """Return all selections, by their keys."""
        return plain_object(self.shared)


class Counters:
    """Counters: `NAME/PARTICIPANT` or `NAME/PARTICIPANT/DEVICE` → number.

    The value is the sum over all of them, so no addition is lost, as long as no two processes write under one key.
    """

    __slots__ = ("shared",)

    def __init__(self, shared: Map[Any]) -> None:
        self.shared = shared

    def add(self, name: str, writer: str, amount: float = 1, *, device: str = "") -> None:
        """Add to a counter.

        Args:
            name: the counter.
            writer: the id of the participant that adds.
            amount: the number to add; it may be negative.
            device: an id per process, if several processes of one participant add.

        Raises:
            BadDocument: the amount is no number.
        """
        if isinstance(amount, bool) or not isinstance(checked(amount, "The amount"), int | float):
            raise BadDocument(f"A counter adds numbers, not {amount!r}.")
        key = join_key(name, writer, device) if device else join_key(name, writer)
        with transaction(self.shared):
            self.shared[key] = checked(_number(self.shared.get(key)) + amount, "The counter")

    def value(self, name: str) -> int | float:
        """Return the value of a counter; 0 if nothing was added yet."""
        return self.to_json().get(name, 0)

    def to_json(self) -> dict[str, int | float]:
        """Return the value of every counter, by name; a sum too large for a float becomes the largest float."""
        return finish(self.to_json_in_steps())

    def to_json_in_steps(self) -> Generator[None, None, dict[str, int | float]]:
        """Do the same in steps."""
        shares = yield from plain_in_steps(self.shared)
        sums: dict[str, float] = {}
        for count, key in enumerate(sorted(shares), 1):
            name = split_key(key)[0]
            total = sums.get(name, 0.0) + _number(shares[key])
            sums[name] = min(max(total, -sys.float_info.max), sys.float_info.max)
            if not count % AT_ONCE:
                yield
        found: dict[str, int | float] = {}
        for count, (name, total) in enumerate(sums.items(), 1):
            found[name] = plain(total)
            if not count % AT_ONCE:
                yield
        return found


class Claims:
    """The claims, each with one holder at a time. Only the server writes them.

    Key → {by, client, epoch, at}, with `until`, the time at which it ends by itself, `waiting`, the next clients in
    line ({by, client} each), and `former`, the clients that are fenced off. The epoch is the fencing token: it only
    grows, over releases and restarts.
    """

    __slots__ = ("shared",)

    def __init__(self, shared: Map[Any]) -> None:
        self.shared = shared

    def get(self, key: str) -> JsonObject | None:
        """Return a claim with its holder, {by, client, epoch, at, …}; None if no client holds it."""
        return plain_object(self.shared.get(key)) or None

    def grant(
        self,
        key: str,
        *,
        by: str,
        client: int,
        epoch: int,
        at: str,
        until: str | None = None,
        waiting: Sequence[Mapping[str, Any]] = (),
        former: Sequence[int] = (),
    ) -> JsonObject:
        """Grant a claim to a client.

        Args:
            key: the claim.
            by: the participant.
            client: the participant's Yjs client that holds it.
            epoch: larger than that of any grant before.
            at: the time, RFC 3339.
            until: the time at which it ends by itself.
            waiting: the next clients in line, {by, client} each, in order.
            former: the clients that held it before and may write no more.

        Returns:
            The claim as it was written.
        """
        more = {"until": until, "waiting": list(waiting), "former": list(former)}
        fact = {
            "by": by,
            "client": client,
            "epoch": epoch,
            "at": at,
            **{name: one for name, one in more.items() if one},
        }
        prepared = checked_object(fact, "The claim")
        self.shared[checked_id(key, "What is claimed")] = prepared
        return prepared

    def release(self, key: str) -> None:
        """Remove a claim: no client holds it any more."""
        if key in self.shared:
            del self.shared[key]

    def to_json(self) -> JsonObject:
        """Return all claims, by key."""
        return plain_object(self.shared)


def _number(value: object) -> int | float:
    number = plain(value)
    return number if isinstance(number, int | float) and not isinstance(number, bool) else 0
