"""Browser tests: Chromium, pages of people, an agent that the test leads, and a cable that can be cut.

All of it is real: the demo's page, the built client, the server, an agent process with the SDK.
"""

import asyncio
import contextlib
import json
import os
import queue
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright
from processes import PATIENCE_SECONDS, ROOT, Server
from pycrdt import Doc
from websockets.sync.client import ClientConnection, connect

from cosession.protocol import (
    Awareness,
    AwarenessEntry,
    PermissionDenied,
    SyncUpdate,
    decode_frame,
    encode_awareness,
    encode_frame,
)

RESULTS = ROOT / "test-results"
DEMO = ROOT / "demo" / "chat"

expect.set_options(timeout=PATIENCE_SECONDS * 1000)


class Agent:
    """The process of agent.py."""

    def __init__(self, server: Server, session: str, token: str = "") -> None:
        self._said: queue.Queue[dict[str, Any]] = queue.Queue()
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("agent.py")), server.url, session],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "COSESSION_TOKEN": token},
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def hears(self, key: str) -> Any:
        """Wait until the agent says something of this kind, and return it."""
        seen: list[dict[str, Any]] = []
        while True:
            try:
                said = self._said.get(timeout=PATIENCE_SECONDS)
            except queue.Empty:
                pytest.fail(f"The agent did not say {key!r}; it said {seen}.")
            if key in said:
                return said[key]
            seen.append(said)

    def order(self, line: str) -> None:
        """Tell the agent what to do."""
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def writes(self, count: int) -> None:
        """Have it write more words, and wait until it has."""
        self.order(f"words {count}")
        self.hears("wrote")

    def kill(self) -> None:
        """End it abruptly."""
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        """End it, and let go of its pipes."""
        self.kill()
        self._reader.join()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            with contextlib.suppress(BrokenPipeError):
                pipe.close()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._said.put(json.loads(line))


class Cable:
    """A TCP proxy to a server, which can be cut and mended: the network of one device."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._listener: asyncio.Server | None = None
        self._ends: set[asyncio.StreamWriter] = set()
        self._carriers: set[asyncio.Task[Any]] = set()
        self.port = 0
        self.mend()

    @property
    def url(self) -> str:
        """The server's address through the cable."""
        return f"http://127.0.0.1:{self.port}"

    def cut(self) -> None:
        """Break every connection, and refuse new ones."""
        self._do(self._cut())

    def mend(self) -> None:
        """Let connections through again."""
        self._do(self._mend())

    def close(self) -> None:
        """Take it away."""
        self.cut()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE_SECONDS)

    async def _mend(self) -> None:
        self._listener = await asyncio.start_server(self._carry, "127.0.0.1", self.port)
        self.port = self._listener.sockets[0].getsockname()[1]

    async def _cut(self) -> None:
        assert self._listener is not None
        self._listener.close()
        for end in list(self._ends):
            end.transport.abort()
        await asyncio.gather(*self._carriers, return_exceptions=True)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._carriers.add(task)
        task.add_done_callback(self._carriers.discard)
        self._ends.add(writer)
        behind: asyncio.StreamWriter | None = None
        try:
            answer, behind = await asyncio.open_connection("127.0.0.1", self._server.port)
            self._ends.add(behind)
            await asyncio.gather(_pump(reader, behind), _pump(answer, writer))
        except OSError:
            pass
        finally:
            for end in (writer, behind):
                if end is not None:
                    end.transport.abort()
                    self._ends.discard(end)


async def _pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while data := await source.read(65536):
        target.write(data)
        await target.drain()
    target.close()


class Foreigner:
    """A client that somebody else wrote: anonymous, and it puts what it likes where it likes.

    Attributes:
        doc: what it wrote; it takes nothing in.
    """

    def __init__(self, socket: ClientConnection) -> None:
        self.doc: Doc[Any] = Doc()
        self._socket = socket

    def writes(self, change: Callable[[Doc[Any]], object]) -> None:
        """Edit its document, and send that."""
        before = self.doc.get_state()
        with self.doc.transaction():
            change(self.doc)
        self._socket.send(encode_frame(SyncUpdate(self.doc.get_update(before))))

    def hears_a_refusal(self) -> str:
        """Read until the server says that it took no write, and return why."""
        end = time.monotonic() + PATIENCE_SECONDS  # presence comes for ever
        while True:
            data = self._socket.recv(max(end - time.monotonic(), 0))
            frame = decode_frame(data) if isinstance(data, bytes) else None
            if isinstance(frame, PermissionDenied):
                return frame.reason

    def is_here_as(self, state: object) -> None:
        """Say this in presence."""
        entry = AwarenessEntry(self.doc.client_id, 1, json.dumps(state))
        self._socket.send(encode_frame(Awareness(encode_awareness([entry]))))


class Person:
    """A page of the demo, in a browser profile of its own."""

    def __init__(self, page: Page, url: str, token: str = "") -> None:
        self.page = page
        self.token = token
        self.errors: list[str] = []
        self._url = url
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def opens_another_tab(self) -> "Person":
        """Open the same address in a second tab of the same browser profile."""
        other = Person(self.page.context.new_page(), self._url)
        other.errors = self.errors
        other.page.goto(self._url)
        other.is_("saved")
        return other

    def testid(self, name: str) -> Any:
        """What has this test id."""
        return self.page.get_by_test_id(name)

    def message(self, number: int) -> Any:
        """The text of a message, counted from 0; negative from the end."""
        return self.testid("message").nth(number)

    def text(self, number: int) -> Any:
        """Where a message's text is."""
        return self.message(number).get_by_test_id("message-text")

    def texts(self) -> list[str]:
        """The text of every message."""
        return self.testid("message-text").all_inner_texts()

    def sends(self, text: str) -> None:
        """Type a message and send it."""
        self.testid("composer").fill(text)
        self.testid("composer").press("Enter")

    def is_(self, state: str) -> None:
        """Wait until the page says this of its connection: saved, saving, offline, …."""
        expect(self.testid("saved-state")).to_have_attribute("data-state", state)


@contextlib.contextmanager
def visitors(browser: Browser, url: str, name: str, script: str, **usual: Any) -> Iterator[Callable[..., Person]]:
    """Let people come to a page under their names; at the end each page is kept as a picture.

    Args:
        browser: the browser.
        url: the page's address.
        name: what the pictures are called.
        script: tells the page who somebody is; `{}` is the name, as JavaScript.
        usual: the options of a browser's context, unless somebody comes with others.
    """
    people: dict[str, Person] = {}

    def come(who: str, **options: Any) -> Person:
        context = browser.new_context(**{**usual, **options})
        context.set_default_timeout(PATIENCE_SECONDS * 1000)
        context.add_init_script(script.format(json.dumps(who)))
        person = people[who] = Person(context.new_page(), url)
        person.page.goto(url)
        person.is_("saved")
        return person

    yield come
    RESULTS.mkdir(exist_ok=True)
    for who, person in people.items():
        if not person.page.is_closed():
            person.page.screenshot(path=RESULTS / f"{name}-{who}.png", full_page=True)
            person.page.context.close()
        assert not person.errors, f"{who}'s page had errors: {person.errors}"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for the tests of a file; each person has a profile of their own in it."""
    program = os.environ.get("COSESSION_TEST_CHROMIUM") or shutil.which("chromium")
    assert program, "No Chromium; run `python3 tests/run.py browser`, which installs it."
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        )
        yield browser
        browser.close()


@pytest.fixture
def chat(start_server: Callable[..., Server]) -> Server:
    """A server with the demo's pages at `/`."""
    return start_server(DEMO)


@pytest.fixture
def join(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Callable[..., Person]]:
    """Let people join: `join(url, "trip", "Ann")`; at the end each page is kept as a picture."""
    people: dict[str, Person] = {}

    def come(url: str, session: str, name: str, token: str = "", **options: Any) -> Person:
        context = browser.new_context(**{"viewport": {"width": 1100, "height": 760}, **options})
        context.set_default_timeout(PATIENCE_SECONDS * 1000)
        address = f"{url}/?session={session}" + (f"#token={token}" if token else "")
        person = people[name] = Person(context.new_page(), address, token)
        person.page.goto(address)
        person.is_("saved")
        field = person.testid("name-input")
        if field.is_visible() and field.is_enabled():
            field.fill(name)
            field.press("Enter")
            person.is_("saved")
        return person

    yield come
    RESULTS.mkdir(exist_ok=True)
    for name, person in people.items():
        stem = re.sub(r"\W+", "-", f"{request.node.name}-{name}")
        person.page.screenshot(path=RESULTS / f"{stem}.png")
        person.page.context.close()
    for name, person in people.items():
        assert not person.errors, f"{name}'s page had errors: {person.errors}"


@pytest.fixture
def foreigners(chat: Server) -> Iterator[Callable[[int], list[Foreigner]]]:
    """Let clients of others into the session `trip`, as many as are wanted."""
    with contextlib.ExitStack() as sockets:
        address = chat.ws_url("trip")
        yield lambda count: [Foreigner(sockets.enter_context(connect(address))) for _ in range(count)]


@pytest.fixture
def agent(chat: Server) -> Iterator[Agent]:
    """An agent in the session `trip`."""
    agent = Agent(chat, "trip")
    agent.hears("joined")
    yield agent
    agent.close()


@pytest.fixture
def cable(chat: Server) -> Iterator[Cable]:
    """A cable to the server."""
    cable = Cable(chat)
    yield cable
    cable.close()
