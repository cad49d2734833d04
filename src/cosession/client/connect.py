"""The way in: `async with connect("http://localhost:8765", session="trip", participant="planner") as session:`."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from .credential import Token
from .refusal import Refusal
from .session import Session

SYNC_SECONDS = 30.0
"""How long entering waits for the document: long enough for a server that is just starting."""


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
    client_id: int | None = None,
) -> AsyncGenerator[Session, None]:
    """Join a session and stay in it for the length of an `async with` block.

    Enters when the document is here. Breaks of the network are survived without the block's help. Leaves when what
    was written is saved: for that it waits a few seconds, also for a lost connection to come back. When it isn't
    saved even then, a block that ended normally raises; an exception of the block comes out as it is.

    Args:
        url: the server's address, e.g. `http://localhost:8765`.
        session: the session's id.
        participant: who we are: the token's `sub`, where there is one.
        name: what people see; None takes `participant`.
        kind: `agent`, `human` or `operator`.
        token: the credential, or a function, plain or async, that gives a fresh one: it is called at each connection,
            and when most of the last one's life is over. None on a development server.
        wait_seconds: how long to wait for the document at first, and for more of one that comes in pieces; None
            waits for ever.
        on_refused: called when the server refuses something that was written here, with what is lost, when its
            document is here anew; then the session goes on with that. None ends the session instead.
        client_id: the Yjs client id to write under, where the server has drawn one for us; None draws a fresh one.

    Raises:
        Disconnected: the server refused for good, there was none in `wait_seconds`, or, when the block is left, what
            was written last isn't saved.
        ValueError: `url` isn't a server's address.
    """
    joined = Session(
        session,
        participant,
        name or participant,
        kind,
        url=url,
        token=token,
        on_refused=on_refused,
        client_id=client_id,
    )
    async with joined.live(url, wait_seconds):
        yield joined
