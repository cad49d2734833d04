"""The AI SDK's chat transport over HTTP: a session answers `DefaultChatTransport` as it is.

A request names its session by the chat's id. Only the last message of a request is read, because the session is the
truth: a new message of the user is appended, and an answered approval is a vote. The answer is the stream of the run.
A reader that leaves stops nothing, and `GET …/stream` resumes the run that is under way, on any device.
"""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Annotated, Any, Final, Literal, NamedTuple, cast

from pydantic import ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from cosession.admission import check_message
from cosession.auth import Participant
from cosession.document import Run, SessionDocument
from cosession.errors import BadRequest, CosessionError, MessageExists, NoSuchApproval
from cosession.room.decisions import checked_vote
from cosession.runtime import Hub, RoomRuntime
from cosession.streams import Chunk, MessageProjection

from .authorize import admit, check_access, enter, identify
from .bodies import Body, read_body, size_of

_HEADERS: Final = {"x-vercel-ai-ui-message-stream": "v1", "cache-control": "no-cache", "x-accel-buffering": "no"}

_KEEP_ALIVE_SECONDS: Final = 15.0
"""The longest silence of a stream; a comment breaks it."""

_PAUSE_SECONDS: Final = 0.03
"""The shortest pause between two looks at a message: a reader doesn't notice it."""

_LOOK_SHARE: Final = 10
"""A pause is this many times as long as the look before it: a long message is read less often."""

_MOST_ANSWERS: Final = 64
"""The approvals that one request answers, the last ones of the message."""

_ENDED: Final = ("complete", "cancelled", "error")


class ChatRequest(Body):
    """The body of `DefaultChatTransport`; fields that an application adds are ignored.

    `to` may name the agents that are asked.
    """

    model_config = ConfigDict(extra="ignore", strict=True)

    id: str | None = None
    messages: Annotated[list[dict[str, Any]], Field(fail_fast=True)] = Field(min_length=1)
    trigger: Literal["submit-message", "regenerate-message"] = "submit-message"
    messageId: str | None = None  # noqa: N815 - the AI SDK's name
    to: Annotated[list[Annotated[str, Field(max_length=128)]], Field(fail_fast=True)] = Field([], max_length=32)


class _View(NamedTuple):
    """The part of the document that a stream reads at once.

    Attributes:
        status: the status of the run; empty before it begins.
        reason: the reason of its end.
        message: the message that it writes, as a UIMessage; None before it has one.
        asks: whether it waits for the answer to an approval of a tool call: a chat answers when the stream has ended.
    """

    status: str = ""
    reason: str = ""
    message: dict[str, Any] | None = None
    asks: bool = False


async def chat(request: Request) -> Response:
    """POST /ai and POST /ai/{session}."""
    grant = await identify(request)
    body = await read_body(request, ChatRequest)
    session = request.path_params.get("session") or body.id
    if not session:
        raise BadRequest("The request names no session: the chat's `id` is the id of the session.")
    by = admit(request, grant, session)
    by.capabilities.require("read")
    if body.trigger == "regenerate-message":
        raise BadRequest("An answer can't be regenerated yet; send the message again.")
    last = body.messages[-1]
    hub = _hub(request)
    if last.get("role") != "user":
        run = await _vote(request, hub, session, by, last)
        return _stream(request, hub, session, by, lambda _: run, known=last)
    by.capabilities.require("prompt")
    prompt = await _append(request, hub, session, by, last, body.to)
    return _stream(request, hub, session, by, lambda live: _answer_of(live, prompt))


async def resume(request: Request) -> Response:
    """GET /ai/{session}/stream: the run that is under way, from its beginning; 204 when there is none."""
    by = await enter(request)
    session, hub = request.path_params["session"], _hub(request)
    async with hub.room(session) as live:
        check_access(request, by, session)
        run = live.look(lambda document: _last_begun(document, live.room.unfinished_answers()))
    if run is None:
        return Response(status_code=204)
    return _stream(request, hub, session, by, lambda _: run)


async def _append(
    request: Request, hub: Hub, session: str, by: Participant, message: dict[str, Any], to: list[str]
) -> str:
    """Append the message of the user unless it is there, and return its id."""
    parts = message.get("parts")
    if not isinstance(parts, list) or not all(isinstance(part, dict) for part in cast("list[object]", parts)):
        raise BadRequest("The last message has no list of `parts`.")
    fields = [{**part, "state": "done"} if part.get("type") == "text" else part for part in cast("list[Any]", parts)]
    id_ = message.get("id")
    if not isinstance(id_, str) or not id_:
        raise BadRequest("The last message has no `id`.")
    check_message("user", (str(part.get("type")) for part in fields), by.capabilities)
    grows = size_of(fields, hub.settings.max_structs_per_frame)
    create = hub.settings.create_on_connect and by.capabilities.may("create")
    async with hub.room(session, create=create) as live:
        await live.prepare_for(by, grows)
        check_access(request, by, session)
        known = live.look(lambda document: document.messages.get(id_))
        if known is None:
            created_at = live.now()

            def append(document: SessionDocument) -> None:
                document.messages.append("user", fields, id=id_, author=by.id, created_at=created_at, to=to)

            live.append(append, by, grows)
            await live.flush()
        elif (known.stamp or {}).get("by") != by.id:
            raise MessageExists(f"Another participant's message has the id {id_!r}; take a new one.")
    return id_


async def _vote(request: Request, hub: Hub, session: str, by: Participant, message: dict[str, Any]) -> str:
    """Vote for each approval that the last message answers, and return the run that goes on with it."""
    by.capabilities.require("approve")
    parts = cast("list[object]", message.get("parts") or [])
    all_parts = [cast("dict[str, Any]", part) for part in parts if isinstance(part, dict)]
    answers = [part for part in all_parts if part.get("state") == "approval-responded"][-_MOST_ANSWERS:]
    async with hub.room(session) as live:
        await live.prepare_for(by, size_of(answers))
        check_access(request, by, session)
        run: str | None = None
        for part in answers:
            approval = cast("dict[str, Any]", part.get("approval") or {})
            id_, vote = str(approval.get("id")), "approved" if approval.get("approved") is True else "rejected"
            asked = live.look(lambda document, id_=id_: document.approvals.get(id_))
            if asked is None or asked.decision is not None:
                continue  # of an earlier answer, which the page sends again
            run = asked.run
            value = {"decision": vote, "value": part.get("input")}
            checked_vote(live.room.document, id_, by.id, value, live.now())
            live.edit(
                lambda document, id_=id_, vote=vote, part=part: document.requests.ask_vote(
                    id_, by.id, vote, part.get("input")
                ),
                by,
                size_of(part),
            )
        await live.flush()
    if run is None:
        raise NoSuchApproval("The last message answers no open approval, and no message of the user follows it.")
    return run


def _stream(
    request: Request,
    hub: Hub,
    session: str,
    by: Participant,
    find: Callable[[RoomRuntime], str | None],
    known: dict[str, Any] | None = None,
) -> Response:
    lines = _lines(request, hub, session, by, find, MessageProjection(known))
    return StreamingResponse(lines, media_type="text/event-stream", headers=_HEADERS)


async def _lines(
    request: Request,
    hub: Hub,
    session: str,
    by: Participant,
    find: Callable[[RoomRuntime], str | None],
    projection: MessageProjection,
) -> AsyncGenerator[str]:
    """Yield the stream of a run as Server-Sent Events, each after it was committed."""
    try:
        async with hub.room(session) as live:
            async for chunks in _chunks(request, live, by, session, find, projection):
                yield "".join(f"data: {json.dumps(chunk, ensure_ascii=False)}\n\n" for chunk in chunks) or ":\n\n"
    except CosessionError as error:
        yield f"data: {json.dumps({'type': 'error', 'errorText': str(error)})}\n\n"
    yield "data: [DONE]\n\n"


async def _chunks(
    request: Request,
    live: RoomRuntime,
    by: Participant,
    session: str,
    find: Callable[[RoomRuntime], str | None],
    projection: MessageProjection,
) -> AsyncGenerator[list[Chunk]]:
    """Yield the chunks of a run as they are committed, and nothing after a long silence."""
    while True:
        check_access(request, by, session)
        began, version = time.monotonic(), live.room.version
        view = live.look(lambda document: _view(document, find(live)))
        took = time.monotonic() - began
        chunks = [] if view.message is None else projection.feed(view.message)
        is_ended = view.status in _ENDED or view.asks
        if is_ended:
            chunks += projection.finish(view.status, reason=view.reason)
        await live.wait_committed(version)
        if chunks:
            yield chunks
        if is_ended:
            return
        await asyncio.sleep(max(_PAUSE_SECONDS, _LOOK_SHARE * took))
        while True:
            try:
                async with asyncio.timeout(_KEEP_ALIVE_SECONDS):
                    await live.wait_committed(version + 1)
                break
            except TimeoutError:
                check_access(request, by, session)
                yield []


def _view(document: SessionDocument, run_id: str | None) -> _View:
    run = None if run_id is None else document.runs.get(run_id)
    if run is None:
        return _View()
    written = [message for id_ in run.messages[:1] if (message := document.messages.get(id_)) is not None]
    shown = None if not written else written[0].to_json(dialect="ai-sdk")
    asks = (
        run.status == "suspended" and shown is not None and any(_is_open(document, part) for part in shown["parts"])
    )
    return _View(run.status, _reason(run), shown, asks)


def _is_open(document: SessionDocument, part: dict[str, Any]) -> bool:
    """Return whether a part asks for an approval that isn't decided yet."""
    if part.get("state") != "approval-requested":
        return False
    approval = document.approvals.get(str(part["approval"]["id"]))
    return approval is not None and approval.decision is None


def _reason(run: Run) -> str:
    if run.status == "cancelled":
        return str((run.cancel or {}).get("by", ""))
    error = run.get("error")
    return str(cast("dict[str, Any]", error).get("message", "")) if isinstance(error, dict) else str(error or "")


def _answer_of(live: RoomRuntime, prompt: str) -> str | None:
    """Return the run that answers a prompt: the first that isn't lost or cancelled, else the last."""
    runs = live.room.answering(prompt)
    for id_ in runs:
        run = live.room.document.runs.get(id_)
        if run is not None and run.status not in ("cancelled", "error"):
            return id_
    return runs[-1] if runs else None


def _last_begun(document: SessionDocument, ids: Sequence[str]) -> str | None:
    """Return the run that began last of those that are under way."""
    runs = [run for id_ in ids if (run := document.runs.get(id_)) is not None and not run.ended]
    return max(runs, key=lambda run: run.started_at or "").id if runs else None


def _hub(request: Request) -> Hub:
    return request.app.state.hub
