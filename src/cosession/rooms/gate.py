"""The gate of a room: what an update must pass before it is applied.

What participants may do is judged by `admission`, unless they may write everything. Here it is known who writes under
which Yjs client id: two that write under one differ silently for ever, even after a full sync. So an id belongs to
who first wrote under it. Before anybody did, or where a crash made the server forget it, it belongs to who is present
under it. Among those who may write everything only presence counts. The surrogate pairs of the document are known
here too.
"""

from collections.abc import Iterator, Mapping, Sequence, Set
from functools import partial
from itertools import islice

from cosession.auth import Participant
from cosession.document import SessionDocument
from cosession.errors import ClientIdTaken, Superseded
from cosession.protocol import SurrogatePairs, UpdateHeader, delete_pairs, read_update_header
from cosession.protocol.sections import split_by_client
from cosession.protocol.structs import Id
from cosession.protocol.surrogates import Cuts
from cosession.settings import Settings

from .admission import Admission, Admitted, Limits
from .presence import Presence

_MAX_PARTS = 256
"""Parts of an offer that are judged one by one: each takes its time."""


class Gate:
    """Judges the updates of one room.

    Args:
        document: the live document.
        presence: who is here.
        settings: the limits.
        writers: whose each known Yjs client id is; the gate goes on with it.
        fenced: each Yjs client that has been taken over from, with its participant: kept by who decides that.
    """

    __slots__ = ("_admission", "_document", "_pairs", "_presence", "_settings", "fenced", "writers")

    def __init__(
        self,
        document: SessionDocument,
        presence: Presence,
        settings: Settings,
        writers: dict[int, str],
        fenced: Set[tuple[int, str]],
    ) -> None:
        self._document = document
        self._presence = presence
        self._settings = settings
        self._admission: Admission | None = None
        self._pairs: SurrogatePairs | None = None
        self.fenced = fenced
        self.writers = writers

    def check_fence(self, header: UpdateHeader, by: Participant, known: Mapping[int, int]) -> None:
        """Refuse what is new from a client of which another process of its agent has taken over.

        What others bring back of it was seen before, and is taken.

        Args:
            header: the update's header.
            by: whose update it is.
            known: the document's state vector.

        Raises:
            Superseded: one of its clients is fenced off.
        """
        for span in header.brings:
            if (span.client, by.id) in self.fenced and span.end > known.get(span.client, 0):
                raise Superseded(
                    "Another process has taken over what this one did while it was away; start from a fresh document."
                )

    def find_cuts(self, update: bytes, header: UpdateHeader, known: Mapping[int, int]) -> Cuts | None:
        """The surrogate pairs that an update would cut in two; see `SurrogatePairs`."""
        if self._pairs is None:  # not while a session is loaded: who only reads needn't wait for it
            self._pairs = SurrogatePairs()
            self._pairs.add(self._document.doc.get_update())
        return self._pairs.cut_by(update, header, known)

    def check_writers(self, header: UpdateHeader, by: Participant, known: Mapping[int, int]) -> None:
        """Refuse an update under a client id that is somebody else's.

        Args:
            header: the update's header.
            by: whose update it is.
            known: the document's state vector.

        Raises:
            ClientIdTaken: one of its client ids is.
        """
        for span in header.brings:
            if span.end <= known.get(span.client, 0):
                continue
            if span.client == self._document.doc.client_id or not self._may_write(by, span.client):
                raise ClientIdTaken(
                    "Another participant writes under this Yjs client id; start from a fresh document."
                )

    def admit(
        self, update: bytes, header: UpdateHeader, by: Participant, *, offered: bool, cuts: Sequence[Id] = ()
    ) -> Admitted:
        """Judge an update that fits, of a participant who may not write everything.

        Args:
            update: its bytes.
            header: its header.
            by: whose it is.
            offered: whether it is an answer to a sync step 1, which may hold what others wrote.
            cuts: the surrogate pairs of the document that it cuts, by their first clocks; they are deleted before.

        Returns:
            What to apply, log and send; it may be empty.

        Raises:
            CosessionError: see `Admission.judge`.
        """
        first = delete_pairs(cuts) if cuts else None
        return self._judge().judge(update, header, by, partial(self._is_own, by) if offered else None, first)

    def check_size(self, by: Participant, grows: int) -> None:
        """Refuse what the server is to write for a participant, where the document has no place for so many bytes.

        Raises:
            TooLarge: it is full.
        """
        if not by.capabilities.writes_everything:
            self._judge().check_size(grows)

    def parts_of_offer(self, update: bytes, by: Participant) -> Iterator[tuple[bytes, UpdateHeader]]:
        """The parts of an offer of which each may be admitted where the whole was not, with their headers.

        A replica may hold what the server lost in a crash. It gives back what its participant wrote; what others
        wrote comes back with them, or with somebody who may edit everything.
        """
        for part in islice(split_by_client(update), _MAX_PARTS):
            header = read_update_header(part)
            if all(self._is_own(by, span.client) for span in header.brings):
                yield part, header

    def applied(self, update: bytes, header: UpdateHeader, by: Participant, *, offered: bool = False) -> list[int]:
        """Hear of an update that was applied.

        Args:
            update: its bytes.
            header: its header.
            by: who wrote it, the server where it did so in somebody's name; who may write everything isn't judged, so
                admission hears of it here.
            offered: whether it may hold what others wrote.

        Returns:
            The Yjs client ids that are its writer's from now on.
        """
        if self._pairs is not None:
            self._pairs.add(update)
        if self._admission is not None and by.capabilities.writes_everything:
            self._admission.applied(update, header)
        if offered and by.capabilities.writes_everything:
            return []
        new = [span.client for span in header.brings if span.client not in self.writers]
        for client in new:
            self.writers[client] = by.id
        return new

    def may_speak_for(self, participant: str, client: int) -> bool:
        """Whether a Yjs client id is a participant's, or still free; also among those who may write everything."""
        owner = self.writers.get(client)
        if owner is None:
            return not self._presence.is_others(client, participant)
        return owner == participant

    def _judge(self) -> Admission:
        """What judges; made when the first one comes who may not write everything."""
        if self._admission is None:
            limits = Limits(self._settings.max_document_bytes, self._settings.max_depth)
            self._admission = Admission(self._document, limits)
        return self._admission

    def _may_write(self, by: Participant, client: int) -> bool:
        if by.capabilities.writes_everything:
            return self._presence.may_write(by, client)
        return self._is_own(by, client)

    def _is_own(self, by: Participant, client: int) -> bool:
        """Whether a client id is a participant's: of who first wrote under it, or before that, of who is present."""
        owner = self.writers.get(client)
        return self._presence.may_write(by, client) if owner is None else owner == by.id
