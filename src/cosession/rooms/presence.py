"""Presence: the awareness states of a room, with the server's authority over who is here.

A connection speaks for one client id, its own, and for nobody else; `user` in its state is what the server knows
of the participant. The state goes the moment the connection ends. Pure: no clock, no I/O.

y-websocket relays: every client sends on what it hears of others. So the client id that a connection speaks for
is the first that nobody else holds, and all else that it tells is passed over. A client that returns goes on with
the clock it had, which its peers would ignore as old, so the clocks of who has left here are shifted to keep
growing.
"""

import json
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from cosession.auth import ANONYMOUS, Participant
from cosession.errors import TooLarge
from cosession.protocol import AwarenessEntry
from cosession.protocol.awareness import GONE

_DEPARTED = 1024
"""How many departed clients are remembered, so that a late relay can't make a ghost of one."""


@dataclass(slots=True)
class _Holder:
    connection: int
    participant: Participant
    clock: int
    shift: int
    state: str


class Presence:
    """Who is here, and which connection says so.

    Args:
        max_bytes: how large a state may be: everybody gets it at every change.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._here: dict[int, _Holder] = {}
        self._own: dict[int, int] = {}
        self._departed: OrderedDict[int, int] = OrderedDict()

    def everybody(self) -> tuple[AwarenessEntry, ...]:
        """Every state, as a late joiner is told."""
        return tuple(_entry(client, holder) for client, holder in self._here.items())

    def receive(
        self, connection: int, participant: Participant, entries: Iterable[AwarenessEntry]
    ) -> tuple[AwarenessEntry, ...]:
        """Take in what a connection says, and return what others should hear of it.

        Raises:
            TooLarge: its state is larger than the limit.
        """
        entries = tuple(entries)
        own = self._own.get(connection)
        if own is None:
            claimed = [entry.client for entry in entries if self._may_claim(participant, entry)]
            if len(claimed) != 1:
                return ()
            own = self._own[connection] = claimed[0]
        return tuple(
            news for entry in entries if entry.client == own for news in self._take(connection, participant, entry)
        )

    def leave(self, connection: int) -> tuple[AwarenessEntry, ...]:
        """Forget a connection, and return what others should hear: who is gone with it."""
        own = self._own.pop(connection, None)
        holder = None if own is None else self._here.get(own)
        if own is None or holder is None or holder.connection != connection:
            return ()
        return (self._depart(own),)

    def _may_claim(self, participant: Participant, entry: AwarenessEntry) -> bool:
        """Whether a connection without a client id of its own may speak for this one.

        Of a participant with a name the newer connection wins: a reload, or a laptop that slept, comes back before
        its old socket is known to be dead. Among the anonymous nobody can tell that from a relay.
        """
        holder = self._here.get(entry.client)
        if entry.gone:
            return False
        return holder is None or (
            holder.participant.id == participant.id and participant != ANONYMOUS and entry.clock >= holder.clock
        )

    def _take(self, connection: int, participant: Participant, entry: AwarenessEntry) -> Iterable[AwarenessEntry]:
        holder = self._here.get(entry.client)
        if entry.gone:
            if holder is not None and holder.connection == connection and entry.clock >= holder.clock:
                yield self._depart(entry.client)
            return
        if len(entry.state) > self._max_bytes:
            raise TooLarge(f"A presence state is larger than {self._max_bytes} bytes; keep it small.")
        state = _identified(entry.state, participant)
        if holder is None:
            departed = self._departed.pop(entry.client, -1)
            shift = max(0, departed + 1 - entry.clock)
            self._here[entry.client] = _Holder(connection, participant, entry.clock, shift, state)
        elif entry.clock > holder.clock:
            holder.connection, holder.clock, holder.state = connection, entry.clock, state
        else:
            if entry.clock == holder.clock:
                holder.connection = connection
            return
        yield _entry(entry.client, self._here[entry.client])

    def _depart(self, client: int) -> AwarenessEntry:
        holder = self._here.pop(client)
        gone = AwarenessEntry(client, holder.clock + holder.shift + 1, GONE)
        self._departed[client] = gone.clock
        if len(self._departed) > _DEPARTED:
            self._departed.popitem(last=False)
        return gone


def _entry(client: int, holder: _Holder) -> AwarenessEntry:
    return AwarenessEntry(client, holder.clock + holder.shift, holder.state)


def _identified(state: str, participant: Participant) -> str:
    """Write into a state whose it is; the anonymous may say of themselves what they like."""
    if participant == ANONYMOUS:
        return state
    fields: dict[str, Any] = json.loads(state)
    said = fields.get("user")
    known = {"id": participant.id, "name": participant.name, "kind": participant.kind}
    fields["user"] = {**said, **known} if isinstance(said, dict) else known
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
