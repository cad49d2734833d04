"""The origin (the left neighbour when written) of each list or text entry: a forest, to check neighbours by.

Invariant: of two neighbours that a struct names, the right one was written behind the left one, or behind an entry
that the left one was written behind, directly or through others. Other neighbours were next to each other in no
replica; Yjs and yrs integrate a struct between them differently, depending on the updates before it.

Clocks of one client that were each written behind the one before are one run. The ancestor of a run at any depth is
found in a time that grows with the logarithm of the depth, by jump pointers ("An applicative random-access stack",
E. Myers, 1983).
"""

from bisect import bisect_left, bisect_right

from cosession.protocol.structs import Id


class _Run:
    """Clocks of one client, each written behind the one before.

    Attributes:
        start: the first clock.
        end: the first clock after the last one.
        origin: of the first clock, the clock that it was written behind; -1 if none.
        parent: the run that this is in; None if none.
        jump: a run further up.
        depth: the number of runs above it.
    """

    __slots__ = ("depth", "end", "jump", "origin", "parent", "start")

    def __init__(self, start: int, end: int, origin: int, parent: "_Run | None") -> None:
        self.start = start
        self.end = end
        self.origin = origin
        self.parent = parent
        self.depth = 0 if parent is None else parent.depth + 1
        self.jump: _Run | None = parent
        if parent is not None and parent.jump is not None and parent.jump.jump is not None:
            far = parent.jump
            if parent.depth - far.depth == far.depth - parent.jump.jump.depth:
                self.jump = far.jump

    def above(self, depth: int) -> "_Run":
        """Return the run at a depth, which is this one's or less."""
        run = self
        while run.depth > depth:
            jump, parent = run.jump, run.parent
            assert parent is not None
            run = jump if jump is not None and jump.depth >= depth else parent
        return run


class Origins:
    """The origins of a document's lists and texts; values under a key have none."""

    __slots__ = ("_clients",)

    def __init__(self) -> None:
        self._clients: dict[int, list[_Run]] = {}

    def add(self, client: int, clock: int, length: int, left: Id | None) -> None:
        """Add a struct; the client's clocks before it must be known.

        Args:
            client: its client.
            clock: its first clock.
            length: the number of its clocks.
            left: the id that it was written behind, if any; it is known.
        """
        runs = self._clients.get(client)
        if runs is None:
            runs = self._clients[client] = []
        if left is not None and left[0] == client and left[1] == clock - 1 and runs and runs[-1].end == clock:
            runs[-1].end = clock + length
            return
        parent = None if left is None else self._find(left)
        origin = -1 if left is None or parent is None else left[1]
        runs.append(_Run(clock, clock + length, origin, parent))

    def cut(self, client: int, end: int) -> None:
        """Forget the clocks of a client from `end` on."""
        runs = self._clients.get(client)
        if runs is None:
            return
        del runs[bisect_left(runs, end, key=_start) :]
        if not runs:
            del self._clients[client]
        elif runs[-1].end > end:
            runs[-1].end = end

    def are_neighbours(self, left: Id | None, right: Id) -> bool:
        """Return whether a writer could have seen two entries of one list next to each other.

        Args:
            left: the id of the one before; None is the list's beginning.
            right: the id of the one behind; both are known.
        """
        behind = self._find(right)
        if behind is None:
            return False
        is_first = behind.start == right[1]
        if is_first and behind.parent is None:  # it was written at the beginning
            return left is None or not self._is_above(behind, right[1], left)
        if left is None or self._is_above(behind, right[1], left):
            return False
        above, clock = (behind.parent, behind.origin) if is_first else (behind, right[1] - 1)
        assert above is not None
        return self._is_above(above, clock, left)

    def _is_above(self, run: _Run, clock: int, below: Id) -> bool:
        """Return whether a clock of a run is another entry, or one of its ancestors."""
        at = self._find(below)
        if at is None or at.depth < run.depth:
            return False
        if at.depth == run.depth:
            return at is run and below[1] >= clock
        child = at.above(run.depth + 1)
        return child.parent is run and child.origin >= clock

    def _find(self, id: Id) -> _Run | None:  # noqa: A002 - Yjs's word
        """Return the run that an id is in."""
        runs = self._clients.get(id[0])
        if runs is None:
            return None
        place = bisect_right(runs, id[1], key=_start) - 1
        return runs[place] if place >= 0 and id[1] < runs[place].end else None


def _start(run: _Run) -> int:
    return run.start
