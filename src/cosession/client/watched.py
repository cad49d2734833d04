"""A document that says when a transaction of it failed at its end.

pycrdt tells observers of a transaction while it is committed. An observer that panics in there (one that asks for the
document's state does) ends the commit: what was written is in the document, and the observers that come after it,
such as the one that sends it, hear nothing. So it is heard of here. No I/O.
"""

from collections.abc import Callable
from types import TracebackType
from typing import Any, cast

from pycrdt import Doc, NewTransaction, Transaction


class WatchedDoc(Doc[Any]):
    """A Doc whose failed commits are told.

    Attributes:
        on_failed_commit: called after a transaction that failed at its end; None is nobody.
        is_open: whether a transaction is open: what it has written isn't committed yet.
    """

    def __init__(self, client_id: int) -> None:
        """Make an empty document that keeps what is deleted; see `SessionDocument`.

        Args:
            client_id: its Yjs client id.
        """
        super().__init__(client_id=client_id, skip_gc=True)  # pyright: ignore[reportUnknownMemberType]
        self.on_failed_commit: Callable[[], None] | None = None
        self.is_open = False

    def forget_failures(self, failure: BaseException) -> None:
        """Note on what ended a commit which observers failed before it: pycrdt would raise that of the next read.

        Args:
            failure: what ended the commit.
        """
        for one in self._exceptions:
            failure.add_note(f"An observer failed before that: {one!r}")
        self._exceptions.clear()

    def transaction(self, origin: Any = None) -> Transaction:
        """Begin a transaction, or join the one that is open."""
        found = super().transaction(origin)
        return found if type(found) is not Transaction else _WatchedTransaction(self, origin=origin)

    def new_transaction(self, origin: Any = None, timeout: float | None = None) -> NewTransaction:
        """Begin a transaction when the one that is open has ended."""
        return _WatchedNewTransaction(self, origin=origin, timeout=timeout)


class _Watched(Transaction):
    _depth = 0

    def __enter__(self, _acquire_transaction: bool = True) -> "_Watched":
        super().__enter__(_acquire_transaction)
        self._depth += 1
        self._watched.is_open = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._depth -= 1
        if self._depth:
            super().__exit__(kind, error, trace)
            return
        try:
            super().__exit__(kind, error, trace)
        except BaseException as failure:
            # Also where observers failed one by one: what one raised may have hit another one, in the middle of it.
            self._watched.is_open = False
            self._watched.forget_failures(failure)
            if self._watched.on_failed_commit is not None:
                self._watched.on_failed_commit()
            raise
        finally:
            self._watched.is_open = False

    @property
    def _watched(self) -> WatchedDoc:
        return cast("WatchedDoc", self._doc)  # pyright: ignore[reportUnknownMemberType]


class _WatchedTransaction(_Watched):
    """A transaction of a watched document."""


class _WatchedNewTransaction(NewTransaction, _Watched):
    """A transaction of a watched document that waits for its turn."""
