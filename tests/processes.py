"""The processes that tests talk to: servers and Node clients. Real ones, killed and started again at will.

Nothing here is a double: a `Server` is a server process with its own data folder, a `NodeClient` a Node process
with a stock Yjs client in it. Every wait has a limit and ends by a condition, never by a pause.
"""

import asyncio
import contextlib
import json
import os
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from forks import Forked

TESTS = Path(__file__).resolve().parent
ROOT = TESTS.parent

PATIENCE_SECONDS = 60.0
"""How long a test waits for anything; far longer than it takes, also on a busy machine."""


def node_program() -> str:
    """The Node that tests use: what run.py found, else the one from npm, else the machine's."""
    named = os.environ.get("COSESSION_TEST_NODE")
    if named:
        return named
    from_npm = sorted((TESTS / "node" / "node_modules").glob("node-linux-*/bin/node"))
    found = str(from_npm[0]) if from_npm else shutil.which("node")
    assert found, "No Node found; run `python3 tests/run.py`, which gets one."
    return found


def run_node(script: str, lines: Iterable[str]) -> list[Any]:
    """Give a script of tests/node lines of JSON, and return the lines of JSON that it answers with."""
    done = subprocess.run(
        [node_program(), TESTS / "node" / script], input="\n".join(lines), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.split("\n") if line]  # JSON may hold other ends of lines


async def eventually(
    condition: Callable[[], Awaitable[Any] | Any], why: str = "", seconds: float = PATIENCE_SECONDS
) -> Any:
    """Wait until a condition gives something true, and return it.

    Args:
        condition: asked again and again; plain or async.
        why: what is waited for, for the failure's text.
        seconds: the limit.
    """
    end = time.monotonic() + seconds
    while True:
        result = condition()
        if isinstance(result, Awaitable):
            result = await result
        if result:
            return result
        assert time.monotonic() < end, f"It did not happen within {seconds} s: {why or condition}"
        await asyncio.sleep(0.02)


class Server:
    """A server process, with a data folder that outlives it.

    Args:
        folder: where its data and log go.
        static: a folder that it serves at `/`.
        python: the interpreter; None takes this one, or what COSESSION_TEST_PYTHON names.
        script: what it runs.
        settings: by name, e.g. `keep_alive_seconds=1`.

    Attributes:
        url: its address, e.g. `http://127.0.0.1:49152`; the same after a restart.
        data: its data folder.
        log: the file with what it wrote to stderr.
        process: the process that runs, if any.
    """

    def __init__(
        self,
        folder: Path,
        static: Path | None = None,
        *,
        python: Path | None = None,
        script: Path = TESTS / "serve.py",
        **settings: object,
    ) -> None:
        self.data = folder / "data"
        self.log = folder / "server.log"
        self.port = 0
        self.url = ""
        self.process: Forked | None = None
        self._python = str(python or os.environ.get("COSESSION_TEST_PYTHON") or sys.executable)
        self._script = script
        self._static = [str(static)] if static else []
        self._settings = {f"COSESSION_{name.upper()}": str(value) for name, value in settings.items()}

    def start(self, **variables: str) -> None:
        """Start it and wait until it is ready.

        Args:
            variables: of its environment, for this time only.
        """
        assert self.process is None or self.process.poll() is not None, "It runs already."
        environment = {name: value for name, value in os.environ.items() if not name.startswith("COSESSION_")}
        environment |= {"COSESSION_DATA": str(self.data), "COSESSION_PORT": str(self.port), **self._settings}
        environment |= variables
        self._close_pipe()
        with self.log.open("ab") as log:
            self.process = Forked(self._script, *self._static, python=self._python, env=environment, stderr=log)
        self.url = self._wait_until_ready()
        self.port = int(self.url.rsplit(":", 1)[1].strip("/"))

    def small_socket(self) -> socket.socket:
        """A connection that takes little at once, so that what isn't read soon waits in the server."""
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
        sock.connect(("127.0.0.1", self.port))
        sock.setblocking(False)
        return sock

    def ws_url(self, session: str, **query: object) -> str:
        """The socket's address of a session."""
        return f"ws{self.url[4:]}/sync/{session}" + (f"?{urlencode(query)}" if query else "")

    def kill(self) -> None:
        """End it as a power cut would: SIGKILL."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Ask it to end, and wait until it has: SIGTERM."""
        code = self._end(signal.SIGTERM)
        assert code in (0, -signal.SIGTERM), f"It ended with {code}:\n{self.tail()}"

    def restart(self) -> None:
        """Stop it if it runs, and start it on the same data and port."""
        if self.process is not None and self.process.poll() is None:
            self.stop()
        self.start()

    def close(self) -> None:
        """End it, however it is."""
        if self.process is not None and self.process.poll() is None:
            self.kill()
        self._close_pipe()

    def memory_bytes(self) -> int:
        """How much of its memory is resident."""
        assert self.process is not None
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def tail(self, lines: int = 60) -> str:
        """The end of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:]) if self.log.exists() else ""

    def _end(self, how: signal.Signals) -> int:
        assert self.process is not None
        self.process.send_signal(how)
        try:
            return self.process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"It did not end after {how.name}:\n{self.tail()}") from None

    def _wait_until_ready(self) -> str:
        assert self.process is not None
        assert self.process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            line = self.process.stdout.readline() if selector.select(PATIENCE_SECONDS) else ""
        if not line.startswith("ready "):
            self.close()
            raise AssertionError(f"The server did not become ready (it said {line!r}). Its log:\n{self.tail()}")
        return line.split()[1].rstrip("/")

    def _close_pipe(self) -> None:
        if self.process is not None and self.process.stdout is not None:
            self.process.stdout.close()


class NodeClient:
    """A Node process with one stock Yjs client in it; see tests/node/client.mjs for what it can be told."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._reader = asyncio.create_task(self._read())

    @classmethod
    @contextlib.asynccontextmanager
    async def open(
        cls, server: Server, session: str, *, provider: int = 3, synced: bool = True, **params: str
    ) -> "AsyncIterator[NodeClient]":
        """Start a client of a session, and wait until it is in sync.

        Args:
            server: whose session.
            session: its id.
            provider: the major version of y-websocket; 4 is `@y/websocket` with Yjs 14.
            synced: whether to wait for the first sync.
            params: of the address, e.g. `name`.
        """
        script = "client14.mjs" if provider == 4 else "client.mjs"
        config = {"url": server.ws_url("").rstrip("/"), "session": session, "provider": provider, "params": params}
        async with cls.running(script, config) as client:
            if synced:
                await client.synced()
            yield client

    @classmethod
    @contextlib.asynccontextmanager
    async def running(cls, script: str, config: object) -> "AsyncIterator[NodeClient]":
        """Start a script of tests/node that answers commands.

        Args:
            script: its name.
            config: what it is given, as JSON.
        """
        process = await asyncio.create_subprocess_exec(
            node_program(),
            str(TESTS / "node" / script),
            json.dumps(config),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=2**26,
        )
        client = cls(process)
        try:
            yield client
        finally:
            await client.close()

    async def ask(self, op: str, **arguments: Any) -> Any:
        """Give one command and return its result; fails when the client does."""
        assert self.process.stdin is not None
        number = len(self._answers) + 1
        future = self._answers[number] = asyncio.get_running_loop().create_future()
        self.process.stdin.write(json.dumps({"n": number, "op": op, **arguments}).encode() + b"\n")
        return await asyncio.wait_for(future, PATIENCE_SECONDS)

    async def synced(self) -> None:
        """Wait until the provider says that it is in sync."""

        async def is_synced() -> bool:
            return (await self.ask("status"))["synced"]

        await eventually(is_synced, "a Node client in sync")

    async def kill(self) -> None:
        """End it abruptly: no close frame, no farewell."""
        if self.process.returncode is None:
            self.process.kill()
        await self.close()

    async def close(self) -> None:
        """End it."""
        if self.process.returncode is None:
            self.process.terminate()
        await self.process.wait()
        assert self.process.stdin is not None
        self.process.stdin.close()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            await self.process.stdin.wait_closed()
        await self._reader
        self.process._transport.close()

    async def _read(self) -> None:
        assert self.process.stdout is not None
        while line := await self.process.stdout.readline():
            answer = json.loads(line)
            future = self._answers[answer["n"]]
            if future.done():
                continue
            if "error" in answer:
                future.set_exception(AssertionError(f"The Node client failed: {answer['error']}"))
            else:
                future.set_result(answer.get("value"))
        for future in self._answers.values():
            if not future.done():
                future.set_exception(AssertionError("The Node client has ended."))
                future.exception()
