"""Checkpoints: what an agent needs to go on with a run in another process, kept outside of the session."""

from typing import Protocol

from cosession.document import JsonObject


class CheckpointStore(Protocol):
    """Keeps one value per run, for all processes of an agent; an application implements it over its database."""

    async def load(self, run: str) -> JsonObject | None:
        """Return the value that was saved last.

        Args:
            run: the run's id.

        Returns:
            The value; None where there is none.
        """
        ...

    async def save(self, run: str, value: JsonObject | None) -> None:
        """Keep a value in place of the one before, durably, before this returns.

        Args:
            run: the run's id.
            value: the value, as JSON; None removes it.
        """
        ...
