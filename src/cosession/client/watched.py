"""A document that reports when the commit of a transaction failed.

pycrdt calls observers while it commits a transaction. An observer that panics there (by reading the document's state,
for example) aborts the commit: the writes are in the document, but later observers, such as the one that sends them,
aren't called. This class reports that failure. No I/O.
"""

from collections.abc import Callable
from types import TracebackType
from typing import Any, cast

from pycrdt import Doc, NewTransaction, Transaction


class WatchedDoc(Doc[Any]):
    """A Doc that reports failed commits.

    Attributes:
        on_failed_commit: called after a transaction whose commit failed, if set.
        is_open: whether a transaction is open: its writes aren't committed yet.
    """

    def __init__(self, client_id: int) -> None:
        """Make an empty document that keeps deleted content; see `SessionDocument`.

        Args:
            client_id: its Yjs client id.
        """
        super().__init__(client_id=client_id, skip_gc=True)  # pyright: ignore[reportUnknownMemberType]
        self.on_failed_commit: Callable[[], None] | None = None
        self.is_open = False

    def forget_failures(self, failure: BaseException) -> None:
        """Add earlier failures of observers to the error of a commit: pycrdt would raise them at the next read.

        Args:
            failure: the error that ended the commit.
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
            # Also where observers failed one by one: the error of one may have interrupted another one.
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
