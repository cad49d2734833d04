"""Prompts: an index of the open prompts and the unfinished runs, by lane.

The session's policy decides on a prompt that arrives while its lane is busy: it waits (`queue`, `interrupt`, and all
prompts between agents), steers the active run (`steer`), is answered in parallel (`parallel`), or is never answered
(`reject`). A prompt has one answer in a lane; a later one of another process is taken back.

Runs are known from the load on. The messages are read when they are first needed, because that reads all of them:
10 ms for 200. The room does it in steps, before it handles the first frame that may need them.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from typing import Any, TypeAlias

from pycrdt import Map

from cosession.auth.participant import SERVER
from cosession.document import JsonObject, Message, Run, SessionDocument
from cosession.document.run_states import ENDED, FINAL
from cosession.document.times import seconds_until
from cosession.document.values import split_key

from ..effects import Remind
from . import claims, queue, runs
from .context import DecisionContext
from .prompt_lanes import (
    ANYBODY,
    OpenPrompt,
    PromptLane,
    Wish,
    claim_key,
    is_half,
    lane_of_run,
    lanes_of,
    outline,
    read_wish,
)

Steer: TypeAlias = tuple[str, str | None]
"""A steer of a run, by its id and its author: another participant may use the same id."""

UNHEARD = "unheard"
"""The timer after which the room checks whether an agent is present for new prompts."""

_UNHEARD_SECONDS = 10.0
"""The time after which an agent that follows people into sessions has begun."""

_MOST_UNHEARD = 100
"""How many open prompts of a lane are checked then."""

_AT_ONCE = 32
"""How many runs or messages are read in one step: a message takes 50 µs."""

_FAILED = frozenset({"cancelled", "error"})
"""The final statuses of a run after which another run may answer its prompt."""


class OpenPrompts:
    """The prompts of one session.

    Attributes:
        lanes: the lanes with unfinished work.
        is_read: whether the messages have been read.
        promoted: the messages that were made of the queue since the room was loaded, each with its author.
        has_fewer: whether an open prompt was refused or ceased to be one since the queue was last checked.
        has_halves: whether there was an incomplete message, the rest of which may still come.
        is_looked_at: whether the timer runs after which it is checked that an agent is present for new prompts.
    """

    __slots__ = (
        "_steers",
        "_told",
        "_unread",
        "_unread_runs",
        "has_fewer",
        "has_halves",
        "is_looked_at",
        "is_read",
        "lanes",
        "promoted",
    )

    def __init__(self) -> None:
        self.lanes: dict[str, PromptLane] = {}
        self.is_read = False
        self.promoted: dict[tuple[str, str], None] = {}
        self.has_fewer = False
        self.has_halves = False
        self.is_looked_at = False
        self._told: dict[str, OpenPrompt] = {}
        self._unread: Iterator[Map[Any] | None] | None = None
        self._unread_runs: Iterator[str] = iter(())
        self._steers: tuple[set[Steer], set[Steer]] = (set(), set())
        """The steers that the runs read so far have taken in, and those that unfinished runs were sent."""

    def begin(self, case: DecisionContext) -> None:
        """Index the runs of the document; at load, and after one was deleted from it."""
        self.lanes, self.is_read, self._unread = {}, False, None
        for id_, seen in case.memory.ledger.items():
            run = case.document.runs.get(id_) if seen.status not in FINAL and id_ not in case.memory.denied else None
            if run is not None and (answered := _answered(case, run)) is not None:
                self.lane(answered[1]).runs[id_] = answered[0].id

    def arrived(self, case: DecisionContext, message: Message) -> None:
        """Handle a message that was just stamped, by the session's policy."""
        if self.promoted and (message.id, message.author) in self.promoted:
            queue.remove_twin(case, message)
            return
        fields = outline(message.shared)
        wish = None if self._is_half(fields) else read_wish(fields)
        if wish is None:
            return
        rules = case.document.meta.rules
        lanes = lanes_of(rules, author=wish.author, role=wish.role, to=wish.to)
        if not lanes:
            return
        policy = rules.double_texting if wish.role == "user" else "queue"
        if lanes != (ANYBODY,) or policy != "queue":
            self.read(case)
        if policy == "reject" and any(self.is_busy(case, lane) for lane in lanes):
            message.refuse("busy", SERVER.id, case.at)
            self.refused(case, message)
            return
        if not self.is_looked_at:
            self.is_looked_at = True
            case.effects.append(Remind(UNHEARD, _UNHEARD_SECONDS))
        for name in lanes:
            lane = self.lane(name)
            prompt = lane.open.setdefault(message.id, _open(case, wish, name))
            active = _active(case, lane)
            if policy == "steer" and active:
                self._tell(case, active[-1], prompt, message)
            elif policy == "interrupt":
                for id_ in active:
                    runs.stop(case, id_, message.author or SERVER.id, "interrupted")

    def completed(self, case: DecisionContext, message: Message) -> None:
        """Handle content that arrived later than its message; if the message is whole now, it has arrived."""
        lanes = _lanes_of(case, message)
        known = {name for name, lane in self.lanes.items() if message.id in lane.open}
        for name in known.difference(lanes):
            self.has_fewer = True
            del self.lanes[name].open[message.id]
        is_answered = not known.union(_answered_lanes(case, message.id, lanes)).isdisjoint(lanes)
        if not lanes or is_answered or (message.id, message.author) in self.promoted:
            return
        steers = (set[Steer](), set[Steer]())
        for id_ in case.memory.ledger:
            _note_steers(case, id_, *steers)
        if not any((message.id, message.author) in some for some in steers):
            self.arrived(case, message)

    def begun(self, case: DecisionContext, id: str, run: Run) -> bool:  # noqa: A002 - the field's name
        """Index a new run; return False if its prompt is taken or answered by another process, or refused."""
        answered = _answered(case, run)
        if answered is None:
            return True
        message, name = answered
        if message.refused or _has_answer(case, message, name, besides=id):
            return False
        key = claim_key(message.id, name, message.to)
        claim = case.memory.granted.get(key)
        if claim is not None:
            if claim["by"] != run.agent or run.client not in (0, claim["client"]):
                return False
            if former := claim.get("former"):
                run.write({"former": former})
                case.memory.ledger[id] = replace(case.memory.ledger[id], former=tuple(former))
            claims.end(case, key)
        if name != ANYBODY:
            self.read(case)
        lane = self.lane(name)
        lane.open.pop(message.id, None)
        if run.status not in FINAL:
            lane.runs[id] = message.id
        return True

    def ended(self, case: DecisionContext, id: str, run: Run) -> None:  # noqa: A002 - the field's name
        """Note that a run has ended; steers that it didn't take in are prompts again."""
        if run.status not in FINAL:
            return
        seen = frozenset(run.seen)
        missed = [str(steer["id"]) for steer in run.steers if steer["id"] not in seen]
        name = next((name for name, lane in self.lanes.items() if lane.runs.pop(id, None) is not None), None)
        if not self.is_read and (missed or name not in (None, ANYBODY)):
            self.read(case)
        for told in [self._told.pop(steer, None) for steer in missed]:
            if told is not None:
                self.lane(told.lane).open[told.id] = told
        for taken_in in seen:
            self._told.pop(taken_in, None)

    def refused(self, _: DecisionContext, message: Message) -> None:
        """Note that a prompt will not be answered."""
        self.has_fewer = True
        for lane in self.lanes.values():
            lane.open.pop(message.id, None)

    def may_claim(self, case: DecisionContext, key: str, participant: str) -> bool:
        """Return whether a participant may claim a prompt now."""
        segments = split_key(key)
        if len(segments) < 2:
            return False
        self.read(case)
        for name in (participant, ANYBODY):
            prompt = self.lanes[name].open.get(segments[1]) if name in self.lanes else None
            is_asked = prompt is not None and prompt.key == key and prompt.author != participant
            if prompt is not None and is_asked and self.may_begin(case, prompt):
                prompt.was_taken = True
                return True
        return False

    def may_begin(self, case: DecisionContext, prompt: OpenPrompt) -> bool:
        """Return whether a prompt's turn has come, and no client has claimed it."""
        if prompt.key in case.memory.granted or not self.stands(case, prompt):
            return False
        return self.has_turn(case, prompt.lane, is_persons=prompt.is_persons)

    def stands(self, case: DecisionContext, prompt: OpenPrompt) -> bool:
        """Return whether a prompt can be answered now: complete, and neither deleted nor refused.

        The message is looked up each time: a reference to it would be invalid once it is deleted from the document.
        """
        message = case.document.messages.get(prompt.id)
        if message is None:
            self.lane(prompt.lane).open.pop(prompt.id, None)
            return False
        return message.status == "complete" and not (message.deleted or message.refused)

    def has_turn(self, case: DecisionContext, name: str, *, is_persons: bool) -> bool:
        """Return whether another prompt may be answered in a lane now."""
        if is_persons and case.document.meta.rules.double_texting == "parallel":
            return True
        return not self.is_busy(case, name)

    def is_busy(self, case: DecisionContext, name: str) -> bool:
        """Return whether a run of a lane is under way, or a prompt of it is claimed."""
        lane = self.lanes.get(name)
        if lane is None:
            return False
        return bool(_active(case, lane)) or any(prompt.key in case.memory.granted for prompt in lane.open.values())

    def waiting(self, document: SessionDocument) -> Iterator[tuple[str, str]]:
        """Yield the lanes in which no run is unfinished and a prompt waits, each with its first prompt."""
        for name, lane in self.lanes.items() if self.is_looked_at else ():
            for prompt in islice(lane.open.values() if not lane.runs else (), _MOST_UNHEARD):
                message = document.messages.get(prompt.id)
                if message is not None and not (message.deleted or message.refused):
                    yield name, prompt.id
                    break

    def lane(self, name: str) -> PromptLane:
        """Return a lane, which is created if it is missing."""
        return self.lanes.setdefault(name, PromptLane())

    def read(self, case: DecisionContext) -> None:
        """Read the rest of the messages, to find prompts that no run answers yet."""
        while not self.is_read:
            self.read_some(case)

    def read_some(self, case: DecisionContext) -> None:
        """Read some messages, after the runs; between two calls anything may change."""
        if self._unread is None:
            self._unread, self._unread_runs = case.document.messages.walk(), iter(tuple(case.memory.ledger))
            self._told, self._steers = {}, (set(), set())
        runs = tuple(islice(self._unread_runs, _AT_ONCE))
        for id_ in runs:
            _note_steers(case, id_, *self._steers)
        if runs:
            return
        for _ in range(_AT_ONCE):
            try:
                item = next(self._unread)
            except StopIteration:
                self.is_read, self._unread, self._steers = True, None, (set(), set())
                return
            if item is not None:
                self._read(case, outline(item))

    def _read(self, case: DecisionContext, fields: JsonObject) -> None:
        """Add a message to its lanes, if it is a prompt that no run answers yet."""
        wish = None if self._is_half(fields) else read_wish(fields)
        if wish is None:
            return
        lanes = lanes_of(case.document.meta.rules, author=wish.author, role=wish.role, to=wish.to)
        for name in set(lanes).difference(_answered_lanes(case, wish.id, lanes)):
            taken_in, told = self._steers
            steer = (wish.id, wish.author)
            if steer not in taken_in:
                place = self._told if steer in told else self.lane(name).open
                place[wish.id] = _open(case, wish, name)

    def _is_half(self, message: JsonObject) -> bool:
        """Return whether a message is incomplete; if so, note that the rest may come."""
        found = is_half(message)
        self.has_halves = self.has_halves or found
        return found

    def _tell(self, case: DecisionContext, id_: str, prompt: OpenPrompt, message: Message) -> None:
        """Steer a run with a prompt, which gets no answer of its own if the run takes it in.

        If the run has another participant's steer under the same id, or accepts no more, the prompt waits for an
        answer.
        """
        run = case.document.runs.get(id_)
        if run is None:
            return
        author = message.author or ""
        steers = case.memory.steers
        steers.record(id_, run, prompt.id, by=author, text=message.text, at=case.at)
        if steers.of(id_, run).get(prompt.id) == author:
            self.lane(prompt.lane).open.pop(prompt.id, None)
            self._told[prompt.id] = prompt


def _lanes_of(case: DecisionContext, message: Message) -> tuple[str, ...]:
    """Return the lanes in which a message is a prompt; none if it has no id."""
    if not message.id:
        return ()
    return lanes_of(case.document.meta.rules, author=message.author, role=message.role, to=message.to)


def _has_answer(case: DecisionContext, message: Message, lane: str, *, besides: str) -> bool:
    """Return whether a run answers a prompt in a lane, or has answered it without failing."""
    for id_ in case.memory.ledger.answering(message.id):
        is_other = id_ != besides and id_ not in case.memory.denied
        if is_other and case.memory.ledger[id_].status not in _FAILED:
            run = case.document.runs.get(id_)
            if run is not None and lane_of_run(run.agent, _lanes_of(case, message)) == lane:
                return True
    return False


def _answered(case: DecisionContext, run: Run) -> tuple[Message, str] | None:
    """Return the prompt that a run answers, and its lane; None if it answers none."""
    message = case.document.messages.get(run.reply_to) if run.reply_to is not None else None
    name = None if message is None else lane_of_run(run.agent, _lanes_of(case, message))
    return None if message is None or name is None else (message, name)


def _active(case: DecisionContext, lane: PromptLane) -> list[str]:
    """Return the runs of a lane that are under way, in the order in which they began."""
    ledger = case.memory.ledger
    return [id_ for id_ in lane.runs if id_ in ledger and ledger[id_].status not in ENDED]


def _open(case: DecisionContext, wish: Wish, lane: str) -> OpenPrompt:
    is_old = seconds_until(wish.at, case.at) > case.settings.work_seconds
    key = claim_key(wish.id, lane, wish.to)
    offers = 0 if is_old else case.settings.max_attempts
    return OpenPrompt(wish.id, wish.author, lane, key, wish.seq, wish.role == "user", offers)


def _answered_lanes(case: DecisionContext, message: str, lanes: tuple[str, ...]) -> set[str | None]:
    """Return the lanes in which a run answers a message."""
    ledger, denied = case.memory.ledger, case.memory.denied
    runs = [case.document.runs.get(id_) for id_ in ledger.answering(message) if id_ not in denied] if lanes else []
    return {lane_of_run(run.agent, lanes) for run in runs if run is not None}


def _note_steers(case: DecisionContext, id_: str, taken_in: set[Steer], told: set[Steer]) -> None:
    """Note the steers that a run has taken in, or, if it is unfinished, was sent."""
    run = case.document.runs.get(id_)
    if run is None:
        return
    steers = {(str(steer["id"]), str(steer["by"])) for steer in run.steers}
    if case.memory.ledger[id_].status in FINAL:
        heard = set(run.seen) if steers else ()
        taken_in |= {steer for steer in steers if steer[0] in heard}
    else:
        told |= steers
