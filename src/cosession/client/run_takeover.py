"""Adoption: the runs of this process, the takeover of runs that another process lost, and late results.

A run is held by the Yjs client that works on it. When that client is away for longer than a grace, the server marks
the run as lost, and gives it to the first process of its agent that asks. A process whose result arrived too late,
because it was away when it ended a run, writes the result again: finished work isn't lost.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cosession.document import Change, Run, SessionDocument, Subscription

from .answer_stream import CALLS_END
from .checkpoints import CheckpointStore
from .ids import now
from .session_link import SessionLink

BEGIN_SECONDS = 60.0
"""The time that an adopted run may wait for its `async with` block; then it is ended, so it isn't held for ever."""


@dataclass(frozen=True, slots=True)
class _LastWord:
    epoch: int
    status: str
    error: Any


class Adoption:
    """The runs of one process in one session.

    Attributes:
        at_work: the runs whose block is entered.
        asked: the lost runs that were requested, but whose waiting task was cancelled.
        on_suspended: called when a run begins to wait for people, and when it continues; None disables it.
        checkpoints: the store of the runs' checkpoints; None where there is none.
        over: the runs that ended here and may have a checkpoint.
    """

    def __init__(self, link: SessionLink) -> None:
        """Prepare.

        Args:
            link: the link to the server.
        """
        self.at_work: set[str] = set()
        self.asked: set[str] = set()
        self.on_suspended: Callable[[bool], None] | None = None
        self.checkpoints: CheckpointStore | None = None
        self.over: list[str] = []
        self._link = link
        self._adopted: dict[str, tuple[str, asyncio.TimerHandle]] = {}
        self._last_words: dict[str, _LastWord] = {}
        self._watch: Subscription | None = None

    async def adopt(self, document: SessionDocument, run_id: str, message_id: str) -> bool:
        """Ask to adopt a lost run; return False when it was given to another process.

        Raises:
            Disconnected: the session is over.
            WriteRefused: another document replaced this one.
        """
        self.asked.add(run_id)
        request = document.requests.ask_adopt(run_id, document.doc.client_id, self._link.me.id)
        try:
            await self._link.until(lambda: request.key not in document.requests.shared, document, "requests")
            run = document.runs.get(run_id)
            if run is None or run.ended or run.client != document.doc.client_id:
                self.asked.discard(run_id)
                return False
            await self._link.wait_saved()
        except asyncio.CancelledError:
            self.keep(message_id, run_id)  # it may still be granted, with no task waiting for it
            raise
        self.asked.discard(run_id)
        self.keep(message_id, run_id)
        return True

    def keep(self, message_id: str, run_id: str) -> None:
        """Keep an adopted run until its prompt is answered."""
        self.take(message_id)
        timer = asyncio.get_running_loop().call_later(BEGIN_SECONDS, self._give_up, message_id)
        self._adopted[message_id] = run_id, timer

    def take(self, message_id: str | None) -> str | None:
        """Remove and return the run that was adopted for a prompt."""
        run_id, timer = self._adopted.pop(message_id or "", (None, None))
        if timer is not None:
            timer.cancel()
        return run_id

    def ended(self, run: Run, status: str, error: Any) -> None:
        """Remember how a run was ended here, until the server has saved it."""
        self.at_work.discard(run.id)
        if self.checkpoints is not None:
            self.over.append(run.id)
        if self._link.saved:
            self._last_words.clear()
        self._last_words[run.id] = _LastWord(run.epoch, status, error)
        if self._watch is None:
            self._watch = self._link.document.observe(self._listener(self._link.document), "runs")

    def close(self) -> None:
        """Drop all adopted runs and results."""
        self.asked.clear()
        self._last_words.clear()
        for _, timer in self._adopted.values():
            timer.cancel()
        self._adopted.clear()
        if self._watch is not None:
            self._watch.close()
            self._watch = None

    def _listener(self, document: SessionDocument) -> Callable[[list[Change]], None]:
        loop = asyncio.get_running_loop()

        def listen(changes: list[Change]) -> None:
            for change in changes:
                match change.path:
                    case ("runs", str(id_)) if id_ in self._last_words and "status" in change.keys:
                        loop.call_soon(self._say_again, document, id_)
                    case _:
                        pass

        return listen

    def _say_again(self, document: SessionDocument, id_: str) -> None:
        run, word = document.runs.get(id_), self._last_words.get(id_)
        if run is None or word is None or document is not self._link.document or self._link.ended:
            return
        if (run.status, run.client, run.epoch) == ("lost", document.doc.client_id, word.epoch):
            end(document, run, word.status, word.error)

    def _give_up(self, message_id: str) -> None:
        document, run_id = self._link.document, self.take(message_id)
        run = document.runs.get(run_id) if run_id else None
        if run is not None and not run.ended and run.client == document.doc.client_id:
            end(document, run, "error", "The agent took the run up and didn't go on with it.")


def end(document: SessionDocument, run: Run, status: str, error: Any = None) -> None:
    """End a run and its messages, from the record alone.

    Args:
        document: the session's document.
        run: the run.
        status: its final status.
        error: its error, if any.
    """
    with document.transaction():
        run.end(status, at=now(), error=error)
        for id_ in run.messages:
            message = document.messages.get(id_)
            if message is not None and not message.to and not message.deleted:
                message.end_calls(CALLS_END.get(status, CALLS_END["error"]))
                message.set_status(status)
        agent = document.agents.get(run.agent)
        if agent is not None and agent.run == run.id:
            agent.set(status="idle", run=None, task=None, progress=None)
