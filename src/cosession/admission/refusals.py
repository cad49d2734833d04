"""The refused parts of an update, and the rest of it: see "What is kept of a refused update" in the README."""

from collections.abc import Callable, Generator, Mapping

from cosession.errors import CosessionError
from cosession.protocol import ClockRange
from cosession.protocol.sections import Sections
from cosession.protocol.structs import Id


class Refusals:
    """The refusals found in one pass over an update.

    Args:
        is_own: whether a Yjs client id is surely the participant's, so that its clocks may be used up.

    Attributes:
        error: why the participant's first refused operation is refused; None if there is none.
        nothing: the structs without a place, because they are in a refused or collected one.
    """

    def __init__(self, is_own: Callable[[int], bool]) -> None:
        self.error: CosessionError | None = None
        self.nothing: list[Id] = []
        self._is_own = is_own
        self._structs: dict[Id, int | None] = {}
        self._deletes: list[ClockRange] = []

    def refuse(self, id: Id, error: CosessionError, content: int | None = None) -> None:  # noqa: A002 - Yjs's word
        """Refuse a struct.

        Args:
            id: its client and first clock.
            error: the reason.
            content: the offset of its content in the update, if a deleted struct may replace it; None if not.
        """
        self._structs.setdefault(id, content)
        if self._is_own(id[0]):
            self.error = self.error or error

    def refuse_deletion(self, gone: ClockRange, error: CosessionError) -> None:
        """Refuse a deletion."""
        self._deletes.append(gone)
        self.error = self.error or error

    def is_refused(self, id: Id) -> bool:  # noqa: A002
        """Return whether the struct that begins at a clock is refused."""
        return id in self._structs

    def __bool__(self) -> bool:
        return bool(self._structs or self._deletes)

    def without(self, update: bytes, known: Mapping[int, int], *, gives_up: bool) -> Generator[None, None, bytes]:
        """Return an update without the refused structs and those without a place; made in steps.

        A struct is replaced by a deleted one under the same clocks, which is in the delete set as well, so that it
        vanishes at its writer. A client that isn't surely the participant's is left out as a whole instead, with all
        structs that depend on it: its author may send them later, and must not find the client id taken.

        Args:
            update: the update.
            known: the state vector of the document.
            gives_up: whether the participant's own structs that depend on omitted ones are replaced.
        """
        sections = yield from Sections.in_steps(update)
        gone = self._structs | dict.fromkeys(self.nothing)
        clients = {client for client, _ in gone}
        cut = {client for client in clients if not self._is_own(client)}
        sections.drop_deletes(self._deletes)
        yield
        sections.replace_all({id: content for id, content in gone.items() if id[0] not in cut})  # noqa: A001
        for client in cut:
            sections.leave_out(client)
        yield
        if not cut:
            return sections.encode()
        return sections.fit(known, lambda _: True, may_replace=self._is_own if gives_up else None).update
