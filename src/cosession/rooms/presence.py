"""Presence: the awareness states of a room, with the server's authority over who is here.

A state belongs to the connection that speaks for its client id, and goes the moment that connection ends.
Pure: no clock, no I/O.

y-websocket relays: every client sends on what it hears, also of others, and a browser's tabs hear each other
first. So a connection's first frame about one single client is taken as its own (its *primary* client); what
else it tells is believed only while nobody else speaks for that client. A stale relay never brings back who
has left. A client that returns goes on with the clock it had, which its peers would ignore as old, so the
clocks that leave here are shifted to keep growing.
"""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

from cosession.protocol import AwarenessEntry
from cosession.protocol.awareness import GONE

_DEPARTED = 1024
"""How many departed clients are remembered, so that a late relay can't make a ghost of one."""


@dataclass(slots=True)
class _Holder:
    connection: int
    participant: str
    clock: int
    shift: int
    state: str


class Presence:
    """Who is here, and which connection says so."""

    def __init__(self) -> None:
        self._here: dict[int, _Holder] = {}
        self._departed: OrderedDict[int, int] = OrderedDict()
        self._primary: dict[int, int] = {}

    def everybody(self) -> tuple[AwarenessEntry, ...]:
        """Every state, as a late joiner is told."""
        return tuple(_entry(client, holder) for client, holder in self._here.items())

    def receive(
        self, connection: int, participant: str, entries: Iterable[AwarenessEntry]
    ) -> tuple[AwarenessEntry, ...]:
        """Take in what a connection says, and return what others should hear of it."""
        entries = tuple(entries)
        claims = connection not in self._primary and len(entries) == 1 and not entries[0].gone
        if claims:
            self._primary[connection] = entries[0].client
        news: list[AwarenessEntry] = []
        for entry in entries:
            holder = self._here.get(entry.client)
            if holder is None:
                if not entry.gone and self._arrive(connection, participant, entry, claims):
                    news.append(_entry(entry.client, self._here[entry.client]))
                continue
            if holder.connection != connection:
                if not claims or holder.participant != participant or entry.clock < holder.clock:
                    continue
                holder.connection = connection
            if entry.gone and entry.clock >= holder.clock:
                news.append(self._depart(entry.client))
            elif entry.clock > holder.clock:
                holder.clock, holder.state = entry.clock, entry.state
                news.append(_entry(entry.client, holder))
        return tuple(news)

    def leave(self, connection: int) -> tuple[AwarenessEntry, ...]:
        """Forget a connection, and return what others should hear: who is gone with it."""
        self._primary.pop(connection, None)
        clients = [client for client, holder in self._here.items() if holder.connection == connection]
        return tuple(self._depart(client) for client in clients)

    def _arrive(self, connection: int, participant: str, entry: AwarenessEntry, primary: bool) -> bool:
        departed = self._departed.get(entry.client)
        shift = 0
        if departed is not None and entry.clock <= departed:
            if not primary:
                return False
            shift = departed + 1 - entry.clock
        self._departed.pop(entry.client, None)
        self._here[entry.client] = _Holder(connection, participant, entry.clock, shift, entry.state)
        return True

    def _depart(self, client: int) -> AwarenessEntry:
        holder = self._here.pop(client)
        gone = AwarenessEntry(client, holder.clock + holder.shift + 1, GONE)
        self._departed[client] = gone.clock
        if len(self._departed) > _DEPARTED:
            self._departed.popitem(last=False)
        return gone


def _entry(client: int, holder: _Holder) -> AwarenessEntry:
    return AwarenessEntry(client, holder.clock + holder.shift, holder.state)
