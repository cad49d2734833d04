"""A worker: a process that answers an agent's prompts in every session that names the agent, several at a time.

It receives errands on one socket. For each errand it joins the session with the Yjs client id that the server
reserved for it, runs the handler, and leaves when everything is saved. Any number of workers share the errands of an
agent, each errand once. When one worker dies, another resumes its runs.
"""

import asyncio
import json
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeAlias
from urllib.parse import urlencode, urlunsplit

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as open_socket
from websockets.exceptions import ConnectionClosed, InvalidURI, WebSocketException

from cosession.document import Message
from cosession.errors import Disconnected, NotAuthenticated
from cosession.logs import get_logger

from .address import encoded, split_address
from .connect import connect
from .credential import Credential, Token, TokenFailed
from .errand import Errand
from .run_lifecycle import sentence_of
from .session import Session
from .transport import STEADY_SECONDS, retry_delay

log = get_logger(__name__)

Handler: TypeAlias = Callable[[Session, Message], Awaitable[None]]
"""Answers one prompt, like the body of a loop over `session.prompts()` in an agent that stays in its session."""

_MOST_PAUSE_SECONDS = 60.0
"""The longest pause: while handlers fail in a row (a model is down), the next errand follows after 1, 2, 4 … s."""

_CLOSE_SECONDS = 2.0


class Worker:
    """One process of an agent.

    Attributes:
        agent: the agent's participant id.
        url: the server's address.
    """

    def __init__(
        self,
        agent: str,
        handler: Handler,
        *,
        url: str,
        token: Token | None = None,
        name: str | None = None,
        concurrency: int = 4,
    ) -> None:
        """Prepare; `run` begins.

        Args:
            agent: the agent's participant id: the token's `sub`, where there is one.
            handler: answers one prompt. If it raises, the failure is shown and the prompt isn't tried again; if it
                returns without a run, it has skipped the prompt, which is offered again, a few times.
            url: the server's address, e.g. `http://localhost:8765`.
            token: the credential, or a sync or async function that returns a fresh one; None on a development
                server.
            name: the name that people see; None uses `agent`.
            concurrency: the number of prompts to answer at a time; one that waits for people doesn't count.

        Raises:
            ValueError: `url` isn't a server's address, or `concurrency` is less than 1.
        """
        if concurrency < 1:
            raise ValueError("A worker answers one prompt at a time at least.")
        self.agent = agent
        self.url = url
        self._handler = handler
        self._token = token
        self._name = name or agent
        self._concurrency = concurrency
        self._address = _work_url(url, agent, self._name)
        self._credential = Credential(token, agent)
        self._errands: dict[asyncio.Task[None], bool] = {}
        self._asked = 0
        self._failures = 0
        self._rests_until = 0.0
        self._refused: list[Errand] = []
        self._drains = False
        self._wake = asyncio.Event()
        self._over = asyncio.Event()

    async def run(self) -> None:
        """Work until cancelled, or drained.

        Raises:
            Disconnected: the server refused for good.
        """
        failure: Exception | None = None
        async with asyncio.TaskGroup() as tasks:
            try:
                await self._keep(tasks)
            except Exception as error:  # the group would wrap it
                failure = error
            finally:
                for errand in self._errands:
                    errand.cancel()
        if failure is not None:
            raise failure

    async def drain(self, seconds: float | None = None) -> None:
        """Accept no more errands, finish those in progress, and let `run` return.

        Args:
            seconds: how long to wait; unfinished errands are then cancelled. None waits for ever.
        """
        self._drains = True
        self._wake.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._errands:
                    await asyncio.wait(self._errands)
        self._over.set()

    def main(self) -> None:
        """Work in a loop of its own until SIGTERM or SIGINT, then drain; for a program that does nothing else.

        Raises:
            Disconnected: the server refused for good.
        """

        async def work() -> None:
            loop = asyncio.get_running_loop()
            failure: Disconnected | None = None
            async with asyncio.TaskGroup() as tasks:
                for number in (signal.SIGTERM, signal.SIGINT):
                    loop.add_signal_handler(number, lambda: tasks.create_task(self.drain()))
                try:
                    await self.run()
                except Disconnected as error:  # the group would wrap it
                    failure = error
            if failure is not None:
                raise failure

        asyncio.run(work())

    async def _keep(self, tasks: asyncio.TaskGroup) -> None:
        """Keep a socket to the server, with reconnects."""
        loop, attempt = asyncio.get_running_loop(), 0
        while not self._over.is_set():
            code, reason = None, ""
            try:
                headers = await self._credential.headers()
                async with open_socket(
                    self._address, additional_headers=headers, compression=None, close_timeout=_CLOSE_SECONDS
                ) as socket:
                    began = loop.time()
                    await self._attend(socket, tasks)
                    if loop.time() - began >= STEADY_SECONDS:  # a connection that was only opened doesn't count
                        attempt = 0
                code, reason = socket.close_code, socket.close_reason or ""
            except InvalidURI as error:
                raise Disconnected(str(error)) from error
            except (TokenFailed, OSError, WebSocketException) as error:
                reason = str(error) or type(error).__name__
            has_expired = code == NotAuthenticated.close_code and self._credential.renewable
            if code is not None and 4400 <= code <= 4499 and not has_expired:
                raise Disconnected(reason or f"The server closed for good ({code}).", code)
            if not self._over.is_set():
                delay = retry_delay(attempt)
                attempt += 1
                log.info("worker.offline", agent=self.agent, close=code, reason=reason, retry_seconds=round(delay, 2))
                with suppress(TimeoutError):
                    async with asyncio.timeout(delay):
                        await self._over.wait()

    async def _attend(self, socket: ClientConnection, tasks: asyncio.TaskGroup) -> None:
        """Serve one connection until it ends."""
        self._asked = 0
        self._refused.clear()
        async with asyncio.TaskGroup() as duties:
            talking = [duties.create_task(self._ask(socket)), duties.create_task(self._leave(socket))]
            try:
                while True:
                    errand = _read(await socket.recv())
                    if errand is not None:
                        self._take(errand, tasks)
            except ConnectionClosed:
                pass
            finally:
                for duty in talking:
                    duty.cancel()

    def _take(self, errand: Errand, tasks: asyncio.TaskGroup) -> None:
        self._asked = max(self._asked - 1, 0)
        if self._drains:
            self._refused.append(errand)
            self._wake.set()
            return
        task = tasks.create_task(self._do(errand))
        self._errands[task] = False
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._errands.pop(task, None)
        self._wake.set()

    async def _ask(self, socket: ClientConnection) -> None:
        """Tell the server how many more errands are accepted, and return refused ones."""
        loop = asyncio.get_running_loop()
        with suppress(ConnectionClosed):
            while True:
                self._wake.clear()
                for errand in [self._refused.pop() for _ in list(self._refused)]:
                    await socket.send(json.dumps({"back": {"session": errand.session, "client": errand.client}}))
                rest = self._rests_until - loop.time()
                more = self._concurrency - self._asked - list(self._errands.values()).count(False)
                if self._drains:
                    await socket.send(json.dumps({"drain": True}))
                elif more > 0 and rest <= 0:
                    self._asked += more
                    await socket.send(json.dumps({"more": more}))
                with suppress(TimeoutError):
                    async with asyncio.timeout(rest if rest > 0 else None):
                        await self._wake.wait()

    async def _leave(self, socket: ClientConnection) -> None:
        await self._over.wait()
        await socket.close()

    async def _do(self, errand: Errand) -> None:
        """Do one errand. A failure affects only its own session."""
        has_joined = False
        task = asyncio.current_task()
        try:
            async with connect(
                self.url,
                session=errand.session,
                participant=self.agent,
                name=self._name,
                token=self._token,
                client_id=errand.client,
            ) as session:
                has_joined = True
                session.on_suspended = lambda waits: self._suspend(task, waits)
                message = session.take(errand)
                if message is None:
                    log.info("worker.late", agent=self.agent, session=errand.session, prompt=errand.message)
                    return
                try:
                    await self._handler(session, message)
                except Exception as error:
                    await session.fail(errand, error)
                    raise
            self._failures = 0
        except Exception as error:
            if not has_joined:
                self._refused.append(errand)
            self._failures += 1
            pause = min(2.0 ** (self._failures - 1), _MOST_PAUSE_SECONDS)
            self._rests_until = asyncio.get_running_loop().time() + pause
            log.exception("worker.failed", agent=self.agent, session=errand.session, error=sentence_of(error))

    def _suspend(self, task: asyncio.Task[None] | None, waits: bool) -> None:
        """Note whether an errand waits for people; meanwhile another one may be done."""
        if task in self._errands:
            self._errands[task] = waits
            self._wake.set()


def _read(said: str | bytes) -> Errand | None:
    """Return the errand in a message; None for any other message, as a later server may send."""
    try:
        take = json.loads(said)["take"]
        return Errand(take["session"], take["message"], take["run"], take["client"], take["epoch"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _work_url(url: str, agent: str, name: str) -> str:
    """Return the WebSocket address for an agent's errands; raises as `split_address` does."""
    parts = split_address(url)
    scheme = "wss" if parts.scheme in ("https", "wss") else "ws"
    query = urlencode({"user": agent, "name": name, "kind": "agent"})
    return urlunsplit((scheme, parts.netloc, f"{parts.path.rstrip('/')}/work/{encoded(agent)}", query, ""))
