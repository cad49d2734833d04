"""Repair of a session's log: checks whether it replays, and makes a whole log of the rows that remain.

No I/O: `Remains` come from an inspection of the storage, `Mended` go to its repair. Versions keep their numbers: an
empty update replaces a lost one. An update that depends on a lost one is given up too, because it can't be
integrated, and a document that claimed to hold it would never ask for it again; a device that still has the session
brings both back when it connects. An update after which the document can't be opened is given up the same way. Rows
that share a range of versions are kept or lost row by row. If a snapshot holds content that the log lost, the first
gap gets all of it.
"""

import json
from bisect import bisect_left
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pycrdt import Doc

from cosession.auth import SERVER
from cosession.document import SessionDocument
from cosession.errors import MalformedFrame, is_crdt_error
from cosession.protocol import EMPTY_UPDATE, decode_state_vector, read_update_header
from cosession.protocol.pieces import in_transactions
from cosession.storage import LoggedUpdate, Snapshot
from cosession.storage.repair import Mended, Remains


class _Replay:
    """A document that applies updates one by one, and stays valid after one that it rejects."""

    def __init__(self) -> None:
        self.doc: Doc[Any] = Doc()
        self.vector: dict[int, int] = {}
        self._taken: list[bytes] = []

    def take(self, update: bytes) -> bool:
        """Apply an update; return False if it doesn't fit or can't be applied."""
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

    def take_all(self, updates: Sequence[bytes]) -> bool:
        """Apply updates together; return False if one doesn't fit or can't be applied: this is unusable then."""
        try:
            for group in in_transactions(updates):
                with self.doc.transaction():
                    if not all(map(self.take, group)):
                        return False
        except BaseException as error:
            if not is_crdt_error(error):
                raise
            return False
        return True

    def lacks(self, vector: dict[int, int]) -> bool:
        """Return whether it lacks something that a document with this state vector has."""
        return any(end > self.vector.get(client, 0) for client, end in vector.items())


def find_damage(remains: Remains) -> tuple[str, ...]:
    """Return the damage of a session: as its storage found it, else as its replay and its opening show it."""
    if remains.damage:
        return remains.damage
    damage = _replay_damage(remains)
    if not damage and (failure := _failure_to_open([row.update for row in remains.updates])):
        damage.append(f"its document can't be opened: {failure}")
    if not damage and remains.snapshot and (failure := _failure_to_open(_loaded_by_a_server(remains))):
        damage.append(f"its document can't be opened from its snapshot: {failure}")
    return tuple(damage)


def _replay_damage(remains: Remains) -> list[str]:
    """Return the parts of a session that can't be replayed; its documents may be large, and go on return."""
    log, snapshot = _Replay(), _replayed_snapshot(remains)
    damage: list[str] = []
    if not log.take_all([row.update for row in remains.updates]):
        log = _Replay()
        damage = [
            f"{_named(row)} of its log can't be replayed" for row in remains.updates if not log.take(row.update)
        ]
    if remains.snapshot and snapshot is None:
        damage.append("its snapshot can't be replayed")
    elif snapshot and not damage and log.lacks(snapshot.vector):
        damage.append("its snapshot holds what its log doesn't")
    return damage


def mend(remains: Remains) -> Mended:
    """Make a whole session of the remains of one; one that is whole is left as it is."""
    damage = find_damage(remains)
    if not damage and remains.info:
        return Mended(remains.info.title, remains.info.created_at, remains.updates, remains.snapshot, ())
    refused: set[int] = set()
    while True:
        saved = _save(remains, refused)
        culprit = _first_that_breaks(saved.rows)
        if culprit is None:
            break
        if culprit in refused:  # the part of the snapshot in its place breaks the document too
            remains = replace(remains, snapshot=None)
        refused.add(culprit)
    title, created_at = _facts(remains, saved.log.doc, saved.at)
    rows = tuple(saved.rows)
    whole = Snapshot(remains.id, rows[-1].version, saved.log.doc.get_update()) if rows else None
    return Mended(title, created_at, rows, whole, (*damage, *_outcome(remains, saved)))


@dataclass(slots=True)
class _Saved:
    """The saved part of a session: a whole log, its replay, and the versions that are missing in it."""

    log: _Replay
    rows: list[LoggedUpdate]
    lost: list[range]
    given_up: int
    at: str
    has_snapshot: bool


def _save(remains: Remains, refused: Container[int]) -> _Saved:
    """Make a whole log of the remains, without the rows of some versions."""
    snapshot = _replayed_snapshot(remains)
    at = remains.info.created_at if remains.info else _first_time(remains.updates)
    saved = _Saved(_Replay(), [], [], 0, at, snapshot is not None)
    log, rows = saved.log, saved.rows
    for first, version, row in _in_order(remains):
        kept = row
        if kept is None or version in refused or not log.take(kept.update):
            if row is None:
                saved.lost.append(range(first, version + 1))
            else:
                saved.given_up += version + 1 - first
            update = EMPTY_UPDATE
            if snapshot is not None and log.lacks(snapshot.vector):
                update = snapshot.doc.get_update(log.doc.get_state())
                log.take(update)
            versions = row.versions if row else version - first + 1
            kept = LoggedUpdate(remains.id, version, saved.at, SERVER.id, None, update, versions)
        rows.append(kept)
        saved.at = kept.at
    if snapshot is not None and log.lacks(snapshot.vector):
        update = snapshot.doc.get_update(log.doc.get_state())
        log.take(update)
        version = rows[-1].version if rows else 0
        rows.append(LoggedUpdate(remains.id, version + 1, saved.at, SERVER.id, None, update))
    return saved


def _loaded_by_a_server(remains: Remains) -> list[bytes]:
    """Return the updates that a server replays: the snapshot, and the updates after it."""
    snapshot = remains.snapshot
    if snapshot is None:
        return [row.update for row in remains.updates]
    return [snapshot.update, *(row.update for row in remains.updates if row.version > snapshot.version)]


def _failure_to_open(updates: Iterable[bytes]) -> str:
    """Open a document as a server does for a reader: replay, encode, load that, read as JSON. Empty if it opens."""
    updates = list(updates)
    try:
        copy: Doc[Any] = Doc()
        copy.apply_update(_encoded(updates))
        json.dumps(SessionDocument(copy).to_json(), allow_nan=False)
    except Exception as error:
        return str(error) or type(error).__name__
    except BaseException as error:
        if is_crdt_error(error):
            return str(error)
        raise
    return ""


def _encoded(updates: Sequence[bytes]) -> bytes:
    """Return the document that some updates make, as one update."""
    doc = _opened(updates)
    decode_state_vector(doc.get_state())
    return doc.get_update()


def _opened(updates: Sequence[bytes]) -> Doc[Any]:
    """Return the document that some updates make, applied together, or if that fails, one by one."""
    doc: Doc[Any] = Doc()
    try:
        for group in in_transactions(updates):
            with doc.transaction():
                for update in group:
                    doc.apply_update(update)
    except BaseException as error:
        if not isinstance(error, Exception) and not is_crdt_error(error):
            raise
        doc = Doc()
        for update in updates:
            doc.apply_update(update)
    return doc


def _first_that_breaks(rows: Sequence[LoggedUpdate]) -> int | None:
    """Return the version of the first row after which the document can't be opened, if there is one."""
    updates = [row.update for row in rows]
    if not _failure_to_open(updates):
        return None
    return rows[bisect_left(range(1, len(rows)), True, key=lambda end: bool(_failure_to_open(updates[:end])))].version


def _in_order(remains: Remains) -> Iterator[tuple[int, int, LoggedUpdate | None]]:
    """Yield all versions of a log in order: the first and last version of each row or gap, and the row."""
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


def _outcome(remains: Remains, saved: _Saved) -> Iterable[str]:
    if not remains.version:
        yield "nothing of it could be saved: it is empty now"
        return
    covered = remains.snapshot.version if remains.snapshot and saved.has_snapshot else 0
    told = max(remains.info.version, remains.version) if remains.info else remains.version
    lost = sum(len(range(max(versions.start, covered + 1), versions.stop)) for versions in saved.lost)
    gone = lost + told - remains.version
    if gone:
        yield f"{gone} of {told} updates are lost"
    if saved.given_up:
        yield f"{saved.given_up} of {told} updates can't be used, because they build on what is lost"
    if not gone and not saved.given_up:
        yield "nothing of its document is lost"


def _facts(remains: Remains, doc: Doc[Any], at: str) -> tuple[str, str]:
    if remains.info:
        return remains.info.title, remains.info.created_at
    meta = SessionDocument(doc).to_json()["meta"]
    return str(meta.get("title", "")), str(meta.get("created_at", at))


def _first_time(updates: tuple[LoggedUpdate, ...]) -> str:
    return updates[0].at if updates else "1970-01-01T00:00:00.000Z"


def _replayed_snapshot(remains: Remains) -> _Replay | None:
    """Return the document of the snapshot; None if there is none, or it can't be opened."""
    replay = _Replay()
    if remains.snapshot is None or _failure_to_open([remains.snapshot.update]):
        return None
    return replay if replay.take(remains.snapshot.update) else None
