"""One agent of the team as a process of its own: `python -m travel.agent flights --url …` in the folder above.

Kill it, and its card on the page goes red; start it again, and it goes on with the work that it left.
"""

import argparse
import os
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

from chat.models import NAMES, choose
from chat.tool_model import ToolModel

from cosession.client import AgentRun, Worker
from cosession.errors import CosessionError

from .planner import Planner
from .script import ScriptedToolModel
from .specialists import SPECIALTIES, look_up
from .store import Store

PLANNER = "planner"

TEAM = (PLANNER, *SPECIALTIES)
"""The agents; the first answers what is said to nobody."""


def choose_model(name: str, words_per_second: float) -> ToolModel:
    """Return a model that calls tools.

    Args:
        name: `openai`, `scripted`, or `auto`: an endpoint where one is configured.
        words_per_second: how fast the script writes.

    Raises:
        CosessionError: the model can't be used.
    """
    chosen = choose(name)
    if hasattr(chosen, "act"):
        return chosen
    if name in ("auto", "scripted"):
        return ScriptedToolModel(words_per_second)
    raise CosessionError(
        f"The model {name!r} calls no tools, which agents of this demo do; choose openai or scripted."
    )


def answering(agent: str, store: Store, model: ToolModel) -> Callable[[AgentRun], Awaitable[None]]:
    """Return the function that answers the prompts of an agent."""

    async def plan(run: AgentRun) -> None:
        run.progress("Planning with you")
        await Planner(run, store).answer(model)

    async def search(run: AgentRun) -> None:
        await look_up(SPECIALTIES[agent], run, store, model)

    return plan if agent == PLANNER else search


def _follow() -> None:
    """End with the process that holds the other end of standard input, also when that is killed."""
    while os.read(0, 1):
        pass
    os._exit(0)  # its server has ended with it: there is nothing to finish


def main() -> None:
    """Run one agent against a server."""
    parser = argparse.ArgumentParser(description="Work as one agent of the travel team.")
    parser.add_argument("agent", choices=TEAM)
    parser.add_argument("--url", default="http://127.0.0.1:8765", help="the server's address")
    parser.add_argument("--store", type=Path, default=Path("travel.sqlite3"), help="the database; made when missing")
    parser.add_argument("--model", default="auto", choices=NAMES)
    parser.add_argument("--speed", type=float, default=30.0, help="words per second of the scripted model")
    parser.add_argument("--leashed", action="store_true", help="end when standard input does: with who started it")
    options = parser.parse_args()
    if options.leashed:
        threading.Thread(target=_follow, daemon=True).start()
    try:
        model = choose_model(options.model, options.speed)
    except CosessionError as error:
        parser.error(str(error))
    known = os.environ.get("COSESSION_TOKEN")
    name = SPECIALTIES[options.agent].name if options.agent in SPECIALTIES else "Planner"
    token = None if known is None else lambda: known
    worker = Worker(options.agent, url=options.url, token=token, name=name)
    worker.handler(answering(options.agent, Store(options.store), model))
    worker.main()


if __name__ == "__main__":
    main()
