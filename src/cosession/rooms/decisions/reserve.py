# ruff: noqa: ARG001 - what is decided here is still to come
"""Reservations: what a worker is handed, written into the session before the worker hears of it."""

from dataclasses import dataclass

from .case import Case


@dataclass(frozen=True, slots=True)
class Job:
    """What a worker is to do.

    Attributes:
        session: where; empty within the room, which doesn't know its name.
        message: the prompt.
        run: the lost run that it goes on with; None where it begins one.
        client: the Yjs client id that the worker writes with.
        epoch: of the claim, or of the run.
    """

    session: str
    message: str
    run: str | None
    client: int
    epoch: int


def reserve(case: Case, agent: str, client: int) -> Job | None:
    """Reserve the next thing that an agent is to do, for a client of its own."""
    return None
