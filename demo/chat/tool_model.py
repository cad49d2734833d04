"""A model that may call tools: what the agents of other demos ask of one."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Call:
    """A tool that a model calls.

    Attributes:
        id: the model's id of the call.
        name: the tool's name.
        arguments: what it is called with, as the model's JSON; it may be none.
    """

    id: str
    name: str
    arguments: str


class ToolModel(Protocol):
    """A model that may call tools.

    Attributes:
        name: what people may call it.
    """

    name: str

    def act(
        self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]]
    ) -> AsyncGenerator[str | Call, None]:
        """Give the answer piece by piece, then the calls; closing the generator stops the work.

        Args:
            messages: the conversation, as chat models take it, with the calls made and what came of them.
            tools: the tools that it may call, as chat models take them.
        """
        ...
