"""Texts that clients continue: a token right behind the last one of its client needs no new judgement."""

from functools import lru_cache
from typing import Final, NamedTuple

from cosession.auth.participant import Participant
from cosession.protocol import ClockRange, UpdateHeader
from cosession.protocol.lib0 import uint
from cosession.protocol.structs import Id, read_structs
from cosession.protocol.update_format import STRING

from .authorizer import Authorizer
from .item_index import ItemIndex
from .locations import Container
from .operations import Operation
from .quota import STRUCT_BYTES, Quota
from .shadow import Shadow

_MOST: Final = 1024
"""Yjs clients whose last text is remembered; at one more, all are forgotten."""

_encoded = lru_cache(2 * _MOST)(uint)


class _ContinuedText(NamedTuple):
    """A text that a participant was just admitted to write, and that the same update didn't make.

    The judgement depends on these attributes alone: the text's place never changes.

    Attributes:
        text: the text.
        owner: the owner of the record that it is in.
        participant: the writer.
        right: the id of the item that the writing is in front of, if any; the shadow has seen that a struct begins
            there.
    """

    text: Container
    owner: str | None
    participant: Participant
    right: Id | None

    def leads_to(self, span: ClockRange, update: bytes) -> bool:
        """Return whether an update is a string behind its client's last clock, with the same right neighbour."""
        client, right = _encoded(span.client), self.right
        kind, before = (b"\x84", b"") if right is None else (b"\xc4", _encoded(right[0]) + _encoded(right[1]))
        return update.startswith(
            b"\x01\x01" + client + uint(span.clock) + kind + client + uint(span.clock - 1) + before
        )


class ContinuedTexts:
    """The text that each Yjs client was last admitted to write in."""

    __slots__ = ("_texts",)

    def __init__(self) -> None:
        self._texts: dict[int, _ContinuedText] = {}

    def clear(self) -> None:
        """Forget them all."""
        self._texts.clear()

    def take_in(
        self,
        update: bytes,
        header: UpdateHeader,
        participant: Participant,
        index: ItemIndex,
        shadow: Shadow,
        size: Quota,
    ) -> bool:
        """Admit an update that only continues the text that its client just wrote; return False for any other.

        It must be one string and delete nothing. Right behind its client's last clock, with the same right neighbour,
        it is in that clock's place, even if that is deleted, and splits no struct. Elsewhere the shadow tries it.
        """
        if len(header.brings) != 1 or header.deletes or header.types or not update.startswith(b"\x01\x01"):
            return False
        span = header.brings[0]
        known, clocks = self._texts.get(span.client), index.clients.get(span.client)
        if known is None or clocks is None or clocks.end != span.clock:
            return False
        if known.participant is not participant or _owner(known.text) != known.owner:
            return False
        grows = len(update) + STRUCT_BYTES
        if not size.surely_fits(grows):
            return False
        left = (span.client, span.clock - 1)
        if clocks.last is known.text and header.needs.get(span.client) == span.clock and known.leads_to(span, update):
            shadow.follow(update)
        else:
            struct = next(read_structs(update))
            if struct.kind != STRING or index.place(struct) is not known.text:
                return False
            shadow.try_out(update)
            self._texts[span.client] = known._replace(right=struct.right)
            left = struct.left
        index.go_on(span.client, span.length, known.text, left)
        size.changed(grows)
        return True

    def remember(
        self,
        index: ItemIndex,
        header: UpdateHeader,
        participant: Participant,
        judge: Authorizer,
        last: Operation | None,
    ) -> None:
        """Remember the text that an update ended in, unless it was allowed only as part of a new record."""
        struct = None if last is None else last.struct
        if last is None or struct is None or len(header.brings) != 1 or last.record in judge.made:
            return
        if last.key is not None or last.action != "change" or index.clients[struct.client].last is not last.container:
            return
        if len(self._texts) >= _MOST:
            self._texts.clear()
        self._texts[struct.client] = _ContinuedText(last.container, _owner(last.container), participant, struct.right)


def _owner(container: Container) -> str | None:
    return None if container.record is None else container.record.owner
