"""Events: one way to observe everything in a session. A listener gets the present value after a change.

A change is noted while its transaction is committed, and told in the next turn of the loop: several changes of one
turn are one event. The document is observed only while there is a listener. A listener's exception is logged, and
neither the sync nor another listener sees it.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, get_args
from weakref import WeakSet

from pycrdt import TransactionEvent

from cosession.document import SessionDocument
from cosession.errors import InvalidValue, Refusal
from cosession.logs import get_logger

from .edits import Edits
from .session_link import SessionLink
from .types import Event, Off
from .words import Words

log = get_logger(__name__)

EVENTS: tuple[Event, ...] = get_args(Event)

MOST_WAITING = 1024
"""The refusals and changes that one iteration keeps; of more the oldest are dropped."""

_ROOTS: Mapping[Event, tuple[str, ...]] = {
    "messages": ("messages",),
    "runs": ("runs",),
    "agents": ("agents",),
    "approvals": ("approvals",),
    "queue": ("queue",),
    "claims": ("claims",),
    "state": ("state",),
    "counters": ("counters",),
    "selections": ("selections",),
    "people": ("participants", "agents"),
    "policy": ("meta",),
    "title": ("meta",),
}
"""The roots of the document that the value of an event is read from."""

_COMPARED: frozenset[Event] = frozenset(
    {"presence", "people", "tools", "policy", "title", "me", "status", "saved", "synced"}
)
"""Events that are told only when their value differs from the one before."""

_EACH: frozenset[Event] = frozenset({"refused", "change"})
"""Events of which an iteration gets each one, not only the last value."""


class Watch(AsyncIterator[Any]):
    """Iterates over the values of one event, and waits for more. Leaving the loop stops it."""

    def __init__(self, events: "Events", link: SessionLink, event: Event) -> None:
        """Prepare to iterate.

        Args:
            events: the events of the session.
            link: the link to the server; its signal fires when the session ends.
            event: the event.
        """
        self._events = events
        self._link = link
        self._waiting: deque[Any] = deque(maxlen=MOST_WAITING if event in _EACH else 1)

    async def __anext__(self) -> Any:
        """Return the next value; wait until there is one. A cancelled wait loses none.

        Raises:
            Disconnected: the session is over.
        """
        while True:
            self._events.flush()
            if self._waiting:
                return self._waiting.popleft()
            self._link.go_on()
            await self._link.bell.wait()

    def add(self, value: Any) -> None:
        """Keep a value until it is fetched: of a list or a text only the last one, of refusals and changes each."""
        self._waiting.append(value)


class Events:
    """The events of one session, and their listeners."""

    def __init__(self, link: SessionLink, read: Mapping[str, Callable[[], Any]]) -> None:
        """Prepare.

        Args:
            link: the link to the server.
            read: for each event with a present value, the function that returns it.
        """
        self._link = link
        self._read = read
        self._listeners: dict[Event, list[Callable[[Any], None]]] = {}
        self._watches: dict[Event, WeakSet[Watch]] = {}
        self._ends: dict[Event, Off] = {}
        """How the observation of each observed event ends."""
        self._before: dict[Event, Any] = {}
        self._due: set[Event] = set()
        self._is_scheduled = False
        self._words: Words | None = None
        self._edits: Edits | None = None
        link.bell.on_ring = self._on_ring

    def on(self, event: Event, listener: Callable[[Any], None]) -> Off:
        """Call a listener at each event; see `Session.on`."""
        self._begin(event)
        listeners = self._listeners.setdefault(event, [])

        def own(value: Any) -> None:  # one function may be given twice
            listener(value)

        listeners.append(own)
        if event == "edit" and self._edits is None:
            self._edits = self._new_edits()

        def off() -> None:
            if own in listeners:
                listeners.remove(own)

        return off

    def watch(self, event: Event) -> AsyncIterator[Any]:
        """Iterate over the values of an event; see `Session.watch`."""
        self._begin(event)
        if event == "edit":
            return self._new_edits()
        watch = Watch(self, self._link, event)
        self._watches.setdefault(event, WeakSet()).add(watch)
        return watch

    def emit(self, event: Event, value: Any) -> bool:
        """Call the listeners of an event now; return whether there are any."""
        listeners = list(self._listeners.get(event, ()))
        watches = list(self._watches.get(event, ()))
        for listener in listeners:
            try:
                listener(value)
            except (Exception, asyncio.CancelledError):
                log.exception("client.listener_failed", event_name=event)
        for watch in watches:
            watch.add(value)
        if watches:
            self._link.bell.ring()
        return bool(listeners or watches)

    def refuse(self, refusal: Refusal) -> bool:
        """Report a refusal; return whether there is a listener."""
        return self.emit("refused", refusal)

    def move(self, document: SessionDocument) -> None:
        """Observe another document of the same session, and tell its values."""
        for event in list(self._ends):
            self._ends.pop(event)()
            self._observe(event)
            if event != "change":
                self._due.add(event)
        if self._words is not None:
            self._words.move(document)
        if "doc" in self._before:
            self.emit("doc", document.doc)
        self._schedule()

    def close(self) -> None:
        """End all observations, after the last values were told."""
        self.flush()
        for end in self._ends.values():
            end()
        self._ends.clear()
        if self._words is not None:
            self._words.close()
        self._link.bell.on_ring = None

    def flush(self) -> None:
        """Tell what has changed now, and not in the next turn of the loop."""
        self._is_scheduled = False
        if self._edits is not None:
            for edit in self._edits.take_all():
                self.emit("edit", edit)
        due, self._due = self._due, set()
        for event in EVENTS:
            if event not in due:
                continue
            if not self._is_heard(event):
                self._forget(event)
                continue
            value = self._read[event]()
            if event not in _COMPARED or value != self._before.get(event):
                self._before[event] = value
                self.emit(event, value)

    def _begin(self, event: Event) -> None:
        self._link.go_on()
        if event not in EVENTS:
            raise InvalidValue(f"A session has no event {event!r}; it has {', '.join(EVENTS)}.", path="event")
        if event in _COMPARED:
            self._before.setdefault(event, self._read[event]())
        elif event == "doc":
            self._before.setdefault(event, None)
        if event not in self._ends:
            self._observe(event)

    def _observe(self, event: Event) -> None:
        document = self._link.document
        if event in ("change", "saved"):
            subscription = document.doc.observe(self._on_update if event == "change" else self._on_write)
            self._ends[event] = lambda: document.doc.unobserve(subscription)
        elif event in _ROOTS:
            self._ends[event] = document.observe(lambda _: self._note(event), *_ROOTS[event]).close

    def _on_update(self, change: TransactionEvent) -> None:
        """Keep the update of a transaction; its listeners are called after the transaction."""
        update = change.update
        asyncio.get_running_loop().call_soon(lambda: self.emit("change", update))

    def _on_write(self, _: TransactionEvent) -> None:
        self._note("saved")

    def _new_edits(self) -> Edits:
        if self._words is None:
            self._words = Words(self._link)
        edits = Edits(self._link)
        self._words.tell(edits)
        return edits

    def _note(self, event: Event) -> None:
        self._due.add(event)
        self._schedule()

    def _on_ring(self) -> None:
        """Look at the values that no document holds: the signal fires when one may have changed."""
        heard = self._before.keys() & _COMPARED
        if heard or self._edits is not None:
            self._due |= heard
            self._schedule()

    def _schedule(self) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            asyncio.get_running_loop().call_soon(self._flush_scheduled)

    def _flush_scheduled(self) -> None:
        if self._is_scheduled:
            self.flush()

    def _is_heard(self, event: Event) -> bool:
        return bool(self._listeners.get(event) or self._watches.get(event))

    def _forget(self, event: Event) -> None:
        """End the observation of an event that nothing listens to any more."""
        self._before.pop(event, None)
        if (end := self._ends.pop(event, None)) is not None:
            end()
