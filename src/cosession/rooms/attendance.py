"""Attendance: of whom the document must be told anew that they are here, on how many connections, and looking.

Whatever happens is noted, and written only once it is at least one tick old, as what is true by then: so a reload or
a glance at another tab writes nothing, and many who come at once are one update. Pure: the shell ticks.
"""


class Attendance:
    """The participants of whom something has changed, each with the time of the last change."""

    __slots__ = ("_due", "_fresh")

    def __init__(self) -> None:
        self._fresh: dict[str, str] = {}
        self._due: dict[str, str] = {}

    def __bool__(self) -> bool:
        return bool(self._fresh or self._due)

    def note(self, participant: str, at: str) -> None:
        """Note that something has changed; what waits of the same participant waits anew."""
        self._due.pop(participant, None)
        self._fresh[participant] = at

    def take(self, *, at_once: bool = False) -> dict[str, str]:
        """Take what is to be written now: what changed before the last tick, or all of it."""
        due, self._due, self._fresh = self._due, self._fresh, {}
        if at_once:
            due, self._due = due | self._due, {}
        return due
