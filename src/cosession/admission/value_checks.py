"""Conditions on written values: a function for each name in the table's column `check`."""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple, cast

from cosession.auth.capabilities import Capabilities
from cosession.auth.participant import MAX_ID
from cosession.document.policy import MOST_AGENTS

from .locations import ARRAY, MAP, Container
from .operations import MAX_KEY, Operation
from .rules import Check, Node

_RUN_PARTS: Final = ("tool-", "dynamic-tool", "reasoning", "step-start")
"""The prefixes of the types of parts that record an agent's work."""


class CheckedWrite(NamedTuple):
    """A written value, its writer and its place.

    Attributes:
        value: the value as plain JSON; None if `made` is set.
        made: the shared type that is written.
        touch: the operation that it is in: itself, or the plain JSON around it.
        by: the writer's participant id.
        capabilities: the writer's capabilities.
        runs: the runs, by id.
        is_dead: whether a shared type is deleted.
    """

    value: Any
    made: Container | None
    touch: Operation
    by: str
    capabilities: Capabilities
    runs: Mapping[str, Container]
    is_dead: Callable[[Container], bool]


def _is_value(writing: CheckedWrite) -> bool:
    return writing.made is None


def _is_text(writing: CheckedWrite) -> bool:
    return isinstance(writing.value, str)


def _is_number(writing: CheckedWrite) -> bool:
    return isinstance(writing.value, int | float) and not isinstance(writing.value, bool)


def _is_object(writing: CheckedWrite) -> bool:
    return isinstance(writing.value, dict) if writing.made is None else writing.made.type == MAP


def _is_list(writing: CheckedWrite) -> bool:
    return isinstance(writing.value, list) if writing.made is None else writing.made.type == ARRAY


def _is_agents(writing: CheckedWrite) -> bool:
    value: object = writing.value
    if writing.made is not None or not isinstance(value, list):
        return False
    named = cast("list[object]", value)
    return len(named) <= MOST_AGENTS and all(isinstance(one, str) and len(one) <= MAX_ID for one in named)


def _is_record(writing: CheckedWrite) -> bool:
    made, root = writing.made, writing.touch.container
    return made is not None and made.type == MAP and (root.node.name != "agents" or made.key == writing.by)


def _is_empty_list(writing: CheckedWrite) -> bool:
    return writing.value == [] if writing.made is None else writing.made.type == ARRAY


def _is_empty_object(writing: CheckedWrite) -> bool:
    return writing.value == {} if writing.made is None else writing.made.type == MAP


def _is_self(writing: CheckedWrite) -> bool:
    return writing.value == writing.by


def _is_owner(writing: CheckedWrite) -> bool:
    record = writing.touch.record
    return record is not None and writing.value == (record.owner or writing.by)


def _is_own_run(writing: CheckedWrite) -> bool:
    run = writing.runs.get(writing.value) if isinstance(writing.value, str) else None
    return run is not None and run.owner == writing.by


def _is_own_client(writing: CheckedWrite) -> bool:
    struct = writing.touch.struct
    return _is_number(writing) and struct is not None and writing.value == struct.client


def _is_key(writing: CheckedWrite) -> bool:
    return writing.value == writing.touch.container.key


def _is_new_id(writing: CheckedWrite) -> bool:
    if not isinstance(writing.value, str) or not 0 < len(writing.value) <= MAX_KEY:
        return False
    if len(writing.touch.values) != 1:
        return False  # a key that was overwritten before it was sent holds several; an id never is
    holder = writing.touch.holder
    if holder is None or holder is writing.touch.container:
        return True
    # Undoing a removal writes the record anew, under its id.
    return holder.owner == writing.by and writing.is_dead(holder)


def check_message(role: str, parts: Iterable[str], capabilities: Capabilities) -> None:
    """Reject a message that its author may not write; the author is the writer.

    Args:
        role: the role of the message.
        parts: the types of its parts.
        capabilities: the writer's capabilities.

    Raises:
        NotAllowed: the message needs a capability that is not among them.
    """
    capabilities.require("prompt" if role == "user" else "run")
    if any(part.startswith(_RUN_PARTS) for part in parts):
        capabilities.require("run")


def _is_role(writing: CheckedWrite) -> bool:
    if writing.value not in ("user", "assistant", "system"):
        return False
    return writing.capabilities.may("prompt" if writing.value == "user" else "run")


def _is_part(writing: CheckedWrite) -> bool:
    if not isinstance(writing.value, str):
        return False
    return not writing.value.startswith(_RUN_PARTS) or writing.capabilities.may("run")


def _is_not_lost(writing: CheckedWrite) -> bool:
    return isinstance(writing.value, str) and writing.value != "lost"


def _is_old_stamp(writing: CheckedWrite) -> bool:
    """Return whether it may be a stamp; `Authorizer.finish` compares it, because the message's id may come later."""
    return isinstance(writing.value, dict)


CHECKS: Final[dict[Check, tuple[Callable[[CheckedWrite], bool], str]]] = {
    "value": (_is_value, "plain JSON, no shared type"),
    "text": (_is_text, "a string"),
    "number": (_is_number, "a number"),
    "object": (_is_object, "a Map, or an object"),
    "list": (_is_list, "an Array, or a list"),
    "agents": (_is_agents, f"a list of {MOST_AGENTS} ids at most, plain JSON"),
    "record": (_is_record, "a Map, made whole"),
    "empty list": (_is_empty_list, "an empty Array"),
    "empty object": (_is_empty_object, "an empty Map"),
    "self": (_is_self, "the writer's own participant id"),
    "owner": (_is_owner, "the id of the message's owner"),
    "own run": (_is_own_run, "the id of one of the writer's runs"),
    "own client": (_is_own_client, "the Yjs client that writes it"),
    "key": (_is_key, "the key that it is under"),
    "new id": (_is_new_id, "a string that no other record has"),
    "role": (_is_role, "`user` with `prompt`; `assistant` or `system` with `run`"),
    "part": (_is_part, "a type of part; the types of an agent's work need `run`"),
    "not lost": (_is_not_lost, "a string other than `lost`, which only the server sets"),
    "old stamp": (_is_old_stamp, "the stamp that the server wrote on this message before"),
}
"""Each check, and its condition as an error message names it."""


def inner_writings(writing: CheckedWrite, node: Node) -> Iterable[tuple[Node, str, CheckedWrite]]:
    """Yield the values in plain JSON, as though it were shared types: (place, key, written value) of each."""
    value: Any = writing.value
    if isinstance(value, dict):
        items: Iterable[tuple[str | None, Any]] = cast("dict[str, Any]", value).items()
    elif isinstance(value, list):
        items = ((None, item) for item in cast("list[Any]", value))
    else:
        return
    for key, item in items:
        yield node.child(key), "*" if key is None else key, writing._replace(value=item, made=None)


def shown(value: Any) -> str:
    """Return a value as JSON, short enough for a sentence."""
    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else f"{text[:57]}…"
