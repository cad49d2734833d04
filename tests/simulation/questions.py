"""Questions that simulated agents ask, votes on them, and what must have come of both.

Oracle: a decision that has been on the disk stays as it is, and so does one that an agent acts on; in each attempt of
a run one process does. It was made by as many as the question asks for, of those whom it asks and not by the agent
itself, each of whom did vote so, last and for this value; where so many agree, it is made. It has expired only after
its time, and is withdrawn only with its run.
"""

from dataclasses import dataclass, field
from random import Random
from typing import Any

from pycrdt import Map

from cosession.document import Approval, JsonObject, SessionDocument, later, seconds_until
from cosession.document.run_states import FINAL
from cosession.document.values import is_same

SCHEMA = {"type": "object", "properties": {"limit": {"type": "number"}}, "required": ["limit"]}
VALUE = {"limit": 0}

VOTES = ("approved", "approved", "approved", "rejected", "perhaps")
"""What people say; the last is no vote."""

VALUES: tuple[Any, ...] = (None, None, None, {"limit": 1}, {"limit": "much"})
"""What they say it of: what is shown, something else, or something that doesn't fit."""


@dataclass(frozen=True, slots=True)
class Question:
    """What a run asks, and asks again when another process goes on with it.

    Attributes:
        id: the approval's.
        quorum: how many must agree.
        who: the participants who are asked; empty means everybody.
        seconds: for how long; None is for ever.
    """

    id: str
    quorum: int
    who: tuple[str, ...]
    seconds: float | None

    @classmethod
    def of(cls, run: str) -> "Question | None":
        """What the run of an id asks, if it does."""
        dice = Random(f"question of {run}")
        if dice.random() < 0.4:
            return None
        quorum, who = dice.choice((1, 1, 2, 2, 3)), dice.choice(((), (), ("p0",), ("p1", "p0")))
        is_sure = quorum == 1 and not who  # of an answer; else time must give one
        return cls(f"{run}/1", quorum, who, dice.choice((None, None, 5.0) if is_sure else (0.5, 5.0, 20.0)))

    def ask(self, document: SessionDocument, run: str, at: str) -> None:
        """Ask it."""
        document.approvals.ask(
            self.id,
            question="Book it?",
            created_at=at,
            schema=SCHEMA,
            run=run,
            who=self.who,
            quorum=self.quorum,
            expires_at=None if self.seconds is None else later(at, self.seconds),
            value=VALUE,
        )


def vote(document: SessionDocument, voter: str, dice: Random) -> tuple[str, str] | None:
    """Vote on something, decided or not; return on what, and how."""
    if not (ids := document.approvals.to_json()):
        return None
    open_ones = [id_ for id_, approval in ids.items() if "decision" not in approval]
    id_ = dice.choice(sorted(open_ones if open_ones and dice.random() < 0.8 else ids))
    decision = dice.choice(VOTES)
    document.requests.ask_vote(id_, voter, decision, dice.choice(VALUES))
    return id_, decision


def agree(document: SessionDocument, voter: str) -> list[tuple[str, str]]:
    """Answer what is open and asked of one, as everybody will; return what of it one hadn't answered so yet."""
    cast: list[tuple[str, str]] = []
    asks = {request.subject[0] for request in document.requests.items() if request.participant == voter}
    for id_, approval in document.approvals:
        decision = Random(f"answer to {id_}").choice(("approved", "approved", "rejected"))
        mine = approval.votes.get(voter, {})
        value = approval.value if decision == "approved" else None
        says_so = mine.get("decision") == decision and is_same(mine.get("value"), value)
        if approval.decision is None and (not approval.who or voter in approval.who) and not (says_so or id_ in asks):
            document.requests.ask_vote(id_, voter, decision, value)
            cast.append((id_, decision))
    return cast


def edit_value(document: SessionDocument, dice: Random) -> None:
    """Change what is to be approved."""
    shown = [value for _, approval in document.approvals if isinstance(value := approval.shared.get("value"), Map)]
    if shown:
        dice.choice(shown)["limit"] = dice.randrange(3)


@dataclass
class Ballots:
    """What a world knows of its votes and decisions.

    Attributes:
        cast: who has voted how, by session and approval.
        decided: what was decided, by session and approval, as agents acted on it.
        attempts: who acted, by session, approval, and attempt of the run.
    """

    cast: dict[tuple[str, str], set[tuple[str, str]]] = field(default_factory=dict)
    decided: dict[tuple[str, str], JsonObject] = field(default_factory=dict)
    attempts: dict[tuple[str, str, int], int] = field(default_factory=dict)

    def note(self, session: str, voter: str, on: str, decision: str) -> None:
        """Hear that somebody votes."""
        self.cast.setdefault((session, on), set()).add((voter, decision))

    def act(self, session: str, id_: str, epoch: int, client: int, decision: JsonObject) -> None:
        """Hear that an agent acts on a decision."""
        acted = self.attempts.setdefault((session, id_, epoch), client)
        assert acted == client, f"two act on the decision of {id_} in the attempt {epoch}"
        first = self.decided.setdefault((session, id_), decision)
        assert is_same(first, decision), f"{id_} was decided as {first}, and as {decision}"

    def check(self, session: str, document: SessionDocument, *, crashed: bool) -> None:
        """Check what came of the questions of a session that has grown calm.

        Args:
            session: its id.
            document: its document.
            crashed: whether a crash may have undone votes, which a witness brought back when time was over.
        """
        for id_, approval in document.approvals:
            _check(document, id_, approval, self.cast.get((session, id_), set()))
            has_expired = (approval.decision or {}).get("decision") == "expired"
            agreed = _agreed(approval) if has_expired and not crashed else None
            assert not agreed, f"{agreed} agree on {id_}, and it has expired"
        for (where, id_), decision in self.decided.items():
            found = document.approvals.get(id_) if where == session else None
            assert where != session or (found is not None and is_same(found.decision, decision)), (
                f"an agent acted on the decision {decision} of {id_}, and there is {found}"
            )


def decisions(document: SessionDocument) -> dict[str, JsonObject]:
    """The decisions that have been made, by approval."""
    made = {id_: approval.decision for id_, approval in document.approvals}
    return {id_: decision for id_, decision in made.items() if decision is not None}


def _check(document: SessionDocument, id_: str, approval: Approval, cast: set[tuple[str, str]]) -> None:
    run, decision = document.runs.get(approval.run or ""), approval.decision
    assert run is not None, f"{id_} is asked by no run"
    for voter, one in approval.votes.items():
        assert (voter, one["decision"]) in cast, f"{voter} has voted {cast}, and not {one} on {id_}"
        assert voter in (approval.who or [voter]), f"{voter} is not asked {id_}"
        assert voter != run.agent, f"{voter} answers its own question {id_}"
    if decision is None:
        assert not (agreed := _agreed(approval)), f"{agreed} agree on {id_}, and it is not decided"
        assert run.status not in FINAL, f"the run of {id_} is over, and it is open"
        return
    match decision["decision"]:
        case "approved" | "rejected" as how:
            by = decision["by"]
            assert len(set(by)) == len(by) >= approval.quorum, f"{by} alone decided {id_}"
            for voter in by:
                one = approval.votes.get(voter, {})
                fits = one.get("decision") == how and is_same(one.get("value"), decision["value"])
                assert fits, f"{decision} was made of {one} of {voter}"
            assert approval.expires_at is None or seconds_until(decision["at"], approval.expires_at) > 0
        case "expired":
            assert approval.expires_at is not None
            assert seconds_until(decision["at"], approval.expires_at) <= 0, f"{id_} expired too early"
        case "withdrawn":
            assert run.status in FINAL, f"{id_} was withdrawn, and its run goes on"
        case other:
            raise AssertionError(f"{id_} was decided as {other!r}")


def _agreed(approval: Approval) -> list[str]:
    """Those who agree, if they are enough for a decision."""
    votes = approval.votes
    for one in votes.values():
        alike = [
            voter
            for voter, other in votes.items()
            if other["decision"] == one["decision"] and is_same(other["value"], one["value"])
        ]
        if len(alike) >= approval.quorum:
            return alike
    return []
