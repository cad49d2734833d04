"""The queue: what waits in it becomes a message when its turn has come."""

from .case import Case


def promote(case: Case) -> None:
    """Make a message of the next entry whose turn has come."""
