"""The demo's agent: joins every session in which somebody is, and answers there.

It is a client like any other: it finds sessions over HTTP, joins them by the Python SDK, and can run in another
process or on another machine (`python -m chat.agent` in the folder above this one). Sessions are served at the same
time, the prompts of one session one after the other. It holds no state of its own: what it knows of a conversation
is the session's document.
"""

import argparse
import asyncio
import contextlib
import os
from collections.abc import Callable, Iterable
from typing import Any

import httpx

from cosession.client import AgentRun, Session, Steer, connect, list_sessions
from cosession.document import Message
from cosession.errors import CosessionError, Disconnected
from cosession.logs import get_logger

from .memory import ChatMessage
from .models import NAMES, STEERED, Model, choose

log = get_logger(__name__)

PARTICIPANT = "assistant"
NAME = "Assistant"

LOOK_SECONDS = 1.0
"""How often it looks for sessions with people in them: so long may a first answer wait."""

LEAVE_SECONDS = 10.0
"""How long it stays where nobody is: a page that is reloaded finds it still there."""

MOST_SESSIONS = 64
"""In how many sessions it is at once; each costs a connection and a copy of the document."""

MOST_REMEMBERED = 40
"""How many messages back the model is told: enough for a conversation, and bounded for any session."""

INSTRUCTIONS = (
    "You are the assistant in a conversation that several people may share. Answer helpfully and briefly, in "
    "Markdown. Where messages begin with a name and a colon, that is who wrote them."
)


async def attend_all(url: str, model: Model, token: Callable[[], str | None] | None = None) -> None:
    """Answer in every session of a server, until cancelled.

    Args:
        url: the server's address.
        model: what answers.
        token: gives a fresh credential, where the server wants one; None takes what COSESSION_TOKEN holds.
    """
    give = token or (lambda: os.environ.get("COSESSION_TOKEN"))
    attended: dict[str, asyncio.Task[None]] = {}
    closed: set[str] = set()  # sessions that refused us for good: asking again each second would help nobody
    reached = True
    async with asyncio.TaskGroup() as tasks:
        while True:
            try:
                listed = list_sessions(url, token=give(), limit=1000, occupied=True)
                occupied = [session.id async for session in listed]
                reached = True
            except (httpx.TransportError, CosessionError) as error:
                occupied = []
                if reached:
                    log.warning("agent.no_list", url=url, error=str(error))
                reached = False
            attended = {session: task for session, task in attended.items() if not task.done()}
            for session in occupied:
                if session not in attended and session not in closed and len(attended) < MOST_SESSIONS:
                    attended[session] = tasks.create_task(_attend(url, session, model, give, closed))
            await asyncio.sleep(LOOK_SECONDS)


async def _attend(url: str, session_id: str, model: Model, give: Callable[[], str | None], closed: set[str]) -> None:
    """Answer in one session until people have left it."""
    try:
        async with connect(
            url,
            session=session_id,
            participant=PARTICIPANT,
            name=NAME,
            token=(lambda: give() or "") if give() else None,
        ) as session:
            session.on(
                "refused",
                lambda refusal: log.warning("agent.refused_writing", session=session_id, reason=refusal.reason),
            )
            log.info("agent.joined", session=session_id)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None) as stay:
                    leaving = asyncio.create_task(_leave_when_alone(session, stay))
                    try:
                        await _answer_all(session, model)
                    finally:
                        leaving.cancel()
    except Disconnected as error:
        log.warning("agent.refused", session=session_id, error=str(error))
        if error.close is not None:
            closed.add(session_id)
    else:
        log.info("agent.left", session=session_id)


async def _leave_when_alone(session: Session, stay: asyncio.Timeout) -> None:
    """End the stay when no one but agents has been in the session for a while and no answer is being written."""
    loop = asyncio.get_running_loop()
    alone_since = loop.time()
    while loop.time() - alone_since < LEAVE_SECONDS:
        await asyncio.sleep(LOOK_SECONDS)
        people = not all(_is_agent(state) for state in session.presence.others().values())
        busy = any(run.agent == PARTICIPANT for run in session.runs.active())
        if people or busy or session.status != "online":
            alone_since = loop.time()
    stay.reschedule(loop.time())


def _is_agent(state: dict[str, Any]) -> bool:
    """Whether a connection is an agent's; what it says of itself may be anything."""
    user = state.get("user")
    return isinstance(user, dict) and user.get("kind") == "agent"


async def _answer_all(session: Session, model: Model) -> None:
    async for prompt in session.prompts():
        try:
            await _answer(session, prompt, model)
        except Disconnected:
            raise
        except Exception as error:  # a model may fail in any way; the run says so to people, and the next may work
            log.warning("agent.failed", session=session.id, error=f"{type(error).__name__}: {error}")


async def _answer(session: Session, prompt: Message, model: Model) -> None:
    """Answer one prompt: stream, and begin anew from where it stands whenever somebody steers."""
    conversation = _conversation(session, prompt)
    async with session.run(reply_to=prompt, task=f"Answering {session.who(prompt.author).name}") as run:
        while True:
            said, steers = await _write(run, model, conversation)
            if not steers:
                return
            conversation += [{"role": "assistant", "content": said}, _steering(session, steers)]
            run.text("\n\n")


async def _write(run: AgentRun, model: Model, conversation: list[ChatMessage]) -> tuple[str, list[Steer]]:
    """Stream one answer into the run, until its end or a steer; return what was said, and the steers."""
    said: list[str] = []
    async with contextlib.aclosing(model.stream(conversation)) as tokens:
        async for token in tokens:
            said.append(token)
            run.text(token)
            if steers := run.steers():
                return "".join(said), steers
    return "".join(said), run.steers()


def _steering(session: Session, steers: Iterable[Steer]) -> ChatMessage:
    said = "\n".join(f"{session.who(steer.by).name}: {steer.text}" for steer in steers)
    return {"role": "user", "content": f"{STEERED}\n{said}"}


def _conversation(session: Session, prompt: Message) -> list[ChatMessage]:
    """Return what was said up to a prompt, for the model; with names where several people write."""
    messages: list[Message] = []
    for message in session.messages:
        if not message.deleted and message.role in ("user", "assistant") and message.text.strip():
            messages.append(message)
        if message.id == prompt.id:
            break
    messages = messages[-MOST_REMEMBERED:]
    several = len({message.author for message in messages if message.role == "user"}) > 1
    told: list[ChatMessage] = [{"role": "system", "content": INSTRUCTIONS}]
    for message in messages:
        named = several and message.role == "user"
        text = f"{session.who(message.author).name}: {message.text}" if named else message.text
        told.append({"role": message.role, "content": text})
    return told


def main() -> None:
    """Run the agent against a server that runs elsewhere."""
    parser = argparse.ArgumentParser(description="Answer in every session of a cosession server.")
    parser.add_argument("--url", default="http://127.0.0.1:8765", help="the server's address")
    parser.add_argument("--model", default="auto", choices=NAMES)
    options = parser.parse_args()
    try:
        model = choose(options.model)
    except CosessionError as error:
        parser.error(str(error))
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(attend_all(options.url, model))


if __name__ == "__main__":
    main()
