"""The model that is used when none is configured: a script, which calls the same tools and says what it is.

Which part it plays it sees from the tools it is given.
"""

import asyncio
import json
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

from chat.tool_model import Call

from . import planner_script, specialist_script
from .cues import Messages

PAUSE_WORDS = 25
"""A call of a tool takes as long as so many words: else nobody would see it happen."""


class ScriptedToolModel:
    """Plays the planner and the specialists."""

    def __init__(self, words_per_second: float = 30.0) -> None:
        """Prepare.

        Args:
            words_per_second: how fast it writes; 0 writes without a pause.
        """
        self.name = "scripted"
        self._pause_seconds = 1 / words_per_second if words_per_second > 0 else 0.0

    async def act(self, messages: Messages, tools: Sequence[Mapping[str, Any]]) -> AsyncGenerator[str | Call, None]:
        """Give the next turn of the script."""
        is_specialist = any(tool["function"]["name"] == "offer" for tool in tools)
        lines = specialist_script.look_up(messages) if is_specialist else planner_script.plan_trip(messages)
        for number, line in enumerate(lines):
            if isinstance(line, tuple):
                await asyncio.sleep(self._pause_seconds * PAUSE_WORDS)
                yield Call(f"call-{len(messages)}-{number}", line[0], json.dumps(line[1]))
                continue
            for word in re.findall(r"\s*\S+\s*", line):
                await asyncio.sleep(self._pause_seconds)
                yield word
