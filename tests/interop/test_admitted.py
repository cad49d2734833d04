"""What the server admits is in Yjs the same session as in its own document, whatever was tried.

Two libraries that order an update differently would show people two sessions, for ever. Participants of all roles lie
to a room for many steps, and Yjs reads the room's log.
"""

import base64
import json
from typing import Any

from admission.oracle import everything
from admission.society import LYING, TYPING, Society
from processes import run_node

from cosession.document.session import ROOTS

_SOCIETIES, _STEPS = 24, 60


def test_what_was_admitted_is_the_same_session_in_yjs() -> None:
    lines: list[str] = []
    expected: list[dict[str, Any]] = []
    kinds = {**{name: kind.__name__ for name, kind in ROOTS.items()}, "text:notes": "Text"}
    for number in range(_SOCIETIES):
        society = Society()
        for step in range(_STEPS):
            society.step(number * 10_000 + step, LYING if number % 2 else TYPING)
        assert society.admitted
        updates = [base64.b64encode(update).decode() for update in society.log]
        lines.append(json.dumps({"roots": kinds, "updates": updates}))
        whole = everything(society.room.document)
        del whole["roots"]
        expected.append(whole)
    results = run_node("replay.mjs", lines)
    assert [result["json"] for result in results] == expected
    assert not any(result["pending"] for result in results)
