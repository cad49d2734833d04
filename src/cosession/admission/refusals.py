"""What of one update is refused, and the update without it: see "What is kept of a refused update" in the README."""

from collections.abc import Callable, Generator, Mapping

from cosession.errors import CosessionError
from cosession.protocol import ClockRange
from cosession.protocol.sections import Sections
from cosession.protocol.structs import Id


class Refusals:
    """What was found in one pass over an update.

    Args:
        is_own: whether a Yjs client id is surely the participant's, who may use up its clocks.

    Attributes:
        error: why the first of what its participant did is refused; None while nothing of that is.
        nothing: the structs that are nothing, because of what they are in.
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
            error: why.
            content: where its content begins in the update, where something deleted may stand in its place; None:
                nothing may.
        """
        self._structs.setdefault(id, content)
        if self._is_own(id[0]):
            self.error = self.error or error

    def refuse_deletion(self, gone: ClockRange, error: CosessionError) -> None:
        """Refuse to delete something."""
        self._deletes.append(gone)
        self.error = self.error or error

    def is_refused(self, id: Id) -> bool:  # noqa: A002
        """Whether the struct that begins at a clock is refused."""
        return id in self._structs

    def __bool__(self) -> bool:
        return bool(self._structs or self._deletes)

    def without(self, update: bytes, known: Mapping[int, int], *, gives_up: bool) -> Generator[None, None, bytes]:
        """Return an update without what is refused, and without what is nothing; made in steps.

        A struct is replaced by something deleted under the same clocks, and named among what is deleted, so that it
        vanishes where it was written. A client that isn't surely the participant's is left out as a whole instead,
        and what stands on it: its author may bring it later, and must not find its client id taken.

        Args:
            update: the update.
            known: the state vector of the document.
            gives_up: whether the participant's own structs that stand on what is left out are replaced.
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
