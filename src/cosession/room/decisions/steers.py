"""Steers: the instructions for a run, by id, so that one more costs the same however many the run has."""

from typing import Final

from cosession.document import Run

MOST_STEERS: Final = 2_000
"""The steers that a run may have; more are declined. yrs walks over them to append one, and readers read all."""


class Steers:
    """The steers of the runs that are under way: by the id of the run and of the steer, the participant."""

    __slots__ = ("_of",)

    def __init__(self) -> None:
        self._of: dict[str, tuple[int, dict[str, str]]] = {}

    def of(self, id_: str, run: Run) -> dict[str, str]:
        """Return the authors of a run's steers by the steers' ids; they are read again after others added some.

        Args:
            id_: the key that the run is under.
            run: the run.
        """
        entries, steers = self._of.get(id_, (-1, {}))
        if entries != run.steers_length:
            steers = {str(steer["id"]): str(steer["by"]) for steer in run.steers}
            self._of[id_] = run.steers_length, steers
        return steers

    def record(self, id_: str, run: Run, steer: str, *, by: str, text: str, at: str) -> bool:
        """Write a steer into a run that has none of this id.

        Args:
            id_: the key that the run is under.
            run: the run.
            steer: the steer's id.
            by: the participant.
            text: the instruction.
            at: the server's time, RFC 3339.

        Returns:
            False if the run has as many as are allowed; otherwise the run has a steer of this id now.
        """
        steers = self.of(id_, run)
        if steer in steers:
            return True
        if len(steers) >= MOST_STEERS:
            return False
        run.record_steer(steer, by=by, text=text, at=at, known=steers)
        if run.steers_length:  # it isn't gone
            steers[steer] = by
            self._of[id_] = run.steers_length, steers
        return True

    def forget(self, id_: str) -> None:
        """Forget the steers of a run that is over."""
        self._of.pop(id_, None)
