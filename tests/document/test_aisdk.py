"""The JSON of a message is the AI SDK's UIMessage, by the AI SDK's own judgement."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from document.samples import AT, EVERY_PART, said

from cosession.document import SessionDocument
from cosession.errors import BadDocument

SCRIPT = Path(__file__).parent.parent / "node" / "validate-ui-messages.mjs"


def judge(*cases: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the npm package `ai` says of each list of messages."""
    node = os.environ.get("COSESSION_TEST_NODE") or shutil.which("node")
    modules = Path(os.environ.get("COSESSION_TEST_MODULES", SCRIPT.parent)) / "node_modules" / "ai"
    missing = not node or not modules.is_dir()
    assert not missing, "This test needs Node.js and its packages: run `python3 tests/run.py`, which gets them."
    result = subprocess.run(
        [node, SCRIPT], input=json.dumps({"cases": cases}), capture_output=True, text=True, timeout=60, check=False
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def test_the_sdk_accepts_every_part_in_every_state(session: SessionDocument) -> None:
    for number, part in enumerate(EVERY_PART):
        role = "user" if part["type"] in ("file",) else "assistant"
        session.messages.append(
            role, [part], id=f"m{number}", author="agent", created_at=AT, status="streaming", run="r1"
        )
    session.messages.append("assistant", EVERY_PART, id="all", author="agent", created_at=AT)
    session.messages.append(
        "system", [{"type": "text", "text": "Be kind."}], id="system", author="ada", created_at=AT
    )
    session.messages[0].set_stamp(by="agent", at=AT, seq=1)
    messages = session.messages.to_json()
    for answer, case in zip(judge(*([message] for message in messages), messages), [*messages, None], strict=True):
        assert answer["valid"], (case, answer["error"])
    assert judge(messages)[0]["parts"][len(EVERY_PART)] == [part["type"] for part in EVERY_PART]
    for dialect in ("ai-sdk", "pydantic-ai"):
        strict = session.messages.to_json(dialect=dialect)
        assert all(message.keys() == {"id", "role", "metadata", "parts"} for message in strict)
        assert strict == [message.to_json(dialect=dialect) for message in session.messages]
        assert judge(strict)[0]["valid"]
    with pytest.raises(BadDocument, match="dialect"):
        session.messages[0].to_json(dialect="klingon")  # type: ignore[arg-type]


def test_the_sdk_accepts_a_message_at_every_moment_of_its_life(session: SessionDocument) -> None:
    cases: list[list[dict[str, Any]]] = []

    def look() -> None:
        cases.append(session.messages.to_json())

    question = said(session, "A hotel?")
    look()
    answer = session.messages.append("assistant", [], id="m2", author="agent", created_at=AT, status="streaming")
    look()
    text = answer.append_part({"type": "text", "state": "streaming"})
    look()
    text.grow("Let me see.")
    look()
    text.finish()
    call = answer.append_part({"type": "tool-hotel", "toolCallId": "c1", "state": "input-streaming"})
    look()
    call.grow('{"city":')
    look()
    for fields in (
        {"state": "input-available", "input": {"city": "Zürich"}},
        {"state": "approval-requested", "approval": {"id": "a1"}},
        {"state": "approval-responded", "approval": {"id": "a1", "approved": True}},
        {"state": "output-available", "output": [1], "preliminary": True},
        {"state": "output-error", "errorText": "gone"},
    ):
        call.update(**fields)
        look()
    answer.edit("Let me look.", at=AT, by="ada")
    look()
    question.delete(at=AT)
    answer.delete(at=AT)
    look()
    for answer_of_sdk, case in zip(judge(*cases), cases, strict=True):
        assert answer_of_sdk["valid"], (case[-1], answer_of_sdk["error"])


def test_the_judge_does_refuse() -> None:
    refused = judge([{"id": "m1", "role": "user", "parts": []}], [{"id": "m1", "role": "assistant", "parts": [{}]}])
    assert [answer["valid"] for answer in refused] == [False, False]
