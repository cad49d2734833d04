"""The shadow: a second copy of the document, on which an update is tried before the live one gets it.

A malformed update can panic the CRDT library, and a document can't be trusted after a panic. So what a restricted
participant sends, unless it is a plain token, is applied here first: a panic costs the shadow, which is made anew
when it is next needed, and the live document was never touched.
"""

from collections.abc import Callable
from typing import Any, Final

from pycrdt import Doc

from cosession.errors import MalformedFrame, is_crdt_error

_WAITING: Final = 2**20
"""Bytes of updates that may wait for the shadow; beyond it, a copy of the document is cheaper than catching up."""


class Shadow:
    """A copy of a document that is only made when it is needed.

    Args:
        state: gives the live document as an update.
    """

    def __init__(self, state: Callable[[], bytes]) -> None:
        self._state = state
        self._doc: Doc[Any] | None = None
        self._waiting: list[bytes] = []
        self._bytes = 0

    def follow(self, update: bytes) -> None:
        """Hear of an update that the live document gets."""
        if self._doc is None:
            return
        self._waiting.append(update)
        self._bytes += len(update)
        if self._bytes > _WAITING:
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
        """Let the copy go."""
        self._doc = None
        self._waiting.clear()
        self._bytes = 0
