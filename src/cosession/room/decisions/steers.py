"""Steers: what a run was told, by id, so one more costs as much on a run that was told much as on one that wasn't."""

from typing import Final

from cosession.document import Run

MOST_STEERS: Final = 2_000
"""Steers that a run takes; of more each is declined. yrs walks over them to append one, and readers read all."""


class Steers:
    """The steers of the runs that are under way: by the id of the run and of the steer, the participant."""

    __slots__ = ("_of",)

    def __init__(self) -> None:
        self._of: dict[str, tuple[int, dict[str, str]]] = {}

    def of(self, id_: str, run: Run) -> dict[str, str]:
        """Return the authors of a run's steers by the steers' ids; they are read again when others wrote some.

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
            text: what is wanted.
            at: the server's time, RFC 3339.

        Returns:
            False where the run has as many as it takes; one of this id is there otherwise.
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
