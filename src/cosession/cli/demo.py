"""`cosession demo`: the server, the chat's pages and the chat's agent in one process.

The chat is an application, not a part of the library: it lives in a folder of its own, which users copy. A wheel
carries it as `cosession/_demo/chat`; in a checkout it is `demo/chat`. It is loaded from there as the package
`cosession_chat`, and is a client of the server like any other.
"""

import asyncio
import importlib
import os
import sys
import time
import webbrowser
from pathlib import Path
from types import ModuleType
from typing import Any

import typer

from cosession.auth import Issuer
from cosession.errors import CosessionError
from cosession.server import serve
from cosession.settings import Settings

_PACKAGE = "cosession_chat"

_TOKEN_SECONDS = 12 * 3600
"""How long the link of who started the demo is good: a day's work."""


async def run_demo(settings: Settings, model: str, *, speed: float, open_browser: bool) -> None:
    """Serve the chat and answer in it until interrupted.

    Args:
        settings: the server's.
        model: what the agent answers with: `auto`, `openai`, `local` or `scripted`.
        speed: words per second of the scripted model.
        open_browser: whether to show the page, where there is a screen.

    Raises:
        CosessionError: the demo isn't installed, the model can't be used, or the server can't start.
    """
    folder = find_chat()
    chosen: Any = load(folder, "models").choose(model, tokens_per_second=speed)
    agent = load(folder, "agent")
    async with asyncio.TaskGroup() as tasks:
        answering: list[asyncio.Task[None]] = []

        def ready(url: str) -> None:
            issuer = Issuer.of(settings)
            token = issuer and (lambda: _token(issuer, "assistant", "agent"))
            answering.append(tasks.create_task(agent.attend_all(url, chosen, token), name="the demo's agent"))
            if issuer:
                url = f"{url}/#token={_token(issuer, 'operator', 'operator')}"
            typer.echo(
                f"The shared chat is at {url}  (the agent answers by the model {chosen.name!r}; Ctrl-C ends it)"
            )
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


def _token(issuer: Issuer, subject: str, role: str) -> str:
    """Make a token of the demo's own: for its agent, and for who started it."""
    now = time.time()
    claims = {"sub": subject, "name": subject.title(), "kind": role, "role": role, "sessions": ["*"]}
    return issuer.issue(claims, now=now, expires_at=now + _TOKEN_SECONDS)


def find_chat() -> Path:
    """Return the folder of the demo chat.

    Raises:
        CosessionError: it is neither in the installed package nor in a checkout.
    """
    here = Path(__file__).resolve()
    for folder in (here.parents[1] / "_demo" / "chat", here.parents[3] / "demo" / "chat"):
        if (folder / "agent.py").is_file():
            return folder
    raise CosessionError("The demo's files are missing from this installation; install cosession again from a wheel.")


def load(folder: Path, name: str) -> ModuleType:
    """Return a Python module of the demo.

    Args:
        folder: where it is.
        name: the module's name, without the suffix.
    """
    if _PACKAGE not in sys.modules:
        package = ModuleType(_PACKAGE)
        package.__path__ = [str(folder)]
        sys.modules[_PACKAGE] = package
    return importlib.import_module(f"{_PACKAGE}.{name}")


def _has_screen() -> bool:
    """Whether a browser can be shown to the person who typed the command."""
    graphical = sys.platform in ("darwin", "win32") or bool(
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    )
    return graphical and sys.stdout.isatty()
