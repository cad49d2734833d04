"""Counters: each is a sum of shares under flat keys, one for each writer, so concurrent additions are never lost."""

import sys
from collections.abc import Generator
from typing import Any

from pycrdt import Map

from cosession.errors import BadDocument
from cosession.protocol.steps import AT_ONCE, finish

from .values import checked, join_key, plain, plain_in_steps, split_key, transaction


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


def _number(value: object) -> int | float:
    number = plain(value)
    return number if isinstance(number, int | float) and not isinstance(number, bool) else 0
