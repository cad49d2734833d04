"""The session document: typed views over every root of one pycrdt Doc, schema version 1.

Reads never raise, whatever foreign clients wrote; writes that don't fit the schema raise `BadDocument` before they
touch anything. It knows no clock and draws no ids: both come in as arguments.
"""

from collections.abc import Callable, Generator
from contextlib import suppress
from functools import cached_property
from typing import Any, cast

from pycrdt import Array, Doc, Map, Text, Transaction, XmlFragment

from cosession.errors import BadDocument

from .approvals import Approvals
from .flat import Claims, Counters, Selections
from .messages import Messages
from .meta import Meta
from .observe import Change, Root, Subscription
from .own_roots import read_own_roots, read_own_roots_in_steps, read_text
from .people import Agents, Participants
from .queue import Queue
from .requests import Requests
from .runs import Runs
from .surfaces import Surfaces
from .text import SharedText
from .tree import State
from .values import JsonObject, checked_id, plain_in_steps

ROOTS: dict[str, type[Root]] = {
    "meta": Map,
    "messages": Array,
    "runs": Map,
    "agents": Map,
    "participants": Map,
    "selections": Map,
    "state": Map,
    "counters": Map,
    "surfaces": Map,
    "approvals": Map,
    "claims": Map,
    "requests": Map,
    "queue": Array,
}
"""The roots of the schema. A view is made when it is first asked for: an idle session has a few of them only."""

TEXT_PREFIX = "text:"
XML_PREFIX = "xml:"

RESERVED_PREFIX = "cosession"
"""How the names of roots begin that later versions of the schema may use; every other name is an application's."""


class SessionDocument:
    """Typed views over a pycrdt Doc.

    A document of its own keeps what is deleted until it is let go: yrs frees deleted shared types at the end of the
    transaction, and a view that somebody still holds (a part that grows while another deletes the message) would
    then write into freed memory. Over a Doc that collects garbage, which a server gives, get every view anew in each
    transaction.

    Attributes:
        doc: the Doc behind it.
    """

    def __init__(self, doc: Doc[Any] | None = None, *, client_id: int | None = None) -> None:
        """Args:
        doc: the document; None makes a new one.
        client_id: the new document's Yjs client id; None draws one. It must never be used again.
        """
        self.doc: Doc[Any] = Doc(client_id=client_id, skip_gc=True) if doc is None else doc
        self._roots: dict[str, Root] = {}

    @cached_property
    def meta(self) -> Meta:
        """What the session is: title, schema, where it comes from."""
        return Meta(self._map("meta"))

    @cached_property
    def messages(self) -> Messages:
        """The message list."""
        return Messages(self._array("messages"))

    @cached_property
    def runs(self) -> Runs:
        """The agents' work."""
        return Runs(self._map("runs"))

    @cached_property
    def agents(self) -> Agents:
        """What each agent says of itself."""
        return Agents(self._map("agents"))

    @cached_property
    def participants(self) -> Participants:
        """Who belongs."""
        return Participants(self._map("participants"))

    @cached_property
    def selections(self) -> Selections:
        """What each participant has selected."""
        return Selections(self._map("selections"))

    @cached_property
    def state(self) -> State:
        """The application's shared state."""
        return State(self._map("state"))

    @cached_property
    def counters(self) -> Counters:
        """Counters that several increase."""
        return Counters(self._map("counters"))

    @cached_property
    def surfaces(self) -> Surfaces:
        """Generated user interfaces."""
        return Surfaces(self._map("surfaces"))

    @cached_property
    def approvals(self) -> Approvals:
        """Questions that want a decision."""
        return Approvals(self._map("approvals"))

    @cached_property
    def claims(self) -> Claims:
        """Who holds what."""
        return Claims(self._map("claims"))

    @cached_property
    def requests(self) -> Requests:
        """What participants ask for."""
        return Requests(self._map("requests"))

    @cached_property
    def queue(self) -> Queue:
        """Prompts that wait for their turn."""
        return Queue(self._array("queue"))

    def initialise(self, *, created_at: str, title: str = "", forked_from: JsonObject | None = None) -> None:
        """Make a new document a session; the server does, once, and a second time changes nothing.

        Args:
            created_at: the time, RFC 3339.
            title: what people call it.
            forked_from: {session, version} that it is forked from.
        """
        self.meta.initialise(created_at=created_at, title=title, forked_from=forked_from)

    def transaction(self, origin: str | None = None) -> Transaction:
        """A context manager in which all changes are one; an inner one joins the outer one.

        Args:
            origin: whose change it is, for observers and undo; an inner transaction names none, or the outer one's.

        Raises:
            BadDocument: the origin is no string (pycrdt knows origins by their hash, and -1 has that of -2).
        """
        if origin is not None and not isinstance(cast(object, origin), str):
            raise BadDocument("The origin of a transaction is a string.")
        return self.doc.transaction(origin=origin)

    def text(self, name: str) -> SharedText:
        """A text that is written together, the root `text:NAME`."""
        return SharedText(cast(Text, self._root(TEXT_PREFIX + checked_id(name, "A text's name"), Text)))

    def xml(self, name: str) -> XmlFragment:
        """A rich text that is written together, the root `xml:NAME`."""
        return cast(XmlFragment, self._root(XML_PREFIX + checked_id(name, "A rich text's name"), XmlFragment))

    def observe(self, callback: Callable[[list[Change]], None], *roots: str) -> Subscription:
        """Call back when something changes; see `cosession.document.observe` for what a callback may do.

        Args:
            callback: gets the changes of one root in one transaction.
            roots: the roots to watch (`text:NAME` and `xml:NAME` as well); none means all that are known now.

        Raises:
            BadDocument: there is no such root.
        """
        for name in ROOTS:
            self._known_root(name)  # a callback may read all of them, and can't make any: pycrdt is reading then
        if not roots:
            self._find_named_roots()
            roots = (*ROOTS, *(name for name in self._roots if name not in ROOTS))
        return Subscription(callback, {name: self._known_root(name) for name in roots})

    def to_json(self) -> JsonObject:
        """The whole session as plain JSON."""
        self._find_named_roots()
        own = [name for name in tuple(self.doc.keys()) if not self._is_of_schema(name)]
        with self.doc.transaction():
            return {
                **{name: view.to_json() for name, view in self._views().items()},
                "text": self._named(TEXT_PREFIX, read_text),
                "xml": self._named(XML_PREFIX, str),
                "roots": read_own_roots(self.doc.get_update(), own) if own else {},
            }

    def to_json_in_steps(self) -> Generator[None, None, JsonObject]:
        """The same in steps. It is the state of no one moment if the session changes between them."""
        self._find_named_roots()
        own = [name for name in tuple(self.doc.keys()) if not self._is_of_schema(name)]
        found: JsonObject = {}
        for name, view in self._views().items():
            if isinstance(view, Messages | Counters | Queue):
                found[name] = yield from view.to_json_in_steps()
            else:
                found[name] = yield from plain_in_steps(view.shared)
            yield
        found |= {"text": self._named(TEXT_PREFIX, read_text), "xml": self._named(XML_PREFIX, str), "roots": {}}
        yield
        if own:
            found["roots"] = yield from read_own_roots_in_steps(self.doc.get_update(), own)
        return found

    def _views(
        self,
    ) -> dict[
        str,
        Meta
        | Messages
        | Runs
        | Agents
        | Participants
        | Selections
        | State
        | Counters
        | Surfaces
        | Approvals
        | Claims
        | Requests
        | Queue,
    ]:
        return {
            "meta": self.meta,
            "messages": self.messages,
            "runs": self.runs,
            "agents": self.agents,
            "participants": self.participants,
            "selections": self.selections,
            "state": self.state,
            "counters": self.counters,
            "surfaces": self.surfaces,
            "approvals": self.approvals,
            "claims": self.claims,
            "requests": self.requests,
            "queue": self.queue,
        }

    def _named(self, prefix: str, read: Callable[[Any], Any]) -> dict[str, Any]:
        """The named texts that hold something: one that is only looked at has no trace in the document."""
        contents = {name: read(self._roots[name]) for name in sorted(self._roots) if name.startswith(prefix)}
        return {name.removeprefix(prefix): content for name, content in contents.items() if content}

    @staticmethod
    def _is_of_schema(name: str) -> bool:
        return name in ROOTS or name.startswith((TEXT_PREFIX, XML_PREFIX))

    def _find_named_roots(self) -> None:
        """Take note of the texts that others made. A root is unknown to pycrdt until it is given a type."""
        for name in tuple(self.doc.keys()):
            if name not in self._roots and name.startswith((TEXT_PREFIX, XML_PREFIX)):
                # While a callback of an observer runs, pycrdt gives no root a type: it is found at the next read.
                with suppress(RuntimeError):
                    self._known_root(name)

    def _known_root(self, name: str) -> Root:
        if name.startswith(TEXT_PREFIX):
            return self.text(name.removeprefix(TEXT_PREFIX)).shared
        if name.startswith(XML_PREFIX):
            return self.xml(name.removeprefix(XML_PREFIX))
        if name not in ROOTS:
            raise BadDocument(f"A session has no root {name!r}; it has {', '.join(ROOTS)}, text:NAME and xml:NAME.")
        return self._root(name, ROOTS[name])

    def _map(self, name: str) -> Map[Any]:
        return cast("Map[Any]", self._root(name, Map))

    def _array(self, name: str) -> Array[Any]:
        return cast("Array[Any]", self._root(name, Array))

    def _root(self, name: str, kind: type[Root]) -> Root:
        root = self._roots.get(name)
        if root is None:
            root = self._roots[name] = self.doc.get(name, type=kind)
        return root
