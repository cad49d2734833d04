"""A tree of JSON-like values in a Map: the application's state, a surface's data model.

Objects are Maps and lists are Arrays, so concurrent changes to different branches merge. Of two clients that create
the same branch concurrently, one loses its branch: create shared branches before, or write under keys of one's own.
"""

from collections.abc import Sequence
from typing import Any, cast

from pycrdt import Array, Map

from cosession.errors import BadDocument

from .values import JsonObject, checked, checked_id, is_same, plain, plain_object, to_shared, transaction

Path = str | Sequence[str | int]
"""A path: `"trip.hotel"`, or its keys; a whole number reaches into a list."""


class Tree:
    """A view over a Map that holds a tree of JSON-like values.

    Attributes:
        shared: the pycrdt Map behind it.
    """

    __slots__ = ("shared",)

    def __init__(self, shared: Map[Any]) -> None:
        self.shared = shared

    def get(self, path: Path, default: Any = None) -> Any:
        """Return the plain value at a path.

        Args:
            path: "a.b.c", or a sequence of keys.
            default: the value to return if the path doesn't exist.

        Raises:
            BadDocument: the path is invalid.
        """
        value: Any = self.shared
        for key in _keys(path):
            found, value = _step(value, key)
            if not found:
                return default
        return plain(value)

    def __contains__(self, path: Path) -> bool:
        missing = object()
        return self.get(path, missing) is not missing

    def set(self, path: Path, value: Any) -> None:
        """Write a value; missing Maps on the path are created.

        Args:
            path: "a.b.c", or a sequence of keys.
            value: a JSON-like value; an object becomes a Map and a list an Array.

        Raises:
            BadDocument: the path is invalid or leads through a value that isn't an object, or the value isn't JSON.
        """
        *way, last = _keys(path)
        prepared = checked(value, depth=len(way))
        _check_way(self.shared, [*way, last], path)
        with transaction(self.shared):
            parent: Any = self.shared
            for key in way:
                parent = _enter(parent, key)
            found, old = _step(parent, last)
            if not (found and is_same(plain(old), prepared)) or isinstance(prepared, dict | list):
                _put(parent, last, prepared)

    def delete(self, path: Path) -> bool:
        """Remove the value at a path.

        Returns:
            Whether there was one.
        """
        *way, last = _keys(path)
        with transaction(self.shared):
            parent: Any = self.shared
            for key in way:
                found, parent = _step(parent, key)
                if not found:
                    return False
            if not isinstance(parent, Map | Array) or not _step(parent, last)[0]:
                return False
            _remove(parent, last)
            return True

    def to_json(self) -> JsonObject:
        """Return the whole tree as plain JSON."""
        return plain_object(self.shared)


def _keys(path: Path) -> list[str | int]:
    keys: list[str | int] = list(path.split(".")) if isinstance(path, str) else list(path)
    if not keys:
        raise BadDocument("A path needs at least one key, such as 'trip.hotel'.")
    for key in keys:
        if not isinstance(key, int) or isinstance(key, bool):
            checked_id(key, f"A key of the path {path!r}")
    return keys


def _enter(parent: Any, key: str | int) -> Any:
    """Return the container under a key of a checked path; make it if it is missing."""
    child = _step(parent, key)[1]
    if child is None:
        _put(parent, key, {})
    elif isinstance(child, dict | list):
        # A foreign client wrote plain JSON here: it becomes a shared type when something in it is set.
        _put(parent, key, plain(cast(object, child)))
    return _step(parent, key)[1]


def _step(container: Any, key: str | int) -> tuple[bool, Any]:
    """Return whether a container (shared or plain) holds a key, and the value."""
    if isinstance(container, Map | dict):
        keyed = cast("dict[str, Any]", container)
        return (True, keyed[key]) if isinstance(key, str) and key in keyed else (False, None)
    if isinstance(container, Array | list):
        listed = cast("list[Any]", container)
        index = _index(key)
        return (True, listed[index]) if index is not None and index < len(listed) else (False, None)
    return False, None


def _check_way(container: Any, keys: list[str | int], path: Path) -> None:
    """Check that a path can be written, before any write; missing containers on it become objects.

    Raises:
        BadDocument: it leads through a value that is no container, or a key doesn't fit.
    """
    for place, key in enumerate(keys[:-1]):
        child = _step(container, key)[1]
        if child is None:
            _check_key(container, key, path)
            for below in keys[place + 1 :]:
                _check_key({}, below, path)
            return
        if not isinstance(child, Map | Array | dict | list):
            raise BadDocument(f"The path {path!r} leads through {plain(child)!r}, not an object; delete that first.")
        container = cast(Any, child)
    _check_key(container, keys[-1], path)


def _check_key(container: Any, key: str | int, path: Path) -> None:
    if isinstance(container, Array | list):
        index, length = _index(key), len(cast("list[Any]", container))
        if index is None or index > length:
            raise BadDocument(f"The path {path!r} can't be written: the list has {length} entries, no {key!r}.")
    elif not isinstance(key, str):
        raise BadDocument(f"The path {path!r} can't be written: {key!r} is no key of an object; keys are strings.")


def _put(container: Any, key: str | int, value: Any) -> None:
    """Write a checked value under a checked key of a shared container; one past the end of a list appends."""
    if isinstance(container, Array):
        array, index = cast("Array[Any]", container), _index(key) or 0
        if index < len(array):
            array[index] = to_shared(value)
        else:
            array.append(to_shared(value))
    else:
        cast("Map[Any]", container)[cast(str, key)] = to_shared(value)


def _remove(container: Any, key: str | int) -> None:
    if isinstance(container, Map) and isinstance(key, str):
        del cast("Map[Any]", container)[key]
    elif isinstance(container, Array) and (index := _index(key)) is not None:
        del cast("Array[Any]", container)[index]


def _index(key: str | int) -> int | None:
    if isinstance(key, int):
        return key if key >= 0 else None
    return int(key) if key.isascii() and key.isdigit() else None


class State(Tree):
    """The application's shared state."""

    __slots__ = ()
