"""Approvals: a question that agents ask people, their votes, and the decision, which the server writes once.

The agent makes all containers when it asks: the Map of votes, so that no vote is lost when a server is killed between
two of them, and that of the value, which people edit before they vote.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pycrdt import Map

from cosession.errors import BadDocument

from .json_schema import check_schema
from .record import Record, Records
from .values import JsonObject, checked, checked_id, checked_object, to_shared, transaction


class Approval(Record):
    """A view over one approval."""

    __slots__ = ()

    @property
    def question(self) -> str:
        """The question."""
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
    def tool_call(self) -> str | None:
        """The id of the tool call that is approved, if it is one."""
        return self._optional_string("tool_call")

    @property
    def who(self) -> list[str]:
        """The ids of the participants that may answer; empty means all."""
        return [item for item in self._list("who") if isinstance(item, str)]

    @property
    def quorum(self) -> int:
        """The number of participants that must agree."""
        return self._integer("quorum", 1)

    @property
    def expires_at(self) -> str | None:
        """The time after which no vote counts."""
        return self._optional_string("expires_at")

    @property
    def created_at(self) -> str | None:
        """The time at which it was asked."""
        return self._optional_string("created_at")

    @property
    def value(self) -> Any:
        """The value to approve, which people may edit while the approval is open: JSON, or None."""
        return self.get("value")

    @property
    def is_editable(self) -> bool:
        """Whether people may edit its value: a vote then names the value that it is for."""
        return not isinstance(self.shared.get("value"), str | float | int | bytes | dict | list | None)

    @property
    def asked_by(self) -> str | None:
        """The participant that asked, as the server verified; None if `run` names it."""
        return self._optional_string("asked_by")

    @property
    def votes(self) -> dict[str, JsonObject]:
        """The votes, {decision, value, at} each, by participant."""
        return {key: vote for key, vote in self._object("votes").items() if isinstance(vote, dict)}

    @property
    def decision(self) -> JsonObject | None:
        """{by, decision, value, at}, or None while it is open."""
        return self._optional_object("decision")

    def set_asked_by(self, participant: str) -> None:
        """Write the id of the participant that asked; only the server does."""
        if not self.gone:
            self.write({"asked_by": checked_id(participant, "A participant's id")})

    def record_vote(self, participant: str, decision: str, value: Any, at: str) -> JsonObject | None:
        """Write a participant's vote, in place of an earlier one; only the server does.

        Args:
            participant: the voter's id.
            decision: `approved` or `rejected`.
            value: the value that the voter approves.
            at: the time, RFC 3339.

        Returns:
            The vote as it was written; None if the approval is gone.
        """
        vote = checked_object({"decision": decision, "value": value, "at": at}, "The vote")
        checked_id(participant, "A participant's id")
        if self.gone:
            return None
        self.write_back_vote(participant, vote)
        return vote

    def write_back_vote(self, participant: str, vote: JsonObject) -> None:
        """Restore a vote; only the server does, where another one has replaced it."""
        if self.gone:
            return
        with transaction(self.shared):
            votes = self._map("votes")
            if votes is None:
                votes = Map[Any](self.votes)
                self.shared["votes"] = votes
            votes[participant] = vote

    def decide(self, decision: str, *, by: Sequence[str], at: str, value: Any = None) -> bool:
        """Write the decision; only the server does, and only once.

        Args:
            decision: `approved`, `rejected`, `expired` or `withdrawn`.
            by: the participants whose votes decided, if any.
            at: the time, RFC 3339.
            value: the approved value.

        Returns:
            Whether it was written: False when it is decided already.
        """
        if self.decision is not None or self.gone:
            return False
        self.write(
            {"decision": checked({"by": list(by), "decision": decision, "value": value, "at": at}, "The decision")}
        )
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
        created_at: str,
        schema: Mapping[str, Any] | None = None,
        run: str | None = None,
        tool_call: str | None = None,
        who: Sequence[str] = (),
        quorum: int = 1,
        expires_at: str | None = None,
        value: Any = None,
    ) -> Approval:
        """Ask people something.

        Args:
            id: unique in the session.
            question: the question, in plain language.
            created_at: the time, RFC 3339.
            schema: the JSON Schema of the answer's value.
            run: the run that asks.
            tool_call: the id of the tool call that is approved, in a message of the run; its input is the value.
            who: the participants that may answer; empty means all.
            quorum: the number of participants that must agree.
            expires_at: the time after which no vote counts, RFC 3339.
            value: the value to approve, e.g. the arguments of a tool call; people may edit an object before they
                vote.

        Raises:
            BadDocument: a value doesn't fit, or the id is in use.
        """
        given = {
            "question": question,
            "created_at": created_at,
            "schema": schema,
            "run": run,
            "tool_call": tool_call,
            "quorum": quorum,
            "expires_at": expires_at,
        }
        fields = checked_object({key: value for key, value in given.items() if value is not None}, "An approval")
        if schema is not None:
            check_schema(fields["schema"])
        if who:
            fields["who"] = checked(list(who), "Who may answer")
        if value is not None:
            fields["value"] = to_shared(checked(value, "The value", depth=1))
        with transaction(self.shared):
            if checked_id(id, "An approval's id") in self.shared:
                raise BadDocument(f"There is an approval {id!r} already; ids are used once.")
            shared: Map[Any] = Map({**fields, "votes": Map()})
            self.shared[id] = shared
        return Approval(shared)
