"""Runs: the agents' work, by id."""

from collections.abc import Iterator
from typing import Any

from pycrdt import Array, Map

from cosession.errors import BadDocument

from .record import map_in
from .run import Run, checked_status
from .values import JsonObject, checked, checked_id, checked_object, checked_text, keys_of, plain_object, transaction


class Runs:
    """All runs by id."""

    __slots__ = ("shared",)

    def __init__(self, shared: Map[Any]) -> None:
        self.shared = shared

    def __iter__(self) -> Iterator[Run]:
        """Iterate over the runs in the order in which they started."""
        runs = [Run(run) for key in keys_of(self.shared) if (run := map_in(self.shared, key)) is not None]
        return iter(sorted(runs, key=lambda run: run.started_at or ""))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def get(self, id: str) -> Run | None:  # noqa: A002 - the field's name
        """Return the run of an id, or None."""
        run = map_in(self.shared, id)
        return None if run is None else Run(run)

    def active(self) -> list[Run]:
        """Return the runs that haven't ended."""
        return [run for run in self if not run.ended]

    def start(
        self,
        id: str,  # noqa: A002 - the field's name
        *,
        agent: str,
        started_at: str,
        reply_to: str | None = None,
        epoch: int = 1,
        status: str = "running",
        client: int = 0,
        task: str = "",
    ) -> Run:
        """Start a run, with all its containers.

        Args:
            id: unique in the session.
            agent: the id of the agent that works.
            started_at: the time, RFC 3339.
            reply_to: the message that it answers.
            epoch: the number of this attempt, from 1.
            status: `running`, or `queued`.
            client: the Yjs client that works on it, and keeps it active; 0: any client of the agent.
            task: one line that describes the work, for people; empty where there is none.

        Raises:
            BadDocument: a value doesn't fit, or the id is in use.
        """
        fields = checked_object(
            {
                "id": checked_id(id, "A run's id"),
                "agent": checked_id(agent, "The agent's id"),
                "status": checked_status(status),
                "started_at": started_at,
                "epoch": epoch,
            }
        )
        if client:
            fields["client"] = checked(client, "The client")
        if task:
            fields["task"] = checked_text(task, "The task")
        if reply_to is not None:
            fields["reply_to"] = checked_id(reply_to, "The id of the message that is answered")
        with transaction(self.shared):
            if id in self.shared:
                raise BadDocument(f"There is a run {id!r} already; ids are used once.")
            run: Map[Any] = Map({**fields, **{name: Array() for name in ("messages", "steps", "steers", "seen")}})
            self.shared[id] = run
        return Run(run)

    def to_json(self) -> JsonObject:
        """Return all runs as plain JSON, by id."""
        return plain_object(self.shared)
