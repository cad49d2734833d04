"""Presence: the awareness states of a room, with the server's authority over the list of clients.

A connection publishes its own client id, the first that it shows, and may bring others that no connection has, as a
bridge does; these give way to a connection of their own. The server writes the participant into `user` of each state.
The states are removed the moment the connection ends. Pure: no clock, no I/O.

y-websocket relays: every client sends on the states of others, perhaps late. A relayed state was published here
before, so its clock is not newer than the known one of that client, and it is ignored. A client that returns with
its old clock looks the same; so it is notified that it is gone, and every client of the awareness protocol answers
that with a newer clock.
"""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from cosession.auth.participant import ANONYMOUS, Participant
from cosession.errors import MalformedFrame
from cosession.protocol import AwarenessEntry
from cosession.protocol.awareness import GONE

_MOST_CLIENTS = 64
"""How many clients one connection may bring; more are ignored. All their states together are bounded like one."""

_USER_BYTES = 4096
"""The bytes by which a state may shrink when the server writes its `user`."""

_DEPARTED = 1024
"""How many departed clients are remembered, so that a late relay can't show one again."""

_FIRST = 4096
"""How many client ids are remembered with the participant that was first present under them; the oldest go."""

_MOST_BOUND = 256
"""How many client ids of one participant are logged, until the session is loaded anew: each is a row. Further ones
are kept in memory only."""

_CHANGES_NOTHING = frozenset(("read", "history", "presence", "fork", "export"))
"""Capabilities that write nothing: a participant with no others isn't harmed when its client ids are taken."""


@dataclass(slots=True)
class _Holder:
    connection: int
    participant: Participant
    clock: int
    state: str
    visible: bool | None
    brought: bool
    """Whether it is not its connection's own client, but one that the connection brings."""


@dataclass(frozen=True, slots=True)
class Heard:
    """The result of the presence that a connection sent.

    Attributes:
        others: the entries to send to all other connections.
        sender: the entries to send back to the connection.
        is_too_large: whether a state was dropped, because it is larger than the limit.
        bound: the client id that is its participant's from now on, also after a restart; None if it was bound before.
    """

    others: tuple[AwarenessEntry, ...] = ()
    sender: tuple[AwarenessEntry, ...] = ()
    is_too_large: bool = False
    bound: int | None = None


class RoomPresence:
    """The clients that are present in a room, each with the connection that shows it.

    Args:
        max_bytes: how large a state may be: every connection gets it at each change.
    """

    __slots__ = ("_bound", "_departed", "_first", "_here", "_max_bytes", "_own", "_tried")

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._here: dict[int, _Holder] = {}
        self._own: dict[int, list[int]] = {}
        """The clients of each connection, its own first."""
        self._tried: dict[int, int] = {}
        """The client id that a connection would show itself under, if it weren't another's."""
        self._departed: dict[int, int] = {}
        self._first: dict[int, str] = {}
        """The participant that was first present under each client id, where writes are judged."""
        self._bound: Counter[str] = Counter()
        """The number of client ids of each participant that were logged; one entry per participant that writes."""

    def everybody(self) -> tuple[AwarenessEntry, ...]:
        """Return every state, for a connection that joins."""
        return tuple(_entry(client, holder) for client, holder in self._here.items())

    def receive(self, connection: int, participant: Participant, entries: Iterable[AwarenessEntry]) -> Heard:
        """Handle the presence that a connection sends.

        A state that is too large is dropped: the client keeps its last state, or gets an empty one if it has none. Of
        a client's states the latest counts.
        """
        entries = _latest(entries)
        mine = self._own.get(connection, [])
        bound = None
        for entry in entries:
            if entry.client not in mine and len(mine) < _MOST_CLIENTS and self._may_claim(participant, entry, mine):
                if not mine and self._bind(entry.client, participant):
                    bound = entry.client
                mine = self._own.setdefault(connection, mine)
                mine.append(entry.client)
        if not mine and len(entries) == 1 and not entries[0].gone:
            self._tried[connection] = entries[0].client
        own = [entry for entry in entries if entry.client in mine and self._may_tell(connection, participant, entry)]
        is_large = [_size(entry.state) > self._max_bytes for entry in own]
        taken = [self._emptied(entry) if large else entry for entry, large in zip(own, is_large, strict=True)]
        news = [news for entry in taken if entry is not None for news in self._take(connection, participant, entry)]
        return Heard(tuple(news), self._late(own or entries), any(is_large), bound)

    def leave(self, connection: int) -> tuple[AwarenessEntry, ...]:
        """Remove a connection, and return the entries for others: the clients that left with it."""
        self._tried.pop(connection, None)
        left = [(own, self._here.get(own)) for own in self._own.pop(connection, ())]
        return tuple(
            self._depart(own, holder.clock) for own, holder in left if holder and holder.connection == connection
        )

    def visible(self, connection: int) -> bool | None:
        """Return whether a connection's page is visible to a person; None where its state doesn't say."""
        holder = self._here.get(self._own.get(connection, [-1])[0])
        return None if holder is None or holder.connection != connection else holder.visible

    def is_here(self, client: int, participant: str) -> bool:
        """Return whether a Yjs client is present, as this participant."""
        holder = self._here.get(client)
        return holder is not None and holder.participant.id == participant

    def may_write(self, participant: Participant, client: int) -> bool:
        """Return whether a participant may write under a Yjs client id: not while another is present under it."""
        return not self.is_others(client, participant.id)

    def is_others(self, client: int, participant: str) -> bool:
        """Return whether a client id is another named participant's: the first, else the one, present under it."""
        first = self._first.get(client)
        if first is not None:
            return first != participant
        holder = self._here.get(client)
        if holder is None or holder.brought:
            return False
        return holder.participant.id not in (participant, ANONYMOUS.id)

    def speaks(self, connection: int) -> bool:
        """Return whether a connection shows itself under some Yjs client id."""
        return connection in self._own

    def speaks_for(self, connection: int, client: int) -> bool:
        """Return whether a connection shows itself under a Yjs client id, or would if that weren't another's."""
        own = self._own.get(connection)
        return own[0] == client if own else self._tried.get(connection) == client

    def _bind(self, client: int, participant: Participant) -> bool:
        """Remember the owner of a client id: others see the id, and could write under it while the owner is away.

        A participant with full write access and a token without end isn't: such ones name themselves, and rename.

        Returns:
            Whether the log must hold it as well.
        """
        can = participant.capabilities
        names_itself = can.writes_everything and participant.expires_at is None
        if participant.id == ANONYMOUS.id or names_itself or client in self._first:
            return False
        self._first[client] = participant.id
        if len(self._first) > _FIRST:
            del self._first[next(iter(self._first))]
        writes = bool(can.names - _CHANGES_NOTHING or can.state or can.texts or can.roots)
        if not writes or self._bound[participant.id] >= _MOST_BOUND:
            return False
        self._bound[participant.id] += 1
        return True

    def _may_claim(self, participant: Participant, entry: AwarenessEntry, mine: list[int]) -> bool:
        """Return whether a connection that shows some clients may also show this one.

        A reload, or a laptop that slept, comes back before its old socket is known to be dead: with a newer clock,
        which no other client can relay before it was published here, the same participant takes its client over.
        """
        holder = self._here.get(entry.client)
        if entry.gone or entry.clock <= self._departed.get(entry.client, -1):
            return False
        if holder is None or (holder.brought and not mine):
            return True
        return not mine and holder.participant.id == participant.id and entry.clock > holder.clock

    def _may_tell(self, connection: int, participant: Participant, entry: AwarenessEntry) -> bool:
        """Return whether a connection may still update a client that it brought: another may have it now."""
        holder = self._here.get(entry.client)
        if holder is None or holder.connection == connection:
            return True
        is_own = entry.client == self._own[connection][0]
        return is_own and (holder.brought or holder.participant.id == participant.id)

    def _late(self, entries: Iterable[AwarenessEntry]) -> tuple[AwarenessEntry, ...]:
        """Return the answer to states of clients that are known to have left."""
        return tuple(
            AwarenessEntry(entry.client, self._departed[entry.client], GONE)
            for entry in entries
            if not entry.gone and entry.clock <= self._departed.get(entry.client, -1)
        )

    def _emptied(self, entry: AwarenessEntry) -> AwarenessEntry | None:
        """Return the entry that replaces a state that is too large; None keeps the last state."""
        return None if entry.client in self._here else AwarenessEntry(entry.client, entry.clock, "{}")

    def _take(self, connection: int, participant: Participant, entry: AwarenessEntry) -> Iterable[AwarenessEntry]:
        holder = self._here.get(entry.client)
        if entry.gone:
            if holder is not None and holder.connection == connection and entry.clock >= holder.clock:
                yield self._depart(entry.client, entry.clock)
                if holder.brought:
                    self._own[connection].remove(entry.client)
            return
        if entry.clock <= (self._departed.get(entry.client, -1) if holder is None else holder.clock):
            return
        mine = self._own[connection]
        brought = entry.client != mine[0]
        others = sum(self._held(other, connection) for other in mine if other != entry.client) if brought else 0
        if brought and others + _size(entry.state) > self._max_bytes + _USER_BYTES:
            return  # to read a state takes long
        state, visible = _identified(entry.state, participant)
        if brought and others + _size(state) > self._max_bytes:
            return
        self._departed.pop(entry.client, None)
        holder = _Holder(connection, participant, entry.clock, state, visible, brought)
        self._here[entry.client] = holder
        yield _entry(entry.client, holder)

    def _held(self, client: int, connection: int) -> int:
        """Return the bytes of the state that a connection shows for one of its clients."""
        holder = self._here.get(client)
        return _size(holder.state) if holder is not None and holder.connection == connection else 0

    def _depart(self, client: int, clock: int) -> AwarenessEntry:
        del self._here[client]
        self._departed[client] = clock
        if len(self._departed) > _DEPARTED:
            del self._departed[next(iter(self._departed))]
        return AwarenessEntry(client, clock, GONE)


def _latest(entries: Iterable[AwarenessEntry]) -> tuple[AwarenessEntry, ...]:
    """Return of each client the entry that is valid after all are applied in their order."""
    latest: dict[int, AwarenessEntry] = {}
    for entry in entries:
        known = latest.get(entry.client)
        if known is None or entry.clock > known.clock or (entry.clock == known.clock and entry.gone):
            latest[entry.client] = entry
    return tuple(latest.values())


def _size(state: str) -> int:
    """Return the bytes of a state in UTF-8, as clients measure it."""
    return len(state) if state.isascii() else len(state.encode("utf-8", "surrogatepass"))


def _has_half_characters(text: str) -> bool:
    """Return whether a text holds half of a surrogate pair, which has no UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _entry(client: int, holder: _Holder) -> AwarenessEntry:
    return AwarenessEntry(client, holder.clock, holder.state)


def _identified(state: str, participant: Participant) -> tuple[str, bool | None]:
    """Write the participant into a state, and read from it whether its page is visible.

    An anonymous participant may set any `user`.
    """
    try:
        fields: dict[str, Any] = json.loads(state)
        if participant.id != ANONYMOUS.id:
            said = fields.get("user")
            known = {"id": participant.id, "name": participant.name, "kind": participant.kind}
            fields["user"] = {**said, **known} if isinstance(said, dict) else known
        # NaN and infinity are not JSON: they make every browser throw.
        written = json.dumps(fields, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
        if not written.isascii() and _has_half_characters(written):
            written = json.dumps(fields, allow_nan=False, separators=(",", ":"))
    except (ValueError, RecursionError) as error:
        raise MalformedFrame("A presence state holds what JSON can't; keep it small and flat.") from error
    visible = fields.get("visible")
    return written, visible if isinstance(visible, bool) else None
