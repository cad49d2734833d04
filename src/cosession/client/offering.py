"""Offering: the tools that this process lets agents call, e.g. tools of the machine on which it runs.

A call is a part of an agent's message. Of all clients that offer the tool, in any language, one claims the call, runs
the tool, and asks the server to write its answer; the others wait for the claim, in case that client leaves before it
has answered. This process calls a tool once, also when another document replaced the one with its answer, so that the
answer has to be given again.
"""

import asyncio
import inspect
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

from cosession.document import Change, Message, SessionDocument, tool_key
from cosession.document.message import as_ui_message
from cosession.document.values import JsonObject, checked, checked_object, plain_list, plain_object
from cosession.errors import Disconnected, InvalidValue, NotAllowed, TooLarge, WriteRefused
from cosession.logs import get_logger

from .claims import is_held, obtain
from .run_lifecycle import sentence_of
from .session_link import SessionLink

log = get_logger(__name__)

MOST_CALLS = 16
"""The number of calls that are worked on at a time, each in a task; further calls wait."""

_TELLING = frozenset({"state", "callProviderMetadata"})
"""Keys of a part whose change can make it a waiting call."""


@dataclass(frozen=True, slots=True)
class _Tool:
    call: Callable[[Any], Any]
    said: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Call:
    id: str
    message: str
    tool: str
    input: Any


class Offering:
    """The tools that one process offers in one session."""

    def __init__(self, link: SessionLink) -> None:
        """Prepare.

        Args:
            link: the link to the server.
        """
        self._link = link
        self._tools: dict[str, _Tool] = {}
        self._doing: dict[str, asyncio.Task[None]] = {}
        self._unread: set[str] = set()
        """The ids of messages that may contain waiting calls."""
        self._document = link.document
        self._watch = self._document.observe(self._on_change, "messages")

    def offer(self, name: str, call: Callable[[Any], Any], description: str, schema: Any) -> Callable[[], None]:
        """Offer a tool; see `Session.offer_tool`."""
        if not (self._link.me.may("prompt") and (self._link.me.may("claim") or self._link.me.may("run"))):
            raise NotAllowed("To answer calls takes the capabilities `prompt` and `claim`; ask for a token of both.")
        if name in self._tools:
            raise InvalidValue(f"The tool {name!r} is offered here already; take the first offer back.")
        said = checked_object({"name": name, "description": description, "schema": schema}, "A tool")
        tool = self._tools[name] = _Tool(call, said)
        try:
            self._tell()
        except TooLarge:
            del self._tools[name]
            raise
        self._look_at_all()

        def take_back() -> None:
            if self._tools.get(name) is tool:
                del self._tools[name]
                with suppress(Disconnected):  # a closed session offers nothing
                    self._tell()

        return take_back

    def move(self, document: SessionDocument) -> None:
        """Continue with another document of the same session.

        Args:
            document: the document.
        """
        self._watch.close()
        self._document = document
        self._watch = document.observe(self._on_change, "messages")
        self._look_at_all()

    async def close(self) -> None:
        """Cancel the calls in progress, and wait for their end."""
        self._watch.close()
        self._tools.clear()
        tasks = list(self._doing.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _tell(self) -> None:
        self._link.presence.set("tools", [tool.said for tool in self._tools.values()] or None)

    def _on_change(self, changes: list[Change]) -> None:
        found: set[str] = set()
        for change in changes:
            match change.path:
                case ("messages",):
                    items = cast("list[Any]", change.inserted or [])
                    messages = [as_ui_message(cast(JsonObject, item)) for item in items if isinstance(item, dict)]
                    found.update(message["id"] for message in messages if any(map(_waits, message["parts"])))
                case ("messages", int(place), "parts") if any(map(_waits, change.inserted or ())):
                    found.add(Message(self._document.messages.shared[place]).id)
                case ("messages", int(place), "parts", int()) if not _TELLING.isdisjoint(change.keys):
                    found.add(Message(self._document.messages.shared[place]).id)
                case _:
                    pass
        if found and self._tools:
            self._unread |= found
            self._look()

    def _look_at_all(self) -> None:
        messages = self._document.messages.to_json() if self._tools else ()
        self._unread = {message["id"] for message in messages if any(map(_waits, message["parts"]))}
        self._look()

    def _look(self) -> None:
        """Begin the waiting calls, up to the limit."""
        for id_ in list(self._unread):
            message = self._document.messages.get(id_)
            for call in [] if message is None else self._waiting_in(message):
                if len(self._doing) >= MOST_CALLS:
                    return
                if call.id not in self._doing:
                    task = asyncio.create_task(self._do(call), name=f"cosession tool {call.tool}")
                    self._doing[call.id] = task
                    task.add_done_callback(lambda _, id_=call.id: self._done(id_))
            self._unread.discard(id_)

    def _done(self, call: str) -> None:
        del self._doing[call]
        if self._tools:
            self._look()

    def _waiting_in(self, message: Message) -> list[_Call]:
        """Return the unanswered calls in a message that this client may answer."""
        calls: list[_Call] = []
        me = self._link.me.id
        for part in (part.to_json() for part in message.parts):
            id_, kind = part.get("toolCallId"), str(part.get("type"))
            tool = part.get("toolName") if kind == "dynamic-tool" else kind.removeprefix("tool-")
            is_ours = me in (plain_list(_asked(part).get("who")) or [me])
            if _waits(part) and is_ours and isinstance(id_, str) and isinstance(tool, str) and tool in self._tools:
                calls.append(_Call(id_, message.id, tool, part.get("input")))
        return calls

    def _waits(self, call: _Call) -> bool:
        """Return whether a call is unanswered, and this client may still answer it."""
        message = self._document.messages.get(call.message)
        return message is not None and any(one.id == call.id for one in self._waiting_in(message))

    async def _do(self, call: _Call) -> None:
        answer: JsonObject | None = None
        with suppress(Disconnected):  # the claim goes to the next client
            while True:
                document = self._document
                try:
                    waits = partial(self._waits, call)
                    if await obtain(self._link, document, tool_key(call.id), wait=True, wanted=waits) is None:
                        return
                    answer = answer or await self._answer(call)
                    await self._give(document, call, answer)
                except WriteRefused:
                    continue  # another document replaced this one; the call is claimed again there
                return

    async def _give(self, document: SessionDocument, call: _Call, answer: JsonObject | None) -> None:
        """Ask the server to write an answer, and wait until it is stored; without an answer, release the claim."""
        key, who, client = tool_key(call.id), self._link.me.id, document.doc.client_id
        if answer is None:
            document.requests.ask_release(key, client, who)
        elif is_held(document.claims.get(key), who, client):
            asked = document.requests.ask_answer(call.message, call.id, client, who, **answer)
            await self._link.until(lambda: asked.key not in document.requests.shared, document, "requests")
            await self._link.confirm()

    async def _answer(self, call: _Call) -> JsonObject | None:
        """Call the tool, and return its answer; None where no answer is awaited any more."""
        tool = self._tools.get(call.tool)
        if tool is None or not self._waits(call):
            return None
        try:
            output = tool.call(call.input)
            given = checked(await output if inspect.isawaitable(output) else output, "What the tool gave")
            self._link.check_fits(given, "What the tool gave")
        except asyncio.CancelledError:
            if (task := asyncio.current_task()) is not None and task.cancelling():
                raise
            return {"error": "The tool was cancelled."}
        except Exception as error:
            log.exception("client.tool_failed", tool=call.tool, call=call.id)
            return {"error": sentence_of(error)}
        return {"output": given}


def _asked(part: JsonObject) -> JsonObject:
    """Return the call's requirements on the client that answers; empty where it isn't for clients."""
    asked = plain_object(plain_object(part.get("callProviderMetadata")).get("cosession"))
    return asked if asked.get("client") is True else {}


def _waits(part: object) -> bool:
    """Return whether a part is an unanswered call for a client."""
    if not isinstance(part, dict):
        return False
    fields = cast(JsonObject, part)
    return fields.get("state") == "input-available" and bool(_asked(fields))
