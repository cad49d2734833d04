"""Approvals: people vote on a question of an agent, and the server decides, once.

A vote is for the value that it carries: a voter who has approved 200 has not approved 900, to which another
participant changed it meanwhile. So a vote without a value counts only where the value can't be edited. The asking
participant can't vote, nor can an agent on whose behalf it asks. The first decision and value with enough votes is
final. It stays, and so does the last vote of each participant: a late replica with an outcome that a killed server
had sent, and never saved, doesn't change them.
"""

import math
from collections.abc import Collection, Mapping
from contextlib import suppress
from itertools import islice
from typing import Any

from cosession.document import Approval, JsonObject, RequestRecord, SessionDocument, misfit, seconds_until
from cosession.document.run_states import FINAL
from cosession.document.values import is_same
from cosession.errors import ApprovalClosed, BadDocument, BadRequest, NoSuchApproval, NotAllowed

from ..effects import Remind
from .context import DecisionContext, decidable
from .votes import Terms, Votes

_MOST_NAMES = 8
"""The number of participants that a notice lists as those who may answer."""

_MOST_DELEGATIONS = 16
"""The length to which a chain of delegation is followed: each step looks a message up. Agents beyond it may vote."""


def begin(case: DecisionContext) -> None:
    """Resume the approvals at load: those whose time is over by now expire."""
    for id_ in decidable(case.document.approvals.shared.keys()):
        approval = case.document.approvals.get(id_)
        if approval is None:
            continue
        case.memory.approvals.add(id_)
        _watch(case, id_, approval)


def look(case: DecisionContext) -> None:
    """Handle the approvals that were touched, except for those in which the server only counted votes."""
    for id_ in case.touched("approvals"):
        if id_ in case.memory.counted:
            continue
        approval = case.document.approvals.get(id_)
        if approval is not None:
            if id_ not in case.memory.approvals and asker_of(case.document, approval) is None:
                approval.set_asked_by(case.by.id)
            case.memory.approvals.add(id_)
            _watch(case, id_, approval)
        else:
            case.memory.approvals.discard(id_)
            case.memory.decided.pop(id_, None)
            case.memory.votes.pop(id_, None)
            case.effects.append(Remind(f"approval/{id_}", None))
    case.memory.counted.clear()


def vote(case: DecisionContext, request: RequestRecord) -> None:
    """Count a vote; it replaces an earlier one of the same participant.

    Raises:
        CosessionError: it doesn't count; see `checked_vote`.
    """
    [id_] = request.about("approval")
    vote = checked_vote(case.document, id_, request.participant, request.value, case.at, case.terms)
    _count(case, id_, request.participant, **vote)


def checked_vote(
    document: SessionDocument,
    id_: str,
    voter: str,
    vote: Mapping[str, Any],
    at: str,
    terms: dict[str, Terms] | None = None,
) -> JsonObject:
    """Check a vote, and return it in the form that counts: {decision, value}.

    Args:
        document: the session.
        id_: the approval.
        voter: the participant who votes.
        vote: {decision}, and {value}, the value that is approved; it may be left out where it can't be edited.
        at: the server's time, RFC 3339.
        terms: the terms of approvals by id that were read since the last change by a client.

    Raises:
        NoSuchApproval: there is no approval of this id.
        ApprovalClosed: it is decided, or its time is over.
        NotAllowed: other participants must answer, the voter asked, or it is asked on the voter's behalf.
        BadRequest: the decision is unknown, or the value is missing or doesn't fit.
    """
    approval = document.approvals.get(id_)
    if approval is None:
        raise NoSuchApproval(f"The session has no approval {id_!r}.")
    if approval.decision is not None:
        raise ApprovalClosed(f"It is decided already: {approval.decision.get('decision')}.")
    if approval.expires_at is not None and seconds_until(at, approval.expires_at) <= 0:
        raise ApprovalClosed(f"It was open until {approval.expires_at}.")
    asks = Terms.of(approval) if terms is None else terms.get(id_) or terms.setdefault(id_, Terms.of(approval))
    if asks.who and voter not in asks.who:
        raise NotAllowed(f"{_listed(asks.who)} may answer this.")
    if voter in _askers(document, approval):
        raise NotAllowed("This was asked by you or for you, so others may answer it.")
    match vote.get("decision"):
        case "approved":
            value = vote.get("value")
            if value is None and asks.is_editable:
                raise BadRequest(
                    "The value of this approval can be edited, so a vote needs the 'value' that it is for, as its "
                    "voter saw it."
                )
            value = approval.value if value is None else value
            wrong = None if asks.schema is None else misfit(value, asks.schema)
            if wrong is not None:
                raise BadRequest(f"The value doesn't fit what was asked for: {wrong}.")
            return {"decision": "approved", "value": value}
        case "rejected":
            return {"decision": "rejected", "value": None}
        case other:
            raise BadRequest(f"A vote is 'approved' or 'rejected', not {other!r}.")


def asker_of(document: SessionDocument, approval: Approval) -> str | None:
    """Return the participant who asked: the agent of the run, else the writer that the server noted, or None."""
    run = None if approval.run is None else document.runs.get(approval.run)
    return approval.asked_by if run is None else run.agent


def _askers(document: SessionDocument, approval: Approval) -> set[str]:
    """Return the participant who asked, and the agents on whose behalf it works: the chain of delegation."""
    asker = asker_of(document, approval)
    askers = set[str]() if asker is None else {asker}
    run = None if approval.run is None else document.runs.get(approval.run)
    for _ in range(_MOST_DELEGATIONS):
        message = None if run is None or run.reply_to is None else document.messages.get(run.reply_to)
        run = None if message is None or message.run is None else document.runs.get(message.run)
        if run is None:
            break
        askers.add(run.agent)
    return askers


def expire(case: DecisionContext, id_: str) -> None:
    """Let an approval expire when its time is over."""
    approval = case.document.approvals.get(id_)
    if approval is not None:
        _watch(case, id_, approval)


def withdraw(case: DecisionContext, run_id: str) -> None:
    """Withdraw the approvals that an ended run asked for: no process waits for the answers any more."""
    for id_ in sorted(case.memory.asked.pop(run_id, ())):
        approval = case.document.approvals.get(id_)
        if approval is not None and approval.run == run_id and approval.decision is None:
            _decide(case, id_, approval, "withdrawn")


def _listed(names: Collection[str]) -> str:
    """Return the first names and the number of the others: a notice is for people."""
    more = len(names) - _MOST_NAMES
    named = ", ".join(islice(names, _MOST_NAMES))
    return named if more <= 0 else f"{named} and {more} others"


def _watch(case: DecisionContext, id_: str, approval: Approval) -> None:
    _keep_votes(case, id_, approval)
    if approval.run is not None and approval.decision is None:
        case.memory.asked.setdefault(approval.run, {})[id_] = None
    decided, decision = case.memory.decided.get(id_), approval.decision
    if decided is not None:
        if not is_same(decision, decided):
            approval.write({"decision": decided})
    elif decision is not None:
        case.memory.decided[id_] = decision
        case.effects.append(Remind(f"approval/{id_}", None))
    elif _is_forgotten(case, approval):
        _decide(case, id_, approval, "withdrawn")
    elif (left := _seconds_left(case, approval)) <= 0:
        _decide(case, id_, approval, "expired")
    elif not _decide_if_agreed(case, id_, approval) and left < math.inf:
        case.effects.append(Remind(f"approval/{id_}", left))


def _keep_votes(case: DecisionContext, id_: str, approval: Approval) -> None:
    """Restore votes that a crash undid and a replica brings back, unless the same people voted again later."""
    votes = Votes(approval.votes)
    for voter, vote in case.memory.votes.get(id_, Votes({})).items():
        there = votes.get(voter)
        if not is_same(there, vote) and not _is_later(there, vote):
            approval.write_back_vote(voter, vote)
            votes[voter] = vote
    if votes:
        case.memory.votes[id_] = votes


def _is_later(vote: JsonObject | None, other: JsonObject) -> bool:
    return vote is not None and seconds_until(str(other.get("at")), str(vote.get("at"))) > 0


def _seconds_left(case: DecisionContext, approval: Approval) -> float:
    return math.inf if approval.expires_at is None else seconds_until(case.at, approval.expires_at)


def _is_forgotten(case: DecisionContext, approval: Approval) -> bool:
    run = None if approval.run is None else case.document.runs.get(approval.run)
    return run is not None and run.status in FINAL


def _count(case: DecisionContext, id_: str, voter: str, decision: str, value: Any) -> None:
    approval = case.document.approvals.get(id_)
    assert approval is not None, "the vote was checked"
    vote = approval.record_vote(voter, decision, value, case.at)
    if vote is None:
        return
    votes = case.memory.votes.setdefault(id_, Votes({}))
    votes.cast(voter, vote)
    case.memory.counted.add(id_)
    if alike := votes.alike(voter, approval.quorum):
        _decide_alike(case, id_, approval, votes, alike)


def _decide_if_agreed(case: DecisionContext, id_: str, approval: Approval) -> bool:
    """Decide as enough voters agree; return False if they don't."""
    votes = case.memory.votes.get(id_)
    if votes is None or approval.gone:
        return False
    return any(_decide_alike(case, id_, approval, votes, alike) for alike in votes.agreed(approval.quorum))


def _decide_alike(case: DecisionContext, id_: str, approval: Approval, votes: Votes, alike: list[str]) -> bool:
    """Decide as a quorum of voters agrees; return False if their value can't be written."""
    vote = votes[alike[0]]
    with suppress(BadDocument):  # a vote by a participant with full write access may hold no valid value
        _decide(case, id_, approval, vote["decision"], alike, vote.get("value"))
        return True
    return False


def _decide(
    case: DecisionContext, id_: str, approval: Approval, decision: str, by: list[str] | None = None, value: Any = None
) -> None:
    if approval.decide(decision, by=by or [], at=case.at, value=value):
        case.memory.decided[id_] = approval.decision or {}
        if approval.run in case.memory.asked:
            case.memory.asked[approval.run].pop(id_, None)
        case.effects.append(Remind(f"approval/{id_}", None))
