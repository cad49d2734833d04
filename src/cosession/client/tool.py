"""A call of a tool, shown as a part of the answer that a run streams. Never calls the tool itself."""

from collections.abc import Callable
from typing import Any

from cosession.document import Part

from .answer_stream import Answer
from .session_link import SessionLink


class ToolCall:
    """One call of a tool, shown as a part of the answer; made by `AgentRun.tool`."""

    def __init__(self, link: SessionLink, answer: Answer, part: Part | None, step: Callable[[], None]) -> None:
        self._link = link
        self._answer = answer
        self._part = part
        self._step = step

    def output(self, value: Any) -> None:
        """Record the output of the tool. Raises as `AgentRun.text` does."""
        self._link.check_fits(value, "The output")
        self._update(state="output-available", output=value)

    def error(self, text: str) -> None:
        """Record that the tool failed. Raises as `AgentRun.text` does."""
        self._link.check_text(text, "The error")
        self._update(state="output-error", errorText=text)

    def _update(self, **fields: Any) -> None:
        self._step()
        if self._part is not None:
            self._answer.update(self._part, **fields)
