"""A run: one piece of agent work, from its start to its end. Its writer is the agent; the server adds `cancel` and
`steers`, sets `lost` when the agent is gone, and reassigns a lost run. The agent makes the containers at the start.
"""

from collections.abc import Collection, Sequence
from typing import Any, TypeGuard, cast

from pycrdt import Array, Map

from cosession.errors import BadDocument

from .record import Record, maps_in
from .run_states import ENDED, RUN_STATUSES
from .values import JsonObject, checked, checked_id, checked_object, checked_text, transaction


class Run(Record):
    """A view over one run."""

    __slots__ = ()

    @property
    def id(self) -> str:
        """The run's id."""
        return self._string("id")

    @property
    def agent(self) -> str:
        """The id of the agent that works."""
        return self._string("agent")

    @property
    def status(self) -> str:
        """`queued`, `running`, `suspended`, or an end: `complete`, `cancelled`, `error`, `lost`."""
        return self._string("status")

    @property
    def ended(self) -> bool:
        """Whether it has ended."""
        return self.status in ENDED

    @property
    def reply_to(self) -> str | None:
        """The message that it answers."""
        return self._optional_string("reply_to")

    @property
    def task(self) -> str:
        """One line that describes the work, for people; empty where the agent gives none."""
        return self._string("task")

    @property
    def messages(self) -> list[str]:
        """The ids of the messages that it wrote."""
        return [item for item in self._list("messages") if isinstance(item, str)]

    @property
    def started_at(self) -> str | None:
        """The time at which it started."""
        return self._optional_string("started_at")

    @property
    def ended_at(self) -> str | None:
        """The time at which it ended."""
        return self._optional_string("ended_at")

    @property
    def cancel(self) -> JsonObject | None:
        """{by, at, reason} if it was cancelled."""
        return self._optional_object("cancel")

    @property
    def steers(self) -> list[JsonObject]:
        """The steers that people added while it works: {id, by, text, at} each, all strings, in the order of arrival.

        Each id once: a steer is in the list twice if the server was killed before its record was saved, and the next
        server recorded it again before replicas brought the first record back.
        """
        first: dict[str, JsonObject] = {}
        for item in self._list("steers"):
            if _is_steer(item):
                first.setdefault(str(item["id"]), item)
        return list(first.values())

    @property
    def seen(self) -> list[str]:
        """The ids of the steers that the agent has taken in."""
        return [item for item in self._list("seen") if isinstance(item, str)]

    @property
    def steps(self) -> list[JsonObject]:
        """The steps: {id, name, status, …} each."""
        return [item for item in self._list("steps") if isinstance(item, dict)]

    @property
    def progress(self) -> JsonObject | None:
        """The progress, {label, done, total}, if the agent reports any."""
        return self._optional_object("progress")

    @property
    def error(self) -> Any:
        """The error, if it ended with one."""
        return self.get("error")

    @property
    def usage(self) -> JsonObject | None:
        """The usage, e.g. {input_tokens, output_tokens, model}, of all its model calls together."""
        return self._optional_object("usage")

    @property
    def epoch(self) -> int:
        """The number of this attempt, from 1."""
        return self._integer("epoch", 1)

    @property
    def client(self) -> int:
        """The Yjs client that works on it; 0 if its agent names none."""
        return self._integer("client", 0)

    @property
    def former(self) -> list[int]:
        """The Yjs clients that worked on it before and are fenced off."""
        return [item for item in self._list("former") if isinstance(item, int) and not isinstance(item, bool)]

    def add_message(self, id: str) -> None:  # noqa: A002 - the field's name
        """Note that the run wrote a message."""
        self._append("messages", checked_id(id, "A message's id"))

    def set_status(self, status: str) -> None:
        """Set the status.

        Raises:
            BadDocument: there is no such status.
        """
        self.write({"status": checked_status(status)})

    def end(self, status: str, *, at: str, error: Any = None) -> None:
        """End the run.

        Args:
            status: `complete`, `cancelled`, `error` or `lost`.
            at: the time, RFC 3339.
            error: the error, JSON-like.

        Raises:
            BadDocument: a run can't end with this status.
        """
        if status not in ENDED:
            raise BadDocument(f"A run ends as one of {', '.join(ENDED)}, not {status!r}.")
        fields = {"status": status, "ended_at": checked_text(at, "The time")}
        self.write(fields if error is None else {**fields, "error": checked(error, "The error")})

    def set_progress(self, label: str, done: float | None = None, total: float | None = None) -> None:
        """Set the progress.

        Args:
            label: the current activity, in plain language.
            done: the amount that is done.
            total: the whole amount.
        """
        progress = {"label": label, "done": done, "total": total}
        self.write({"progress": checked({key: value for key, value in progress.items() if value is not None})})

    def add_usage(self, **usage: Any) -> None:
        """Add to the usage: numbers add up, also those in objects; other values replace those before.

        Args:
            usage: e.g. `input_tokens`, `output_tokens`, `model`.
        """
        self.write({"usage": _summed(self.usage or {}, checked_object(usage, "The usage"))})

    def add_step(self, id: str, name: str, status: str = "running", **fields: Any) -> None:  # noqa: A002
        """Add a step, or change the one of this id.

        Args:
            id: unique in the run.
            name: the step's name.
            status: its status, in the agent's terms.
            fields: `attempt`, `detail`.
        """
        step = checked_object({"id": id, "name": name, "status": status, **fields}, "A step")
        with transaction(self.shared):
            for item in maps_in(self._array("steps")):
                if item.get("id") == id:
                    Record(item).write(step)
                    return
            self._append("steps", Map(step))

    def mark_seen(self, steer_id: str) -> None:
        """Note that the agent has taken a steer in."""
        if steer_id not in self.seen:
            self._append("seen", checked_id(steer_id, "A steer's id"))

    def record_cancel(self, *, by: str, at: str, reason: str = "") -> bool:
        """Note that the run was cancelled; only the server does, and only once.

        Returns:
            Whether it was written: False when the run is cancelled already or has ended.
        """
        if self.cancel is not None or self.ended:
            return False
        self.write({"cancel": checked({"by": by, "at": at, "reason": reason}, "The cancel")})
        return True

    @property
    def steers_length(self) -> int:
        """The number of entries in the list of steers, invalid ones included; it is found without reading them."""
        steers = self._array("steers")
        return 0 if steers is None else len(steers)

    def record_steer(
        self,
        id: str,  # noqa: A002 - the field's name
        *,
        by: str,
        text: str,
        at: str,
        known: Collection[str] | None = None,
    ) -> bool:
        """Add a steer; only the server does, and each id only once.

        Args:
            id: unique in the run.
            by: the participant.
            text: the text of the steer.
            at: the time, RFC 3339.
            known: the ids of the run's steers; None: they are read.

        Returns:
            Whether it was written.
        """
        if id in (known if known is not None else [steer["id"] for steer in self.steers]):
            return False
        self._append("steers", checked({"id": id, "by": by, "text": text, "at": at}, "The steer"))
        return True

    def hand_over(self, client: int, former: Sequence[int]) -> None:
        """Assign a lost run to another client, in the next epoch; only the server does.

        Args:
            client: the Yjs client that works on it from now on.
            former: the clients that worked on it before and may write no more.
        """
        with transaction(self.shared):
            fields: JsonObject = {"client": client, "epoch": self.epoch + 1, "status": "running"}
            self.write(checked_object({**fields, "former": list(former)} if former else fields))
            if "ended_at" in self.shared:
                del self.shared["ended_at"]

    def write_back(self, status: str) -> None:
        """Restore an earlier status; only the server does.

        Raises:
            BadDocument: there is no such status.
        """
        with transaction(self.shared):
            self.set_status(status)
            if status not in ENDED and "ended_at" in self.shared:
                del self.shared["ended_at"]

    def write(self, fields: JsonObject) -> None:
        """Write checked fields, unless the run was removed."""
        if not self.gone:
            super().write(fields)

    def _append(self, key: str, value: Any) -> None:
        if self.gone:
            return
        with transaction(self.shared):
            array = self._array(key)
            if array is None:
                array = Array[Any]()
                self.shared[key] = array
            array.append(value)


def _is_steer(item: Any) -> TypeGuard[JsonObject]:
    """Return whether an entry is a valid steer: a foreign client may have written anything there."""
    if not isinstance(item, dict):
        return False
    steer = cast(JsonObject, item)
    return steer.get("id") != "" and all(isinstance(steer.get(key), str) for key in ("id", "by", "text", "at"))


def _summed(before: JsonObject, more: JsonObject) -> JsonObject:
    """Return an object with the numbers of both added up, and otherwise the values of the second one."""
    result = dict(before)
    for key, value in more.items():
        old = before.get(key)
        if isinstance(value, dict) and isinstance(old, dict):
            result[key] = _summed(cast(JsonObject, old), cast(JsonObject, value))
        elif _is_number(value) and _is_number(old):
            result[key] = old + value
        else:
            result[key] = value
    return result


def _is_number(value: Any) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def checked_status(status: str) -> str:
    """Return the status of a run.

    Raises:
        BadDocument: there is no such status.
    """
    if status not in RUN_STATUSES:
        raise BadDocument(f"The status of a run is one of {', '.join(RUN_STATUSES)}, not {status!r}.")
    return status
