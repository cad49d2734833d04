"""Work in steps: a generator that waits after every few hundred things, so that others have their turn meanwhile."""

from collections.abc import Generator
from typing import Final, TypeVar

_Result = TypeVar("_Result")

AT_ONCE: Final = 250
"""How many things are worked through in one step: one takes one to twenty microseconds, by what is done with it."""


def finish(work: Generator[object, None, _Result]) -> _Result:
    """Do work without waiting, and return its result."""
    while True:
        try:
            next(work)
        except StopIteration as ended:
            return ended.value
