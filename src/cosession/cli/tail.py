"""`cosession tail`: a session as text that grows in the terminal, or in a pipe.

The output is append-only. An answer is printed while it is streamed; complete messages are printed in between, and a
second answer that is streamed at the same time waits until the first is complete. A later edit or deletion of a
message is printed as a line of its own. Control characters in texts are left out, so that they can't control the
terminal. The command never writes to the session.
"""

import asyncio
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

import httpx
from rich.console import Console
from rich.text import Text

from cosession.client import Session, connect, find_session
from cosession.client.credential import subject_of
from cosession.document import Change, Message, Run
from cosession.errors import CosessionError, Disconnected, NoSuchSession

from .reach import reach

PARTICIPANT = "tail"
"""The participant's id where there is no token."""

WAIT_SECONDS = 10.0
"""How long to wait for the server at first: a person waits for it at a prompt."""

LOOK_SECONDS = 0.5
"""The interval at which the connection's state is checked; changes of the document cause events."""

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_COLOURS = ("cyan", "magenta", "yellow", "blue", "green", "red")
_ENDS = {"cancelled": "(stopped)", "error": "(failed)"}


class _Output(Console):
    """Standard output; when its reader is gone, the caller gets an exception, and the process doesn't exit."""

    def on_broken_pipe(self) -> None:
        """Raise `BrokenPipeError`, which rich would turn into an exit."""
        raise BrokenPipeError


async def follow(url: str, session_id: str, token: str | None = None) -> None:
    """Print a session from its beginning, and follow it until interrupted.

    Args:
        url: the server's address.
        session_id: the session.
        token: the token; None on a development server.

    Raises:
        CosessionError: there is no such session, the server can't be reached, or it refused the participant.
    """
    try:
        await find_session(url, session_id, token=token)
    except ValueError as error:  # what is not a server's address
        raise CosessionError(str(error)) from None
    except NoSuchSession:
        raise NoSuchSession(
            f"There is no session {session_id!r} at {url}. It begins with its first message: cosession send"
        ) from None
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:  # also of certificates that can't be read
        await reach(url)
        raise Disconnected(f"No server answers at {url}: {error}. Start one with: cosession serve") from None
    async with connect(
        url,
        session=session_id,
        participant=(subject_of(token) if token else None) or PARTICIPANT,
        name="Terminal",
        kind="operator",
        token=token,
        wait_seconds=WAIT_SECONDS,
    ) as session:
        await _follow(session, Printer(_Output(highlight=False, soft_wrap=True)))


async def _follow(session: Session, printer: "Printer") -> None:
    changed = asyncio.Event()
    ended = asyncio.create_task(_until_over(session))
    notices = Console(stderr=True, highlight=False, style="dim")
    status = session.status
    messages: list[Message] | None = None

    def note(changes: list[Change]) -> None:
        nonlocal messages
        if any(change.path == ("messages",) for change in changes):
            messages = None
        changed.set()

    try:
        with session.document.observe(note, "messages", "runs", "participants"):
            while not ended.done():
                changed.clear()
                if messages is None:  # reading a long list is the main cost here, and streamed tokens don't change it
                    messages = list(session.messages)
                printer.show(session, messages)
                if session.status != status:
                    status = session.status
                    notices.print(
                        "Connected again." if status == "online" else "The connection is lost; trying again…"
                    )
                waiting = asyncio.create_task(changed.wait())
                await asyncio.wait((waiting, ended), timeout=LOOK_SECONDS, return_when=asyncio.FIRST_COMPLETED)
                waiting.cancel()
        await ended  # raises the error that ended the session
    finally:
        ended.cancel()


async def _until_over(session: Session) -> None:
    """Wait for the error that ends the session, and raise it."""
    raise await session.wait_closed()


@dataclass(slots=True)
class _Printed:
    """The printed state of a message."""

    text: str = ""
    begun: bool = False
    over: bool = False
    edited_at: str | None = None


@dataclass(slots=True)
class Printer:
    """Prints the new content of a session.

    Attributes:
        console: the output.
    """

    console: Console
    _seen: dict[str, _Printed] = field(default_factory=dict[str, _Printed])
    _steers: set[str] = field(default_factory=set[str])
    _failed: set[str] = field(default_factory=set[str])
    _open: str | None = None

    def show(self, session: Session, messages: Iterable[Message]) -> None:
        """Print everything new since the last call.

        Args:
            session: the session.
            messages: all its messages, in order.
        """
        for message in messages:
            before = self._seen.setdefault(message.id, _Printed())
            if before.over:
                if message.edited_at != before.edited_at:
                    self._show_edit(session, message, before)
                continue
            streams = message.status == "streaming"
            if streams and self._grows_another(session, message):
                continue
            self._show_message(session, message, before)
            before.over, before.edited_at = not streams, message.edited_at
        runs = list(session.runs)
        self._show_steers(session, runs)
        self._show_failures(session, runs)

    def _grows_another(self, session: Session, message: Message) -> bool:
        """Whether another answer is being printed and is still streamed."""
        other = session.messages.get(self._open) if self._open not in (None, message.id) else None
        return other is not None and other.status == "streaming"

    def _show_message(self, session: Session, message: Message, before: _Printed) -> None:
        text = "(deleted)" if message.deleted else clean(message.text)
        end = _ENDS.get(message.status, "")
        if text != before.text or not before.begun or end:
            if self._open != message.id:
                self._head(session, message.author, again=before.begun)
                self._open, before.begun = message.id, True
            elif not text.startswith(before.text):  # the printed part has changed: print the text again
                self.console.print("\n(changed)", style="dim")
                before.text = ""
            new = text[len(before.text) :] if text.startswith(before.text) else text
            self.console.print(Text(new), end="")
            self.console.file.flush()
            before.text = text
        if message.status != "streaming" and self._open == message.id:
            self.console.print(Text(f" {end}" if end else "", style="dim"))
            self._open = None

    def _show_edit(self, session: Session, message: Message, before: _Printed) -> None:
        """Print the edit or deletion of a message that is printed already."""
        before.edited_at = message.edited_at
        text = "(deleted)" if message.deleted else clean(message.text)
        if text == before.text:
            return
        before.text = text
        self._end_line()
        name = clean(session.who(message.author).name)
        said = f"({name}, deleted)" if message.deleted else f"({name}, edited: {text})"
        self.console.print(Text(said, style="dim"))

    def _show_steers(self, session: Session, runs: Iterable[Run]) -> None:
        for run in runs:
            for steer in run.steers:
                if steer["id"] in self._steers:
                    continue
                self._steers.add(steer["id"])
                self._end_line()
                who = session.who(steer["by"]).name
                self.console.print(Text(f"  ↳ {clean(who)}: {clean(steer['text'])}", style="italic"))

    def _show_failures(self, session: Session, runs: Iterable[Run]) -> None:
        """Print why a run failed: a run that failed before its first token has no message that shows it."""
        for run in runs:
            if run.status != "error" or run.id in self._failed:
                continue
            self._failed.add(run.id)
            self._end_line()
            said = run.error if isinstance(run.error, str) else "it doesn't say why"
            who = session.who(run.agent).name
            self.console.print(Text(f"  ✗ {clean(who)} failed: {clean(said)}", style="red"))

    def _head(self, session: Session, author: str | None, *, again: bool) -> None:
        self._end_line()
        name = clean(session.who(author).name) + (" (goes on)" if again else "")
        colour = _COLOURS[sum((author or "").encode()) % len(_COLOURS)]
        self.console.print(Text(name, style=f"bold {colour}"))

    def _end_line(self) -> None:
        """End the line of the answer that is being printed, if there is one, before other output."""
        if self._open is not None:
            self.console.print()
            self._open = None


def clean(text: str) -> str:
    """Return a text without the characters that could control a terminal or reorder its text."""
    return _CONTROL.sub("", text)
