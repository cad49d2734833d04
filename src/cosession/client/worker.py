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
from typing import TypeAlias, TypeVar
from urllib.parse import urlencode, urlunsplit

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as open_socket
from websockets.exceptions import ConnectionClosed, InvalidURI, WebSocketException

from cosession.document import Message
from cosession.errors import Disconnected, InvalidValue, NotAuthenticated
from cosession.logs import get_logger

from .address import encoded, split_address
from .checkpoints import CheckpointStore
from .connect import SYNC_SECONDS
from .credential import Credential, Token, TokenFailed, bearer, subject_of
from .errand import Errand, ErrandSession
from .run import AgentRun
from .run_lifecycle import interruptible, sentence_of
from .session import Session
from .transport import STEADY_SECONDS, retry_delay

log = get_logger(__name__)

Handler: TypeAlias = Callable[[AgentRun], Awaitable[None]]
"""Answers one prompt in a run that the worker begins and ends."""

RawHandler: TypeAlias = Callable[[Session, Message], Awaitable[None]]
"""Answers one prompt, like the body of a loop over `session.prompts()` in an agent that stays in its session."""

HandlerT = TypeVar("HandlerT", bound=Handler)
RawHandlerT = TypeVar("RawHandlerT", bound=RawHandler)

_MOST_PAUSE_SECONDS = 60.0
"""The longest pause: while handlers fail in a row (a model is down), the next errand follows after 1, 2, 4 … s."""

_CLOSE_SECONDS = 2.0


class Worker:
    """One process of an agent.

        worker = Worker("planner", url="http://localhost:8765")

        @worker.handler
        async def answer(run: AgentRun) -> None:
            run.text("To Lisbon.")

        worker.main()

    Attributes:
        agent: the agent's participant id; empty until `run` has a token, where only the token names the agent.
        url: the server's address.
    """

    def __init__(
        self,
        agent: str | None = None,
        *,
        url: str,
        token: Token | None = None,
        name: str | None = None,
        concurrency: int = 4,
        checkpoints: CheckpointStore | None = None,
    ) -> None:
        """Prepare; `run` begins.

        Args:
            agent: the agent's participant id; None takes the token's `sub`.
            url: the server's address, e.g. `http://localhost:8765`.
            token: the credential, or a sync or async function that returns a fresh one; None on a development
                server.
            name: the name that people see; None uses `agent`.
            concurrency: the number of prompts to answer at a time; one that waits for people doesn't count.
            checkpoints: the store for `AgentRun.save_checkpoint`, which all processes of the agent share; None where
                the handler needs none.

        Raises:
            InvalidValue: `url` isn't a server's address, neither `agent` nor a token names the agent, or
                `concurrency` is less than 1.
        """
        if concurrency < 1:
            raise InvalidValue("A worker answers one prompt at a time at least.")
        split_address(url)
        self.agent = agent or (subject_of(token) or "" if isinstance(token, str) else "")
        if not self.agent and not callable(token):
            raise InvalidValue("Name the agent whose prompts the worker answers, or give a token with a `sub`.")
        self.url = url
        self._handler: Handler | None = None
        self._raw_handler: RawHandler | None = None
        self._token = token
        self._name = name
        self._concurrency = concurrency
        self._checkpoints = checkpoints
        self._errands: dict[asyncio.Task[None], bool] = {}
        self._asked = 0
        self._failures = 0
        self._rests_until = 0.0
        self._refused: list[Errand] = []
        self._drains = False
        self._wake = asyncio.Event()
        self._over = asyncio.Event()

    def handler(self, answer: HandlerT, /) -> HandlerT:
        """Set the function that answers a prompt: `@worker.handler`.

        The worker begins a run before the call, and ends it after the call. An exception ends the run with an error
        that people see, and the prompt isn't tried again. A cancel raises RunCancelled at the next step, or at the
        `await` at which the function waits.

        Args:
            answer: an async function of the run; `run.prompt` is the message to answer.

        Returns:
            The function, unchanged.

        Raises:
            InvalidValue: the worker has a handler.
        """
        self._check_free()
        self._handler = answer
        return answer

    def raw_handler(self, answer: RawHandlerT, /) -> RawHandlerT:
        """Set a function that answers a prompt and begins its own runs: `@worker.raw_handler`.

        If it raises, the failure is shown, and the prompt isn't tried again. If it returns without a run, it has
        skipped the prompt, which is offered again, a few times.

        Args:
            answer: an async function of the session and the message to answer.

        Returns:
            The function, unchanged.

        Raises:
            InvalidValue: the worker has a handler.
        """
        self._check_free()
        self._raw_handler = answer
        return answer

    async def run(self) -> None:
        """Work until cancelled, or drained.

        Raises:
            Disconnected: the server refused for good.
            RuntimeError: the worker has no handler.
        """
        if self._handler is None and self._raw_handler is None:
            raise RuntimeError("The worker has no handler; decorate an async function with `@worker.handler`.")
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

    async def drain(self, *, timeout_seconds: float | None = None) -> None:
        """Accept no more errands, finish those in progress, and let `run` return.

        Args:
            timeout_seconds: how long to wait; unfinished errands are then cancelled. None waits for ever.
        """
        self._drains = True
        self._wake.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_seconds):
                while self._errands:
                    await asyncio.wait(self._errands)
        self._over.set()

    def main(self) -> None:
        """Work in a loop of its own, for a program that does nothing else.

        The first SIGTERM or SIGINT drains the worker. A second one ends the process at once; another process of the
        agent then resumes its runs.

        Raises:
            Disconnected: the server refused for good.
            RuntimeError: the worker has no handler.
        """

        async def work() -> None:
            loop = asyncio.get_running_loop()
            signals = (signal.SIGTERM, signal.SIGINT)
            failure: Exception | None = None

            def drain() -> None:
                for number in signals:
                    loop.remove_signal_handler(number)
                    signal.signal(number, signal.SIG_DFL)  # Python's own handler of SIGINT would end the runs first
                tasks.create_task(self.drain())

            async with asyncio.TaskGroup() as tasks:
                for number in signals:
                    loop.add_signal_handler(number, drain)
                try:
                    await self.run()
                except Exception as error:  # the group would wrap it
                    failure = error
            if failure is not None:
                raise failure

        asyncio.run(work())

    def _check_free(self) -> None:
        if self._handler is not None or self._raw_handler is not None:
            raise InvalidValue("The worker has a handler; one function answers all prompts of a worker.")

    async def _keep(self, tasks: asyncio.TaskGroup) -> None:
        """Keep a socket to the server, with reconnects."""
        loop, attempt = asyncio.get_running_loop(), 0
        credential = Credential(self._token, self.agent or None)
        while not self._over.is_set():
            code, reason = None, ""
            try:
                token = await credential.fresh()
                self._name_agent(token)
                async with open_socket(
                    _work_url(self.url, self.agent, self._name or self.agent),
                    additional_headers=bearer(token) if token else None,
                    compression=None,
                    close_timeout=_CLOSE_SECONDS,
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
            has_expired = code == NotAuthenticated.close_code and credential.renewable
            if code is not None and 4400 <= code <= 4499 and not has_expired:
                raise Disconnected(reason or f"The server closed for good ({code}).", code)
            if not self._over.is_set():
                delay = retry_delay(attempt)
                attempt += 1
                log.info("worker.offline", agent=self.agent, close=code, reason=reason, retry_seconds=round(delay, 2))
                with suppress(TimeoutError):
                    async with asyncio.timeout(delay):
                        await self._over.wait()

    def _name_agent(self, token: str | None) -> None:
        """Take the agent's participant id from the first token, where the program doesn't name the agent."""
        if not self.agent:
            self.agent = subject_of(token or "") or ""
        if not self.agent:
            raise Disconnected("The token names no participant; give the agent's id to the worker.")

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
        session = ErrandSession(
            errand,
            agent=self.agent,
            name=self._name or self.agent,
            url=self.url,
            token=self._token,
            on_suspended=lambda waits: self._suspend(task, waits),
            checkpoints=self._checkpoints,
        )
        try:
            async with session.join(SYNC_SECONDS):
                has_joined = True
                message = session.take()
                if message is None:
                    log.info("worker.late", agent=self.agent, session=errand.session, prompt=errand.message)
                    return
                try:
                    await self._answer(session, message)
                except Exception as error:
                    await session.fail(error)
                    raise
            self._failures = 0
        except Exception as error:
            if not has_joined:
                self._refused.append(errand)
            self._failures += 1
            pause = min(2.0 ** (self._failures - 1), _MOST_PAUSE_SECONDS)
            self._rests_until = asyncio.get_running_loop().time() + pause
            log.exception("worker.failed", agent=self.agent, session=errand.session, error=sentence_of(error))

    async def _answer(self, session: Session, message: Message) -> None:
        if self._raw_handler is not None:
            await self._raw_handler(session, message)
        elif self._handler is not None:
            async with session.run(reply_to=message) as run:
                await interruptible(run, _awaited(self._handler(run)))

    def _suspend(self, task: asyncio.Task[None] | None, waits: bool) -> None:
        """Note whether an errand waits for people; meanwhile another one may be done."""
        if task in self._errands:
            self._errands[task] = waits
            self._wake.set()


async def _awaited(work: Awaitable[None]) -> None:
    await work


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
