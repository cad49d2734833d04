"""Runs: their worker, their status, and the requests to cancel, to steer and to adopt them.

Agents write their runs themselves; the server checks each change, and restores the fields that only it may write. A
run goes on as long as the client that works on it is present, and a grace: then it is lost, until another process of
its agent adopts it. From then on new writes of the former client are rejected, so a process that was frozen can't
write into its successor's text.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import islice

from cosession.document import MAX_REASON, JsonObject, Message, Part, RequestRecord, Run, SessionDocument
from cosession.document.part_schema import is_growing_text, is_tool
from cosession.document.run_states import ENDED, FINAL, RUN_STATUSES, may_become
from cosession.document.values import plain_object
from cosession.errors import BadDocument, BadRequest, NoSuchRun, NotAllowed, RunEnded, Superseded, TooLarge

from . import approvals
from .context import DecisionContext, Seen, decidable
from .steers import MOST_STEERS

_OPEN_CALLS = frozenset({"input-streaming", "input-available", "approval-requested", "approval-responded"})
"""The states of a tool call that waits for something."""

_MOST_MESSAGES = 1_000
"""The messages of a run that the server handles: the last ones of different ids. Earlier ones stay as they are."""

_MOST_PARTS = 64
"""The texts and tool calls of one message that the server ends when its run ends, the last ones of each."""

_MOST_FORMER = 64
"""The former clients of a run that the document keeps, the last ones; at least one per allowed attempt. They are read
whenever the run changes."""

_MOST_PARTS_OF_RUN = 256
"""The same of all messages of a run, those of the last messages. Earlier ones stay as they are."""


def begin(case: DecisionContext) -> None:
    """Resume the runs at load: the client of each has a grace to come back."""
    for id_ in decidable(case.document.runs.shared.keys()):
        run = case.document.runs.get(id_)
        if run is None:
            continue
        seen = _accept(case, id_, run)
        if seen.status not in ENDED:
            case.effects += case.memory.leases.keep(f"run/{id_}", seen.client, run.agent)


def look(case: DecisionContext) -> None:
    """Handle the runs that were touched."""
    for id_ in case.touched("runs"):
        run, seen = case.document.runs.get(id_), case.memory.ledger.get(id_)
        if run is None:
            _forget(case, id_)
        elif id_ in case.memory.denied:
            _take_back(case, id_, run)
        elif seen is None:
            _arrive(case, id_, run)
        else:
            _follow(case, id_, run, seen)


def is_own_run(document: SessionDocument, run: Run, participant: str) -> bool:
    """Return whether a participant may cancel a run as its own: as its agent, or as the author of its prompt."""
    return run.agent == participant or answers(document, run, participant)


def answers(document: SessionDocument, run: Run, participant: str) -> bool:
    """Return whether a run answers a message of a participant."""
    message = document.messages.get(run.reply_to) if run.reply_to is not None else None
    return message is not None and _wrote(message, participant)


def cancel(case: DecisionContext, request: RequestRecord) -> None:
    """Cancel a run, with its prompts to other agents, or a prompt that no run answers yet.

    A run or prompt that is cancelled already stays so.

    Raises:
        NoSuchRun: there is no such run or prompt.
        NotAllowed: it is another's, and the participant may cancel their own only.
        RunEnded: the run is over, or the prompt is answered.
    """
    [id_] = request.about("run")
    run, reason = case.document.runs.get(id_), str(request.value.get("reason") or "")[:MAX_REASON]
    message = case.document.messages.get(id_) if run is None else None
    if run is None and (message is None or not _is_prompt(message)):
        raise NoSuchRun(f"The session has no run or prompt {id_!r}.")
    is_own = _wrote(message, request.participant) if message else False
    if run is not None:
        is_own = is_own_run(case.document, run, request.participant)
    if not (is_own or case.by.capabilities.may("cancel-any")):
        raise _not_yours(id_, "cancel", "cancel-any")
    if run is not None:
        if run.status in FINAL and run.cancel is None:
            raise RunEnded(f"The run {id_!r} is over ({run.status}).")
        stop(case, id_, request.participant, reason)
    elif message is not None and not _call_off(case, message, request.participant, reason):
        raise RunEnded(f"The prompt {id_!r} is answered.")


def steer(case: DecisionContext, request: RequestRecord) -> None:
    """Record a steer, which is a participant's instruction for a run; each is recorded once.

    Raises:
        NoSuchRun: there is no such run.
        NotAllowed: it doesn't answer the participant, and they may steer no other.
        RunEnded: it is over.
        BadRequest: the steer has no text.
        TooLarge: the run has as many steers as are allowed.
    """
    id_, steer_id = request.about("run", "steer")
    run, text = case.document.runs.get(id_), str(request.value.get("text") or "")
    if run is None:
        raise NoSuchRun(f"The session has no run {id_!r}.")
    if not (case.by.capabilities.may("steer") or answers(case.document, run, request.participant)):
        raise _not_yours(id_, "steer", "steer")
    if run.ended:
        raise RunEnded(f"The run {id_!r} is over ({run.status}).")
    if not text:
        raise BadRequest("A steer needs a 'text'.")
    if not case.memory.steers.record(id_, run, steer_id, by=request.participant, text=text, at=case.at):
        raise TooLarge(f"The run {id_!r} has {MOST_STEERS:,} steers and takes no more; send a prompt, or cancel it.")


def adopt(case: DecisionContext, request: RequestRecord) -> None:
    """Let another process of the agent continue a lost run.

    Raises:
        NoSuchRun: there is no such run.
        NotAllowed: it is another agent's, or for a Yjs client of another participant.
        RunEnded: it is over, or was cancelled.
        Superseded: another process works on it.
    """
    id_, named = request.about("run", "client")
    run, client = case.document.runs.get(id_), int(named)
    if run is None:
        raise NoSuchRun(f"The session has no run {id_!r}.")
    if run.agent != request.participant:
        raise NotAllowed(f"The run {id_!r} is {run.agent}'s, and only their processes may go on with it.")
    if not case.memory.may_speak_for(request.participant, client):
        raise NotAllowed(f"The Yjs client {client} is another participant's; adopt the run for one of your own.")
    if hand_over(case, id_, run, client):
        return
    if run.status in FINAL or run.cancel is not None:
        raise RunEnded(f"The run {id_!r} is over ({run.status}).")
    if run.client != client:
        raise Superseded(f"Another process works on the run {id_!r}.")


def hand_over(case: DecisionContext, id_: str, run: Run, client: int) -> bool:
    """Give a lost run to a client of its agent; return False if it isn't lost, or was cancelled meanwhile."""
    seen = case.memory.ledger.get(id_)
    if seen is None or seen.status != "lost" or run.cancel is not None:
        return False
    former = seen.former
    if seen.client not in (0, client) and seen.client not in former:
        former = _last_former(case, (*former, seen.client))
        fence(case, seen.client, run.agent)
    run.hand_over(client, former)
    case.memory.ledger[id_] = _see(run)
    case.effects += case.memory.leases.keep(f"run/{id_}", client, run.agent)
    return True


def fence(case: DecisionContext, old: int, agent: str) -> None:
    """Reject new writes of a client from now on: another client continues its work."""
    case.memory.fenced.add((old, agent))


def lapse(case: DecisionContext, id_: str) -> None:
    """Mark a run as lost if its lease is over, or end it after the last attempt."""
    run = case.document.runs.get(id_)
    if run is None or not case.memory.leases.is_over(f"run/{id_}"):
        return
    if run.cancel is not None:
        end(case, id_, run, "cancelled")
    elif len(run.former) + 1 >= case.settings.max_attempts:
        end(case, id_, run, "error", f"Each of the {case.settings.max_attempts} processes that worked on it died.")
    else:
        end(case, id_, run, "lost")


def end(case: DecisionContext, id_: str, run: Run, status: str, error: str | None = None) -> None:
    """End a run as the server, with its texts, tool calls and approvals."""
    run.end(status, at=case.at, error=error)
    case.memory.ledger[id_] = _see(run)
    _ended(case, id_, run)


def stop(case: DecisionContext, id_: str, by: str, reason: str) -> None:
    """Cancel a run, and its prompts to other agents."""
    run = case.document.runs.get(id_)
    if run is None or run.status in FINAL or run.cancel is not None:
        return
    run.write({"cancel": {"by": by, "at": case.at, "reason": reason}})
    for message in _messages(case, run):
        if message.to:
            _call_off(case, message, by, reason)
    _stop_if_idle(case, id_, run)


def _arrive(case: DecisionContext, id_: str, run: Run) -> None:
    """Handle a run that the server hasn't seen: begun, done offline, or brought back after a crash."""
    _accept(case, id_, run)
    if not case.memory.prompts.begun(case, id_, run):
        case.memory.denied[id_] = None
        _take_back(case, id_, run)
    elif run.status not in RUN_STATUSES:
        end(case, id_, run, "error", f"A run has no status {run.status!r}.")
    elif run.ended:
        _ended(case, id_, run)
    else:
        case.effects += case.memory.leases.keep(f"run/{id_}", run.client, run.agent)
        _stop_if_idle(case, id_, run)


def _accept(case: DecisionContext, id_: str, run: Run) -> Seen:
    """Accept a run as it is, and fence its former clients; the document keeps a limited number of these."""
    seen = _see(run)
    for client in seen.former:
        fence(case, client, run.agent)
    kept = _last_former(case, seen.former)
    if kept != seen.former:
        seen = replace(seen, former=kept)
        run.write({"former": list(seen.former)})
    case.memory.ledger[id_] = seen
    return seen


def _follow(case: DecisionContext, id_: str, run: Run, seen: Seen) -> None:
    """Accept the changes that an agent may make to its run, and restore the other fields."""
    now = _see(run)
    if (now.epoch, now.client, now.former) != (seen.epoch, seen.client, seen.former):
        run.write({"epoch": seen.epoch, "client": seen.client, "former": list(seen.former)})
    if now.status == seen.status:
        _stop_if_idle(case, id_, run)
    elif may_become(seen.status, now.status):
        case.memory.ledger[id_] = replace(seen, status=now.status)
        if now.status in FINAL:
            _ended(case, id_, run)
    else:
        run.write_back(seen.status)


def _forget(case: DecisionContext, id_: str) -> None:
    """Forget a run that was deleted from the document."""
    case.memory.denied.pop(id_, None)
    case.memory.steers.forget(id_)
    if case.memory.ledger.forget(id_):
        case.effects += case.memory.leases.end(f"run/{id_}")
        case.memory.prompts.begin(case)


def _take_back(case: DecisionContext, id_: str, run: Run) -> None:
    """Cancel a run that came too late, and delete its messages: its prompt has another answer."""
    for message in _messages(case, run):
        if not message.deleted:
            message.delete(at=case.at)
        if message.status == "streaming":
            message.set_status("cancelled")
    if run.status != "cancelled":
        run.end("cancelled", at=case.at)
    case.memory.ledger[id_] = _see(run)
    _settle(case, id_, run)


def _ended(case: DecisionContext, id_: str, run: Run) -> None:
    """Finish the texts of an ended run, and end its open tool calls without an answer.

    Calls of client tools stay open in a lost run: the process that adopts it waits for the answers.
    """
    is_over, left = _is_open_call if run.status in FINAL else _is_left_call, _MOST_PARTS_OF_RUN
    for message in _messages(case, run):
        calls = message.parts_like(is_over, min(_MOST_PARTS, left)) if left else ()
        left -= len(calls)
        for part in calls:
            with suppress(BadDocument):  # a foreign client's call may have no valid state
                _end_call(part, "cancelled" if run.status == "cancelled" else "interrupted")
        if message.status == "streaming":
            texts = message.parts_like(_is_unfinished, min(_MOST_PARTS, left)) if left else ()
            left -= len(texts)
            for part in texts:
                part.finish()
            message.set_status(run.status if run.status in FINAL else "error")
    _settle(case, id_, run)
    case.memory.prompts.ended(case, id_, run)


def _end_call(part: Part, why: str) -> None:
    """End a tool call without an answer; an approval on it that was never given is removed."""
    approval = plain_object(part.get("approval"))
    more = {} if approval.get("approved") is True else {"approval": None}
    part.update(state="output-error", errorText=why, **more)


def _is_open_call(part: JsonObject) -> bool:
    return part.get("state") in _OPEN_CALLS and is_tool(str(part.get("type")))


def _is_left_call(part: JsonObject) -> bool:
    """Return whether an open call is for the process that made it, which has gone."""
    asked = plain_object(plain_object(part.get("callProviderMetadata")).get("cosession"))
    return asked.get("client") is not True and _is_open_call(part)


def _is_unfinished(part: JsonObject) -> bool:
    return part.get("state") == "streaming" and is_growing_text(str(part.get("type")))


def _settle(case: DecisionContext, id_: str, run: Run) -> None:
    """Remove the lease, steers and open approvals of an ended run, and set its agent idle."""
    case.effects += case.memory.leases.end(f"run/{id_}")
    case.memory.steers.forget(id_)
    if run.status != "lost":
        approvals.withdraw(case, id_)
    agent = case.document.agents.get(run.agent)
    if agent is not None and agent.run == id_:
        agent.set(status="idle", run=None, task=None, progress=None)


def _stop_if_idle(case: DecisionContext, id_: str, run: Run) -> None:
    """End a cancelled run on which no process works."""
    if run.cancel is not None and run.status in ("queued", "lost"):
        end(case, id_, run, "cancelled")


def _call_off(case: DecisionContext, message: Message, by: str, reason: str) -> bool:
    """Cancel the runs that answer a prompt; refuse a prompt that no run answers yet.

    Returns:
        Whether the prompt has only cancelled answers now: False if it was answered before.
    """
    answering = case.memory.ledger.answering(message.id)
    for id_ in answering:
        stop(case, id_, by, reason)
    if not answering and message.refused is None and _is_prompt(message):
        message.refuse("cancelled", by, case.at)
        case.memory.prompts.refused(case, message)
    runs = [case.document.runs.get(id_) for id_ in answering]
    return not runs or any(run is not None and run.cancel is not None for run in runs)


def _is_prompt(message: Message) -> bool:
    """Return whether a message may be a prompt."""
    return bool(message.to) or message.role == "user"


def _not_yours(id_: str, verb: str, needs: str) -> NotAllowed:
    return NotAllowed(
        f"You may {verb} what answers you, and {id_!r} doesn't; ask the person who gave you access for {needs}.",
        needs=(needs,),
    )


def _messages(case: DecisionContext, run: Run) -> Iterator[Message]:
    """Return the last messages that a run lists, and that name the run, each once, the newest first."""
    ids = islice(dict.fromkeys(reversed(run.messages)), _MOST_MESSAGES)
    return (message for message in case.document.messages.among(ids) if message.run == run.id)


def _wrote(message: Message, participant: str) -> bool:
    return (message.stamp or {"by": message.author}).get("by") == participant


def _last_former(case: DecisionContext, former: tuple[int, ...]) -> tuple[int, ...]:
    return former[-max(_MOST_FORMER, case.settings.max_attempts) :]


def _see(run: Run) -> Seen:
    return Seen(run.status, run.epoch, run.client, tuple(run.former), run.reply_to)
