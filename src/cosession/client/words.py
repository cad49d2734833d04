"""Watches the texts of a participant's messages, and finds the author of each change.

The author is verified where a change arrived alone: presence maps its Yjs client to a participant. Where the server
sent it together with others' changes, or where text was only deleted, the author is taken from the message's own
record. Writes of another process of the participant count as the participant's own.

The texts are kept as long as there is a listener, because a document doesn't hold the text before a change.
"""

from dataclasses import dataclass
from typing import Any, cast
from weakref import WeakSet

from cosession.document import Change, Message, SessionDocument
from cosession.document.message import as_ui_message
from cosession.document.values import JsonObject

from .edits import Edit, Edits
from .people import identities
from .session_link import SessionLink


@dataclass(frozen=True, slots=True)
class _Known:
    """The last seen state of a message: its text, and the time and author of its recorded last edit."""

    text: str
    edited: tuple[Any, Any]


class Words:
    """The watched texts of a participant's messages."""

    def __init__(self, link: SessionLink) -> None:
        """Prepare.

        Args:
            link: the link to the server.
        """
        self._link = link
        self._listening: WeakSet[Edits] = WeakSet()
        self._known: dict[str, _Known] = {}
        self._is_read = False
        self._document = link.document
        self._watch = self._document.observe(self._on_change, "messages")

    def tell(self, edits: Edits) -> None:
        """Send the edits by others to an iterator from now on, as long as it exists.

        Args:
            edits: the iterator.
        """
        self._listening.add(edits)
        if not self._is_read:
            self._is_read = True
            self._known = {message["id"]: _known(message) for message in self._ours()}

    def move(self, document: SessionDocument) -> None:
        """Continue with another document of the same session; text that it lacks was refused, not edited by others.

        Args:
            document: the document.
        """
        self._watch.close()
        self._document = document
        self._watch = document.observe(self._on_change, "messages")
        for message in self._ours() if self._is_read else ():
            self._note(message, self._says(message) or self._link.me.id, verified=False)

    def close(self) -> None:
        """Stop watching."""
        self._watch.close()

    def _ours(self) -> list[JsonObject]:
        return [message for message in self._document.messages.to_json() if self._is_ours(message)]

    def _is_ours(self, message: JsonObject) -> bool:
        stamp = message.get("stamp")
        by = cast(JsonObject, stamp).get("by") if isinstance(stamp, dict) else None
        return (by or message["metadata"].get("author")) == self._link.me.id

    def _on_change(self, changes: list[Change]) -> None:
        if not self._listening:
            self._is_read = False
            return
        places: set[int] = set()
        for change in changes:
            match change.path:
                case ("messages",):
                    self._note_list(change)
                case ("messages", int(place)) if "parts" in change.keys:
                    places.add(place)
                case ("messages", int(place), "parts") | ("messages", int(place), "parts", int(), "text"):
                    places.add(place)
                case ("messages", int(place), "parts", int()) if not {"text", "type"}.isdisjoint(change.keys):
                    places.add(place)
                case _:
                    pass
        for place in places:
            message = _texts_of(Message(self._document.messages.shared[place]))
            if self._is_ours(message):
                self._note(message, *self._writer_of(message))

    def _note_list(self, change: Change) -> None:
        """Record new messages, and report those that were removed from the list."""
        for item in change.inserted or ():
            message = as_ui_message(cast(JsonObject, item)) if isinstance(item, dict) else None
            if message is not None and self._is_ours(message):
                self._known.setdefault(message["id"], _known(message))
        if change.removed:
            there = {message["id"] for message in self._ours()}
            for id_ in self._known.keys() - there:
                gone: JsonObject = {"id": id_, "metadata": {}, "parts": []}
                self._note(gone, *self._writer_of(gone))
                del self._known[id_]

    def _note(self, message: JsonObject, by: str | None, verified: bool) -> None:
        """Record a message's text, and report a change by another participant."""
        id_, now = message["id"], _known(message)
        known = self._known.get(id_, now)
        self._known[id_] = now
        if known.text == now.text:
            return
        if by == self._link.me.id:
            for edits in self._listening:
                edits.carry(id_, known.text, now.text)
            return
        for edits in self._listening:
            edits.add(Edit(id_, by, known.text, now.text, verified))
        self._link.bell.ring()

    def _writer_of(self, message: JsonObject) -> tuple[str | None, bool]:
        """Return the author of the current change of a message, and whether the server verified it."""
        me, writers = self._link.me.id, self._link.writers
        if writers is None:
            return me, True
        here, ours = self._link.presence.others(), self._clients_of(message)
        named = {me if writer in ours else _participant(here.get(writer)) for writer in writers}
        if len(named) == 1 and None not in named:
            return named.pop(), True
        return self._says(message) or (me if me in named else None), False

    def _says(self, message: JsonObject) -> str | None:
        """Return the author of a message's recorded last edit, if that record is new."""
        known, now = self._known.get(message["id"]), _known(message)
        by = now.edited[1] if known is None or known.edited != now.edited else None
        return by if isinstance(by, str) else None

    def _clients_of(self, message: JsonObject) -> set[int]:
        """Return the Yjs clients of the processes that write, or wrote, a message."""
        id_ = message["metadata"].get("run")
        run = self._document.runs.get(id_) if isinstance(id_, str) else None
        return set() if run is None else {run.client, *run.former}


def _texts_of(message: Message) -> JsonObject:
    """Return a message as JSON, with its text parts only: a tool's output may be large."""
    texts = [{"type": "text", "text": part.get("text")} for part in message.parts if part.type == "text"]
    return {"id": message.id, "metadata": message.metadata, "stamp": message.stamp, "parts": texts}


def _known(message: JsonObject) -> _Known:
    parts: list[JsonObject] = message["parts"]
    texts = (part.get("text") for part in parts if part.get("type") == "text")
    about: JsonObject = message["metadata"]
    said = "".join(text for text in texts if isinstance(text, str))
    return _Known(said, (about.get("edited_at"), about.get("edited_by")))


def _participant(state: JsonObject | None) -> str | None:
    """Return the participant of a presence state, as the server verified it."""
    return next((who.id for who in identities([state or {}])), None)
