"""Tools that clients offer: the one client that holds a call answers it, once.

A call is a part of the agent's message, marked `callProviderMetadata.cosession.client`. The first client that claims
it runs it; the server writes its answer into the part, which belongs to the agent.
"""

from functools import partial

from cosession.document import JsonObject, Part, RequestRecord, SessionDocument, tool_key
from cosession.document.values import plain_object
from cosession.errors import ClaimLost, NotAllowed, ToolCallClosed

from . import claims
from .context import DecisionContext


def answer(case: DecisionContext, request: RequestRecord) -> None:
    """Write the answer of the client that holds a call, and release the call.

    Raises:
        ClaimLost: another client holds it, or none does.
        ToolCallClosed: the call takes no answer any more.
        NotAllowed: the call is for other participants.
        BadDocument: the answer doesn't fit a tool call.
    """
    message, call, client = request.about("message", "call", "client")
    held = case.memory.granted.get(tool_key(call))
    if held is None or (held["by"], str(held["client"])) != (request.participant, client):
        raise ClaimLost(
            f"This client doesn't hold the call {call!r}; claim {tool_key(call)!r} before it is answered."
        )
    claims.end(case, tool_key(call))
    part = _open_call(case.document, message, call)
    if part is None:
        raise ToolCallClosed(f"The call {call!r} waits for no answer of a client any more.")
    if not _may_answer(part, request.participant):
        raise NotAllowed(f"The call {call!r} is for others to answer.")
    error = request.value.get("error")
    if isinstance(error, str):
        part.update(state="output-error", errorText=error)
    else:
        part.update(state="output-available", output=request.value.get("output"))


def _open_call(document: SessionDocument, message_id: str, call: str) -> Part | None:
    """Return the part of a call that a client must answer and none has."""
    message = document.messages.get(message_id)
    found = [] if message is None else message.parts_like(partial(_is_open, call), 1)
    return next((part for part in found if _asks(part)), None)


def _is_open(call: str, part: JsonObject) -> bool:
    return part.get("toolCallId") == call and part.get("state") == "input-available"


def _may_answer(part: Part, participant: str) -> bool:
    who = _asks(part).get("who")
    return not who or (isinstance(who, list) and participant in who)


def _asks(part: Part) -> JsonObject:
    """Return a call's settings for the clients that must answer it; empty if it isn't for clients."""
    asked = plain_object(plain_object(part.get("callProviderMetadata")).get("cosession"))
    return asked if asked.get("client") is True else {}
