"""Leases: runs and claims that a Yjs client holds while it is present; when it goes, a grace runs.

A lease needs no renewal: presence shows at once which clients are there. A client that says goodbye gets no grace.
Pure: a timer of the shell rings when a grace is over, and its handler checks the lease again.
"""

from collections.abc import Callable

from ..effects import Effect, Remind

NOTHING: frozenset[str] = frozenset()
"""One empty set for all rooms: it takes 200 bytes, and most of ten thousand rooms have nothing to remember."""


class Leases:
    """The leases of one room.

    Args:
        grace_seconds: how long a lease waits for a client that is gone.
        is_here: whether a Yjs client is present, as this participant; of client 0, whether the participant is.
    """

    __slots__ = ("_away", "_grace_seconds", "_held", "_is_here", "_of")

    def __init__(self, grace_seconds: float, is_here: Callable[[int, str], bool]) -> None:
        self._grace_seconds = grace_seconds
        self._is_here = is_here
        self._held: dict[str, tuple[int, str]] = {}
        self._of: dict[int, dict[str, None]] = {}
        self._away: dict[str, None] = {}

    @property
    def are_waiting(self) -> bool:
        """Whether the grace of a client runs."""
        return bool(self._away)

    def keep(self, what: str, client: int, participant: str) -> list[Effect]:
        """Give a lease to a client, also if another held it.

        Args:
            what: `run/ID` or `claim/KEY`.
            client: the Yjs client; 0 is any of the participant's connections.
            participant: the participant of the client.
        """
        if self._held.get(what) == (client, participant):
            return []
        effects = self.end(what)
        self._held[what] = (client, participant)
        self._of.setdefault(client, {})[what] = None
        return effects if self._is_here(client, participant) else [*effects, self._wait(what, self._grace_seconds)]

    def end(self, what: str) -> list[Effect]:
        """Remove a lease."""
        holder = self._held.pop(what, None)
        if holder is not None:
            held = self._of[holder[0]]
            del held[what]
            if not held:
                del self._of[holder[0]]
        return self._stop_waiting(what)

    def came(self, client: int) -> list[Effect]:
        """Note that a client is present; 0 is a connection."""
        away = [what for what in self._of.get(client, ()) if what in self._away]
        here = [what for what in away if self._is_here(*self._held[what])]
        return [effect for what in here for effect in self._stop_waiting(what)]

    def left(self, client: int, *, goodbye: bool) -> list[Effect]:
        """Note that a client is gone; 0 is a connection.

        Args:
            client: the Yjs client.
            goodbye: whether it said so itself; then its leases are free at once.
        """
        seconds = 0.0 if goodbye else self._grace_seconds
        gone = [what for what in self._of.get(client, ()) if not self._is_here(client, self._held[what][1])]
        return [self._wait(what, seconds) for what in gone if goodbye or what not in self._away]

    def is_here(self, client: int, participant: str) -> bool:
        """Return whether a client is present, as this participant."""
        return self._is_here(client, participant)

    def is_over(self, what: str) -> bool:
        """Return whether the holder of a lease is gone; called when its grace is over."""
        holder = self._held.get(what)
        return holder is not None and not self._is_here(*holder)

    def _wait(self, what: str, seconds: float) -> Effect:
        self._away[what] = None
        return Remind(f"lease/{what}", seconds)

    def _stop_waiting(self, what: str) -> list[Effect]:
        if what not in self._away:
            return []
        del self._away[what]
        return [Remind(f"lease/{what}", None)]
