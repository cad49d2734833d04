"""The session document: typed views over every root of one pycrdt Doc, schema version 1.

Reads never raise, also where foreign clients wrote other data; writes that don't fit the schema raise `BadDocument`
before they change anything. It has no clock and draws no ids: both come in as arguments.
"""

from collections.abc import Callable, Generator
from contextlib import suppress
from functools import cached_property
from typing import Any, cast

from pycrdt import Array, Doc, Map, Text, Transaction, XmlFragment

from cosession.errors import BadDocument

from .approvals import Approvals
from .claims import Claims
from .counters import Counters
from .messages import Messages
from .meta import Meta
from .observe import Change, Root, Subscription
from .own_roots import read_own_roots, read_own_roots_in_steps, read_text
from .people import Agents, Participants
from .queue import Queue
from .requests import Requests
from .runs import Runs
from .selections import Selections
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
"""The roots of the schema. A view is made when it is first used: an idle session has only a few."""

TEXT_PREFIX = "text:"
XML_PREFIX = "xml:"

RESERVED_PREFIX = "cosession"
"""The prefix of root names that later versions of the schema may use; every other name is an application's."""


class SessionDocument:
    """Typed views over a pycrdt Doc.

    A document that this class makes never collects garbage: else yrs frees deleted shared types at the end of the
    transaction, and a view that is still in use (a part that grows while another participant deletes the message)
    would write into freed memory. Over a Doc that collects garbage, as on a server, get every view anew in each
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
        """The session's metadata: title, schema, origin and policy."""
        return Meta(self._map("meta"))

    @cached_property
    def messages(self) -> Messages:
        """The message list."""
        return Messages(self._array("messages"))

    @cached_property
    def runs(self) -> Runs:
        """The runs of agents."""
        return Runs(self._map("runs"))

    @cached_property
    def agents(self) -> Agents:
        """The agents, each as it describes itself."""
        return Agents(self._map("agents"))

    @cached_property
    def participants(self) -> Participants:
        """The participants."""
        return Participants(self._map("participants"))

    @cached_property
    def selections(self) -> Selections:
        """The selections of each participant."""
        return Selections(self._map("selections"))

    @cached_property
    def state(self) -> State:
        """The application's shared state."""
        return State(self._map("state"))

    @cached_property
    def counters(self) -> Counters:
        """Counters that several participants increase."""
        return Counters(self._map("counters"))

    @cached_property
    def surfaces(self) -> Surfaces:
        """Generated user interfaces."""
        return Surfaces(self._map("surfaces"))

    @cached_property
    def approvals(self) -> Approvals:
        """Questions that need a decision."""
        return Approvals(self._map("approvals"))

    @cached_property
    def claims(self) -> Claims:
        """The claims and their holders."""
        return Claims(self._map("claims"))

    @cached_property
    def requests(self) -> Requests:
        """The requests of participants to the server."""
        return Requests(self._map("requests"))

    @cached_property
    def queue(self) -> Queue:
        """Prompts that wait for their turn."""
        return Queue(self._array("queue"))

    def initialise(self, *, created_at: str, title: str = "", forked_from: JsonObject | None = None) -> None:
        """Make a new document a session; only the server does, and a second call changes nothing.

        Args:
            created_at: the time, RFC 3339.
            title: the session's title.
            forked_from: {session, version} that it is forked from.
        """
        self.meta.initialise(created_at=created_at, title=title, forked_from=forked_from)

    def transaction(self, origin: str | None = None) -> Transaction:
        """Return a context manager in which all changes are one; an inner one joins the outer one.

        Args:
            origin: the origin of the change, for observers and undo; an inner transaction has none, or the outer
                one's.

        Raises:
            BadDocument: the origin is no string (pycrdt knows origins by their hash, and -1 has that of -2).
        """
        if origin is not None and not isinstance(cast(object, origin), str):
            raise BadDocument("The origin of a transaction is a string.")
        return self.doc.transaction(origin=origin)

    def text(self, name: str) -> SharedText:
        """Return a shared text, the root `text:NAME`."""
        return SharedText(cast(Text, self._root(TEXT_PREFIX + checked_id(name, "A text's name"), Text)))

    def xml(self, name: str) -> XmlFragment:
        """Return a shared rich text, the root `xml:NAME`."""
        return cast(XmlFragment, self._root(XML_PREFIX + checked_id(name, "A rich text's name"), XmlFragment))

    def observe(self, callback: Callable[[list[Change]], None], *roots: str) -> Subscription:
        """Call back at each change; see `cosession.document.observe` for the limits of a callback.

        Args:
            callback: gets the changes of one root in one transaction.
            roots: the roots to observe (`text:NAME` and `xml:NAME` as well); none means all that are known now.

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
        """Return the whole session as plain JSON."""
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
        """Do the same in steps. The result is no consistent snapshot if the session changes between them."""
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
        """Return the named texts that aren't empty: a text that was only read leaves no trace in the document."""
        contents = {name: read(self._roots[name]) for name in sorted(self._roots) if name.startswith(prefix)}
        return {name.removeprefix(prefix): content for name, content in contents.items() if content}

    @staticmethod
    def _is_of_schema(name: str) -> bool:
        return name in ROOTS or name.startswith((TEXT_PREFIX, XML_PREFIX))

    def _find_named_roots(self) -> None:
        """Note the texts that others made. A root is unknown to pycrdt until it is given a type."""
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
