"""The demo's agent: a worker that answers by a model, in every session whose policy names it.

It is a client like any other, and can run in another process or on another machine (`python -m chat.agent` in the
folder above this one). It holds no state of its own: all that it knows of a conversation is the session's document.
"""

import argparse
import contextlib
import os
from collections.abc import Callable, Iterable

from cosession.client import AgentRun, Session, Steer, Worker
from cosession.errors import CosessionError

from .memory import ChatMessage
from .models import NAMES, STEERED, Model, choose

PARTICIPANT = "assistant"
NAME = "Assistant"

MOST_ANSWERS = 16
"""The number of sessions that it answers in at a time; each costs a connection and a copy of the document."""

MOST_REMEMBERED = 40
"""The number of messages that the model is told: enough for a conversation, and bounded for any session."""

INSTRUCTIONS = (
    "You are the assistant in a conversation that several people may share. Answer helpfully and briefly, in "
    "Markdown. Where messages begin with a name and a colon, that is who wrote them."
)


def make_worker(url: str, model: Model, token: Callable[[], str | None] | None = None) -> Worker:
    """Return the agent.

    Args:
        url: the server's address.
        model: the model that answers.
        token: returns a fresh credential, where the server wants one; None takes the value of COSESSION_TOKEN.
    """
    give = token or (lambda: os.environ.get("COSESSION_TOKEN"))
    worker = Worker(
        PARTICIPANT,
        url=url,
        token=(lambda: give() or "") if give() else None,
        name=NAME,
        concurrency=MOST_ANSWERS,
    )

    @worker.handler
    async def answer(run: AgentRun) -> None:
        """Stream an answer, and continue it from its end whenever a participant steers."""
        if run.prompt is not None:
            run.progress(f"Answering {run.session.who(run.prompt.author).name}")
        conversation = _conversation(run)
        while True:
            said, steers = await _write(run, model, conversation)
            if not steers:
                return
            conversation += [{"role": "assistant", "content": said}, _steering(run.session, steers)]
            run.text("\n\n")

    return worker


async def _write(run: AgentRun, model: Model, conversation: list[ChatMessage]) -> tuple[str, list[Steer]]:
    """Stream one answer into the run, until its end or a steer; return the text, and the steers."""
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


def _conversation(run: AgentRun) -> list[ChatMessage]:
    """Return the conversation up to the prompt, for the model; with names where several people write."""
    people = {message.author for message in run.history() if message.role == "user"}
    messages = [
        message
        for message in run.history(attributed=len(people) > 1)
        if message.role in ("user", "assistant") and message.text.strip()
    ]
    told: list[ChatMessage] = [{"role": "system", "content": INSTRUCTIONS}]
    return told + [{"role": message.role, "content": message.text} for message in messages[-MOST_REMEMBERED:]]


def main() -> None:
    """Run the agent against a server that runs elsewhere."""
    parser = argparse.ArgumentParser(description="Answer as the assistant of a cosession server.")
    parser.add_argument("--url", default="http://127.0.0.1:8765", help="the server's address")
    parser.add_argument("--model", default="auto", choices=NAMES)
    options = parser.parse_args()
    try:
        model = choose(options.model)
    except CosessionError as error:
        parser.error(str(error))
    make_worker(options.url, model).main()


if __name__ == "__main__":
    main()
