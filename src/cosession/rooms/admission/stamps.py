"""Stamps: who wrote a message, when it came and after which other, as the server saw it; only the server stamps."""

from collections.abc import Iterable
from typing import Any, cast

from pycrdt import Map

from cosession.document import Message, SessionDocument


def unstamped_messages(document: SessionDocument, among: int) -> list[str]:
    """The ids of the messages without a stamp among the newest, for updates that nobody judged.

    Args:
        document: the session.
        among: how many messages to look at, from the end.
    """
    shared = document.messages.shared
    found: list[str] = []
    for place in range(max(len(shared) - among, 0), len(shared)):
        item: Any = shared[place]
        if isinstance(item, Map) and (message := Message(cast("Map[Any]", item))).stamp is None and message.id:
            found.append(message.id)
    return found


def stamp_messages(document: SessionDocument, messages: Iterable[str], participant: str, at: str, seq: int) -> None:
    """Stamp messages that just came; one that has a stamp keeps it.

    Call it in the same step in which their update was applied, inside of the server's transaction: nobody then sees
    a message of which it isn't known whose it is.

    Args:
        document: the session.
        messages: their ids.
        participant: who wrote them.
        at: the server's time, RFC 3339.
        seq: the version of the update that brought them; two of one update have the same, and the list's order.
    """
    for id in messages:  # noqa: A001 - the field's name
        message = document.messages.get(id)
        if message is not None and message.stamp is None:
            message.set_stamp(by=participant, at=at, seq=seq)
