"""Whatever somebody who may write everything puts into the document: the room lives, and can be loaded as it is.

COSESSION_NONSENSE=20000 python -m pytest tests/room/decisions/test_nonsense.py     many more than usual
"""

import functools
import os
import random
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pycrdt import Array, Doc, Map, Text
from room.decisions.stage import Absent, Actor, Stage

from cosession.document import SessionDocument
from cosession.document.session import ROOTS
from cosession.errors import CosessionError, RoomBroken
from cosession.protocol import decode_state_vector

EXAMPLES = int(os.environ.get("COSESSION_NONSENSE", "60"))

# fmt: off
FIELDS = [
    "id", "run", "status", "epoch", "client", "former", "reply_to", "messages", "seen", "steers", "cancel",
    "started_at",
    "ended_at", "agent", "by", "at", "until", "waiting", "question", "schema", "value", "expires_at", "who",
    "quorum",
    "votes", "decision", "author", "role", "parts", "metadata", "to", "stamp", "text", "type", "state",
    "toolCallId",
    "callProviderMetadata", "deleted", "refused", "policy", "agents", "double_texting", "title", "task",
    "online", "input",
]
KEYS = [
    "r1", "m1", "r1.m", "bot", "ada", "a1", "k", "prompt/m1", "prompt/m1/bot", "tool/c1", "cancel/r1/ada",
    "vote/a1/ada",
    "steer/r1/s1/ada", "adopt/r1/5/bot", "claim/k/5/ada", "release/k/5/ada", "answer/r1.m/c1/5/ada",
    "policy/ada", "", "/",
]
NOW, CLAIM = "2026-11-21T10:00:00.000Z", {"by": "ada", "client": 5, "epoch": 1, "at": "2026-11-21T10:00:00.000Z"}
DEEP: Any = functools.reduce(lambda inner, _: [inner], range(90), 1.7e308)
VALUES: list[Any] = [
    None, True, False, 0, -1, 1, 3, 2**53, -(2**60), 1.5, float("nan"), float("inf"), "", "x", "ada", "bot",
    "m1", "r1",
    "lost", "running", "queued", "complete", "cancelled", "approved", "steer", "interrupt", NOW, "9999-99-99",
    "user",
    "streaming", "text", "tool-look", "input-available", [], {}, [1], ["bot"], [None, {}], {"by": "ada"},
    [{"by": 1}],
    [["x"]], CLAIM, {**CLAIM, "waiting": 5}, {**CLAIM, "waiting": [5], "until": "never"}, {**CLAIM, "former": 5},
    {**CLAIM, "client": -5}, {**CLAIM, "waiting": [{"by": "ada", "client": 7}], "until": NOW}, {"id": "s1"},
    [{"id": "s1", "by": "ada", "text": "go"}], {"decision": "approved"}, {"decision": "approved",
    "value": float("nan")},
    {"ada": {"decision": "approved"}}, {"type": "nonsense"}, {"$ref": "#"}, {"double_texting": 5}, {"output": 1},
    {"agents": [5], "double_texting": "reject"}, {"agents": ["bot"], "double_texting": "steer"}, {"client": True},
    {"cosession": {"client": True}}, {"wait": True, "seconds": -1}, {"error": "no", "output": {}},
    {"seconds": 1e300}, {"seconds": 2**62},
    1.7e308, -1.7e308, -(2**63), b"\x00\xff", [b"x"], {"at": b""}, DEEP, [[DEEP]],
]
# fmt: on


def a_value(luck: random.Random, depth: int = 0) -> Any:
    match luck.randrange(8):
        case 0:
            return Map({luck.choice(FIELDS): a_value(luck, depth + 1) for _ in range(3)} if depth < 2 else {})
        case 1:
            return Array([a_value(luck, depth + 1)] if depth < 2 else [])
        case 2:
            return Text(luck.choice(["", "words"]))
        case _:
            return luck.choice(VALUES)


# fmt: off
RECORDS: dict[str, dict[str, Any]] = {
    "messages": {
        "id": "m9", "role": "user", "metadata": {"author": "ada", "status": "complete", "to": ["bot"], "run": "r1"},
        "parts": [{"type": "text", "text": "hi", "state": "done"}], "stamp": {"by": "ada", "at": NOW, "seq": 3},
    },
    "runs": {
        "id": "r9", "agent": "bot", "status": "running", "epoch": 1, "client": 5, "former": [7], "reply_to": "m1",
        "messages": ["r1.m"], "steers": [{"id": "m1", "by": "ada", "text": "go"}], "seen": ["s1"], "started_at": NOW,
        "ended_at": NOW, "cancel": {"by": "ada", "at": NOW, "reason": ""}, "steps": [],
    },
    "approvals": {
        "question": "Shall I?", "schema": {"type": "number"}, "run": "r1", "who": ["ada"], "quorum": 1, "value": 3,
        "expires_at": NOW, "votes": {"ada": {"decision": "approved", "value": 3, "at": NOW}},
    },
    "claims": {**CLAIM, "waiting": [{"by": "ada", "client": 7}], "former": [9], "until": NOW},
    "queue": {"id": "q1", "author": "ada", "text": "later", "created_at": NOW, "to": ["bot"]},
    "agents": {"name": "Bot", "status": "working", "run": "r1", "task": "it", "progress": 0.5},
    "participants": {"name": "Ada", "kind": "human", "online": True, "devices": 1, "looking": True, "since": NOW},
}
# fmt: on


def spoilt(luck: random.Random, value: Any) -> Any:
    """Something as it should be, but for a few places."""
    if luck.random() < 0.08:
        return luck.choice(VALUES)
    if isinstance(value, dict):
        return {key: spoilt(luck, one) for key, one in value.items() if luck.random() > 0.05}
    return [spoilt(luck, one) for one in value] if isinstance(value, list) else value


def shared(luck: random.Random, value: Any) -> Any:
    """The same, some of it as shared types."""
    if luck.random() < 0.2:
        return value
    if isinstance(value, dict):
        return Map({key: shared(luck, one) for key, one in value.items()})
    if isinstance(value, list):
        return Array([shared(luck, one) for one in value])
    return Text(value) if isinstance(value, str) and luck.random() < 0.2 else value


def write_record(document: SessionDocument, luck: random.Random) -> None:
    """Write a record that is wrong in a few places."""
    name = luck.choice(list(RECORDS))
    record = shared(luck, spoilt(luck, RECORDS[name]))
    root: Any = document.doc.get(name, type=ROOTS[name])
    if isinstance(root, Map):
        root[luck.choice(KEYS)] = record
    else:
        root.insert(luck.randint(0, len(root)), record)


def write_nonsense(document: SessionDocument, luck: random.Random) -> None:
    """Put something anywhere."""
    if luck.random() < 0.5:
        write_record(document, luck)
        return
    name = luck.choice(list(ROOTS))
    here: Any = document.doc.get(name, type=ROOTS[name])
    for _ in range(luck.randrange(4)):
        below = [one for one in (here.values() if isinstance(here, Map) else here) if isinstance(one, Map | Array)]
        if not below:
            break
        here = luck.choice(below)
    if isinstance(here, Map):
        key = luck.choice(KEYS if luck.random() < 0.4 else FIELDS)
        if luck.random() < 0.1 and key in here:
            del here[key]
        else:
            here[key] = a_value(luck)
    elif luck.random() < 0.1 and len(here):
        del here[luck.randrange(len(here))]
    else:
        here.insert(luck.randint(0, len(here)), a_value(luck))


def act(stage: Stage, luck: random.Random, ada: Actor, bot: Actor) -> None:
    """One thing that somebody does, or time."""
    someone = luck.choice([ada, bot])
    match luck.randrange(16):
        case 0:
            bot.begin(luck.choice(["r1", "r2"]), reply_to=luck.choice([None, "m1"]), words="half")
        case 1:
            ada.prompt(luck.choice(["m1", "m2"]), to=luck.choice([[], ["bot"]]))
        case 2:
            key = luck.choice(["k", "prompt/m1", "prompt/m1/bot", "tool/c1"])
            someone.claim(key, wait=luck.random() < 0.5)
        case 3:
            ada.cancel(luck.choice(["r1", "m1"]))
        case 4:
            bot.become(luck.choice(["complete", "suspended", "running"]))
        case 5 if stage.timers:
            stage.ring(luck.choice(sorted(stage.timers)))
        case 6:
            stage.do(stage.room.reserve("bot", luck.randrange(1, 2**40), stage.at)[1])
        case 7:
            bot.write(lambda document: document.approvals.ask("a1", question="Shall I?", run="r1", created_at=NOW))
        case 8:
            ada.write(lambda document: document.requests.ask_vote("a1", "ada", "approved", luck.choice(VALUES)))
        case 9:
            output = luck.choice(VALUES)
            ada.write(lambda document: document.requests.ask_answer("r1.m", "c1", ada.client, "ada", output=output))
        case 10:
            ada.write(lambda document: document.requests.ask_steer("r1", "s1", "ada", "shorter"))
        case 11:
            luck.choice([ada, bot]).write(
                lambda document: document.requests.ask_policy("ada", luck.choice(["steer", "reject", "interrupt"]))
            )
        case 12 if luck.random() < 0.3:
            someone.leave()
            someone.come()
        case _:
            ada.write(lambda document: write_nonsense(document, luck))


def logged(stage: Stage) -> Doc[Any]:
    """The document that the log holds."""
    doc: Doc[Any] = Doc()
    for row in stage.rows:
        doc.apply_update(row.update)
    return doc


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**48))
@example(seed=19963)  # a vote of nonsense that decides
def test_the_room_lives_and_can_be_loaded(seed: int) -> None:
    luck = random.Random(seed)
    stage = Stage()
    for _ in range(2):
        ada, bot = stage.actor("ada"), stage.actor("bot", "agent")
        for _ in range(25):
            try:
                act(stage, luck, ada, bot)
            except RoomBroken:
                raise
            except (CosessionError, Absent):
                pass  # refused, as it should be, or there is nothing to act on
        stage.do(stage.room.attend(stage.at, at_once=True))
        assert decode_state_vector(stage.document.doc.get_state()) == decode_state_vector(logged(stage).get_state())
        assert stage.document.to_json() == SessionDocument(logged(stage)).to_json()
        stage.room.document.to_json()
        stage = stage.restart()
