"""Presence: the awareness states of a room, with the server's authority over who is here.

A connection speaks for one client id, its own, and for nobody else; `user` in its state is what the server knows
of the participant. The state goes the moment the connection ends. Pure: no clock, no I/O.

y-websocket relays: every client sends on what it hears of others, perhaps late. What is relayed was published
here before, so its clock is not newer than what is known of that client, and it is passed over. A client that
returns with the clock it had looks the same; so it is told that it is gone, and every client of the awareness
protocol answers that with a newer clock.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from cosession.auth import ANONYMOUS, Participant
from cosession.errors import MalformedFrame
from cosession.protocol import AwarenessEntry
from cosession.protocol.awareness import GONE

_DEPARTED = 1024
"""How many departed clients are remembered, so that a late relay can't make a ghost of one."""


@dataclass(slots=True)
class _Holder:
    connection: int
    participant: Participant
    clock: int
    state: str
    visible: bool | None


@dataclass(frozen=True, slots=True)
class Heard:
    """What comes of what a connection said.

    Attributes:
        others: what everybody else should hear.
        sender: what the connection itself should hear.
        is_too_large: whether a state was dropped, because it is larger than the limit.
    """

    others: tuple[AwarenessEntry, ...] = ()
    sender: tuple[AwarenessEntry, ...] = ()
    is_too_large: bool = False


class Presence:
    """Who is here, and which connection says so.

    Args:
        max_bytes: how large a state may be: everybody gets it at every change.
    """

    __slots__ = ("_departed", "_here", "_max_bytes", "_own")

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._here: dict[int, _Holder] = {}
        self._own: dict[int, int] = {}
        self._departed: dict[int, int] = {}

    def everybody(self) -> tuple[AwarenessEntry, ...]:
        """Every state, as a late joiner is told."""
        return tuple(_entry(client, holder) for client, holder in self._here.items())

    def receive(self, connection: int, participant: Participant, entries: Iterable[AwarenessEntry]) -> Heard:
        """Take in what a connection says.

        A state that is too large is dropped: the client is here as before, or, if it wasn't, with an empty one.
        """
        entries = tuple(entries)
        if connection not in self._own:
            claimed = [entry.client for entry in entries if self._may_claim(participant, entry)]
            if len(claimed) != 1:
                return Heard(sender=self._late(entries))
            self._own[connection] = claimed[0]
        own = [entry for entry in entries if entry.client == self._own[connection]]
        large = [entry for entry in own if _size(entry.state) > self._max_bytes]
        taken = [self._emptied(entry) if entry in large else entry for entry in own] if large else own
        news = [news for entry in taken if entry is not None for news in self._take(connection, participant, entry)]
        return Heard(tuple(news), self._late(own), bool(large))

    def leave(self, connection: int) -> tuple[AwarenessEntry, ...]:
        """Forget a connection, and return what others should hear: who is gone with it."""
        own = self._own.pop(connection, None)
        holder = None if own is None else self._here.get(own)
        if own is None or holder is None or holder.connection != connection:
            return ()
        return (self._depart(own, holder.clock),)

    def visible(self, connection: int) -> bool | None:
        """Whether a connection's page is in front of somebody; None where its state doesn't say."""
        holder = self._here.get(self._own.get(connection, -1))
        return None if holder is None or holder.connection != connection else holder.visible

    def is_here(self, client: int, participant: str) -> bool:
        """Whether a Yjs client is present, as this participant."""
        holder = self._here.get(client)
        return holder is not None and holder.participant.id == participant

    def may_write(self, participant: Participant, client: int) -> bool:
        """Whether a participant may write under a Yjs client id: not while another is present under it."""
        holder = self._here.get(client)
        return holder is None or holder.participant.id in (participant.id, ANONYMOUS.id)

    def _may_claim(self, participant: Participant, entry: AwarenessEntry) -> bool:
        """Whether a connection without a client id of its own may speak for this one.

        A reload, or a laptop that slept, comes back before its old socket is known to be dead: with a newer clock,
        which nobody can relay before it was said here, the same participant takes its client over.
        """
        holder = self._here.get(entry.client)
        if entry.gone or entry.clock <= self._departed.get(entry.client, -1):
            return False
        if holder is None:
            return True
        return holder.participant.id == participant.id and entry.clock > holder.clock

    def _late(self, entries: Iterable[AwarenessEntry]) -> tuple[AwarenessEntry, ...]:
        """What to answer to states of clients that are known to have left."""
        return tuple(
            AwarenessEntry(entry.client, self._departed[entry.client], GONE)
            for entry in entries
            if not entry.gone and entry.clock <= self._departed.get(entry.client, -1)
        )

    def _emptied(self, entry: AwarenessEntry) -> AwarenessEntry | None:
        """What is taken in place of a state that is too large."""
        return None if entry.client in self._here else AwarenessEntry(entry.client, entry.clock, "{}")

    def _take(self, connection: int, participant: Participant, entry: AwarenessEntry) -> Iterable[AwarenessEntry]:
        holder = self._here.get(entry.client)
        if entry.gone:
            if holder is not None and holder.connection == connection and entry.clock >= holder.clock:
                yield self._depart(entry.client, entry.clock)
            return
        state, visible = _identified(entry.state, participant)
        known = self._departed.get(entry.client, -1) if holder is None else holder.clock
        if entry.clock > known:
            self._departed.pop(entry.client, None)
            holder = _Holder(connection, participant, entry.clock, state, visible)
            self._here[entry.client] = holder
            yield _entry(entry.client, holder)

    def _depart(self, client: int, clock: int) -> AwarenessEntry:
        del self._here[client]
        self._departed[client] = clock
        if len(self._departed) > _DEPARTED:
            del self._departed[next(iter(self._departed))]
        return AwarenessEntry(client, clock, GONE)


def _size(state: str) -> int:
    """The bytes of a state in UTF-8, as clients measure it."""
    return len(state) if state.isascii() else len(state.encode("utf-8", "surrogatepass"))


def _has_half_characters(text: str) -> bool:
    """Whether a text holds half of a surrogate pair, which has no UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _entry(client: int, holder: _Holder) -> AwarenessEntry:
    return AwarenessEntry(client, holder.clock, holder.state)


def _identified(state: str, participant: Participant) -> tuple[str, bool | None]:
    """Write into a state whose it is, and read from it whether its page is visible.

    The anonymous may say of themselves what they like.
    """
    try:
        fields: dict[str, Any] = json.loads(state)
        if participant.id != ANONYMOUS.id:
            said = fields.get("user")
            known = {"id": participant.id, "name": participant.name, "kind": participant.kind}
            fields["user"] = {**said, **known} if isinstance(said, dict) else known
        # What is no number in JSON makes every browser throw.
        written = json.dumps(fields, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
        if not written.isascii() and _has_half_characters(written):
            written = json.dumps(fields, allow_nan=False, separators=(",", ":"))
    except (ValueError, RecursionError) as error:
        raise MalformedFrame("A presence state holds what JSON can't; keep it small and flat.") from error
    visible = fields.get("visible")
    return written, visible if isinstance(visible, bool) else None
