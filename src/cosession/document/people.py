"""Who takes part: `participants`, written by the server, and `agents`, in which each agent speaks of itself.

An agent that died can't say so: whether it is there is in `participants`, never in `agents`.
"""

from typing import Any, cast

from pycrdt import Map

from cosession.errors import BadDocument

from .record import Record, Records, map_in
from .values import JsonObject, checked_id, checked_object, transaction

AGENT_STATUSES = ("idle", "thinking", "working", "waiting")


class Agent(Record):
    """A view over what one agent says of itself."""

    __slots__ = ()

    @property
    def name(self) -> str:
        """What people call it."""
        return self._string("name")

    @property
    def status(self) -> str:
        """`idle`, `thinking`, `working` or `waiting`."""
        return self._string("status", "idle")

    @property
    def task(self) -> str | None:
        """What it does, in one line that a person understands."""
        return self._optional_string("task")

    @property
    def progress(self) -> JsonObject | None:
        """{label, done, total}, if it says how far it is."""
        return self._optional_object("progress")

    @property
    def run(self) -> str | None:
        """The run that it works on."""
        return self._optional_string("run")

    def set(self, **fields: Any) -> None:
        """Say something of oneself.

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
        """Make the agent's Map at its first join, which the server does; one that is there stays as it is."""
        with transaction(self.shared):
            agent = map_in(self.shared, checked_id(id, "An agent's id"))
            if agent is None:
                agent = Map(checked_object({"name": name, "status": "idle"}, "An agent"))
                self.shared[id] = cast(Any, agent)
            return Agent(agent)


class ParticipantRecord(Record):
    """A view over what the server says of one participant."""

    __slots__ = ()

    @property
    def name(self) -> str:
        """What people call them."""
        return self._string("name")

    @property
    def kind(self) -> str:
        """`human`, `agent` or `operator`."""
        return self._string("kind", "human")

    @property
    def online(self) -> bool:
        """Whether a device of theirs is connected."""
        return self.get("online") is True

    @property
    def looking(self) -> bool:
        """Whether they have a page of the session in front of them, as far as is known; see `rooms.attendance`."""
        return self.online and self.get("looking") is True

    @property
    def since(self) -> str | None:
        """When they first joined."""
        return self._optional_string("since")

    @property
    def last_seen(self) -> str | None:
        """When their last connection ended, the last time that one did; None while they have never left."""
        return self._optional_string("last_seen")

    @property
    def devices(self) -> int:
        """How many connections they have."""
        return self._integer("devices", 0) if self.online else 0


class Participants(Records[ParticipantRecord]):
    """The participants by id; only the server writes them."""

    __slots__ = ()

    kind = ParticipantRecord

    def set(self, id: str, **fields: Any) -> ParticipantRecord:  # noqa: A002 - the field's name
        """Say something of a participant; the first time makes their Map.

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
        """Forget a participant."""
        if id in self.shared:
            del self.shared[id]
