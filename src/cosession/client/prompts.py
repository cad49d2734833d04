"""Prompts: the messages that this agent shall answer, each returned once here, and to one process at a time.

A prompt names this agent (`to`), or no agent, if a person wrote it and the session's policy doesn't assign those to
another agent. It is complete, not deleted, not refused, and no run answers it. A prompt is claimed before it is
returned: one of several processes gets it. The prompt of a lost run is returned again, to the process that adopts it.

Waiting prompts are read from the document alone, so prompts from before the agent connected are found like later
ones. The whole list is read once; after that only changes are read, because access to a shared list costs more the
larger the index is, and sessions grow long.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, cast

from cosession.document import Change, Message, Run, SessionDocument, prompt_key
from cosession.errors import NotAllowed, WriteRefused
from cosession.logs import get_logger

from .claims import is_held, obtain
from .run_takeover import Adoption
from .session_link import SessionLink

log = get_logger(__name__)

_LATE = frozenset({"id", "role"})
"""Keys that are set when a message is created; a foreign client that sets them later causes a full read."""

_TELLING = frozenset({"status", "deleted", "metadata", "stamp"})
"""Keys whose change can make a message a prompt; streamed text isn't among them."""

_ROOTS = ("messages", "runs", "claims", "meta")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A prompt that this process may be able to claim.

    Attributes:
        message: the prompt.
        key: the key of the claim on it.
        run: the lost run that answers it; None where there is none.
    """

    message: Message
    key: str
    run: str | None = None

    @property
    def id(self) -> str:
        """The id of the lost run or the message, which identifies a request in progress."""
        return self.run or self.message.id


class PromptInbox:
    """Keeps the messages that are, or may become, prompts, in order of arrival."""

    def __init__(self, link: SessionLink, adoption: Adoption) -> None:
        """Watch a session.

        Args:
            link: the session's link to the server.
            adoption: the runs of this process.
        """
        self._link = link
        self._adoption = adoption
        self._me = link.me.id
        self._given: set[str] = set()
        self._answered: dict[str, set[str]] = {}
        self._open: dict[str, Message | None] = {}
        self._lost: dict[str, str] = {}
        self._asking: set[str] = set()
        self._passed: set[str] = set()
        self._stale = True
        self._document = link.document
        self._watch = self._document.observe(self._on_change, *_ROOTS)
        self._say_who_is_asked()

    def _say_who_is_asked(self) -> None:
        """Warn if prompts that name no agent may go to another one: an agent without prompts looks broken."""
        policy = self._document.meta.rules.agents
        others = sorted(
            {who.id for who in self._link.presence.people() if who.kind == "agent" and who.id != self._me}
        )
        if policy and policy[0] != self._me:
            log.warning(
                f"Prompts that name no agent go to {policy[0]!r} here; {self._me!r} gets those that name it in `to`. "
                "A session's policy says so: `create_session(…, policy={'agents': […]})`."
            )
        elif not policy and others:
            log.warning(
                f"Prompts that name no agent go to the first that takes them here; besides {self._me!r} there is "
                f"{', '.join(map(repr, others))}. Name one in `to`, or create the session with a policy: "
                "`create_session(…, policy={'agents': […]})`."
            )

    def move(self, document: SessionDocument) -> None:
        """Continue with another document of the same session; returned prompts aren't returned again."""
        self._watch.close()
        self._document = document
        self._watch = document.observe(self._on_change, *_ROOTS)
        self._stale = True
        self._link.bell.ring()

    def close(self) -> None:
        """Stop watching."""
        self._watch.close()

    async def take(self) -> Message | None:
        """Return the first waiting prompt that the server grants to us, or None; it is not returned again.

        Raises:
            Disconnected: the session is over.
            NotAllowed: the capability `run` is missing.
        """
        while (candidate := self._next()) is not None:
            if not self._link.me.may("run"):
                raise NotAllowed("To answer prompts takes the capability `run`; ask for a token of an agent.")
            self._asking.add(candidate.id)
            self._passed.add(candidate.id)
            try:
                if await self._is_ours(candidate):
                    self._given.add(candidate.message.id)
                    self._open.pop(candidate.message.id, None)
                    self._lost.pop(candidate.id, None)
                    return candidate.message
            except WriteRefused:
                self._passed.discard(candidate.id)  # the request was lost with the refused document; it is made again
            except asyncio.CancelledError:
                self._passed.discard(candidate.id)  # the next wait asks for it again
                raise
            finally:
                self._asking.discard(candidate.id)
        return None

    async def _is_ours(self, candidate: Candidate) -> bool:
        if candidate.run is not None:
            return await self._adoption.adopt(self._document, candidate.run, candidate.message.id)
        return await obtain(self._link, self._document, candidate.key) is not None

    def _next(self) -> Candidate | None:
        with self._document.transaction():  # one transaction for all reads, not one per field
            if self._stale:
                self._read_all()
            for run, id_ in self._lost.items():
                message = self._document.messages.get(id_)
                if message is not None and not message.deleted and self._may_ask(run):
                    return Candidate(message, "", run)
            policy = self._document.meta.rules.agents
            for id_, known in list(self._open.items()):
                message = known or self._document.messages.get(id_)
                if message is None or not message.id or message.refused or self._is_answered(id_, message):
                    del self._open[id_]
                    continue
                self._open[id_] = message
                asks_us = self._me in message.to if message.to else self._me in (policy or (self._me,))[:1]
                if not asks_us or not self._may_ask(id_) or message.status != "complete" or message.deleted:
                    continue
                key = prompt_key(id_, self._me if message.to else "")
                if message.author != self._me and self._is_free(key):
                    return Candidate(message, key)
        return None

    def _is_answered(self, id_: str, message: Message) -> bool:
        agents = self._answered.get(id_, set())
        return self._me in agents if message.to else bool(agents)

    def _may_ask(self, id_: str) -> bool:
        return id_ not in self._asking and id_ not in self._passed

    def _is_free(self, key: str) -> bool:
        fact = self._document.claims.get(key)
        return fact is None or is_held(fact, self._me, self._document.doc.client_id)

    def _read_all(self) -> None:
        self._stale = False
        self._lost.clear()
        for run in self._document.runs:
            self._note_run(run)
        self._open = {
            message.id: message
            for message in self._document.messages
            if message.id not in self._given and (message.role == "user" or self._me in message.to)
        }

    def _on_change(self, changes: list[Change]) -> None:
        for change in changes:
            match change.path:
                case ("runs",):
                    self._note_runs(change.keys)
                case ("runs", str(run)) if not {"reply_to", "status", "client"}.isdisjoint(change.keys):
                    self._note_runs((run,))
                case ("runs", str(run), "seen"):
                    self._note_runs((run,))
                case ("messages",):
                    self._note_messages(change.inserted)
                case ("messages", _) if not _LATE.isdisjoint(change.keys):
                    self._stale = True
                    self._link.bell.ring()
                case ("messages", *_) if not _TELLING.isdisjoint(change.keys):
                    self._link.bell.ring()
                case ("claims" | "meta", *_):
                    self._ask_again()
                case _:
                    pass

    def _note_runs(self, ids: tuple[str, ...]) -> None:
        for id_ in ids:
            run = self._document.runs.get(id_)
            if run is not None:
                self._note_run(run)
        self._ask_again()

    def _note_run(self, run: Run) -> None:
        for answered in (*run.seen, *filter(None, [run.reply_to])):  # a seen steer with a prompt's id was that prompt
            self._answered.setdefault(answered, set()).add(run.agent)
        is_asked = run.id in self._adoption.asked and run.client == self._document.doc.client_id and not run.ended
        is_free = (run.status == "lost" or is_asked) and run.agent == self._me and run.cancel is None
        if is_free and run.reply_to and run.id not in self._adoption.at_work:
            self._lost[run.id] = run.reply_to
        else:
            self._lost.pop(run.id, None)

    def _note_messages(self, inserted: str | list[Any] | None) -> None:
        for item in inserted or ():
            fields = cast("dict[str, Any]", item) if isinstance(item, dict) else {}
            id_, about = fields.get("id"), fields.get("metadata")
            asked = cast("dict[str, Any]", about).get("to") if isinstance(about, dict) else None
            if isinstance(id_, str) and id_ not in self._given and (fields.get("role") == "user" or asked):
                self._open.setdefault(id_, None)
        self._link.bell.ring()

    def _ask_again(self) -> None:
        """Retry the claims that the server didn't grant, after a change."""
        self._passed.clear()
        self._link.bell.ring()


class Prompts(AsyncIterator[Message]):
    """Iterates over the prompts of an inbox and waits for more. Leaving the loop leaves no task behind."""

    def __init__(self, inbox: PromptInbox, link: SessionLink) -> None:
        """Prepare to iterate.

        Args:
            inbox: the source of prompts; shared by all iterators of a session.
            link: the link to the server; its signal fires when there may be a prompt, or the session ends.
        """
        self._inbox = inbox
        self._link = link

    async def __anext__(self) -> Message:
        """Return the next prompt; wait until there is one.

        Raises:
            Disconnected: the session is over.
            NotAllowed: the capability `run` is missing.
        """
        while True:
            self._link.go_on()
            if (prompt := await self._inbox.take()) is not None:
                return prompt
            await self._link.bell.wait()
