"""The commands and their flags.

The server and the client are imported inside the commands that need them: together they take most of a second to
load, and `--version`, `--help` and the shell's completion should not wait for that.
"""

import asyncio
import getpass
import io
import os
import sys
from collections.abc import Callable, Coroutine
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from cosession.errors import CosessionError
from cosession.logs import configure_logs
from cosession.settings import Settings, explain, unknown_variables

app = typer.Typer(
    name="cosession",
    help="An AI session as one document that people, their devices and agents edit together.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
)

DEFAULT_URL = "http://127.0.0.1:8765"
"""The server's address unless flags or settings change it."""


class LogLevel(StrEnum):
    """The lowest level of events that are logged."""

    debug = "debug"
    info = "info"
    warning = "warning"
    error = "error"


class RoleName(StrEnum):
    """The named sets of capabilities."""

    viewer = "viewer"
    member = "member"
    agent = "agent"
    operator = "operator"
    admin = "admin"


class KindName(StrEnum):
    """The kinds of participants."""

    human = "human"
    agent = "agent"
    operator = "operator"


class DemoName(StrEnum):
    """The demos."""

    chat = "chat"
    forms = "forms"
    travel = "travel"


class ModelName(StrEnum):
    """The models by which a demo's agents answer."""

    auto = "auto"
    openai = "openai"
    local = "local"
    scripted = "scripted"


Host = Annotated[str | None, typer.Option(help="Address to listen on; beyond loopback it needs --insecure.")]
Port = Annotated[int | None, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")]
Data = Annotated[Path | None, typer.Option(help="Folder of the database; made when missing.", file_okay=False)]
Insecure = Annotated[
    bool | None,
    typer.Option(
        "--insecure/--no-insecure",
        help="Listen beyond loopback although participants name themselves: for trusted networks only.",
    ),
]
TlsCert = Annotated[
    Path | None, typer.Option(help="Certificate with its chain, PEM; then it is https.", dir_okay=False)
]
TlsKey = Annotated[Path | None, typer.Option(help="Key of the certificate, PEM.", dir_okay=False)]
Level = Annotated[LogLevel | None, typer.Option(help="The least that is logged.")]
Url = Annotated[str, typer.Option(envvar="COSESSION_URL", help="The server's address.")]
SessionId = Annotated[str, typer.Argument(metavar="SESSION", help="The session's id.")]


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"cosession {version('cosession')}")
        raise typer.Exit


@app.callback()
def root(
    show_version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_show_version, help="Show the version and exit.")
    ] = False,
) -> None:
    """An AI session as one document that people, their devices and agents edit together."""


@app.command()
def serve(
    host: Host = None,
    port: Port = None,
    data: Data = None,
    insecure: Insecure = None,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    static: Annotated[
        Path | None,
        typer.Option(help="Folder of pages to serve at /.", exists=True, file_okay=False),
    ] = None,
    log_level: Level = None,
) -> None:
    """Run the server until it is interrupted."""
    from cosession.server import serve as run_server

    settings = _settings(
        host=host,
        port=port,
        data=data,
        insecure=insecure,
        tls_cert=tls_cert,
        tls_key=tls_key,
        log_level=log_level,
    )
    _run(run_server(settings, static=static, ready=lambda url: typer.echo(f"cosession listens on {url}")))


@app.command()
def demo(
    which: Annotated[
        DemoName, typer.Argument(help="A shared chat, a form that is filled in together, a trip with a team.")
    ] = (DemoName.chat),
    model: Annotated[
        ModelName, typer.Option(help="What the agents of chat and travel answer with.")
    ] = ModelName.auto,
    host: Host = None,
    port: Port = None,
    data: Data = None,
    insecure: Insecure = None,
    log_level: Level = None,
    no_open: Annotated[bool, typer.Option("--no-open", help="Open no browser.")] = False,
    speed: Annotated[
        float, typer.Option(min=0, help="Words per second of the scripted model; 0 is no pause.")
    ] = 30.0,
) -> None:
    """Run the server with a demo's pages and its agents."""
    from .demo import run_demo

    # The demo's terminal is read by a person: only warnings and errors are logged.
    settings = _settings(host=host, port=port, data=data, insecure=insecure, log_level=log_level or LogLevel.warning)
    _run(run_demo(settings, which.value, model.value, speed=speed, open_browser=not no_open))


@app.command()
def tail(session: SessionId, url: Url = DEFAULT_URL) -> None:
    """Follow a session in the terminal until interrupted; COSESSION_TOKEN says who you are."""
    from .tail import follow

    configure_logs("error")
    _run(follow(url, session, _token()))


@app.command()
def send(
    session: SessionId,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What to say; - reads it from standard input.")],
    url: Url = DEFAULT_URL,
    name: Annotated[str | None, typer.Option(help="What others see as your name.")] = None,
) -> None:
    """Send a message to a session, and wait until it is saved; COSESSION_TOKEN says who you are."""
    from .send import say

    configure_logs("error")
    if text == "-":
        text = sys.stdin.read()
    _run(say(url, session, text.strip(), name=name or getpass.getuser(), token=_token()))


@app.command()
def token(
    subject: Annotated[str, typer.Argument(metavar="SUB", help="The id of the participant.")],
    session: Annotated[list[str], typer.Option(help="A session that it opens, or PREFIX*; can be repeated.")],
    role: Annotated[
        RoleName | None, typer.Option(help="What may be done there; member unless there is --capability.")
    ] = None,
    capability: Annotated[list[str] | None, typer.Option(help="A capability besides; can be repeated.")] = None,
    name: Annotated[str | None, typer.Option(help="What people see; else the id.")] = None,
    kind: Annotated[KindName, typer.Option(help="What it is.")] = KindName.human,
    ttl: Annotated[str, typer.Option(help="How long it is good, e.g. 15m, 1h, 7d.")] = "1h",
    key: Annotated[
        Path | None, typer.Option(help="PEM file of the private key to sign with; else COSESSION_AUTH_SECRET.")
    ] = None,
) -> None:
    """Print a token that lets somebody into sessions."""
    from .token import print_token

    if role is None and not capability:
        role = RoleName.member
    _carry_out(
        lambda: print_token(
            _settings(),
            subject,
            sessions=session,
            role=role and role.value,
            capabilities=capability or (),
            name=name,
            kind=kind.value,
            ttl=ttl,
            key=key,
        )
    )


@app.command()
def check(data: Data = None) -> None:
    """Say what is damaged in the database, also while a server runs; exit code 1 when something is."""
    from .database import check_database

    _carry_out(lambda: check_database(_settings(data=data).database))


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The copy to make; it must not be there yet.")],
    data: Data = None,
) -> None:
    """Copy the database into one file, also while a server runs, and check the copy."""
    from .database import back_up_database

    _carry_out(lambda: back_up_database(_settings(data=data).database, file))


@app.command()
def repair(data: Data = None) -> None:
    """Save what a damaged database still holds; the damaged one is kept beside it."""
    from .database import repair_database

    _carry_out(lambda: repair_database(_settings(data=data).database))


def main() -> None:
    """Run the command line; the entry point of the `cosession` script."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that lacks a character shows a question mark
    app()


def _token() -> str | None:
    """Return the token from the environment; it is never a flag, because other users of the machine see flags."""
    return os.environ.get("COSESSION_TOKEN", "").strip() or None


def _settings(**flags: Any) -> Settings:
    """Return the settings, with the given flags in place of variables; exit with an error if they are invalid."""
    given = {name: value for name, value in flags.items() if value is not None}
    if isinstance(level := given.get("log_level"), LogLevel):
        given["log_level"] = level.value
    for name, nearest in unknown_variables(os.environ).items():
        meant = f"; did you mean {nearest}?" if nearest else "."
        typer.echo(f"Warning: {name} is no setting, and nothing reads it{meant}", err=True)
    try:
        return Settings(**given)
    except ValidationError as error:
        typer.echo(explain(error), err=True)
        raise typer.Exit(1) from None


def _run(work: Coroutine[Any, Any, None]) -> None:
    """Run a command on an event loop to its end."""
    _carry_out(lambda: asyncio.run(work))


def _carry_out(work: Callable[[], None]) -> None:
    """Run a command to its end; Ctrl-C ends it normally, an error with one line and exit code 1."""
    try:
        work()
    except KeyboardInterrupt:
        raise typer.Exit(0) from None
    except BrokenPipeError:
        # The reader of the output (e.g. `head`) has closed it. Buffered output must not fail again at Python's flush.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(0) from None
    except CosessionError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
