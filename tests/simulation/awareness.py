"""What y-protocols and y-websocket do with presence, clock by clock."""

from cosession.protocol import AwarenessEntry
from cosession.protocol.awareness import GONE


class Awareness:
    """One client's view of who is here.

    Args:
        client: its own client id.
        mood: its own state as JSON; None when it shows itself to nobody.

    Attributes:
        states: the states of the others.
    """

    def __init__(self, client: int, mood: str | None) -> None:
        self.client = client
        self.mood = mood
        self.states: dict[int, str] = {}
        self._clock = 0
        self._clocks: dict[int, int] = {}

    @property
    def shown(self) -> str | None:
        """What others see of it: y-protocols passes over a state whose clock is still 0."""
        return self.mood if self._clock else None

    def feel(self, mood: str | None) -> AwarenessEntry:
        """Change its own state."""
        self._clock += 1
        self.mood = mood
        return self.entry(self.client)

    def entry(self, client: int) -> AwarenessEntry:
        """What it says of a client."""
        if client == self.client:
            return AwarenessEntry(client, self._clock, self.mood or GONE)
        return AwarenessEntry(client, self._clocks[client], self.states.get(client, GONE))

    def hear(self, entries: tuple[AwarenessEntry, ...]) -> list[AwarenessEntry]:
        """Take in what the server says; what a y-websocket client then sends on."""
        return [self.entry(entry.client) for entry in entries if self._takes(entry)]

    def forget_others(self) -> None:
        """Forget who is here, as one does who is disconnected; the clocks stay known."""
        self.states.clear()

    def _takes(self, entry: AwarenessEntry) -> bool:
        if entry.client == self.client:
            wakes = entry.gone and self.mood is not None
            if entry.clock < self._clock or (entry.clock == self._clock and not wakes):
                return False
            self._clock = entry.clock + wakes
            return True
        known, here = self._clocks.get(entry.client, 0), entry.client in self.states
        if entry.clock < known or (entry.clock == known and not (entry.gone and here)):
            return False
        self._clocks[entry.client] = entry.clock
        self.states.pop(entry.client, None)
        if not entry.gone:
            self.states[entry.client] = entry.state
        return here or not entry.gone
