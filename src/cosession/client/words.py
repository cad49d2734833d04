"""Words: the texts of a participant's messages, and who changes them.

Who changes them is the server's word where a change came by itself: presence tells whose Yjs client wrote it. Where
the server sent it together with what others wrote, and where words were only taken away, it is what the message says.
What another process of the participant writes is the participant's own.

As long as somebody listens the texts are kept, for a document doesn't tell what was there before.
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
    """How a message was when it was looked at last: its text, and when and by whom it says to have been edited."""

    text: str
    edited: tuple[Any, Any]


class Words:
    """The words of a participant's messages."""

    def __init__(self, link: SessionLink) -> None:
        """Prepare.

        Args:
            link: the tie to the server.
        """
        self._link = link
        self._listening: WeakSet[Edits] = WeakSet()
        self._known: dict[str, _Known] = {}
        self._is_read = False
        self._document = link.document
        self._watch = self._document.observe(self._on_change, "messages")

    def tell(self, edits: Edits) -> None:
        """Tell somebody what others change from now on, as long as they are there.

        Args:
            edits: whom.
        """
        self._listening.add(edits)
        if not self._is_read:
            self._is_read = True
            self._known = {message["id"]: _known(message) for message in self._ours()}

    def move(self, document: SessionDocument) -> None:
        """Go on with another document of the same session; what it lacks was refused, and changed by nobody.

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
        """Note the messages that came, and tell of those that were taken out of the list."""
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
        """Note a message's text, and tell of it where somebody else changed it."""
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
        """Who changes a message right now, and whether that is the server's word."""
        me, writers = self._link.me.id, self._link.writers
        if writers is None:
            return me, True
        here, ours = self._link.presence.others(), self._clients_of(message)
        named = {me if writer in ours else _participant(here.get(writer)) for writer in writers}
        if len(named) == 1 and None not in named:
            return named.pop(), True
        return self._says(message) or (me if me in named else None), False

    def _says(self, message: JsonObject) -> str | None:
        """Who says to have edited a message, where it says so anew."""
        known, now = self._known.get(message["id"]), _known(message)
        by = now.edited[1] if known is None or known.edited != now.edited else None
        return by if isinstance(by, str) else None

    def _clients_of(self, message: JsonObject) -> set[int]:
        """The Yjs clients of the processes that write, or wrote, a message."""
        id_ = message["metadata"].get("run")
        run = self._document.runs.get(id_) if isinstance(id_, str) else None
        return set() if run is None else {run.client, *run.former}


def _texts_of(message: Message) -> JsonObject:
    """A message as JSON, without the parts that hold no words: a tool's output may be large."""
    texts = [{"type": "text", "text": part.get("text")} for part in message.parts if part.type == "text"]
    return {"id": message.id, "metadata": message.metadata, "stamp": message.stamp, "parts": texts}


def _known(message: JsonObject) -> _Known:
    parts: list[JsonObject] = message["parts"]
    texts = (part.get("text") for part in parts if part.get("type") == "text")
    about: JsonObject = message["metadata"]
    said = "".join(text for text in texts if isinstance(text, str))
    return _Known(said, (about.get("edited_at"), about.get("edited_by")))


def _participant(state: JsonObject | None) -> str | None:
    """Whose client says something in presence, by the server's word."""
    return next((who.id for who in identities([state or {}])), None)
