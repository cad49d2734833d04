"""What a session's log can still become: whether it replays, and a whole log made of what remains of one.

No I/O: `Remains` come from an inspection of the storage, `Mended` go to its repair. Versions keep their numbers:
where an update is lost an empty one takes its place. One that builds on what is lost is given up too, because it
can't be integrated, and a document that claimed to hold it would never ask for it again; a device that still has the
session brings both back when it connects. What stands for a range of versions is kept or lost row by row. Where a
snapshot holds what the log lost, the first gap gets all of it.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from pycrdt import Doc

from cosession.auth import SERVER
from cosession.document import SessionDocument
from cosession.errors import MalformedFrame, is_crdt_error
from cosession.protocol import EMPTY_UPDATE, read_update_header
from cosession.storage import LoggedUpdate, Mended, Remains, Snapshot


class _Replay:
    """A document that takes updates one by one, and is still good after one that it refuses."""

    def __init__(self) -> None:
        self.doc: Doc[Any] = Doc()
        self.vector: dict[int, int] = {}
        self._taken: list[bytes] = []

    def take(self, update: bytes) -> bool:
        """Apply an update; False if it doesn't fit or can't be applied."""
        try:
            header = read_update_header(update)
            if not header.fits(self.vector):
                return False
            self.doc.apply_update(update)
        except (MalformedFrame, ValueError):
            return False
        except BaseException as error:
            if not is_crdt_error(error):
                raise
            self.doc = Doc()  # nothing of the old one can be trusted
            for taken in self._taken:
                self.doc.apply_update(taken)
            return False
        for span in header.brings:
            self.vector[span.client] = max(span.end, self.vector.get(span.client, 0))
        self._taken.append(update)
        return True

    def lacks(self, vector: dict[int, int]) -> bool:
        """Whether it misses something that a document with this state vector has."""
        return any(end > self.vector.get(client, 0) for client, end in vector.items())


def find_damage(remains: Remains) -> tuple[str, ...]:
    """Say what is wrong with a session: what its storage noticed, else what its replay shows."""
    if remains.damage:
        return remains.damage
    log, snapshot = _Replay(), _replayed_snapshot(remains)
    damage = [f"{_named(row)} of its log can't be replayed" for row in remains.updates if not log.take(row.update)]
    if remains.snapshot and snapshot is None:
        damage.append("its snapshot can't be replayed")
    elif snapshot and not damage and log.lacks(snapshot.vector):
        damage.append("its snapshot holds what its log doesn't")
    return tuple(damage)


def mend(remains: Remains) -> Mended:
    """Make a whole session of what remains of one; one that is whole is left as it is."""
    damage = find_damage(remains)
    if not damage and remains.info:
        return Mended(remains.info.title, remains.info.created_at, remains.updates, remains.snapshot, ())
    snapshot = _replayed_snapshot(remains)
    log = _Replay()
    rows: list[LoggedUpdate] = []
    lost: set[int] = set()
    given_up: set[int] = set()
    at = remains.info.created_at if remains.info else _first_time(remains.updates)
    for first, version, row in _in_order(remains):
        kept = row
        if kept is None or not log.take(kept.update):
            (given_up if row else lost).update(range(first, version + 1))
            update = EMPTY_UPDATE
            if snapshot is not None and log.lacks(snapshot.vector):
                update = snapshot.doc.get_update(log.doc.get_state())
                log.take(update)
            versions = row.versions if row else version - first + 1
            kept = LoggedUpdate(remains.id, version, at, SERVER.id, None, update, versions)
        rows.append(kept)
        at = kept.at
    if snapshot is not None and log.lacks(snapshot.vector):
        update = snapshot.doc.get_update(log.doc.get_state())
        log.take(update)
        version = rows[-1].version if rows else 0
        rows.append(LoggedUpdate(remains.id, version + 1, at, SERVER.id, None, update))
    title, created_at = _facts(remains, log.doc, at)
    whole = Snapshot(remains.id, rows[-1].version, log.doc.get_update()) if rows else None
    return Mended(title, created_at, tuple(rows), whole, (*damage, *_outcome(remains, lost, given_up, snapshot)))


def _in_order(remains: Remains) -> Iterator[tuple[int, int, LoggedUpdate | None]]:
    """Every version of a log: the first and the last that each row tells of, or of a gap between two, and the row."""
    first = end = 0
    for row in remains.updates:
        if row.first > end + 1:
            yield end + 1, row.first - 1, None
        if row.versions:
            first = row.first
        yield first, row.version, row
        end = row.version
    if end < remains.version:
        yield end + 1, remains.version, None


def _named(row: LoggedUpdate) -> str:
    if not row.versions:
        return f"another row of the updates up to {row.version}"
    return f"update {row.version}" if row.versions == 1 else f"the row of updates {row.first} to {row.version}"


def _outcome(remains: Remains, lost: set[int], given_up: set[int], snapshot: "_Replay | None") -> Iterable[str]:
    if not remains.version:
        yield "nothing of it could be saved: it is empty now"
        return
    covered = remains.snapshot.version if remains.snapshot and snapshot else 0
    told = max(remains.info.version, remains.version) if remains.info else remains.version
    gone = sum(version > covered for version in lost) + told - remains.version
    if gone:
        yield f"{gone} of {told} updates are lost"
    if given_up:
        yield f"{len(given_up)} of {told} updates can't be used, because they build on what is lost"
    if not gone and not given_up:
        yield "nothing of its document is lost"


def _facts(remains: Remains, doc: Doc[Any], at: str) -> tuple[str, str]:
    if remains.info:
        return remains.info.title, remains.info.created_at
    meta = SessionDocument(doc).to_json()["meta"]
    return str(meta.get("title", "")), str(meta.get("created_at", at))


def _first_time(updates: tuple[LoggedUpdate, ...]) -> str:
    return updates[0].at if updates else "1970-01-01T00:00:00.000Z"


def _replayed_snapshot(remains: Remains) -> _Replay | None:
    replay = _Replay()
    return replay if remains.snapshot and replay.take(remains.snapshot.update) else None
