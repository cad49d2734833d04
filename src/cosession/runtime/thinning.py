"""Thinning: coalesces consecutive rows by one author into one row; the log replays to the same document.

The rows are replayed, and each group of them is applied in one transaction, whose change is the group's one update.
The library joins text that was typed in sequence, so a message that was streamed in 60 tokens takes little more than
its text; merging the updates as bytes would keep each token's frame. Content written and deleted within one group
is dropped; the document keeps no trace of it either.

Concurrent authors (two agents that stream, token by token in turn) get separate groups: a row joins the last group of
its author, past rows of others in between, if it depends on none of these. Such groups overlap, and share one range
of versions: together they are the changes of that range, and only its end is a state that the document once had.

Invariants: ranges stay neighbours, none is lost, none covers more time than the grain; the author of a row, by
participant and Yjs client, stays true; no row depends on a later one; the thinned rows replay to the same document,
or stay as they were.

Pure: no loop, clock or disk. Bound: one replay of the session, and two more of the thinned rows. A group is small,
because the library joins a sequence of text from its end, with a copy each: ten thousand take gigabytes.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import pairwise
from math import nan
from typing import Any, Final

from pycrdt import Doc, TransactionEvent, get_state

from cosession.errors import MalformedFrame, StorageError, is_crdt_error
from cosession.protocol import EMPTY_UPDATE, KeptValues, UpdateHeader, decode_state_vector, read_update_header
from cosession.storage import LoggedUpdate

_MOST_ROWS: Final = 1000
_MOST_BYTES: Final = 2**16
"""The bytes of a group that are allowed; one row may be larger."""


def thin(
    before: Sequence[LoggedUpdate], rows: Sequence[LoggedUpdate], *, grain_seconds: float
) -> Sequence[LoggedUpdate]:
    """Coalesce rows into fewer ones.

    Args:
        before: the log up to them, as it was thinned before.
        rows: the rows to thin; the document as of each version between two of the returned rows can be restored.
        grain_seconds: how much time one row may cover at most.

    Raises:
        StorageError: the log can't be replayed.
    """
    try:
        return _thin(before, rows, grain_seconds)
    except BaseException as error:
        if isinstance(error, MalformedFrame) or is_crdt_error(error):
            raise StorageError("The log can't be replayed, and was not thinned.") from error
        raise


def _thin(
    before: Sequence[LoggedUpdate], rows: Sequence[LoggedUpdate], grain_seconds: float
) -> Sequence[LoggedUpdate]:
    past = _replayed(row.update for row in before).get_update()
    headers = _fitting(past, rows)
    if headers is None:
        return rows
    groups = _Groups(grain_seconds)
    for row, header in zip(rows, headers, strict=True):
        groups.add(row, header)
    doc = _replayed([past])
    thinned = [row for shared in groups.by_range() for row in _joined(doc, shared)]
    return thinned if _outcome(past, thinned) == _outcome(past, rows) else rows


def _replayed(updates: Iterable[bytes]) -> Doc[Any]:
    doc: Doc[Any] = Doc()
    for update in updates:
        doc.apply_update(update)
    return doc


def _outcome(past: bytes, rows: Iterable[LoggedUpdate]) -> bytes:
    """Return the document that rows replay to, encoded after a reload: the cuts of structs depend on their order."""
    replayed = _replayed([past, *(row.update for row in rows)])
    return _replayed([replayed.get_update()]).get_update()


def _fitting(past: bytes, rows: Iterable[LoggedUpdate]) -> list[UpdateHeader] | None:
    """Return the headers if each row depends on earlier ones only; the library would accept others silently."""
    vector = decode_state_vector(get_state(past))
    headers: list[UpdateHeader] = []
    for row in rows:
        header = read_update_header(row.update)
        if not header.fits(vector):
            return None
        for span in header.brings:
            vector[span.client] = max(span.end, vector.get(span.client, 0))
        headers.append(header)
    return headers


class _Groups:
    """Groups of rows that each become one row, in an order in which they can be applied.

    Groups with overlapping versions share a range; a range is a slice of the list of groups. A row may join the
    newest group of its author, which makes one range of all from there on.
    """

    def __init__(self, grain_seconds: float) -> None:
        self._grain = grain_seconds
        self._groups: list[list[LoggedUpdate]] = []
        self._bytes: list[int] = []
        self._starts: list[int] = []  # of ranges: their first group, and when they began
        self._began: list[float] = []
        self._newest: dict[tuple[str, int | None], int] = {}
        self._written: dict[int, list[tuple[int, int]]] = {}  # per client, from which clock on in which group

    def add(self, row: LoggedUpdate, header: UpdateHeader) -> None:
        """Add the next row of the log."""
        hand = (row.participant, row.client)
        at = _seconds(row.at)
        group = self._newest.get(hand)
        if group is not None and self._may_join(group, at, row, header):
            until = bisect_right(self._starts, group)
            del self._starts[until:], self._began[until:]
            self._groups[group].append(row)
            self._bytes[group] += len(row.update)
        else:
            group = self._newest[hand] = len(self._groups)
            self._groups.append([row])
            self._bytes.append(len(row.update))
            self._starts.append(group)
            self._began.append(at)
        for span in header.brings:
            self._written.setdefault(span.client, []).append((span.clock, group))

    def by_range(self) -> Iterator[list[list[LoggedUpdate]]]:
        """Yield the groups of each range."""
        for start, end in pairwise([*self._starts, len(self._groups)]):
            yield self._groups[start:end]

    def _may_join(self, group: int, at: float, row: LoggedUpdate, header: UpdateHeader) -> bool:
        if len(self._groups[group]) >= _MOST_ROWS or self._bytes[group] + len(row.update) > _MOST_BYTES:
            return False
        began = self._began[bisect_right(self._starts, group) - 1]
        if not 0 <= at - began <= self._grain:
            return False
        stands_on = [
            *header.needs.items(),
            *((span.client, span.clock) for span in header.brings),
            *((span.client, span.end) for span in header.deletes),
        ]
        return all(self._home(client, end) <= group for client, end in stands_on)

    def _home(self, client: int, end: int) -> int:
        """Return the group with the struct before a clock of a client."""
        written = self._written.get(client, ())
        behind = bisect_left(written, (end, -1))
        return written[behind - 1][1] if behind else -1


def _joined(doc: Doc[Any], groups: list[list[LoggedUpdate]]) -> Iterator[LoggedUpdate]:
    """Apply the groups of one range to the document, and yield the rows that do the same."""
    versions = sum(len(group) for group in groups)
    last = max((group[-1] for group in groups), key=lambda row: row.version)
    for group in groups:
        update = _applied(doc, group)
        yield replace(group[-1], version=last.version, at=last.at, update=update, versions=versions)
        versions = 0


def _applied(doc: Doc[Any], group: list[LoggedUpdate]) -> bytes:
    """Apply rows to the document, and return the one update that does the same."""
    changes: list[bytes] = []

    def note(event: TransactionEvent) -> None:
        changes.append(event.update)

    subscription = doc.observe(note)
    try:
        with doc.transaction():
            for row in group:
                doc.apply_update(row.update)
    finally:
        doc.unobserve(subscription)
    if len(group) == 1:
        return group[0].update
    kept = KeptValues(row.update for row in group)
    return (
        kept.restore(changes[0]) if changes else EMPTY_UPDATE
    )  # all of it had been deleted before, by another participant


def _seconds(at: str) -> float:
    try:
        return datetime.fromisoformat(at).timestamp()
    except ValueError:
        return nan  # an unreadable time is close to no other
