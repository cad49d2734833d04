"""An errand: an assignment to a worker, which the server records in the session before it notifies the worker."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Errand:
    """One prompt or lost run that a worker shall work on.

    Attributes:
        session: the session's id.
        message: the prompt's id.
        run: the lost run to resume; None where a new one is to begin.
        client: the Yjs client id to write under.
        epoch: the epoch of the claim, or of the run.
    """

    session: str
    message: str
    run: str | None
    client: int
    epoch: int
