"""Project a growing message into AI SDK 7 `UIMessageChunk`s.

A projection is fed the message as JSON whenever it has changed, and returns the chunks by which a reader that has
applied all chunks before gets the same message. Text is compared by content and not by length: when it no longer
begins with what was sent (a participant edited it, a step was redone), `reset-step` drops the step, and it is sent
anew. A step before the last one can't be dropped; its edits reach a reader with the next load of the message.

A call that is past its input is sent without `tool-input-available`, by which a late page would run it again.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, cast

from cosession.document import JsonObject
from cosession.document.part_schema import is_growing_text, is_tool

Chunk: TypeAlias = JsonObject
"""One `UIMessageChunk`."""

_RANKS: Final[Mapping[str, int]] = {
    "input-streaming": 0,
    "input-available": 1,
    "approval-requested": 2,
    "approval-responded": 3,
    "output-available": 4,
    "output-error": 4,
    "output-denied": 4,
}
"""The states of a tool call, in the order in which chunks can reach them."""

_COPIED: Final = frozenset({"file", "reasoning-file", "source-url", "source-document", "custom", "steering-message"})
"""The types of parts that are one chunk of the same fields."""


@dataclass(slots=True)
class _Sent:
    """A part as the reader has it.

    Attributes:
        part: the part.
        id: the id of its text in the stream; empty for other parts.
        is_open: whether its text can still grow.
        is_known: whether the reader had it before this stream, and perhaps is ahead of it.
    """

    part: JsonObject
    id: str = ""
    is_open: bool = False
    is_known: bool = False


class MessageProjection:
    """The chunks of one message, from its start to the end of its run.

    Args:
        known: the message as the reader has it, if the stream continues it; None if the reader has nothing.
    """

    def __init__(self, known: JsonObject | None = None) -> None:
        parts = _parts_of(known or {})
        self._sent = [_Sent(part, is_known=True) for part in parts]
        self._metadata: JsonObject | None = None
        self._texts = 0
        self._is_ended = False

    @property
    def has_started(self) -> bool:
        """Whether a message was fed."""
        return self._metadata is not None

    def feed(self, message: JsonObject) -> list[Chunk]:
        """Return the chunks that bring a reader to a state of the message.

        Args:
            message: the message as a UIMessage (the dialect `ai-sdk`), always the same one.
        """
        metadata = _object(message.get("metadata"))
        parts = _parts_of(message)
        chunks: list[Chunk] = []
        if self._metadata is None:
            chunks.append({"type": "start", "messageId": message.get("id"), "messageMetadata": metadata})
        elif metadata != self._metadata:
            chunks.append({"type": "message-metadata", "messageMetadata": metadata})
        self._metadata = metadata
        chunks += self._reset(parts)
        for place, part in enumerate(parts):
            if place < len(self._sent):
                chunks += self._grow(self._sent[place], part)
            else:
                chunks += self._begin(part)
        return chunks

    def finish(self, status: str, *, reason: str = "") -> list[Chunk]:
        """Return the chunks at the end of the run.

        Args:
            status: the status of the run: `complete`, `cancelled`, `error`, or `suspended` where the reader must
                answer an approval before it goes on in another stream.
            reason: the reason of a cancellation, or the text of the error.
        """
        if self._is_ended:
            return []
        self._is_ended = True
        chunks: list[Chunk] = [] if self.has_started else [{"type": "start"}]
        if any(sent.part.get("type") == "step-start" for sent in self._sent):
            chunks.append({"type": "finish-step"})
        match status:
            case "cancelled":
                chunks.append({"type": "abort", **({"reason": reason} if reason else {})})
            case "error":
                chunks.append({"type": "error", "errorText": reason or "The agent failed."})
            case "suspended":
                chunks.append({"type": "finish", "finishReason": "tool-calls"})
            case _:
                chunks.append({"type": "finish", "finishReason": "stop"})
        return chunks

    def _reset(self, parts: list[JsonObject]) -> list[Chunk]:
        """Drop the last step if what was sent of it no longer leads to the parts."""
        step = max((place + 1 for place, sent in enumerate(self._sent) if _is_step(sent.part)), default=0)
        kept = [place < len(parts) and _leads_to(sent, parts[place]) for place, sent in enumerate(self._sent)]
        if all(kept[step:]):
            return []
        del self._sent[step:]
        return [{"type": "reset-step"}]

    def _begin(self, part: JsonObject) -> list[Chunk]:
        kind = str(part.get("type"))
        sent = _Sent(part)
        self._sent.append(sent)
        if is_growing_text(kind):
            self._texts += 1
            sent.id, sent.is_open = f"{kind}-{self._texts}", True
            begin = {"type": f"{kind}-start", "id": sent.id, **_metadata_of(part, "providerMetadata")}
            sent.part = {**part, "text": "", "state": "streaming"}
            return [begin, *self._grow(sent, part)]
        if is_tool(kind):
            return _call(None, part)
        if kind == "step-start":
            is_next = any(_is_step(each.part) for each in self._sent[:-1])
            return [*([{"type": "finish-step"}] if is_next else []), {"type": "start-step"}]
        if kind in _COPIED or kind.startswith("data-"):
            return [dict(part)]
        return []

    def _grow(self, sent: _Sent, part: JsonObject) -> list[Chunk]:
        kind, before = str(part.get("type")), sent.part
        if part == before or not _leads_to(sent, part) or _is_ahead(sent, part):
            return []
        sent.part, was_known, sent.is_known = part, sent.is_known, False
        if was_known and not is_tool(kind):
            return []
        if is_growing_text(kind):
            more = str(part.get("text", ""))[len(str(before.get("text", ""))) :]
            chunks: list[Chunk] = [{"type": f"{kind}-delta", "id": sent.id, "delta": more}] if more else []
            if part.get("state") != "streaming":
                sent.is_open = False
                chunks.append({"type": f"{kind}-end", "id": sent.id, **_metadata_of(part, "providerMetadata")})
            return chunks
        if is_tool(kind):
            return _call(before, part)
        return [dict(part)]


def _leads_to(sent: _Sent, part: JsonObject) -> bool:
    """Return whether chunks can make a part of what was sent of it."""
    before, kind = sent.part, part.get("type")
    if before == part:
        return True
    if before.get("type") != kind:
        return False
    if sent.is_known and is_growing_text(str(kind)):
        return before.get("text") == part.get("text") and part.get("state") != "streaming"
    if sent.is_known and not is_tool(str(kind)):
        return all(before.get(name) == value for name, value in part.items())
    if _is_ahead(sent, part):
        return True
    if is_growing_text(str(kind)):
        return sent.is_open and str(part.get("text", "")).startswith(str(before.get("text", "")))
    if is_tool(str(kind)):
        return before.get("toolCallId") == part.get("toolCallId") and _call_leads_to(before, part)
    return str(kind).startswith("data-") and part.get("id") is not None and before.get("id") == part.get("id")


def _is_ahead(sent: _Sent, part: JsonObject) -> bool:
    """Return whether the reader shows its own answer to an approval, which the run hasn't taken in yet."""
    return (
        sent.is_known
        and sent.part.get("toolCallId") == part.get("toolCallId")
        and sent.part.get("state") == "approval-responded"
        and part.get("state") in ("approval-requested", "approval-responded")
    )


def _call_leads_to(before: JsonObject, part: JsonObject) -> bool:
    first, then = _RANKS.get(str(before.get("state")), 5), _RANKS.get(str(part.get("state")), -1)
    if first == then == 0:
        return str(part.get("rawInput", "")).startswith(str(before.get("rawInput", "")))
    if first == then == 4:  # a preliminary output is replaced
        return before.get("state") == part.get("state") == "output-available" and before.get("preliminary") is True
    return first < then


def _call(before: JsonObject | None, part: JsonObject) -> list[Chunk]:
    """Return the chunks that bring a tool call from one state to another.

    Args:
        before: the call as it was sent; None if it is new.
        part: the call.
    """
    state = str(part.get("state"))
    call = {"toolCallId": part.get("toolCallId")}
    chunks = _input(before, part, call, is_silent=state not in ("input-streaming", "input-available"))
    approval = _object(part.get("approval"))
    known = _object((before or {}).get("approval"))
    if approval.get("id") is not None and known.get("id") != approval["id"]:
        request = {"type": "tool-approval-request", "approvalId": approval["id"], **call}
        for field, name in (("requestReason", "reason"), ("descriptor", "approvalDescriptor")):
            if approval.get(field) is not None:
                request[name] = approval[field]
        chunks.append(request)
        known = {}
    is_answered = isinstance(approval.get("approved"), bool)
    if is_answered and (known.get("approved") != approval["approved"] or len(chunks) > 0):
        answer = {
            "type": "tool-approval-response",
            "approvalId": approval["id"],
            "approved": approval["approved"],
        }
        chunks.append(answer | ({"reason": approval["reason"]} if isinstance(approval.get("reason"), str) else {}))
    result = _metadata_of(part, "resultProviderMetadata")
    match state:
        case "output-available":
            more = {"preliminary": True} if part.get("preliminary") is True else {}
            chunks.append({"type": "tool-output-available", **call, "output": part.get("output"), **more, **result})
        case "output-error":
            chunks.append(
                {"type": "tool-output-error", **call, "errorText": str(part.get("errorText", "")), **result}
            )
        case "output-denied":
            chunks.append({"type": "tool-output-denied", **call})
        case _:
            pass
    return chunks


def _input(before: JsonObject | None, part: JsonObject, call: JsonObject, *, is_silent: bool) -> list[Chunk]:
    """Return the chunks of a call's input: as it streams, whole, or whole without a sign to run the call."""
    kind = str(part.get("type"))
    about: JsonObject = {**call, "toolName": part.get("toolName") if kind == "dynamic-tool" else kind[len("tool-") :]}
    about |= {name: part[name] for name in ("title", "providerExecuted") if part.get(name) is not None}
    about |= {"dynamic": True} if kind == "dynamic-tool" else {}
    about |= _metadata_of(part, "callProviderMetadata")
    is_streaming = part.get("state") == "input-streaming"
    chunks: list[Chunk] = []
    if before is None and (is_streaming or is_silent):
        chunks.append({"type": "tool-input-start", **about})
    if is_streaming:
        more = str(part.get("rawInput", ""))[len(str((before or {}).get("rawInput", ""))) :]
        return [*chunks, *([{"type": "tool-input-delta", **call, "inputTextDelta": more}] if more else [])]
    if "input" not in part:
        raw = str(part.get("rawInput", ""))
        return [*chunks, *([{"type": "tool-input-delta", **call, "inputTextDelta": raw}] if chunks and raw else [])]
    has_input = before is not None and before.get("state") != "input-streaming"
    if has_input and cast(JsonObject, before).get("input") == part["input"]:
        return chunks
    if not is_silent:
        return [{"type": "tool-input-available", **about, "input": part["input"]}]
    if before is not None:  # what was streamed of it is replaced
        chunks.append({"type": "tool-input-start", **about})
    whole = json.dumps(part["input"], ensure_ascii=False)
    return [*chunks, {"type": "tool-input-delta", **call, "inputTextDelta": whole}]


def _metadata_of(part: JsonObject, field: str) -> JsonObject:
    return {"providerMetadata": part[field]} if isinstance(part.get(field), dict) else {}


def _is_step(part: JsonObject) -> bool:
    return part.get("type") == "step-start"


def _parts_of(message: JsonObject) -> list[JsonObject]:
    return [cast(JsonObject, part) for part in _list(message.get("parts")) if isinstance(part, dict)]


def _object(value: object) -> JsonObject:
    return cast(JsonObject, value) if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return cast("list[Any]", value) if isinstance(value, list) else []
