"""Observing a document: its changes and their places, as plain values.

A callback runs while the transaction that changed the document is being committed: it may read, and must not write,
nor ask for a text that this `SessionDocument` wasn't asked for before (giving a root its type counts as writing). It
is called once per changed root and transaction; the order of the roots is undefined. An exception in it doesn't undo
the change, and other observers are still called: pycrdt collects the exceptions, and raises an ExceptionGroup where
the transaction ends.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, Literal

from pycrdt import Array, ArrayEvent, Map, MapEvent, Text, TextEvent, Transaction, XmlEvent, XmlFragment
from pycrdt import Subscription as SharedSubscription

from .values import plain

Root = Map[Any] | Array[Any] | Text | XmlFragment


@dataclass(frozen=True, slots=True)
class Change:
    """One changed shared type in one transaction.

    Attributes:
        path: the path to it: the root's name, then keys and indices (as they are after the transaction).
        kind: its type.
        keys: of a map (or an XML element): the keys that were set or removed, sorted.
        inserted: of a text: the inserted string; of an array: the inserted values; otherwise None.
        removed: of a text or an array: the length that was removed (yrs counts a text in bytes).
        origin: the origin of the transaction, if it has one.
    """

    path: tuple[str | int, ...]
    kind: Literal["map", "array", "text", "xml"]
    keys: tuple[str, ...] = ()
    inserted: str | list[Any] | None = None
    removed: int = 0
    origin: str | None = None


class Subscription:
    """An observation that lasts until it is closed; also a context manager."""

    __slots__ = ("_observed",)

    def __init__(self, callback: Callable[[list[Change]], None], roots: Mapping[str, Root]) -> None:
        self._observed: list[tuple[Root, SharedSubscription]] = [
            (root, _observe(callback, name, root)) for name, root in roots.items()
        ]

    def close(self) -> None:
        """Stop observing. May be called twice."""
        while self._observed:
            root, subscription = self._observed.pop()
            root.unobserve(subscription)

    def __enter__(self) -> "Subscription":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class ListSubscription:
    """An observation that reports that a list changed, without the change: yrs walks a list from its start for that.

    Args:
        callback: called once for each transaction; see above.
        root: the list.
    """

    __slots__ = ("_subscription",)

    def __init__(self, callback: Callable[[], None], root: Array[Any]) -> None:
        self._subscription = root.integrated.observe_deep(partial(_ring, callback))

    def close(self) -> None:
        """Stop observing. May be called twice."""
        self._subscription.drop()


def _ring(callback: Callable[[], None], _: object) -> None:
    callback()


def _observe(callback: Callable[[list[Change]], None], name: str, root: Root) -> SharedSubscription:
    def deliver(events: Sequence[Any], transaction: Transaction) -> None:
        origin = transaction.origin
        callback([_change(name, event, origin if isinstance(origin, str) else None) for event in events])

    return root.observe_deep(deliver)  # type: ignore[arg-type]


def _change(name: str, event: Any, origin: str | None) -> Change:
    path = (name, *event.path)
    match event:
        case MapEvent():
            return Change(path, "map", keys=tuple(sorted(event.keys)), origin=origin)
        case TextEvent():
            inserted = "".join(step["insert"] for step in event.delta if isinstance(step.get("insert"), str))
            return Change(path, "text", inserted=inserted, removed=_removed(event.delta), origin=origin)
        case ArrayEvent():
            values = [plain(value) for step in event.delta for value in step.get("insert", ())]
            return Change(path, "array", inserted=values, removed=_removed(event.delta), origin=origin)
        case XmlEvent():
            return Change(path, "xml", keys=tuple(sorted(event.keys)), removed=_removed(event.delta), origin=origin)
        case _:
            raise TypeError(f"pycrdt reports an event of type {type(event).__name__}, which has no description here.")


def _removed(delta: Sequence[Any]) -> int:
    return sum(int(step.get("delete", 0)) for step in delta)
