"""Watch: what of a document was touched since the last look, in the roots of which the server decides something.

To watch a root costs two kilobytes, so one in which records are made is watched from when it is first written in.
That shows in an update's bytes: what is the first of its kind in a root names it.
"""

from collections.abc import Callable
from typing import Any, cast

from pycrdt import Map

from cosession.document import Change, SessionDocument, Subscription
from cosession.document.session import ROOTS
from cosession.document.values import keys_of

from .decisions import DECIDED_ON

_FROM_THE_START = ("meta", "requests")
_LATER = tuple((name, bytes((1, len(name))) + name.encode()) for name in sorted(DECIDED_ON - {*_FROM_THE_START}))
"""The other roots, each with the bytes by which an update names it."""


class Watch:
    """What was touched in a document.

    Args:
        document: the document; it is never written to.

    Attributes:
        touched: per root the keys in which something has changed; none of a list. Whoever looks empties it.
    """

    __slots__ = ("_document", "_later", "_subscriptions", "touched")

    def __init__(self, document: SessionDocument) -> None:
        self.touched: dict[str, set[str]] = {}
        self._document = document
        there = frozenset(document.doc.keys())
        self._later = tuple(one for one in _LATER if one[0] not in there)
        late = {name for name, _ in self._later}
        self._subscriptions = [self._watch(name) for name in sorted(DECIDED_ON - late)]

    def notice(self, update: bytes) -> None:
        """Watch the roots in which an applied update is the first to have made something."""
        for name, mark in self._later:
            if mark in update:
                self._later = tuple(one for one in self._later if one[0] != name)
                self._subscriptions.append(self._watch(name))
                root = self._document.doc.get(name, type=ROOTS[name])
                keys = keys_of(cast("Map[Any]", root)) if isinstance(root, Map) else ()
                self.touched.setdefault(name, set()).update(keys)

    def take(self) -> dict[str, set[str]]:
        """Return what was touched, and forget it."""
        touched = dict(self.touched)
        self.touched.clear()
        return touched

    def close(self) -> None:
        """Stop watching."""
        for subscription in self._subscriptions:
            subscription.close()

    def _watch(self, name: str) -> Subscription:
        return Subscription(_noting(self.touched), {name: self._document.doc.get(name, type=ROOTS[name])})


def _noting(touched: dict[str, set[str]]) -> Callable[[list[Change]], None]:
    """Note what changes; apart from `Watch`, which the document would keep alive."""

    def note(changes: list[Change]) -> None:
        for change in changes:
            root, *below = change.path
            keys = touched.setdefault(str(root), set())
            keys.update((str(below[0]),) if below and isinstance(below[0], str) else () if below else change.keys)

    return note
