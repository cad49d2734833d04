"""Adds and removes messages and queued prompts, at a cost that doesn't grow with the length of their lists.

yrs walks a list from its start, deleted entries too, to append to it, to delete from it, and to report an insertion.
So an update whose entry follows the one that is known to be the last is applied in three parts (see `ListIndex`); the
server writes a message of its own in a document that has nothing but that last one, and deletes a prompt from the
queue by its Yjs id. Where these aren't known, as in a session that was just loaded, yrs walks.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Final

from pycrdt import Doc, TransactionEvent

from cosession.document import QueuedPrompt, SessionDocument
from cosession.document.list_index import ListIndex
from cosession.errors import MalformedFrame, RoomBroken
from cosession.protocol import EMPTY_UPDATE, UpdateHeader
from cosession.protocol.appends import delete_struct, read_append, write_last

LONG: Final = 1000
"""The length of a list that yrs walks in about the time that the way without a walk takes."""

HALF_DONE: Final = "The server met an error in the middle of a change; connect once more."


def bring(document: SessionDocument, data: bytes, header: UpdateHeader, apply: Callable[[bytes], None]) -> None:
    """Apply an update that is entirely new.

    Args:
        document: the live document.
        data: the update.
        header: its header.
        apply: applies an update.

    Raises:
        MalformedFrame: see `apply`.
        RoomBroken: half of it was applied.
    """
    known = [index for index in _indexes(document) if index.last is not None]
    append = read_append(data) if known and not header.deletes else None
    index = None if append is None else next((one for one in known if one.last == append.left), None)
    if append is None or index is None:
        apply(data)
        return
    rest = partial(_apply_rest, apply)
    index.append(append.id, partial(apply, append.first), partial(rest, append.filled))
    if append.rest != EMPTY_UPDATE:
        rest(append.rest)


def learn_last(document: SessionDocument, data: bytes, header: UpdateHeader) -> None:
    """Note which entry an update that was just applied put at the end of a list, if it did.

    Args:
        document: the live document.
        data: the update.
        header: its header.
    """
    for index in _indexes(document):
        ends_in_new, index.ends_in_new = index.ends_in_new, False
        if ends_in_new and header.types:
            append = read_append(data)
            index.know_last(None if append is None else append.id)


def write_apart(
    document: SessionDocument, vector: Mapping[int, int], change: Callable[[SessionDocument], object]
) -> bytes | None:
    """Return the update that appends a message to a long list.

    Args:
        document: the live document; it isn't changed.
        vector: its state vector.
        change: appends the message, and does nothing else.

    Returns:
        None where the list is short, or its last entry isn't known.
    """
    index = _messages(document)
    if index is None or index.last is None:
        return None
    writer = document.doc.client_id
    apart: Doc[Any] = Doc(client_id=writer)
    apart.apply_update(write_last("messages", index.last, writer, vector.get(writer, 0)))
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


def take_out(document: SessionDocument, entry: QueuedPrompt, apply: Callable[[bytes], None]) -> None:
    """Delete an entry from the queue, in a transaction of its own.

    Args:
        document: the live document.
        entry: the entry; another may have its id.
        apply: applies an update.
    """
    index = document.queue.index
    if index is None:
        place = document.queue.place_of(entry)
    else:
        place = index.remove(entry.shared, lambda yjs_id: apply(delete_struct(yjs_id)))
    if place is not None:
        del document.queue.shared[place]


def _indexes(document: SessionDocument) -> Iterator[ListIndex]:
    """Return the indexes of the lists that yrs shall not walk; access to a missing list would create it."""
    messages = _messages(document)
    if messages is not None:
        yield messages
    queue = document.queue.index if "queue" in document.__dict__ else None
    if queue is not None:
        yield queue


def _messages(document: SessionDocument) -> ListIndex | None:
    index = document.messages.index if "messages" in document.__dict__ else None
    return index if index is not None and len(index) >= LONG else None


def _apply_rest(apply: Callable[[bytes], None], data: bytes) -> None:
    try:
        apply(data)
    except MalformedFrame as error:
        raise RoomBroken(HALF_DONE) from error
