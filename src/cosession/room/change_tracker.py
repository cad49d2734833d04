"""Watch: the changes of a document since the last `take`, in the roots on which the server decides.

To watch a root costs four kilobytes, and most sessions rest, so a root is watched from its first write on. That shows
in an update's bytes: the first entry of a root names the root.
"""

import re
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, cast

from pycrdt import Array, Map

from cosession.document import Change, SessionDocument, Subscription
from cosession.document.observe import ListSubscription
from cosession.document.session import ROOTS
from cosession.document.values import keys_of
from cosession.protocol import UpdateHeader
from cosession.protocol.measured import outside

from .decisions import DECIDED_ON

_ONE_STRUCT = b"\x01\x01"
"""The first bytes of an update that brings one struct of one client."""


class ChangeTracker:
    """The roots and keys of a document that were touched.

    Args:
        document: the document; it is never written to.

    Attributes:
        touched: per root the keys in which something has changed; none of a list. The reader empties it.
        late: the places in the list of the messages that got more content after they had arrived; as `touched`, and
            noted only from `await_rest` on.
        awaits_rest: whether that is noted.
    """

    __slots__ = ("_document", "_later", "_subscriptions", "awaits_rest", "late", "touched")

    def __init__(self, document: SessionDocument) -> None:
        self.touched: dict[str, set[str]] = {}
        self.late: set[int] = set()
        self.awaits_rest = False
        self._document = document
        there = DECIDED_ON.intersection(document.doc.keys())
        self._later = _without(DECIDED_ON, there)
        self._subscriptions = [self._watch(name) for name in sorted(there)]

    def notice(self, update: bytes, header: UpdateHeader) -> None:
        """Watch the roots in which an applied update made the first entry.

        Args:
            update: its bytes.
            header: its header.
        """
        if header.needs and update.startswith(_ONE_STRUCT):
            return  # a token: it stands on what is there
        if not self._later:
            return
        pattern = _naming(self._later)
        for name in {found.decode() for piece in outside(update) for found in pattern.findall(piece)}:
            self._later = _without(self._later, frozenset((name,)))
            self._subscriptions.append(self._watch(name))
            root = self._document.doc.get(name, type=ROOTS[name])
            keys = keys_of(cast("Map[Any]", root)) if isinstance(root, Map) else ()
            self.touched.setdefault(name, set()).update(keys)

    def take(self) -> dict[str, set[str]]:
        """Return what was touched, and forget it."""
        touched = dict(self.touched)
        self.touched.clear()
        return touched

    def await_rest(self) -> None:
        """Note content that arrives later than its message: after a crash the halves may be brought back apart."""
        if not self.awaits_rest:
            self.awaits_rest = True
            messages = self._document.doc.get("messages", type=ROOTS["messages"])
            self._subscriptions.append(Subscription(_noting_late(self.late), {"messages": messages}))

    def close(self) -> None:
        """Stop watching."""
        for subscription in self._subscriptions:
            subscription.close()

    def _watch(self, name: str) -> Subscription | ListSubscription:
        root: Any = self._document.doc.get(name, type=ROOTS[name])
        if isinstance(root, Array):
            return ListSubscription(partial(_note_list, self.touched, name), cast("Array[Any]", root))
        return Subscription(_noting(self.touched), {name: root})


@lru_cache(maxsize=256)
def _without(names: frozenset[str], others: frozenset[str]) -> frozenset[str]:
    """Return names without others: one set object for all rooms, because it takes 700 bytes."""
    return names - others


@lru_cache(maxsize=256)
def _naming(names: frozenset[str]) -> re.Pattern[bytes]:
    """Return a pattern of the roots that an update names as a parent: a 1, the length of the name, the name."""
    return re.compile(b"\\x01.(" + "|".join(sorted(names)).encode() + b")", re.DOTALL)


def _noting(touched: dict[str, set[str]]) -> Callable[[list[Change]], None]:
    """Return an observer that notes changes; a method would make the document keep `ChangeTracker` alive."""

    def note(changes: list[Change]) -> None:
        for change in changes:
            root, *below = change.path
            keys = touched.setdefault(str(root), set())
            keys.update((str(below[0]),) if below and isinstance(below[0], str) else () if below else change.keys)

    return note


def _note_list(touched: dict[str, set[str]], name: str) -> None:
    touched.setdefault(name, set())


def _noting_late(late: set[int]) -> Callable[[list[Change]], None]:
    """Return an observer that notes the messages in which something other than text changes."""

    def note(changes: list[Change]) -> None:
        for change in changes:
            match change.path:
                case (_, int(place), *_) if change.kind != "text":
                    late.add(place)
                case _:
                    pass

    return note
