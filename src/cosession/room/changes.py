"""Every change of a room's document, by any writer: applied, versioned, stamped, and answered by the server.

    a client's update, admitted ─→ apply ─┐
    the server's own edit ───────→ edit ──┴→ accept: version, row, broadcast → stamp → decide (as the server's edit)

Invariants: versions are contiguous, and an update has one exactly when it changed the document. The bytes that came
in are the bytes that are logged and sent; of an update that is known in part, only the new part. The log says which
participant each Yjs client id belongs to: a row that names no client, or another writer, follows empty rows that say
it. After a panic of the CRDT library the room is broken: it must be thrown away and loaded again.

`_decide` calls the server's decisions after a change; the package `decisions` makes them.
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, cast

from pycrdt import ArrayEvent, Map, Subscription, TransactionEvent

from cosession.auth.participant import SERVER, Participant
from cosession.document import JsonObject, Message, SessionDocument
from cosession.document.list_index import SHORT, ListIndex
from cosession.errors import BadDocument, MalformedFrame, RoomBroken, is_crdt_error
from cosession.protocol import (
    EMPTY_UPDATE,
    ClockRange,
    KeptValues,
    KnownDeletions,
    SyncUpdate,
    UpdateHeader,
    decode_state_vector,
    delete_pairs,
    encode_frame,
    read_update_header,
    write_replacements,
)
from cosession.protocol.structs import Id
from cosession.settings import Settings

from .acks import Acks
from .appending import HALF_DONE, bring, learn_last, take_out, write_apart
from .change_tracker import ChangeTracker
from .decisions import DecisionContext, Memory, Promotion, arrived, completed, decide, is_half, outline, promoted
from .effects import Append, Broadcast, Effect, NewIds, Retitle, Update
from .peer import Peer
from .sync_reply import Openings
from .write_guard import WriteGuard

_MOST_PASSES = 8
"""The rounds of decisions after one change: a decision may ask for another; more rounds are a defect of one."""

_MORE_DELETIONS = 256
"""The number of ranges deleted after which all are read again, which takes a walk over the document."""


class Changes:
    """The changes of one room's document.

    Args:
        document: the live document; from now on only this object changes it.
        version: of the last change that it holds.
        guard: is notified of each change.
        acks: notify writers when their changes are committed.
        memory: the state of the session that the room keeps outside the document.
        settings: the limits.
        kept: the values that the library gives back otherwise than they came; it is notified of each change.
        openings: the replies with the whole document; they are notified of each change while one is kept.

    Attributes:
        on_first_use: writes the session's facts, once the schema is used; None where they are written.
        vector: the document's state vector.
        version: of the last change.
    """

    __slots__ = (
        "_acks",
        "_deleted",
        "_deletions",
        "_document",
        "_guard",
        "_keeps_observing",
        "_kept",
        "_memory",
        "_more_deletions",
        "_openings",
        "_settings",
        "_subscription",
        "_updates",
        "_watch",
        "on_first_use",
        "vector",
        "version",
    )

    def __init__(
        self,
        document: SessionDocument,
        version: int,
        guard: WriteGuard,
        acks: Acks,
        memory: Memory,
        settings: Settings,
        kept: KeptValues,
        openings: Openings,
    ) -> None:
        self._kept = kept
        self._openings = openings
        self.vector = decode_state_vector(document.doc.get_state())
        self.version = version
        self._document = document
        self._guard = guard
        self._acks = acks
        self._memory = memory
        self._settings = settings
        self._watch = ChangeTracker(document)
        self.on_first_use: Callable[[SessionDocument], object] | None = None
        self._deletions: KnownDeletions | None = None
        self._more_deletions = 0
        self._deleted: bytes | None = None
        self._updates: list[bytes] = []
        self._subscription: Subscription | None = None
        self._keeps_observing = False

    def state_vector(self) -> bytes:
        """Return the document's state vector, encoded."""
        return self._document.doc.get_state()

    def deletions(self) -> KnownDeletions:
        """Return the document's deletions, except for a few of the last."""
        if self._deletions is None or self._more_deletions > _MORE_DELETIONS:
            doc = self._document.doc
            self._deletions, self._more_deletions = KnownDeletions(doc.get_update(doc.get_state())), 0
        return self._deletions

    def deleted(self) -> bytes:
        """Return the document's deletions alone, as an update: all that a client with every struct can lack.

        The library walks over the document for them, so they are kept until something is deleted.
        """
        if self._deleted is None:
            doc = self._document.doc
            self._deleted = doc.get_update(doc.get_state())
        return self._deleted

    def read_values(self) -> Iterator[None]:
        """Read the kept values of long updates, in steps."""
        return self._kept.read()

    def apply(
        self,
        update: Update,
        header: UpdateHeader,
        connection: int,
        peer: Peer,
        at: str,
        *,
        offered: bool,
        cuts: Sequence[Id] = (),
    ) -> list[Effect]:
        """Apply an admitted update of a client, if it changes anything, and make the decisions that follow.

        Args:
            update: it fits the document and was admitted.
            header: its header.
            connection: the connection that sent it.
            peer: the state of that connection.
            at: the server's time, RFC 3339.
            offered: whether it is (part of) the answer to a sync step 1, which may hold what others wrote.
            cuts: the surrogate pairs of the document that it cuts in two, each by its first clock.
        """
        if cuts:
            return self._apply_cut(update, header, connection, peer, at, offered=offered, cuts=cuts)
        by = peer.participant
        messages: list[Message] = []
        if self._watch.late:
            self._watch.late.clear()
        if not header.types:  # a message is made of some
            effects = self._take(update, header, connection, peer, offered=offered)
        else:
            with _arrivals(self._document) as messages:
                effects = self._take(update, header, connection, peer, offered=offered)
        if messages or self._watch.late or self.on_first_use is not None:
            with self._observing_on():
                if self._watch.late:
                    effects += self._complete(by, at, offered=offered)
                if messages:
                    effects += self._stamp(messages, by, at, offered=offered)
                self._watch.notice(update.update, header)
                if self.on_first_use is not None and peer.extended and effects:  # ours write what the schema has
                    effects += self._begin()
                return effects + self._decide(by, at)
        self._watch.notice(update.update, header)
        return effects + self._decide(by, at) if self._watch.touched else effects

    def edit(
        self, change: Callable[[SessionDocument], object], at: str, by: Participant = SERVER, grows: int = 0
    ) -> list[Effect]:
        """Make a change of the server's own; see `Room.edit`."""
        if by is not SERVER:
            self._guard.check_size(by, grows)
        with self._observing_on():
            if by is SERVER:
                return self._write(change, by) + self._decide(by, at)
            with _arrivals(self._document) as messages:
                effects = self._write(change, by)
            stamps = self._stamp(messages, by, at) if messages else []
            return effects + stamps + self._decide(by, at)

    def append(
        self, change: Callable[[SessionDocument], object], at: str, by: Participant, grows: int
    ) -> list[Effect]:
        """Append a message of the server's own; see `Room.append`."""
        self._guard.check_size(by, grows)
        data = None if self.on_first_use else write_apart(self._document, self.vector, change)
        if data is None:
            return self.edit(change, at, by, grows)
        with _arrivals(self._document) as messages:
            effects = self._append(data, by)
        return effects + self._stamp(messages, by, at) + self._decide(by, at)

    def attend(self, change: Callable[[SessionDocument], object], at: str) -> list[Effect]:
        """Write the attendance; that alone doesn't count as use of the schema."""
        first_use, self.on_first_use = self.on_first_use, None
        try:
            return self.edit(change, at)
        finally:
            self.on_first_use = first_use

    def rule(self, decision: Callable[[DecisionContext], object], at: str) -> list[Effect]:
        """Make a decision that no change caused, and those that follow from it."""
        return self._rule(decision, SERVER, at, {}) + self._decide(SERVER, at)

    def bind(self, clients: Iterable[int], by: Participant) -> list[Effect]:
        """Bind those of some Yjs client ids that have no owner yet to a participant."""
        return self._bind(self._guard.bind(clients, by), by, None)

    def close(self) -> None:
        """Stop observing the document."""
        self._watch.close()

    def _apply_cut(
        self,
        update: Update,
        header: UpdateHeader,
        connection: int,
        peer: Peer,
        at: str,
        *,
        offered: bool,
        cuts: Sequence[Id],
    ) -> list[Effect]:
        """Apply an update that cuts surrogate pairs, which the library can't: delete the pairs, then write the rest.

        Every reader then shows what Yjs shows of a pair that was cut: U+FFFD for each half.

        Raises:
            RoomBroken: the update can't be applied after that.
        """
        self._openings.renew()  # a replica that applies the deletion and what stands on it at once cuts the pair
        effects: list[Effect] = []
        present: list[Id] = []
        for data in self._captured(lambda: self._apply(delete_pairs(cuts))):
            deleted = read_update_header(data)
            self._guard.applied(data, deleted, SERVER)
            self._forget(deleted.deletes, peer.participant)
            effects += self._accept(Update(data, encode_frame(SyncUpdate(data)), ()), None, peer.participant, None)
            gone = {(span.client, clock) for span in deleted.deletes for clock in range(span.clock, span.end)}
            present = [first for first in cuts if first in gone]
        try:
            effects += self.apply(update, header, connection, peer, at, offered=offered)
        except MalformedFrame as error:
            raise RoomBroken(HALF_DONE) from error
        writer = self._document.doc.client_id
        rest = write_replacements(update.update, header, present, (writer, self.vector.get(writer, 0)))
        if rest is not None:
            effects += self._written(self._captured(lambda: self._apply(rest)), SERVER)
        return effects

    def _take(
        self, update: Update, header: UpdateHeader, connection: int, peer: Peer, *, offered: bool
    ) -> list[Effect]:
        """Apply a client's update, and accept its new part."""
        by, ack = peer.participant, update
        if header.is_news(self.vector):
            self._bring(update.update, header)
        else:
            # The writer of the known part must not get it back with this, before it is committed.
            changes = self._captured(lambda: self._apply(update.update))
            if not changes:
                return []
            [data] = changes
            learn_last(self._document, data, header)
            if data != update.update:
                data = KeptValues([update.update]).restore(data)
                only_deletes = not header.brings
                header = read_update_header(data)
                update = Update(data, encode_frame(SyncUpdate(data)), header.brings)
                if not only_deletes:  # else the diff may hold something that its sender has not been sent yet
                    ack = update
        if not header.is_string:
            self._forget(header.deletes, by)
            if not header.is_plain:
                self._kept.learn(update.update)
        unsure = peer.unsure
        new = self._guard.applied(update.update, header, by, offered=offered, unsure=unsure)
        is_own = not (offered and by.capabilities.writes_everything)
        client = _only_client(update) if is_own else None
        if client in unsure:
            client = None
        effects = self._bind(new, by, client) if new else []
        effects += self._accept(update, connection, by, client)
        if not peer.extended:
            self._acks.owe_echo(self.version, connection, ack)
        return effects

    def _forget(self, deletes: Sequence[ClockRange], by: Participant) -> None:
        """Note that something was deleted."""
        if deletes:
            if by is not SERVER:
                self._openings.deleted()
            self._more_deletions += len(deletes)
            self._deleted = None
            self._kept.forget(deletes)

    def _write(self, change: Callable[[SessionDocument], object], by: Participant) -> list[Effect]:
        """Make a change of the server's in one transaction, and accept the updates that result."""

        def act() -> None:
            with self._document.transaction(origin=SERVER.id):
                change(self._document)

        effects = self._written(self._captured(act), by)
        return effects + self._begin() if effects and self.on_first_use is not None else effects

    def _append(self, data: bytes, by: Participant) -> list[Effect]:
        """Apply an update that was written in another document, and accept it."""
        self._unobserve()
        self._bring(data, read_update_header(data))
        return self._written([data], by)

    def _begin(self) -> list[Effect]:
        """Write the session's first facts, now that the schema is used."""
        write, self.on_first_use = self.on_first_use, None
        return [] if write is None else self._write(write, SERVER)

    def _written(self, updates: Sequence[bytes], by: Participant) -> list[Effect]:
        """Accept updates that the server made."""
        effects: list[Effect] = []
        for data in updates:
            header = read_update_header(data)
            update = Update(data, encode_frame(SyncUpdate(data)), header.brings)
            self._forget(header.deletes, by)
            if not header.is_plain:
                self._kept.learn(data)
            new = self._guard.applied(data, header, SERVER)
            self._watch.notice(data, header)
            learn_last(self._document, data, header)
            client = _only_client(update) if by is SERVER else None
            effects += self._bind(new, SERVER, client) + self._accept(update, None, by, client)
        return effects

    def _bind(self, new: Sequence[int], by: Participant, named: int | None) -> list[Effect]:
        """Log the owner of new Yjs client ids, except of the one that the row of the update itself names."""
        effects: list[Effect] = []
        for client in new:
            if client != named:
                self.version += 1
                effects.append(Append(self.version, by.id, client, EMPTY_UPDATE))
        return effects

    def _accept(self, update: Update, connection: int | None, by: Participant, client: int | None) -> list[Effect]:
        """Give an applied update its version, and return the effects that log and broadcast it."""
        vector = self.vector
        known = len(vector)
        for span in update.brings:
            end = span.clock + span.length
            if end > vector.get(span.client, 0):
                vector[span.client] = end
        self.version += 1
        if self._openings.follows:
            self._openings.add(update.update)
        effects: list[Effect] = [Append(self.version, by.id, client, update.update), Broadcast(update, connection)]
        new = len(vector) - known
        if new and connection is not None and not by.capabilities.writes_everything:
            effects.append(NewIds(by.id, new))
        return effects

    def _stamp(self, messages: Sequence[Message], by: Participant, at: str, *, offered: bool = False) -> list[Effect]:
        """Stamp messages that just arrived with their author, time of arrival and place in the order."""
        seq = self.version

        def stamp(case: DecisionContext) -> None:
            _sign(messages, by, at, seq, offered=offered)
            arrived(case, messages)

        return self._rule(stamp, by, at, {})

    def _complete(self, by: Participant, at: str, *, offered: bool) -> list[Effect]:
        """Stamp the messages that just got more content, where that makes them whole."""
        places, seq = sorted(self._watch.late), self.version

        def complete(case: DecisionContext) -> None:
            found = [self._document.messages.at(place) for place in places]
            messages = [message for message in found if message is not None]
            _sign(messages, by, at, seq, offered=offered)
            completed(case, messages)

        return self._rule(complete, by, at, {})

    def _decide(self, by: Participant, at: str) -> list[Effect]:
        """Make the decisions that a change asks for, and those that these ask for in turn, until there are none."""
        effects: list[Effect] = []
        if not self._watch.touched:
            return effects
        with self._observing_on():
            for _ in range(_MOST_PASSES):
                touched = self._watch.take()
                if "meta" in touched:
                    effects.append(Retitle(self._document.meta.title))
                effects += self._rule(decide, by, at, touched)
                if not self._watch.touched:
                    return effects
        raise RuntimeError(f"Decisions come to no end: they touch {sorted(self._watch.touched)} again and again.")

    def _rule(
        self, decision: Callable[[DecisionContext], object], by: Participant, at: str, touched: Mapping[str, set[str]]
    ) -> list[Effect]:
        """Make a decision, in a transaction of the server's.

        Raises:
            RoomBroken: it failed; the change that asked for it is applied by now, and can't be refused any more.
        """
        case = DecisionContext(
            self._document, self._memory, self._settings, by, at, self.version + 1, touched, [], [], []
        )
        try:
            effects = self._write(lambda _: decision(case), SERVER)
        except Exception as error:
            raise RoomBroken(HALF_DONE) from error
        if self._memory.prompts.has_halves:
            self._watch.await_rest()
        effects = [*case.notices, *effects, *case.effects]
        return effects + self._promote(case.promotions, at) if case.promotions else effects

    def _promote(self, promotions: Sequence[Promotion], at: str) -> list[Effect]:
        """Turn entries of the queue into messages: the message is added before the entry is deleted, so none is lost.

        Raises:
            RoomBroken: it failed.
        """
        effects: list[Effect] = []
        messages: list[Message] = []
        try:
            for promotion in promotions:
                if promotion.write is not None:
                    write = partial(promotion.write, self.version + 1)
                    with suppress(BadDocument):  # an entry of a foreign client may be no prompt; it stays
                        data = write_apart(self._document, self.vector, write)
                        effects += self._write(write, SERVER) if data is None else self._append(data, SERVER)
                    with self._document.transaction():
                        message = self._document.messages.get(promotion.message)
                    if message is None:
                        continue
                    messages.append(message)
                leave = partial(take_out, self._document, promotion.entry, self._apply)
                effects += self._written(self._captured(leave), SERVER)
        except Exception as error:
            raise RoomBroken(HALF_DONE) from error
        return effects + self._rule(lambda case: promoted(case, messages), SERVER, at, {})

    def _captured(self, act: Callable[[], None]) -> list[bytes]:
        """Run an action on the document, and return the updates that it made, if it changed anything."""
        self._observe()
        updates = self._updates
        updates.clear()
        try:
            act()
        except Exception as error:
            if updates:
                raise RoomBroken(HALF_DONE) from error
            raise
        finally:
            if not self._keeps_observing:
                self._unobserve()
        return [*updates]

    @contextmanager
    def _observing_on(self) -> Generator[None]:
        """Keep observing the document from the first of several changes to the last.

        The library iterates over all Yjs clients of the document when observing begins and ends, and after each
        transaction in between, also after one that only reads. So it isn't observed where the update is known.
        """
        if self._keeps_observing:
            yield
            return
        self._keeps_observing = True
        try:
            yield
        finally:
            self._keeps_observing = False
            self._unobserve()

    def _observe(self) -> None:
        if self._subscription is None:
            self._subscription = self._document.doc.observe(partial(_note_update, self._updates))

    def _unobserve(self) -> None:
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            self._document.doc.unobserve(subscription)

    def _bring(self, data: bytes, header: UpdateHeader) -> None:
        """Apply an update that is entirely new."""
        if not header.types:
            self._apply(data)
            return
        if self._watch.awaits_rest:  # the tracker would take the entry for one that is filled later
            self._apply(data)
        else:
            bring(self._document, data, header, self._apply)
        learn_last(self._document, data, header)

    def _apply(self, update: bytes) -> None:
        try:
            self._document.doc.apply_update(update)
        except ValueError as error:
            raise MalformedFrame(f"The update can't be applied: {error}") from error
        except BaseException as error:
            if is_crdt_error(error):
                raise RoomBroken("The session met an update that breaks it; connect again.") from error
            raise


def _sign(messages: Sequence[Message], by: Participant, at: str, seq: int, *, offered: bool) -> None:
    """Stamp messages that have no stamp. An application's own entries under the name `messages` stay as they are.

    A participant with `admin` may also bring back messages of others, and is trusted about their authors: half of a
    message that names no author yet stays without a stamp until it does.
    """
    brings_back = offered and by.capabilities.writes_everything
    for message in messages:
        if by.capabilities.writes_everything and not message.has_shape:
            continue
        author = message.author if brings_back else by.id
        if message.stamp is None and (author or not is_half(outline(message.shared))):
            message.set_stamp(by=author or by.id, at=at, seq=seq)


def _only_client(update: Update) -> int | None:
    """Return the Yjs client that made an update, or None if there are several."""
    brings = update.brings
    if len(brings) == 1:
        return brings[0].client
    clients = {span.client for span in brings}
    return clients.pop() if len(clients) == 1 else None


@contextmanager
def _arrivals(document: SessionDocument) -> Generator[list[Message]]:
    """Collect the messages that the block adds to the list, in one transaction."""
    messages, arrived = document.messages, list[Message]()
    index, steps = messages.index, list[JsonObject]()
    subscription = None
    if index is None:
        subscription = messages.shared.observe(partial(_note_steps, steps))
    else:
        index.take_arrived()  # what the server added itself
    try:
        yield arrived
    finally:
        if subscription is not None:
            messages.shared.unobserve(subscription)
    if index is not None:
        arrived += map(Message, index.take_arrived())
        return
    inserted = [item for step in steps for item in step.get("insert", ())]
    arrived += [Message(cast("Map[Any]", item)) for item in inserted if isinstance(item, Map)]
    if inserted and len(messages.shared) > SHORT:
        messages.index = ListIndex.after(messages.shared, steps)


def _note_steps(steps: list[JsonObject], event: ArrayEvent) -> None:
    steps += cast("list[JsonObject]", event.delta)


def _note_update(updates: list[bytes], event: TransactionEvent) -> None:
    if event.update != EMPTY_UPDATE:
        updates.append(event.update)
