"""Standing by: an agent's process joins each session in which somebody is, and answers there what is its to answer."""

import asyncio
from collections.abc import Awaitable, Callable

import httpx

from cosession.client import Session, connect, list_sessions
from cosession.document import Message
from cosession.errors import CosessionError, Disconnected
from cosession.logs import get_logger

log = get_logger(__name__)

LOOK_SECONDS = 0.5
MOST_SESSIONS = 64
ALONE_SECONDS = 10.0
"""How long it stays where no person is."""

Handler = Callable[[Session, Message], Awaitable[None]]


async def attend_all(url: str, agent: str, name: str, token: Callable[[], str] | None, handle: Handler) -> None:
    """Answer in every session of a server, until cancelled.

    Args:
        url: the server's address.
        agent: the agent's participant id.
        name: what people see.
        token: gives a credential, where the server wants one.
        handle: answers one prompt.
    """
    attended: dict[str, asyncio.Task[None]] = {}
    closed: set[str] = set()
    async with asyncio.TaskGroup() as tasks:
        while True:
            attended = {session: task for session, task in attended.items() if not task.done()}
            try:
                found = await list_sessions(url, token=token and token(), limit=1000, occupied=True)
            except (httpx.TransportError, CosessionError):
                found = []  # the server is starting, or away for a moment
            for session in found:
                if session.id not in attended and session.id not in closed and len(attended) < MOST_SESSIONS:
                    work = _attend(url, session.id, agent, name, token, handle, closed)
                    attended[session.id] = tasks.create_task(work)
            await asyncio.sleep(LOOK_SECONDS)


async def _attend(
    url: str, id_: str, agent: str, name: str, token: Callable[[], str] | None, handle: Handler, closed: set[str]
) -> None:
    try:
        async with connect(url, session=id_, participant=agent, name=name, token=token) as session:
            async with asyncio.TaskGroup() as tasks:
                answering = tasks.create_task(_answer(session, handle))
                await _alone(session)
                answering.cancel()
    except* Disconnected as group:
        log.warning("agent.refused", session=id_, error=str(group.exceptions[0]))
        closed.add(id_)


async def _answer(session: Session, handle: Handler) -> None:
    async for prompt in session.prompts():
        try:
            await handle(session, prompt)
        except Disconnected:
            raise
        except Exception as error:  # a model may fail in any way; the run says so to people, and the next may work
            log.warning("agent.failed", session=session.id, error=f"{type(error).__name__}: {error}")


async def _alone(session: Session) -> None:
    """Return when no person has been here for a while and nothing is under way."""
    loop = asyncio.get_running_loop()
    since = loop.time()
    while loop.time() - since < ALONE_SECONDS:
        await asyncio.sleep(LOOK_SECONDS)
        if any(person.kind != "agent" and person.online for person in session.people) or any(
            run.agent == session.participant for run in session.runs.active()
        ):
            since = loop.time()
