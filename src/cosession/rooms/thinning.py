"""How a log becomes smaller without changing what it replays to: neighbours of one hand and one time become one row.

The rows are replayed, and each group of neighbours is applied in one transaction: what that transaction changed is
the group's one update. The library joins what was typed in a row, so a message that was streamed in 60 tokens comes
to little more than its text; merging the updates as bytes would keep each token's frame. What was written and
deleted within one group is forgotten; the document keeps no trace of it either.

Invariants: ranges stay neighbours, none is lost; whose hand a row is, by participant and Yjs client, stays true; the
thinned rows replay to the same document, byte for byte, or the rows stay as they were.

Pure: no loop, clock or disk. Bound: one replay of the session, and one more of what was thinned.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from math import nan
from typing import Any

from pycrdt import Doc, TransactionEvent

from cosession.errors import MalformedFrame, StorageError
from cosession.protocol import decode_state_vector, read_update_header
from cosession.storage import LoggedUpdate


def thin(
    before: Sequence[LoggedUpdate], rows: Sequence[LoggedUpdate], *, grain_seconds: float
) -> Sequence[LoggedUpdate]:
    """Make fewer rows of many.

    Args:
        before: the log up to them, as it was thinned before.
        rows: what is to be thinned; the document as of any version between two rows that come back can be had again.
        grain_seconds: how much time one row may cover at most.

    Raises:
        StorageError: the log can't be replayed.
    """
    try:
        return _thin(before, rows, grain_seconds)
    except BaseException as error:
        if isinstance(error, ValueError | MalformedFrame) or type(error).__name__ == "PanicException":
            raise StorageError("The log can't be replayed, and was not thinned.") from error
        raise


def _thin(
    before: Sequence[LoggedUpdate], rows: Sequence[LoggedUpdate], grain_seconds: float
) -> Sequence[LoggedUpdate]:
    doc, check = _replayed(before), _replayed(before)
    if not _fit(doc, rows):
        return rows
    thinned = [_joined(doc, group) for group in _groups(rows, grain_seconds)]
    for row in thinned:
        check.apply_update(row.update)
    return thinned if check.get_update() == doc.get_update() else rows


def _replayed(rows: Iterable[LoggedUpdate]) -> Doc[Any]:
    doc: Doc[Any] = Doc()
    for row in rows:
        doc.apply_update(row.update)
    return doc


def _fit(doc: Doc[Any], rows: Iterable[LoggedUpdate]) -> bool:
    """Whether each row stands on what came before it; what doesn't, the library takes in without a word of it."""
    vector = decode_state_vector(doc.get_state())
    for row in rows:
        header = read_update_header(row.update)
        if not header.fits(vector):
            return False
        for span in header.brings:
            vector[span.client] = max(span.end, vector.get(span.client, 0))
    return True


def _groups(rows: Iterable[LoggedUpdate], grain_seconds: float) -> Iterator[list[LoggedUpdate]]:
    """Neighbours that may become one."""
    group: list[LoggedUpdate] = []
    began = 0.0
    for row in rows:
        at = _seconds(row.at)
        same = bool(group) and (row.participant, row.client) == (group[0].participant, group[0].client)
        if same and 0 <= at - began <= grain_seconds:
            group.append(row)
            continue
        if group:
            yield group
        group, began = [row], at
    if group:
        yield group


def _joined(doc: Doc[Any], group: list[LoggedUpdate]) -> LoggedUpdate:
    """Apply a group to the document, and return the one row that does the same."""
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
    versions = group[-1].version - group[0].first + 1
    return replace(group[-1], update=changes[0], versions=versions) if versions > 1 else group[0]


def _seconds(at: str) -> float:
    try:
        return datetime.fromisoformat(at).timestamp()
    except ValueError:
        return nan  # a time that nobody can read is near to none
