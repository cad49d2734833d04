"""A record: a typed view over one Map of the document, and records by id. Neither has state of its own, and reads
never raise.

A reader gets a value of the type it asked for, also where a foreign client wrote something else: a missing value or
one of another type reads as empty.
"""

from collections.abc import Iterator
from typing import Any, Generic, TypeVar, cast

from pycrdt import Array, Map

from .values import JsonObject, is_same, keys_of, plain, plain_list, plain_object, transaction


class Record:
    """A view over one Map.

    Attributes:
        shared: the pycrdt Map behind it.
    """

    __slots__ = ("shared",)

    def __init__(self, shared: Map[Any]) -> None:
        self.shared = shared

    def __eq__(self, other: object) -> bool:
        return isinstance(other, type(self)) and other.to_json() == self.to_json()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.to_json()!r})"

    @property
    def gone(self) -> bool:
        """Whether it was removed from the document: a record in the document is never empty."""
        return len(self.shared) == 0

    def get(self, key: str) -> Any:
        """Return the plain value under a key, or None."""
        return plain(self.shared.get(key))

    def to_json(self) -> JsonObject:
        """Return the whole record as plain JSON."""
        return plain_object(self.shared)

    def _string(self, key: str, default: str = "") -> str:
        value = self.shared.get(key)
        return value if isinstance(value, str) else default

    def _optional_string(self, key: str) -> str | None:
        value = self.shared.get(key)
        return value if isinstance(value, str) else None

    def _integer(self, key: str, default: int) -> int:
        value = self.get(key)
        return value if isinstance(value, int) and not isinstance(value, bool) else default

    def _optional_object(self, key: str) -> JsonObject | None:
        value = self.get(key)
        return cast(JsonObject, value) if isinstance(value, dict) else None

    def _object(self, key: str) -> JsonObject:
        return plain_object(self.shared.get(key))

    def _list(self, key: str) -> list[Any]:
        return plain_list(self.shared.get(key))

    def _map(self, key: str) -> Map[Any] | None:
        value = self.shared.get(key)
        return cast("Map[Any]", value) if isinstance(value, Map) else None

    def _array(self, key: str) -> Array[Any] | None:
        value = self.shared.get(key)
        return cast("Array[Any]", value) if isinstance(value, Array) else None

    def write(self, fields: JsonObject) -> None:
        """Write checked fields, except those that hold the value already: a rewrite leaves a tombstone."""
        with transaction(self.shared):
            for key, value in fields.items():
                if key not in self.shared or not is_same(self.get(key), value):
                    self.shared[key] = value


_Kind = TypeVar("_Kind", bound=Record)


class Records(Generic[_Kind]):
    """Records by id: a view over a Map of Maps. A subclass sets the `kind`, and has a method that makes one.

    Attributes:
        shared: the pycrdt Map behind it.
    """

    __slots__ = ("shared",)

    kind: type[_Kind]

    def __init__(self, shared: Map[Any]) -> None:
        self.shared = shared

    def __iter__(self) -> Iterator[tuple[str, _Kind]]:
        """Iterate over (id, record) of each."""
        found = ((key, map_in(self.shared, key)) for key in keys_of(self.shared))
        return ((key, self.kind(item)) for key, item in found if item is not None)

    def get(self, id: str) -> _Kind | None:  # noqa: A002 - the field's name
        """Return the record of an id, or None."""
        item = map_in(self.shared, id)
        return None if item is None else self.kind(item)

    def to_json(self) -> JsonObject:
        """Return all records as plain JSON, by id."""
        return plain_object(self.shared)


def map_in(parent: Map[Any], key: str) -> Map[Any] | None:
    """Return the Map under a key; None if the value is missing or something else."""
    value = parent.get(key)
    return cast("Map[Any]", value) if isinstance(value, Map) else None


def maps_in(array: Array[Any] | None) -> list[Map[Any]]:
    """Return the Maps of an Array, in order; other values of a foreign client are left out."""
    return [] if array is None else [cast("Map[Any]", item) for item in list(array) if isinstance(item, Map)]
