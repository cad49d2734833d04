"""Approvals: a question that agents ask people, and the decision, which the server writes once."""

from collections.abc import Mapping, Sequence
from typing import Any

from pycrdt import Map

from cosession.errors import BadDocument

from .record import Record, Records
from .values import JsonObject, checked, checked_id, checked_object, transaction


class Approval(Record):
    """A view over one approval."""

    __slots__ = ()

    @property
    def question(self) -> str:
        """What is asked."""
        return self._string("question")

    @property
    def schema(self) -> JsonObject | None:
        """The JSON Schema of the answer's value, if it has one."""
        return self._optional_object("schema")

    @property
    def run(self) -> str | None:
        """The run that asks."""
        return self._optional_string("run")

    @property
    def who(self) -> list[str]:
        """The participants who may answer; empty means everybody."""
        return [item for item in self._list("who") if isinstance(item, str)]

    @property
    def quorum(self) -> int:
        """How many must agree."""
        return self._integer("quorum", 1)

    @property
    def expires_at(self) -> str | None:
        """When it is too late."""
        return self._optional_string("expires_at")

    @property
    def decision(self) -> JsonObject | None:
        """{by, decision, value, at}, or None while it is open."""
        return self._optional_object("decision")

    def decide(self, decision: str, *, by: str | Sequence[str], at: str, value: Any = None) -> bool:
        """Write the decision; only the server does, and only once.

        Returns:
            Whether it was written: False when it is decided already.
        """
        if self.decision is not None:
            return False
        self.write({"decision": checked({"by": by, "decision": decision, "value": value, "at": at}, "The decision")})
        return True


class Approvals(Records[Approval]):
    """The approvals by id."""

    __slots__ = ()

    kind = Approval

    def ask(
        self,
        id: str,  # noqa: A002 - the field's name
        *,
        question: str,
        schema: Mapping[str, Any] | None = None,
        run: str | None = None,
        who: Sequence[str] = (),
        quorum: int = 1,
        expires_at: str | None = None,
    ) -> Approval:
        """Ask people something.

        Args:
            id: unique in the session.
            question: what is asked, in words that a person understands.
            schema: the JSON Schema of the answer's value.
            run: the run that asks.
            who: the participants who may answer; none means everybody.
            quorum: how many must agree.
            expires_at: when it is too late, RFC 3339.

        Raises:
            BadDocument: a value doesn't fit, or the id is there already.
        """
        given = {"question": question, "schema": schema, "run": run, "quorum": quorum, "expires_at": expires_at}
        fields = checked_object({key: value for key, value in given.items() if value is not None}, "An approval")
        if who:
            fields["who"] = checked(list(who), "Who may answer")
        with transaction(self.shared):
            if checked_id(id, "An approval's id") in self.shared:
                raise BadDocument(f"There is an approval {id!r} already; ids are used once.")
            shared: Map[Any] = Map(fields)
            self.shared[id] = shared
        return Approval(shared)
