"""What a projection sends is, for the AI SDK's own reader, the message: after each change, and in a replay."""

import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from processes import run_node

from cosession.document.part_schema import checked_part
from cosession.streams import Chunk, MessageProjection

Json = dict[str, Any]


def message(*parts: Json, status: str = "streaming") -> Json:
    """A message as a UIMessage."""
    return {"id": "m1", "role": "assistant", "metadata": {"author": "bot", "status": status}, "parts": list(parts)}


def project(states: list[Json]) -> list[list[Chunk]]:
    """The chunks of each state, in one stream."""
    projection = MessageProjection()
    return [projection.feed(copy.deepcopy(state)) for state in states]


def read(*cases: list[list[Chunk]]) -> list[list[Json]]:
    """What the AI SDK reads: for each case the message after each group of chunks."""
    return run_node("read-ui-stream.mjs", (json.dumps(case) for case in cases))


def plain(read_message: Json) -> Json:
    """A message without what its reader adds for itself."""
    parts = []
    for part in read_message["parts"]:
        fields = {name: value for name, value in part.items() if value is not None}
        if fields["type"] == "reasoning":
            fields.pop("id", None)
        if fields.get("state") == "input-streaming":  # a reader guesses at the input
            fields.pop("input", None)
            if not fields.get("rawInput"):
                fields.pop("rawInput", None)
        elif "input" in fields:
            fields.pop("rawInput", None)  # of an input that was streamed
        parts.append(fields)
    return {"id": read_message["id"], "role": "assistant", "metadata": read_message["metadata"], "parts": parts}


TEXT = {"type": "text", "text": "one", "state": "streaming"}
CALL = {"type": "tool-book", "toolCallId": "c1", "state": "input-available", "input": {"nights": 2}}


@pytest.mark.parametrize(
    "states",
    [
        pytest.param([message(TEXT), message({**TEXT, "text": "one two"})], id="a text grows"),
        pytest.param([message(TEXT), message({**TEXT, "text": "1 two"})], id="a growing text is edited"),
        pytest.param(
            [message({**TEXT, "state": "done"}), message({**TEXT, "text": "x", "state": "done"})], id="edit"
        ),
        pytest.param([message(TEXT, TEXT), message({**TEXT, "text": "one 1"}, TEXT)], id="two texts grow"),
        pytest.param([message(TEXT, CALL), message(TEXT)], id="a part is removed"),
        pytest.param([message(TEXT), message()], id="all parts are removed"),
        pytest.param(
            [
                message({"type": "step-start"}, {**TEXT, "state": "done"}, {"type": "step-start"}, TEXT),
                message(
                    {"type": "step-start"}, {**TEXT, "state": "done"}, {"type": "step-start"}, {**TEXT, "text": "x"}
                ),
            ],
            id="the last step is redone",
        ),
        pytest.param(
            [
                message({**CALL, "state": "approval-requested", "approval": {"id": "a"}}),
                message(
                    {
                        **CALL,
                        "input": {"nights": 3},
                        "state": "approval-responded",
                        "approval": {"id": "a", "approved": True, "reason": "shorter"},
                    }
                ),
                message(
                    {
                        **CALL,
                        "input": {"nights": 3},
                        "state": "output-available",
                        "output": {"ok": True},
                        "approval": {"id": "a", "approved": True, "reason": "shorter"},
                    }
                ),
            ],
            id="people edit the input that they approve",
        ),
    ],
)
def test_a_change_is_what_the_sdk_reads(states: list[Json]) -> None:
    (seen,) = read(project(states))
    assert [plain(one) for one in seen] == states


words = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=6)


@st.composite
def growing(draw: st.DrawFn) -> list[Json]:
    """The states of one message: its parts come, grow, change their states, and are edited or redone."""
    parts: list[Json] = []
    states = [message()]
    for count in range(draw(st.integers(1, 8))):
        streaming = [part for part in parts if part.get("state") == "streaming"]
        calls = [part for part in parts if part["type"] == "tool-book"]
        act = draw(
            st.sampled_from(["text", "reasoning", "call", "data", "source", "step", "grow", "next", "edit", "redo"])
        )
        if act in ("text", "reasoning"):
            parts.append({"type": act, "text": draw(words), "state": draw(st.sampled_from(["streaming", "done"]))})
        elif act == "call":
            first = draw(
                st.sampled_from(
                    [
                        {"state": "input-streaming", "rawInput": '{"n'},
                        {"state": "input-available", "input": {"n": count}},
                    ]
                )
            )
            parts.append({"type": "tool-book", "toolCallId": f"c{count}", **first})
        elif act == "data":
            parts.append({"type": "data-note", "id": f"d{count}", "data": {"n": count}})
        elif act == "source":
            parts.append({"type": "source-url", "sourceId": f"s{count}", "url": "https://example.org"})
        elif act == "step":
            parts.append({"type": "step-start"})
        elif act == "grow" and streaming:
            part = draw(st.sampled_from(streaming))
            part["text"] += draw(words)
            part["state"] = draw(st.sampled_from(["streaming", "done"]))
        elif act == "next" and calls:
            advance(draw, draw(st.sampled_from(calls)))
        elif act == "edit":
            last = max((place + 1 for place, part in enumerate(parts) if part["type"] == "step-start"), default=0)
            texts = [part for part in parts[last:] if "text" in part]
            if texts:
                draw(st.sampled_from(texts))["text"] = draw(words)
        elif act == "redo":
            last = max((place + 1 for place, part in enumerate(parts) if part["type"] == "step-start"), default=0)
            del parts[last:]
        states.append(message(*copy.deepcopy(parts), status=draw(st.sampled_from(["streaming", "complete"]))))
    return states


def advance(draw: st.DrawFn, call: Json) -> None:
    """Take a call to a later state, as a run and people do."""
    given_input = {"input": call.get("input", {"n": draw(st.integers(0, 9))})}
    match call["state"]:
        case "input-streaming":
            call.pop("rawInput")
            call |= given_input | {"state": "input-available"}
        case "input-available":
            call |= draw(
                st.sampled_from(
                    [
                        {"state": "approval-requested", "approval": {"id": f"a-{call['toolCallId']}"}},
                        {"state": "output-available", "output": [1], "preliminary": True},
                        {"state": "output-error", "errorText": "no"},
                    ]
                )
            )
        case "approval-requested":
            approved = draw(st.booleans())
            call |= {"state": "approval-responded", "approval": {**call["approval"], "approved": approved}}
        case "approval-responded":
            is_approved = call["approval"]["approved"]
            call |= {"state": "output-available", "output": 1} if is_approved else {"state": "output-denied"}
        case "output-available" if call.pop("preliminary", False):
            call["output"] = [1, 2]
        case _:
            pass


@given(st.lists(growing(), min_size=1, max_size=12))
@settings(max_examples=12, deadline=None)
def test_the_sdk_reads_every_state_of_a_message(histories: list[list[Json]]) -> None:
    for states in histories:
        for state in states:
            for part in state["parts"]:
                checked_part(part)
    streams = [project(states) for states in histories]
    replays = [project(states[-1:]) for states in histories]
    for states, seen in zip(histories, read(*streams), strict=True):
        for state, group in zip(states, seen, strict=True):
            if not stale(states, state):
                assert plain(group) == state
    for states, seen in zip(histories, read(*replays), strict=True):
        assert plain(seen[-1]) == states[-1]


def stale(states: list[Json], state: Json) -> bool:
    """Whether an earlier step was changed after a later one began: no chunk tells of that."""
    known: list[list[Json]] = []
    for each in states:
        steps: list[list[Json]] = [[]]
        for part in each["parts"]:
            if part["type"] == "step-start":
                steps.append([])
            steps[-1].append(part)
        for place, step in enumerate(steps[:-1]):
            if place < len(known) - 1 and known[place] != step:
                return True
        known = steps
        if each is state:
            return False
    return False


def test_a_stream_continues_what_the_reader_has() -> None:
    asked = {**CALL, "state": "approval-requested", "approval": {"id": "a"}}
    answered = {**asked, "state": "approval-responded", "approval": {"id": "a", "approved": True}}
    text = {"type": "text", "text": "May I?", "state": "done"}
    projection = MessageProjection({"parts": [text, {**answered, "rawInput": '{"nights": 2}'}]})
    first = projection.feed(message(text, asked))  # the reader is ahead: it has answered
    assert [chunk["type"] for chunk in first] == ["start"]
    done = {**answered, "state": "output-available", "output": 1}
    chunks = projection.feed(message(text, done)) + projection.feed(message(text, done, TEXT))
    assert [chunk["type"] for chunk in chunks] == ["tool-output-available", "text-start", "text-delta"]


def test_a_stream_drops_what_the_reader_has_when_it_was_edited() -> None:
    projection = MessageProjection({"parts": [{"type": "text", "text": "old", "state": "done"}]})
    chunks = projection.feed(message({"type": "text", "text": "new", "state": "done"}))
    assert [chunk["type"] for chunk in chunks] == ["start", "reset-step", "text-start", "text-delta", "text-end"]


def test_a_replay_runs_no_call_again() -> None:
    done = {**CALL, "state": "output-available", "output": 1}
    assert "tool-input-available" not in {chunk["type"] for chunk in project([message(done)])[0]}
    assert "tool-input-available" in {
        chunk["type"] for group in project([message(), message(CALL)]) for chunk in group
    }


def test_the_end_of_a_run_is_told_once() -> None:
    projection = MessageProjection()
    projection.feed(message({"type": "step-start"}, TEXT))
    assert projection.finish("cancelled", reason="ben") == [
        {"type": "finish-step"},
        {"type": "abort", "reason": "ben"},
    ]
    assert projection.finish("complete") == []
    assert MessageProjection().finish("error", reason="It failed.") == [
        {"type": "start"},
        {"type": "error", "errorText": "It failed."},
    ]
