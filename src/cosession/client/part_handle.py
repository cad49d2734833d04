"""A part of an answer that its run may change later."""

from collections.abc import Callable
from typing import Any

from cosession.document import Part
from cosession.document.parts import values_of_parts

from .answer_stream import Answer
from .session_link import SessionLink


class PartHandle:
    """A part of the answer; made by `AgentRun.part` and `AgentRun.data`.

    Attributes:
        id: the part's id within its run.
    """

    def __init__(
        self,
        id: str,  # noqa: A002 - the attribute's name
        part: Part | None,
        link: SessionLink,
        answer: Answer,
        step: Callable[[], None],
    ) -> None:
        """Prepare; the run makes them."""
        self.id = id
        self._part = part
        self._link = link
        self._answer = answer
        self._step = step

    def update(self, **fields: Any) -> None:
        """Set fields of the part, by their names in the AI SDK; a part that was removed stays so.

        Args:
            fields: e.g. `data`; None removes an optional field.

        Raises:
            InvalidValue: the part would not be a part of an AI SDK message any more.
            TooLarge: a value is larger than the server accepts.
            RunCancelled: a participant cancelled the run; the other errors of `AgentRun.text` as well.
        """
        self._step()
        if self._part is None:
            return
        kind = self._part.type
        self._link.check_fits(fields, "A part's fields", values_of_parts([{"type": kind, **fields}]))
        self._answer.update(self._part, **fields)
