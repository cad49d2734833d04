"""An errand: an assignment to a worker, which the server records in the session before it notifies the worker."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from cosession.document import Message, prompt_key

from .checkpoints import CheckpointStore
from .claims import is_held
from .credential import Token
from .session import Session


@dataclass(frozen=True, slots=True)
class Errand:
    """One prompt or lost run that a worker shall work on.

    Attributes:
        session: the session's id.
        message: the prompt's id.
        run: the lost run to resume; None where a new one is to begin.
        client: the Yjs client id to write under.
        epoch: the epoch of the claim, or of the run.
    """

    session: str
    message: str
    run: str | None
    client: int
    epoch: int


class ErrandSession(Session):
    """The session of one errand, joined with the Yjs client id that the server reserved for it."""

    def __init__(
        self,
        errand: Errand,
        *,
        agent: str,
        name: str,
        url: str,
        token: Token | None,
        on_suspended: Callable[[bool], None],
        checkpoints: CheckpointStore | None = None,
    ) -> None:
        """Prepare; `join` opens it.

        Args:
            errand: the errand.
            agent: the agent's participant id.
            name: the name that people see.
            url: the server's address.
            token: the credential, or its source.
            on_suspended: called when a run begins to wait for people, and when it continues.
            checkpoints: the store of the runs' checkpoints; None where there is none.
        """
        super().__init__(errand.session, agent, name, "agent", url=url, token=token, client_id=errand.client)
        self._errand = errand
        self._url = url
        self._adoption.on_suspended = on_suspended
        self._adoption.checkpoints = checkpoints

    @asynccontextmanager
    async def join(self, wait_seconds: float | None) -> AsyncGenerator[None, None]:
        """Stay in the session for the length of an `async with` block; raises as `connect` does.

        The checkpoints of runs that have ended are removed behind it, when the ends of the runs are saved.

        Args:
            wait_seconds: how long to wait for the document at first; None waits for ever.
        """
        try:
            async with self._live(self._url, wait_seconds):
                yield
        finally:
            if (store := self._adoption.checkpoints) is not None and self._link.saved:
                for run in self._adoption.over:
                    await store.save(run, None)

    def take(self) -> Message | None:
        """Return the prompt of the errand, if this process still holds it."""
        errand, client = self._errand, self.document.doc.client_id
        message = self.document.messages.get(errand.message)
        if message is None or errand.client != client:
            return None
        if errand.run is not None:
            run = self.document.runs.get(errand.run)
            if run is None or run.ended or run.client != client:
                return None
            self._adoption.keep(message.id, errand.run)
            return message
        keys = (prompt_key(message.id, self._link.me.id), prompt_key(message.id))
        held = any(is_held(self.document.claims.get(key), self._link.me.id, client) for key in keys)
        return message if held else None

    async def fail(self, error: Exception) -> None:
        """Record that the prompt wasn't answered, unless a run shows that already.

        Args:
            error: the reason.
        """
        client, prompt = self.document.doc.client_id, self._errand.message
        runs = [run for run in self.runs if run.reply_to == prompt and run.agent == self._link.me.id]
        if self._link.ended is None and not any(run.ended or run.client != client for run in runs):
            with suppress(Exception):  # the error itself comes back
                async with self.run(reply_to=prompt):
                    raise error
