"""Lanes: the order of work of agents. Each agent that a session names has a lane; all others share one.

A message is a prompt in the lane of each agent that it names. A person's message that names no agent is a prompt for
the first agent of the session's policy; without a policy, for any agent that is present (`ANYBODY`). A lane is busy
while a run of it is under way or a prompt of it is claimed. Pure memory; `prompts` makes the decisions.

After a crash the halves of a message may be brought back apart, the first by a replica that has no more of it. The
message is a prompt when it is whole.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast

from pycrdt import Array, Map, Text

from cosession.document import JsonObject, Policy, prompt_key
from cosession.document.part_schema import is_growing_text
from cosession.document.policy import agents_of
from cosession.document.values import plain, plain_object

ANYBODY: Final = ""
"""The lane of any agent that is present."""


_ABOUT: Final = ("author", "to", "deleted")
"""The fields of a message's metadata that decide whether it is a prompt."""


@dataclass(slots=True)
class OpenPrompt:
    """A prompt that no run answers yet. It holds the id of its message, which may be deleted from the document.

    Attributes:
        id: the id of the message.
        author: the participant that wrote it.
        lane: the lane in which it is a prompt.
        key: the key of the claim to answer it.
        seq: its place in the order of arrival.
        is_persons: whether a person wrote it, and not an agent that asks another.
        offers: how often it may still be handed to a worker.
        was_taken: whether it was taken before, without a result.
    """

    id: str
    author: str | None
    lane: str
    key: str
    seq: int
    is_persons: bool
    offers: int
    was_taken: bool = False


@dataclass(frozen=True, slots=True)
class Wish:
    """The fields of a message that may be a prompt, read with all the others: to look each up takes far longer.

    Attributes:
        id: the id of the message.
        author: the participant that wrote it.
        role: the message's role.
        to: the agents that it names.
        seq: its place in the order of arrival.
        at: when it arrived, RFC 3339.
    """

    id: str
    author: str | None
    role: str
    to: tuple[str, ...]
    seq: int
    at: str


@dataclass(slots=True)
class PromptLane:
    """A lane.

    Attributes:
        open: the prompts that no run answers yet, by message.
        runs: the runs that aren't over, lost ones included: the message that each answers.
    """

    open: dict[str, OpenPrompt] = field(default_factory=dict[str, OpenPrompt])
    runs: dict[str, str] = field(default_factory=dict[str, str])


def outline(message: Map[Any]) -> JsonObject:
    """Read the fields of a message that decide whether it is a prompt: its head, and the end of its last part.

    Returns:
        Plain JSON that `is_half` and `read_wish` understand; a part's text is a bool: whether there is some.
    """
    found = _fields(message, "id", "role", "stamp")
    about: object = message.get("metadata")
    found["metadata"] = _fields(cast("Map[Any]", about), *_ABOUT) if isinstance(about, Map) else plain(about)
    found["parts"] = _last_part(message.get("parts"))
    return found


def _last_part(parts: object) -> Any:
    """Return the last of a message's parts in a list, as plain JSON; a value that is no list as it is."""
    if not isinstance(parts, Array):
        return plain(parts)
    entries = cast("Array[Any]", parts)
    last: object = entries[-1] if len(entries) else None
    if not isinstance(last, Map):
        return [plain(last)]
    part = cast("Map[Any]", last)
    text: object = part.get("text")
    return [_fields(part, "type", "state") | {"text": len(text) > 0 if isinstance(text, Text) else plain(text)}]


def _fields(shared: Map[Any], *keys: str) -> JsonObject:
    return {key: plain(cast(object, shared.get(key))) for key in keys}


def read_wish(message: JsonObject) -> Wish | None:
    """Return the `Wish` of a message, from any plain JSON; None if it is deleted, refused, or without id."""
    about, stamp = plain_object(message.get("metadata")), plain_object(message.get("stamp"))
    id_, by, seq = message.get("id"), stamp.get("by", about.get("author")), stamp.get("seq")
    if not isinstance(id_, str) or not id_ or isinstance(stamp.get("refused"), dict):
        return None
    if about.get("deleted") not in (None, False):
        return None
    author = by if isinstance(by, str) else None
    place = seq if isinstance(seq, int) else 0
    return Wish(id_, author, str(message.get("role")), agents_of(about.get("to")), place, str(stamp.get("at")))


def is_half(message: JsonObject) -> bool:
    """Return whether a message is incomplete: its parts are written last, and of a text its state.

    Args:
        message: any plain JSON.
    """
    about = message.get("metadata")
    if isinstance(about, dict) and cast(JsonObject, about).get("deleted"):
        return False
    parts = message.get("parts")
    ends_in: object = cast("list[object]", parts)[-1] if isinstance(parts, list) and parts else None
    last = cast(JsonObject, ends_in) if isinstance(ends_in, dict) else {}
    has_words = bool(last.get("state") or last.get("text")) or not is_growing_text(str(last.get("type")))
    return not (message.get("id") and message.get("role") and last.get("type") and has_words)


def lanes_of(policy: Policy, *, author: str | None, role: str, to: Sequence[str]) -> tuple[str, ...]:
    """Return the lanes in which a message is a prompt.

    Args:
        policy: the session's policy.
        author: its writer; no participant prompts itself.
        role: the message's role.
        to: the agents that it names.
    """
    if to:
        return tuple(agent for agent in to if agent != author)
    if role != "user":
        return ()
    first = policy.agents[0] if policy.agents else ANYBODY
    return () if first == author else (first,)


def lane_of_run(agent: str, lanes: Collection[str]) -> str | None:
    """Return the lane in which an agent answers a message; None if it isn't asked."""
    return agent if agent in lanes else ANYBODY if ANYBODY in lanes else None


def claim_key(message: str, lane: str, to: Collection[str]) -> str:
    """Return the key of the claim to answer a prompt in a lane."""
    return prompt_key(message, lane if lane in to else "")
