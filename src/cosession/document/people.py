"""Participants, written by the server, and agents, each of which describes itself in `agents`.

An agent that died can't write that: whether it is connected is in `participants`, never in `agents`.
"""

from typing import Any, cast

from pycrdt import Map

from cosession.errors import BadDocument

from .record import Record, Records, map_in
from .values import JsonObject, checked_id, checked_object, transaction

AGENT_STATUSES = ("idle", "thinking", "working", "waiting")


class Agent(Record):
    """A view over one agent's description of itself."""

    __slots__ = ()

    @property
    def name(self) -> str:
        """The display name."""
        return self._string("name")

    @property
    def status(self) -> str:
        """`idle`, `thinking`, `working` or `waiting`."""
        return self._string("status", "idle")

    @property
    def task(self) -> str | None:
        """The current task, in one line of plain language."""
        return self._optional_string("task")

    @property
    def progress(self) -> JsonObject | None:
        """The progress, {label, done, total}, if it reports any."""
        return self._optional_object("progress")

    @property
    def run(self) -> str | None:
        """The run that it works on."""
        return self._optional_string("run")

    def set(self, **fields: Any) -> None:
        """Set fields of the description; only the agent itself does.

        Args:
            fields: `status`, `task`, `run`, `progress`, `name`; None empties a field.

        Raises:
            BadDocument: a value doesn't fit.
        """
        checked = checked_object(fields, "What an agent says of itself")
        if unknown := sorted(checked.keys() - {"status", "task", "run", "progress", "name"}):
            raise BadDocument(f"An agent has no {', '.join(unknown)}; it has name, status, task, progress and run.")
        if checked.get("status", "idle") not in AGENT_STATUSES:
            raise BadDocument(
                f"The status of an agent is one of {', '.join(AGENT_STATUSES)}, not {checked['status']!r}."
            )
        self.write(checked)


class Agents(Records[Agent]):
    """The agents by id."""

    __slots__ = ()

    kind = Agent

    def declare(self, id: str, *, name: str) -> Agent:  # noqa: A002 - the field's name
        """Make the agent's Map at its first join; only the server does, and an existing one stays as it is."""
        with transaction(self.shared):
            agent = map_in(self.shared, checked_id(id, "An agent's id"))
            if agent is None:
                agent = Map(checked_object({"name": name, "status": "idle"}, "An agent"))
                self.shared[id] = cast(Any, agent)
            return Agent(agent)


class ParticipantRecord(Record):
    """A view over the server's record of one participant."""

    __slots__ = ()

    @property
    def name(self) -> str:
        """The display name."""
        return self._string("name")

    @property
    def kind(self) -> str:
        """`human`, `agent` or `operator`."""
        return self._string("kind", "human")

    @property
    def online(self) -> bool:
        """Whether a device of the participant is connected."""
        return self.get("online") is True

    @property
    def looking(self) -> bool:
        """Whether the participant has a page of the session in view, as far as known; see `rooms.attendance`."""
        return self.online and self.get("looking") is True

    @property
    def since(self) -> str | None:
        """The time of the first join."""
        return self._optional_string("since")

    @property
    def last_seen(self) -> str | None:
        """The time at which the last connection ended; None if the participant has never left."""
        return self._optional_string("last_seen")

    @property
    def devices(self) -> int:
        """The number of connections."""
        return self._integer("devices", 0) if self.online else 0


class Participants(Records[ParticipantRecord]):
    """The participants by id; only the server writes them."""

    __slots__ = ()

    kind = ParticipantRecord

    def set(self, id: str, **fields: Any) -> ParticipantRecord:  # noqa: A002 - the field's name
        """Set fields of a participant; the first call makes the record.

        Args:
            id: the participant's id.
            fields: `name`, `kind`, `since`, `online`, `devices`, `looking`, `last_seen`.

        Raises:
            BadDocument: a value isn't JSON.
        """
        values = checked_object(fields, "What is said of a participant")
        with transaction(self.shared):
            item = map_in(self.shared, checked_id(id, "A participant's id"))
            if item is None:
                item = Map(values)
                self.shared[id] = cast(Any, item)
            else:
                Record(item).write(values)
            return ParticipantRecord(item)

    def remove(self, id: str) -> None:  # noqa: A002 - the field's name
        """Remove a participant."""
        if id in self.shared:
            del self.shared[id]
