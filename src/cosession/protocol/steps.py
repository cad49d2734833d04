"""Work in steps: a generator that yields after every few hundred items, so that other work may run in between."""

from collections.abc import Generator
from typing import Final, TypeVar

_Result = TypeVar("_Result")

AT_ONCE: Final = 250
"""The number of items in one step: one takes one to twenty microseconds, depending on the work."""


def finish(work: Generator[object, None, _Result]) -> _Result:
    """Do all steps at once, and return the result."""
    while True:
        try:
            next(work)
        except StopIteration as ended:
            return ended.value
