"""Selections: the selections and focus of each participant, under flat keys that begin with the participant's id."""

from typing import Any

from pycrdt import Map

from .values import JsonObject, checked, is_same, join_key, keys_of, plain, plain_object, split_key


class Selections:
    """The selections and focus of each participant: `PARTICIPANT/NAME` → JSON."""

    __slots__ = ("shared",)

    def __init__(self, shared: Map[Any]) -> None:
        self.shared = shared

    def set(self, participant: str, name: str, value: Any) -> None:
        """Set a selection of a participant.

        Raises:
            BadDocument: the value isn't JSON.
        """
        key, prepared = join_key(participant, name), checked(value, "The selection")
        if key not in self.shared or not is_same(plain(self.shared[key]), prepared):
            self.shared[key] = prepared

    def get(self, participant: str, name: str) -> Any:
        """Return a selection of a participant, or None."""
        return plain(self.shared.get(join_key(participant, name)))

    def clear(self, participant: str, name: str) -> None:
        """Remove a selection of a participant."""
        key = join_key(participant, name)
        if key in self.shared:
            del self.shared[key]

    def of(self, participant: str) -> JsonObject:
        """Return all selections of a participant, by name."""
        return {
            segments[1]: plain(self.shared[key])
            for key in keys_of(self.shared)
            if len(segments := split_key(key)) == 2 and segments[0] == participant
        }

    def to_json(self) -> JsonObject:
        """Return all selections, by their keys."""
        return plain_object(self.shared)
