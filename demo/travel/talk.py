"""How an agent thinks: the model speaks and calls tools, in turns, until it has no more to call.

What people add meanwhile reaches the model at its next turn. Tools are plain coroutines with a JSON Schema.
"""

import contextlib
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from chat.models import STEERED
from chat.tool_model import Call, ToolModel

from cosession.client import AgentRun, Steer

SILENCE = "*The model gave no answer. Ask again in other words, or start the team with another model.*"
"""What people read instead of nothing."""

MOST_TURNS = 12
"""How often a model may call tools for one prompt: one that goes round in circles ends."""


class ToolRefused(Exception):
    """A tool can't do what it is asked; the text tells the model why."""


@dataclass(frozen=True, slots=True)
class Tool:
    """Something that a model may do.

    Attributes:
        name: its name.
        description: what it does, for the model.
        fields: the JSON Schema of each argument.
        call: does it.
        required: the arguments that it needs.
    """

    name: str
    description: str
    fields: dict[str, Any]
    call: Callable[..., Awaitable[Any]]
    required: tuple[str, ...] = ()

    @property
    def schema(self) -> dict[str, Any]:
        """The tool, as chat models are told of it."""
        parameters = {"type": "object", "properties": self.fields, "required": list(self.required)}
        described = {"name": self.name, "description": self.description, "parameters": parameters}
        return {"type": "function", "function": described}


async def think(run: AgentRun, model: ToolModel, messages: list[dict[str, Any]], tools: Sequence[Tool]) -> None:
    """Answer by a model that may call tools. Raises as `AgentRun.text` does.

    Args:
        run: the run that answers.
        model: what thinks.
        messages: the conversation; grows.
        tools: what it may do.
    """
    by_name = {tool.name: tool for tool in tools}
    for _ in range(MOST_TURNS):
        calls: list[Call] = []
        heard: list[Steer] = []
        said = ""
        async with contextlib.aclosing(model.act(messages, [tool.schema for tool in tools])) as pieces:
            async for piece in pieces:
                if isinstance(piece, Call):
                    calls.append(piece)
                else:
                    said += piece
                    run.text(piece)
                if heard := run.steers():
                    break
        messages.append({"role": "assistant", "content": said, **({"tool_calls": _told(calls)} if calls else {})})
        messages += [await _carry_out(run, by_name.get(call.name), call) for call in calls]
        steers = [f"{run.session.who(steer.by).name}: {steer.text}" for steer in [*heard, *run.steers()]]
        if steers:
            messages.append({"role": "user", "content": "\n".join([STEERED, *steers])})
        if not calls and not steers:
            if not said.strip():
                run.text(SILENCE)
            return
        if said and not said.endswith("\n"):
            run.text("\n\n")


async def _carry_out(run: AgentRun, tool: Tool | None, call: Call) -> dict[str, Any]:
    """Do what the model calls for; what fails is told to the model and shown to people."""
    given = _arguments(call)
    shown = run.tool(call.name, given or {})
    try:
        result = await _call(tool, given)
    except ToolRefused as error:
        shown.error(str(error))
        result = {"error": str(error)}
    else:
        shown.output(result)
    return {"role": "tool", "tool_call_id": call.id, "content": json.dumps(result, ensure_ascii=False)}


async def _call(tool: Tool | None, given: dict[str, Any] | None) -> Any:
    if tool is None:
        raise ToolRefused("There is no such tool.")
    if given is None:
        raise ToolRefused("The arguments aren't a JSON object.")
    if missing := [name for name in tool.required if name not in given]:
        raise ToolRefused(f"These arguments are missing: {', '.join(missing)}.")
    return await tool.call(**{name: value for name, value in given.items() if name in tool.fields})


def _arguments(call: Call) -> dict[str, Any] | None:
    try:
        given = json.loads(call.arguments or "{}")
    except ValueError:
        return None
    return given if isinstance(given, dict) else None


def _told(calls: Sequence[Call]) -> list[dict[str, Any]]:
    return [
        {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
        for call in calls
    ]
