"""Messages that come behind all others of a long list, at a cost that doesn't grow with the list.

yrs walks a list from its start to append to it, and to tell what was appended. So an update whose message comes
behind the one that is known to be the last is applied in three (see `ListIndex`), and the server writes its own in a
document that has nothing but that last one. Where it isn't known, as in a session that was just loaded, yrs walks.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from pycrdt import Doc, TransactionEvent

from cosession.document import SessionDocument
from cosession.document.list_index import ListIndex
from cosession.errors import MalformedFrame, RoomBroken
from cosession.protocol import EMPTY_UPDATE, UpdateHeader
from cosession.protocol.appends import read_append, write_last

LONG: Final = 1000
"""Messages over which yrs walks in about the time that it takes to do without."""

HALF_DONE: Final = "The server met an error in the middle of a change; connect once more."

_LIST: Final = "messages"


def bring(document: SessionDocument, data: bytes, header: UpdateHeader, apply: Callable[[bytes], None]) -> None:
    """Apply an update of which nothing is known.

    Args:
        document: the live document.
        data: the update.
        header: its header.
        apply: applies one.

    Raises:
        MalformedFrame: see `apply`.
        RoomBroken: half of it was applied.
    """
    index = _long_index(document)
    append = read_append(data) if index is not None and index.last is not None and not header.deletes else None
    if index is None or append is None or append.left != index.last:
        apply(data)
        return
    rest = partial(_apply_rest, apply)
    index.append(append.id, partial(apply, append.first), partial(rest, append.filled))
    if append.rest != EMPTY_UPDATE:
        rest(append.rest)


def learn_last(document: SessionDocument, data: bytes, header: UpdateHeader) -> None:
    """Hear of an update that was applied just now: which message it put behind all others, if it did.

    Args:
        document: the live document.
        data: the update.
        header: its header.
    """
    index = document.messages.index if _LIST in document.__dict__ else None
    if index is None:
        return
    ends_in_new, index.ends_in_new = index.ends_in_new, False
    if ends_in_new and header.types and len(index) >= LONG:
        append = read_append(data)
        index.last = None if append is None else append.id


def write_apart(
    document: SessionDocument, vector: Mapping[int, int], change: Callable[[SessionDocument], object]
) -> bytes | None:
    """The update with which a message is appended to a long list.

    Args:
        document: the live document; it isn't changed.
        vector: its state vector.
        change: appends the message, and does nothing else.

    Returns:
        None where the list is short, or its last entry isn't known.
    """
    index = _long_index(document)
    if index is None or index.last is None:
        return None
    writer = document.doc.client_id
    apart: Doc[Any] = Doc(client_id=writer)
    apart.apply_update(write_last(_LIST, index.last, writer, vector.get(writer, 0)))
    written: list[bytes] = []

    def note(event: TransactionEvent) -> None:
        written.append(event.update)

    subscription = apart.observe(note)
    scene = SessionDocument(apart)
    with scene.transaction():
        change(scene)
    apart.unobserve(subscription)
    [data] = written
    return data


def _long_index(document: SessionDocument) -> ListIndex | None:
    index = document.messages.index if _LIST in document.__dict__ else None
    return index if index is not None and len(index) >= LONG else None


def _apply_rest(apply: Callable[[bytes], None], data: bytes) -> None:
    try:
        apply(data)
    except MalformedFrame as error:
        raise RoomBroken(HALF_DONE) from error
