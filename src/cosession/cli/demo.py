"""`cosession demo`: the server, a demo's pages and its agent in one process.

A demo is an application, not a part of the library: it lives in a folder of its own, which users copy. A wheel
carries it as `cosession/_demo/NAME`; in a checkout it is `demo/NAME`. It is loaded from there as the package
`cosession_NAME`, and is a client of the server like any other.
"""

import asyncio
import importlib
import os
import sys
import time
import webbrowser
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias

import typer

from cosession.auth import Issuer
from cosession.errors import CosessionError
from cosession.server import serve
from cosession.settings import Settings

_TOKEN_SECONDS = 12 * 3600
"""How long the link of who started the demo is good: a day's work."""


FORM_SESSION = "visa"
"""The session of the form: everybody fills in the same one."""

Token: TypeAlias = Callable[[], str] | None
"""Gives the agent's token, where the server wants one."""

Attend: TypeAlias = Callable[[str, Token], Coroutine[Any, Any, None]]
"""Does the agent's part at a server's address, until cancelled."""


async def run_demo(settings: Settings, which: str, model: str, *, speed: float, open_browser: bool) -> None:
    """Serve a demo and its agent until interrupted.

    Args:
        settings: the server's.
        which: `chat` or `forms`.
        model: what the chat's agent answers with: `auto`, `openai`, `local` or `scripted`.
        speed: words per second of the scripted model.
        open_browser: whether to show the page, where there is a screen.

    Raises:
        CosessionError: the demo isn't installed, the model can't be used, or the server can't start.
    """
    folder = find_demo(which)
    who, attend, words = _forms(folder) if which == "forms" else _chat(folder, model, speed)
    async with asyncio.TaskGroup() as tasks:
        answering: list[asyncio.Task[None]] = []

        def ready(url: str) -> None:
            issuer = Issuer.of(settings)
            token = issuer and (lambda: _token(issuer, who, "agent"))
            answering.append(tasks.create_task(attend(url, token), name="the demo's agent"))
            if issuer:
                url = f"{url}/#token={_token(issuer, 'operator', 'operator')}"
            typer.echo(f"{words.format(url=url)}; Ctrl-C ends it)")
            if open_browser and _has_screen():
                webbrowser.open(url)

        try:
            await serve(settings, static=folder, ready=ready)
        except CosessionError as error:
            failure = error
        else:
            failure = None
        for task in answering:
            task.cancel()
    if failure is not None:
        raise failure  # here, because a task group would wrap it


def _chat(folder: Path, model: str, speed: float) -> tuple[str, Attend, str]:
    """Return who the chat's agent is, what it does, and what to tell whoever started it."""
    chosen: Any = load(folder, "models").choose(model, tokens_per_second=speed)
    agent = load(folder, "agent")
    words = f"The shared chat is at {{url}}  (the agent answers by the model {chosen.name!r}"
    return agent.PARTICIPANT, lambda url, token: agent.attend_all(url, chosen, token), words


def _forms(folder: Path) -> tuple[str, Attend, str]:
    """The same of the form's helper."""
    helper = load(folder, "helper")
    words = "The shared form is at {url}  (open it twice; a helper sees who hesitates"
    return helper.PARTICIPANT, lambda url, token: helper.help_out(url, FORM_SESSION, token), words


def _token(issuer: Issuer, subject: str, role: str) -> str:
    """Make a token of the demo's own: for its agent, and for who started it."""
    now = time.time()
    claims = {"sub": subject, "name": subject.title(), "kind": role, "role": role, "sessions": ["*"]}
    return issuer.issue(claims, now=now, expires_at=now + _TOKEN_SECONDS)


def find_demo(name: str) -> Path:
    """Return the folder of a demo.

    Raises:
        CosessionError: it is neither in the installed package nor in a checkout.
    """
    here = Path(__file__).resolve()
    for folder in (here.parents[1] / "_demo" / name, here.parents[3] / "demo" / name):
        if (folder / "index.html").is_file():
            return folder
    raise CosessionError("The demo's files are missing from this installation; install cosession again from a wheel.")


def load(folder: Path, name: str) -> ModuleType:
    """Return a Python module of a demo.

    Args:
        folder: where it is.
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
