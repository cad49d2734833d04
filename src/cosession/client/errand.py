"""An errand: what a worker is handed, written into the session by the server before the worker hears of it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Errand:
    """Something to do in a session.

    Attributes:
        session: the session's id.
        message: the prompt.
        run: the lost run to go on with; None where one is to be begun.
        client: the Yjs client id to write under.
        epoch: of the claim, or of the run.
    """

    session: str
    message: str
    run: str | None
    client: int
    epoch: int
