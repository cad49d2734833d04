"""Entry point: `async with connect("http://localhost:8765", "trip", participant="planner") as session:`."""

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import get_args

from cosession.errors import Disconnected, InvalidValue

from .credential import Credential, Token, TokenFailed, subject_of
from .session import Session
from .types import Kind

SYNC_SECONDS = 30.0
"""The time that `connect` waits for the document: long enough for a server that is just starting."""


def connect(
    url: str,
    session: str,
    *,
    token: Token | None = None,
    participant: str | None = None,
    name: str | None = None,
    kind: Kind = "agent",
    color: str | None = None,
    wait_seconds: float | None = SYNC_SECONDS,
    rollup_ms: int = 0,
) -> AbstractAsyncContextManager[Session]:
    """Join a session and stay in it for the length of an `async with` block.

    The block is entered when the document has arrived. The connection recovers from network failures by itself. The
    block is left when all writes are saved: this waits a few seconds, also for a lost connection to come back. If
    writes are still unsaved then, a block that ended normally raises; an exception of the block is raised as it is.

    Args:
        url: the server's address, e.g. `http://localhost:8765`.
        session: the session's id.
        token: the credential, or a sync or async function that returns a fresh one: it is called at each connection,
            and when most of the last token's validity is over. None on a development server.
        participant: this client's participant id; None is the token's `sub`.
        name: the name that people see; None uses the participant id.
        kind: `agent`, `human` or `operator`.
        color: a CSS color that shows the participant; None is made of its id.
        wait_seconds: how long to wait for the document at first, and for more of one that comes in pieces; None
            waits for ever.
        rollup_ms: how long the server gathers what it sends to this client, 0 to 1000 milliseconds: a program that
            only reads gets fewer and larger frames.

    Raises:
        InvalidValue: an argument is invalid, or neither `participant` nor the token names the participant.
        TimedOut: no document came within `wait_seconds`.
        Disconnected: the server refused for good, or, when the block is left, the last writes aren't saved.
        WriteRefused: when the block is left: the server refused writes, and the application hasn't read that.
    """
    return _connect(
        url,
        session,
        token=token,
        participant=participant,
        name=name,
        kind=kind,
        color=color,
        wait_seconds=wait_seconds,
        rollup_ms=rollup_ms,
    )


@asynccontextmanager
async def _connect(
    url: str,
    session: str,
    *,
    token: Token | None,
    participant: str | None,
    name: str | None,
    kind: Kind,
    color: str | None,
    wait_seconds: float | None,
    rollup_ms: int,
) -> AsyncGenerator[Session, None]:
    if kind not in get_args(Kind):
        raise InvalidValue(f"`kind` is {', '.join(get_args(Kind))}, not {kind!r}.", path="kind")
    who = participant or await _participant_of(token)
    joined: Session = Session(session, who, name or who, kind, url=url, token=token, color=color, rollup_ms=rollup_ms)
    async with joined._live(url, wait_seconds):  # pyright: ignore[reportPrivateUsage] - the only caller
        yield joined


async def _participant_of(token: Token | None) -> str:
    """Return the participant that a token names.

    Raises:
        InvalidValue: there is no token, or it names none.
        Disconnected: the function that gives the token failed.
    """
    try:
        given = await Credential(token, None).fresh()
    except TokenFailed as error:
        raise Disconnected(str(error)) from error
    subject = subject_of(given) if given else None
    if subject is None:
        raise InvalidValue("Name the `participant`, or give a token with a `sub`.", path="participant")
    return subject
