"""The shadow: a second copy of the document, on which an update is tried before the live one gets it.

A malformed update can panic the CRDT library, and a document can't be trusted after a panic. So an update of a
restricted participant, unless it is a plain token, is applied here first: a panic costs only the shadow, which is
made anew when it is next needed; the live document is untouched.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final

from pycrdt import Doc

from cosession.errors import MalformedFrame, is_crdt_error
from cosession.protocol import EMPTY_UPDATE, split_update

_WAITING: Final = 2**18
"""Bytes of updates that may wait for the shadow: applying them takes some twenty milliseconds. Beyond it, a copy is
made when it is next needed."""
_PIECE: Final = 2**16
"""Bytes of the document that are applied at once: a few milliseconds."""


class Shadow:
    """A copy of a document that is only made when it is needed.

    Args:
        state: returns the live document as an update.
    """

    def __init__(self, state: Callable[[], bytes]) -> None:
        self._state = state
        self._doc: Doc[Any] | None = None
        self._is_being_made = False
        self._waiting: list[bytes] = []
        self._bytes = 0

    @property
    def is_ready(self) -> bool:
        """Whether the copy is made."""
        return self._doc is not None

    def prepare(self, state: bytes) -> Iterator[None]:
        """Make the copy of a large document in steps, while the document may change.

        Args:
            state: the document; the updates that it gets from then on must be followed.
        """
        doc: Doc[Any] = Doc()
        self.drop()
        self._is_being_made = True
        yield  # the document was encoded just now
        for piece in split_update(state, _PIECE) if len(state) > 4 * _PIECE else (state,):
            if piece != EMPTY_UPDATE:
                doc.apply_update(piece)
            yield
        self._doc, self._is_being_made = doc, False

    def follow(self, update: bytes) -> None:
        """Note an update that the live document gets."""
        if self._doc is None and not self._is_being_made:
            return
        self._waiting.append(update)
        self._bytes += len(update)
        if self._bytes > _WAITING and not self._is_being_made:
            self.drop()

    def try_out(self, update: bytes) -> None:
        """Apply an update that the live document doesn't have yet.

        Raises:
            MalformedFrame: it breaks the document.
        """
        try:
            doc = self._doc
            if doc is None:
                doc = self._doc = Doc()
                doc.apply_update(self._state())
            for earlier in self._waiting:
                doc.apply_update(earlier)
            self._waiting.clear()
            self._bytes = 0
            doc.apply_update(update)
        except BaseException as error:
            self.drop()
            if is_crdt_error(error):
                raise MalformedFrame("The update breaks the session's document; start from a fresh one.") from error
            raise

    def drop(self) -> None:
        """Discard the copy."""
        self._doc, self._is_being_made = None, False
        self._waiting.clear()
        self._bytes = 0
