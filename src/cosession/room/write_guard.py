"""The guard of a room: the checks that an update must pass before it is applied.

`admission` judges the updates of participants without full write access. The guard knows the owner of each Yjs client
id: two participants that write under one id differ silently for ever, even after a full sync. So an id belongs to the
participant that first wrote under it. Before that write, or if a crash made the server forget it, the id belongs to
the first participant present under it, also while they are away. Among participants with full write access only
presence counts. The guard knows the surrogate pairs of the document too.
"""

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence, Set
from functools import partial

from cosession.admission import RECORD_ROOTS, Admission, AdmissionLimits, Admitted, Salvaged
from cosession.auth.participant import SERVER, Participant
from cosession.document import SessionDocument
from cosession.errors import ClientIdTaken, CosessionError, Superseded
from cosession.protocol import SurrogatePairs, UpdateHeader, delete_pairs, encode_state_vector, read_update_header
from cosession.protocol.same_content import texts_differ
from cosession.protocol.sections import Sections
from cosession.protocol.structs import Id
from cosession.protocol.surrogates import Cuts
from cosession.settings import Settings

from .presence import RoomPresence

_SMALL = 2048
"""The size of a document whose surrogate pairs are found in one step, in less than a millisecond; those of a larger
one are found in several."""


class WriteGuard:
    """The judge of the updates of one room.

    Args:
        document: the live document.
        presence: the clients that are present.
        settings: the limits.
        writers: the participant of each known Yjs client id; the guard adds to it.
        fenced: each fenced Yjs client, with its participant; the decisions on runs and claims add to it.
        size: the bytes of the document.
    """

    __slots__ = (
        "_admission",
        "_document",
        "_pairs",
        "_presence",
        "_server",
        "_settings",
        "_unread",
        "_written",
        "fenced",
        "writers",
    )

    def __init__(
        self,
        document: SessionDocument,
        presence: RoomPresence,
        settings: Settings,
        writers: dict[int, str],
        fenced: Set[tuple[int, str]],
        size: int,
    ) -> None:
        self._document = document
        self._presence = presence
        self._settings = settings
        self._admission: Admission | None = None
        self._pairs: SurrogatePairs | None = None
        self._unread = size
        """The bytes of the document and of the updates applied to it, as long as its pairs aren't known."""
        self._written: dict[int, int] = {}
        """The client id under which each connection without presence last sent an update that didn't fit."""
        self._server = document.doc.client_id
        self.fenced = fenced
        self.writers = writers

    def collides(
        self, header: UpdateHeader, connection: int, by: Participant, known: Mapping[int, int]
    ) -> ClientIdTaken | Superseded | None:
        """Return why an update under another's client id is an error, and no content that the connection passes on.

        Args:
            header: the header of an update with something under a client id that its participant may not bring.
            connection: the connection that sent it.
            by: its participant.
            known: the document's state vector.
        """
        for span in header.brings:
            if span.end <= known.get(span.client, 0):
                continue
            if (span.client, by.id) in self.fenced:
                return Superseded(
                    "Another process has taken over what this one did while it was away; start from a fresh document."
                )
            is_its_own = self._presence.speaks_for(connection, span.client) and not self._may_write(by, span.client)
            if span.client == self._server or is_its_own:
                return ClientIdTaken(
                    "Another participant writes under this Yjs client id; start from a fresh document."
                )
        return None

    def is_servers(self, client: int) -> bool:
        """Return whether a Yjs client id is that of this server process or an earlier one."""
        return client == self._server or self.writers.get(client) == SERVER.id

    def find_cuts(self, update: bytes, header: UpdateHeader, known: Mapping[int, int]) -> Cuts | None:
        """Return the surrogate pairs that an update would cut in two; see `SurrogatePairs`."""
        pairs = self._pairs
        if pairs is None or not pairs.is_read:
            pairs = self._known_pairs()
            for _ in pairs.read():
                pass
        return pairs.cut_by(update, header, known)

    def is_prepared(self, by: Participant) -> bool:
        """Return whether a participant's updates can be judged without a long preparation."""
        pairs = self._pairs
        if self._unread > _SMALL if pairs is None else not pairs.is_read:
            return False
        return by.capabilities.writes_everything or (self._admission is not None and self._admission.is_prepared)

    def prepare(self, by: Participant, grows: int = 0) -> Iterator[None]:
        """Prepare the judgement of a participant's updates in steps, between which others may write.

        Args:
            by: the participant.
            grows: the bytes of its next update.
        """
        if self._pairs is None:
            self._known_pairs()
            yield  # the library encoded the document for them, and does it once more below
        yield from self._known_pairs().read()
        if not by.capabilities.writes_everything:
            yield from self._judge().prepare(grows)

    def differs(self, update: bytes, header: UpdateHeader, known: Mapping[int, int]) -> Generator[None, None, bool]:
        """Return, in steps, whether an update brings other content than the document has under the same clocks.

        Args:
            update: its bytes.
            header: its header.
            known: the document's state vector.
        """
        starts = {span.client: span.clock for span in reversed(header.brings)}
        ends = {client: known[client] for client, clock in starts.items() if clock < known.get(client, 0)}
        lacks = {client: starts[client] if client in ends else clock for client, clock in known.items()}
        return (yield from texts_differ(update, self._document.doc.get_update(encode_state_vector(lacks)), ends))

    def brings_others(
        self, header: UpdateHeader, by: Participant, known: Mapping[int, int], *, offered: bool
    ) -> bool:
        """Return whether an update holds something new under a client id that its participant may not bring.

        Args:
            header: the update's header.
            by: the participant that sent it.
            known: the document's state vector.
            offered: whether it is an answer to a sync step 1.
        """
        for span in header.brings:
            client = span.client
            if span.clock + span.length > known.get(client, 0) and not self.may_bring(by, client, offered=offered):
                return True
        return False

    def may_bring(self, by: Participant, client: int, *, offered: bool) -> bool:
        """Return whether a participant may bring new content under a client id.

        Args:
            by: the participant.
            client: the client id.
            offered: whether in an answer to a sync step 1; in one, a participant with full write access brings back
                content that others wrote.
        """
        if self.fenced and (client, by.id) in self.fenced:
            return False
        if offered and by.capabilities.writes_everything:
            return True
        return client != self._server and self._may_write(by, client)

    def makes_record(self, by: Participant, place: str | Id) -> bool:
        """Return whether a map that a participant adds to a root, or beside another entry, is a record of the schema.

        A map beside another entry by a participant with full write access counts as one: its root isn't known.
        """
        if isinstance(place, str):
            return place in RECORD_ROOTS
        return by.capabilities.writes_everything or self._judge().makes_record(place)

    def admit(
        self, update: bytes, header: UpdateHeader, by: Participant, *, offered: bool, cuts: Sequence[Id] = ()
    ) -> Admitted:
        """Judge an update that fits, of a participant without full write access.

        Args:
            update: its bytes.
            header: its header.
            by: the participant that sent it.
            offered: whether it is an answer to a sync step 1, which may hold what others wrote.
            cuts: the surrogate pairs of the document that it cuts, by their first clocks; they are deleted before.

        Returns:
            The update to apply, log and send; it may be empty.

        Raises:
            CosessionError: see `Admission.judge`.
        """
        first = delete_pairs(cuts) if cuts else None
        return self._judge().judge(update, header, by, partial(self._is_own, by) if offered else None, first)

    def admit_in_steps(
        self, update: bytes, header: UpdateHeader, by: Participant, *, offered: bool, cuts: Sequence[Id] = ()
    ) -> Generator[None, None, Admitted]:
        """Judge a long update in steps; see `admit`. The admitted update must be applied at once."""
        first = delete_pairs(cuts) if cuts else None
        is_own = partial(self._is_own, by) if offered else None
        return self._judge().judge_in_steps(update, header, by, is_own, first)

    def salvage(
        self,
        update: bytes,
        header: UpdateHeader,
        connection: int,
        by: Participant,
        *,
        offered: bool,
        gives_up: bool,
    ) -> Generator[None, None, Salvaged]:
        """Admit in steps the part that may be kept of an update that `admit` refused; see `Admission.salvage`.

        Raises:
            CosessionError: no part may be kept.
        """
        is_own = partial(self._is_own, by) if offered else None
        may_replace = partial(self.may_replace, connection, by, offered=offered, waits=not gives_up)
        return self._judge().salvage(update, header, by, is_own, may_replace, gives_up=gives_up)

    def hollow(
        self,
        update: bytes,
        header: UpdateHeader,
        connection: int,
        by: Participant,
        error: CosessionError,
        *,
        offered: bool,
    ) -> Generator[None, None, Salvaged]:
        """Admit in steps the clocks of an update that would break documents, without its content.

        Raises:
            CosessionError: not even the clocks may be admitted.
        """
        if not by.capabilities.writes_everything:
            is_own = partial(self._is_own, by) if offered else None
            may_replace = partial(self.may_replace, connection, by, offered=offered)
            return Salvaged((yield from self._judge().hollow(update, header, by, is_own, may_replace)), error)
        sections = yield from Sections.in_steps(update)
        sections.hollow()
        update = sections.encode()
        return Salvaged(Admitted(update, read_update_header(update)), error)

    def may_replace(
        self, connection: int, by: Participant, client: int, *, offered: bool, waits: bool = False
    ) -> bool:
        """Return whether refused content of a participant may use up the clocks of a client id: it must own the id.

        An id without a known owner may be another participant's: this connection passes on its writes, because a
        crash made the server forget them. An id of the same participant may be another device's: this connection
        may know only half of a record that the device wrote, so what is refused waits for the device first.

        Args:
            connection: the connection that sent the content.
            by: its participant.
            client: the client id.
            offered: whether it came in an answer.
            waits: whether another device of the participant is waited for.
        """
        owner = self.writers.get(client)
        if owner is not None:
            is_other_device = offered and self._presence.speaks(connection)
            return owner == by.id and (
                not (waits and is_other_device) or self._presence.speaks_for(connection, client)
            )
        if self._presence.speaks_for(connection, client):
            return True
        is_written = not offered or self._written.get(connection) == client
        return is_written and not self._presence.speaks(connection) and self._may_write(by, client)

    def note_writing(self, connection: int, header: UpdateHeader) -> bool:
        """Note the Yjs client id under which a connection writes, from an update that is no answer.

        A client without presence is known by that alone.

        Returns:
            Whether the id has changed.
        """
        clients = {span.client for span in header.brings}
        if len(clients) != 1 or self._presence.speaks(connection):
            return False
        client = clients.pop()
        is_news = self._written.get(connection) != client
        self._written[connection] = client
        return is_news

    def leave(self, connection: int) -> None:
        """Forget a connection."""
        self._written.pop(connection, None)

    def check_size(self, by: Participant, grows: int) -> None:
        """Check that the document has room for so many bytes that the server writes for a participant.

        Raises:
            TooLarge: the document is full.
        """
        if not by.capabilities.writes_everything:
            self._judge().check_size(grows)

    def applied(
        self,
        update: bytes,
        header: UpdateHeader,
        by: Participant,
        *,
        offered: bool = False,
        unsure: Set[int] = frozenset(),
    ) -> list[int]:
        """Note that an update was applied.

        Args:
            update: its bytes.
            header: its header.
            by: its writer, also the server where that wrote in a participant's name. Updates by a participant with
                full write access weren't judged, so they are passed to admission here.
            offered: whether it may hold what others wrote.
            unsure: the Yjs client ids that stay free nevertheless.

        Returns:
            The Yjs client ids that belong to its writer from now on.
        """
        if self._pairs is not None:
            self._pairs.add(update)
        else:
            self._unread += len(update)
        if self._admission is not None and by.capabilities.writes_everything:
            self._admission.applied(update, header)
        if offered and by.capabilities.writes_everything:
            return []
        writers = self.writers
        new: list[int] = []
        for span in header.brings:
            client = span.client
            if client not in writers and client not in unsure:
                writers[client] = by.id
                new.append(client)
        return new

    def bind(self, clients: Iterable[int], by: Participant) -> list[int]:
        """Bind Yjs client ids to a participant, and return those that had no owner before."""
        new = [client for client in clients if client not in self.writers]
        for client in new:
            self.writers[client] = by.id
        return new

    def may_speak_for(self, participant: str, client: int) -> bool:
        """Return whether a client id is a participant's, or still free; the same for full write access."""
        owner = self.writers.get(client)
        if owner is None:
            return not self._presence.is_others(client, participant)
        return owner == participant

    def _known_pairs(self) -> SurrogatePairs:
        """Return the document's surrogate pairs; they aren't read at load, so readers needn't wait for them."""
        if self._pairs is None:
            self._pairs = SurrogatePairs(self._document.doc.get_update())
        return self._pairs

    def _judge(self) -> Admission:
        """Return the admission, which is made when the first participant without full write access needs it."""
        if self._admission is None:
            limits = AdmissionLimits(self._settings.max_document_bytes, self._settings.max_depth)
            self._admission = Admission(self._document, limits)
        return self._admission

    def _may_write(self, by: Participant, client: int) -> bool:
        if by.capabilities.writes_everything:
            return self.writers.get(client) == by.id or self._presence.may_write(by, client)
        return self._is_own(by, client)

    def _is_own(self, by: Participant, client: int) -> bool:
        """Return whether a client id is a participant's: the first to write under it, else the present one."""
        owner = self.writers.get(client)
        return self._presence.may_write(by, client) if owner is None else owner == by.id
