"""Entry point: `async with connect("http://localhost:8765", session="trip", participant="planner") as session:`."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from cosession.errors import Refusal

from .credential import Token
from .session import Session

SYNC_SECONDS = 30.0
"""The time that `connect` waits for the document: long enough for a server that is just starting."""


@asynccontextmanager
async def connect(
    url: str,
    *,
    session: str,
    participant: str,
    name: str | None = None,
    kind: str = "agent",
    token: Token | None = None,
    wait_seconds: float | None = SYNC_SECONDS,
    on_refused: Callable[[Refusal], None] | None = None,
) -> AsyncGenerator[Session, None]:
    """Join a session and stay in it for the length of an `async with` block.

    The block is entered when the document has arrived. The connection recovers from network failures by itself. The
    block is left when all writes are saved: this waits a few seconds, also for a lost connection to come back. If
    writes are still unsaved then, a block that ended normally raises; an exception of the block is raised as it is.

    Args:
        url: the server's address, e.g. `http://localhost:8765`.
        session: the session's id.
        participant: this client's participant id: the token's `sub`, where there is one.
        name: the name that people see; None uses `participant`.
        kind: `agent`, `human` or `operator`.
        token: the credential, or a sync or async function that returns a fresh one: it is called at each connection,
            and when most of the last token's validity is over. None on a development server.
        wait_seconds: how long to wait for the document at first, and for more of one that comes in pieces; None
            waits for ever.
        on_refused: called with the lost writes when the server refused a write of this client, after a fresh document
            was received; the session continues with that document. None ends the session instead.

    Raises:
        TimedOut: no document came within `wait_seconds`.
        Disconnected: the server refused for good, or, when the block is left, the last writes aren't saved.
        InvalidValue: `url` isn't a server's address.
    """
    joined = Session(
        session,
        participant,
        name or participant,
        kind,
        url=url,
        token=token,
        on_refused=on_refused,
    )
    async with joined.live(url, wait_seconds):
        yield joined
