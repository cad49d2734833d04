"""`cosession demo`: the server, a demo's pages and its agent in one process; each travel agent has its own process.

A demo is an application, not a part of the library: it is in a folder of its own, which users copy. A wheel contains
it as `cosession/_demo/NAME`; in a checkout it is `demo/NAME`. It is loaded from there as the package
`cosession_NAME`, and is a client of the server like any other.
"""

import asyncio
import contextlib
import importlib
import os
import shlex
import sys
import time
import webbrowser
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias

import typer

from cosession.auth import Issuer
from cosession.errors import CosessionError
from cosession.server import serve
from cosession.settings import Settings

_TOKEN_SECONDS = 12 * 3600
"""The validity of the operator's link and of the agents' tokens: a working day."""

FORM_SESSION = "visa"
"""The session of the form: all participants fill in the same one."""

TRAVEL_TEAM = ("planner", "flights", "hotels", "activities")
"""The agents of the travel planner; the first answers messages that name no agent."""

END_SECONDS = 2.0
"""The time that an agent's process has to finish before it is killed."""

TRAVEL_GRACE_SECONDS = 5.0
"""The lease grace of the travel demo: short, so that a user who kills an agent soon sees its work resumed."""

Token: TypeAlias = Callable[[], str] | None
"""A function that returns an agent's token; None where the server needs none."""


@dataclass(frozen=True, slots=True)
class Show:
    """The parts of a demo, besides the server.

    Attributes:
        static: the folder that the server serves.
        path: of the page in it, to which `/` redirects; empty where the page is at `/`.
        attend: runs the agents at a server's address, until cancelled; gets each agent's token by the agent's id.
        words: the text to print at the start; `{url}` is the page's address.
        settings: the server's settings.
    """

    static: Path
    path: str
    attend: Callable[[str, Callable[[str], Token]], Coroutine[Any, Any, None]]
    words: str
    settings: Settings


async def run_demo(settings: Settings, which: str, model: str, *, speed: float, open_browser: bool) -> None:
    """Serve a demo and its agents until interrupted.

    Args:
        settings: the server's settings.
        which: `chat`, `forms` or `travel`.
        model: the model of the agents: `auto`, `openai`, `local` or `scripted`.
        speed: words per second of the scripted model.
        open_browser: whether to open the page in a browser, if there is a screen.

    Raises:
        CosessionError: the demo isn't installed, the model can't be used, or the server can't start.
    """
    folder = find_demo(which)
    if which == "travel":
        show = _travel(folder, model, speed, settings)
    else:
        show = _forms(folder, settings) if which == "forms" else _chat(folder, model, speed, settings)
    async with asyncio.TaskGroup() as tasks:
        answering: list[asyncio.Task[None]] = []

        def ready(url: str) -> None:
            issuer = Issuer.of(settings)

            def token_of(agent: str) -> Token:
                return None if issuer is None else partial(_token, issuer, agent, "agent")

            answering.append(tasks.create_task(show.attend(url, token_of), name="the demo's agents"))
            page = url + show.path
            if issuer:
                page = f"{url}{show.path or '/'}#token={_token(issuer, 'operator', 'operator')}"
            typer.echo(f"{show.words.format(url=page)}; Ctrl-C ends it)")
            if open_browser and _has_screen():
                webbrowser.open(page)

        try:
            await serve(show.settings, static=show.static, page=show.path, ready=ready)
        except CosessionError as error:
            failure = error
        else:
            failure = None
        for task in answering:
            task.cancel()
    if failure is not None:
        raise failure  # not inside the task group, which would wrap it


def _chat(folder: Path, model: str, speed: float, settings: Settings) -> Show:
    """Return the chat, with its agent."""
    chosen: Any = load(folder, "models").choose(model, tokens_per_second=speed)
    agent = load(folder, "agent")
    words = f"The shared chat is at {{url}}  (the agent answers by the model {chosen.name!r}"

    def attend(url: str, token_of: Callable[[str], Token]) -> Coroutine[Any, Any, None]:
        return agent.make_worker(url, chosen, token_of(agent.PARTICIPANT)).run()

    return Show(folder, "", attend, words, _with(settings, agents=(agent.PARTICIPANT,)))


def _forms(folder: Path, settings: Settings) -> Show:
    """Return the form, with its helper."""
    helper = load(folder, "helper")
    words = "The shared form is at {url}  (open it twice; a helper sees who hesitates"

    def attend(url: str, token_of: Callable[[str], Token]) -> Coroutine[Any, Any, None]:
        return helper.help_out(url, FORM_SESSION, token_of(helper.PARTICIPANT))

    return Show(folder, "", attend, words, settings)


def _travel(folder: Path, model: str, speed: float, settings: Settings) -> Show:
    """Return the travel planner; its agents are separate processes, so that one can be killed and started again."""
    if model == "local":
        raise CosessionError("The model 'local' calls no tools, as this team does; choose openai or scripted.")
    load(find_demo("chat"), "models").choose(model)  # fails here, once, if the model can't be used
    own = _with(settings, agents=TRAVEL_TEAM, lease_grace_seconds=TRAVEL_GRACE_SECONDS)
    rest = ["--store", str(settings.data.absolute() / "travel.sqlite3"), "--model", model, "--speed", f"{speed:g}"]

    async def attend(url: str, token_of: Callable[[str], Token]) -> None:
        async with AsyncExitStack() as team:
            for agent in TRAVEL_TEAM:
                command = [sys.executable, "-m", "travel.agent", agent, "--url", url, *rest]
                environment = {**os.environ}
                if (token := token_of(agent)) is not None:
                    environment["COSESSION_TOKEN"] = token()
                process = await asyncio.create_subprocess_exec(
                    *command, "--leashed", cwd=folder.parent, env=environment, stdin=asyncio.subprocess.PIPE
                )
                team.push_async_callback(_end, process)
                typer.echo(
                    f"  {agent:10} is process {process.pid}; again: cd {folder.parent} && {shlex.join(command)}"
                )
            await asyncio.Event().wait()

    words = "The travel planner is at {url}  (four agents, a process each; kill one, and start it again"
    return Show(folder.parent, "/travel/", attend, words, own)


def _with(settings: Settings, **usual: object) -> Settings:
    """Return settings with other defaults: a value that the user gives stays."""
    return settings.model_copy(
        update={name: value for name, value in usual.items() if name not in settings.model_fields_set}
    )


async def _end(process: asyncio.subprocess.Process) -> None:
    """End an agent's process, if it still runs; one that waits for people doesn't end by itself."""
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
        try:
            async with asyncio.timeout(END_SECONDS):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


def _token(issuer: Issuer, subject: str, role: str) -> str:
    """Issue a token for a demo's agent, or for the operator who started the demo."""
    now = time.time()
    claims = {"sub": subject, "name": subject.title(), "kind": role, "role": role, "sessions": ["*"]}
    return issuer.issue(claims, now=now, expires_at=now + _TOKEN_SECONDS)


def find_demo(name: str) -> Path:
    """Return the folder of a demo.

    Raises:
        CosessionError: the folder is neither in the installed package nor in a checkout.
    """
    here = Path(__file__).resolve()
    for folder in (here.parents[1] / "_demo" / name, here.parents[3] / "demo" / name):
        if (folder / "index.html").is_file():
            return folder
    raise CosessionError("The demo's files are missing from this installation; install cosession again from a wheel.")


def load(folder: Path, name: str) -> ModuleType:
    """Return a Python module of a demo.

    Args:
        folder: the demo's folder.
        name: the module's name, without the suffix.
    """
    package_name = f"cosession_{folder.name}"
    if package_name not in sys.modules:
        package = ModuleType(package_name)
        package.__path__ = [str(folder)]
        sys.modules[package_name] = package
    return importlib.import_module(f"{package_name}.{name}")


def _has_screen() -> bool:
    """Whether a browser can be shown to the person who typed the command."""
    graphical = sys.platform in ("darwin", "win32") or bool(
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    )
    return graphical and sys.stdout.isatty()
