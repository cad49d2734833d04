"""Sessions over HTTP: thin, each handler parses, asks the hub, and answers.

A change is on the disk before it is answered.
"""

from collections.abc import Callable
from typing import Any, Literal, TypeVar
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from cosession.auth import Participant, identify
from cosession.document import SessionDocument
from cosession.errors import BadRequest, NoSuchRun, NoSuchSession, RunEnded, SessionExists, TooLarge
from cosession.rooms import Hub
from cosession.storage import StoredSession

_UPDATE = "application/octet-stream"


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


_AnyBody = TypeVar("_AnyBody", bound=_Body)


class NewSession(_Body):
    """The body of POST /sessions."""

    id: str | None = None
    title: str = Field("", max_length=1000)


class NewMessage(_Body):
    """The body of POST /sessions/{id}/messages: `text`, or `parts` as of a UIMessage.

    With an `id` the request can be made again: a message that is there is answered, not doubled.
    """

    id: str | None = Field(None, min_length=1, max_length=128)
    role: Literal["user", "assistant", "system"] = "user"
    text: str | None = None
    parts: list[dict[str, Any]] | None = None

    @model_validator(mode="after")
    def _has_content(self) -> "NewMessage":
        if (self.text is None) == (self.parts is None):
            raise ValueError("give either text or parts")
        return self


class Cancel(_Body):
    """The body of POST /sessions/{id}/runs/{run}/cancel."""

    reason: str = ""


class Steer(_Body):
    """The body of POST /sessions/{id}/runs/{run}/steer."""

    text: str = Field(min_length=1)


async def create_session(request: Request) -> Response:
    """POST /sessions."""
    hub = _hub(request)
    body = await _body(request, NewSession)
    session = body.id if body.id is not None else uuid4().hex
    if not await hub.create(session, body.title):
        raise SessionExists(f"The session {session!r} is there already.")
    return await _read(hub, session, status=201)


async def list_sessions(request: Request) -> Response:
    """GET /sessions: the newest first; with `occupied=1` those in which somebody is, however old."""
    try:
        limit = min(max(int(request.query_params.get("limit", "100")), 1), 1000)
    except ValueError:
        raise BadRequest("`limit` must be a number from 1 to 1000.") from None
    listed = await _hub(request).sessions(limit, occupied=request.query_params.get("occupied") == "1")
    return JSONResponse({"sessions": [_summary(info, connections) for info, connections in listed]})


async def read_session(request: Request) -> Response:
    """GET /sessions/{session}: JSON, or the document as one Yjs update."""
    hub, session = _hub(request), request.path_params["session"]
    if _UPDATE not in request.headers.get("accept", ""):
        return await _read(hub, session)
    async with hub.room(session) as live:
        headers = {"cosession-version": str(live.room.version), "vary": "accept"}
        return Response(live.snapshot(), media_type=_UPDATE, headers=headers)


async def delete_session(request: Request) -> Response:
    """DELETE /sessions/{session}."""
    session = request.path_params["session"]
    if not await _hub(request).delete(session):
        raise NoSuchSession(f"There is no session {session!r}.")
    return Response(status_code=204)


async def append_message(request: Request) -> Response:
    """POST /sessions/{session}/messages."""
    body = await _body(request, NewMessage)
    author = identify(request.query_params)
    parts = body.parts if body.parts is not None else [{"type": "text", "text": body.text, "state": "done"}]
    message_id = body.id or uuid4().hex
    async with _hub(request).room(request.path_params["session"]) as live:
        created_at = live.now()

        def append(document: SessionDocument) -> None:
            document.messages.append(body.role, parts, id=message_id, author=author.id, created_at=created_at)

        known = body.id is not None and live.room.document.messages.get(body.id) is not None
        if not known:
            live.edit(append, author)
        message = live.room.document.messages.get(message_id)
        assert message is not None, "it was appended a line ago"
        answer = message.to_json()
        await live.flush()
    return JSONResponse(answer, status_code=200 if known else 201)


async def cancel_run(request: Request) -> Response:
    """POST /sessions/{session}/runs/{run}/cancel."""
    body = await _body(request, Cancel)

    def ask(document: SessionDocument, run: str, by: Participant) -> None:
        document.requests.ask_cancel(run, by.id, body.reason)

    return await _ask(request, ask)


async def steer_run(request: Request) -> Response:
    """POST /sessions/{session}/runs/{run}/steer."""
    body = await _body(request, Steer)
    steer_id = uuid4().hex

    def ask(document: SessionDocument, run: str, by: Participant) -> None:
        document.requests.ask_steer(run, steer_id, by.id, body.text)

    return await _ask(request, ask)


async def _ask(request: Request, ask: Callable[[SessionDocument, str, Participant], None]) -> Response:
    """Ask something of a run in the participant's name; the room answers it like any other request."""
    run_id, by = request.path_params["run"], identify(request.query_params)
    async with _hub(request).room(request.path_params["session"]) as live:
        run = live.room.document.runs.get(run_id)
        if run is None:
            raise NoSuchRun(f"The session has no run {run_id!r}.")
        if run.ended:
            raise RunEnded(f"The run {run_id!r} is over ({run.status}).")
        live.edit(lambda document: ask(document, run_id, by), by)
        await live.flush()
    return Response(status_code=202)


async def _read(hub: Hub, session: str, status: int = 200) -> Response:
    async with hub.room(session) as live:
        document = live.to_json()
        meta: dict[str, Any] = document["meta"]
        body = {
            "id": session,
            "title": meta.get("title", ""),
            "created_at": meta.get("created_at"),
            "version": live.room.version,
            "connections": live.connections,
            "document": document,
        }
    return JSONResponse(body, status_code=status, headers={"vary": "accept"})


def _summary(info: StoredSession, connections: int) -> dict[str, Any]:
    return {
        "id": info.id,
        "title": info.title,
        "created_at": info.created_at,
        "updated_at": info.updated_at,
        "version": info.version,
        "connections": connections,
    }


def _hub(request: Request) -> Hub:
    return request.app.state.hub


async def _body(request: Request, model: type[_AnyBody]) -> _AnyBody:
    """Read and check a JSON body; an empty one is an empty object.

    Raises:
        BadRequest: it does not fit.
        TooLarge: it is larger than a frame may be.
    """
    limit = _hub(request).settings.max_frame_bytes
    kind = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise BadRequest(f"The body must be application/json, not {kind!r}.")
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > limit:
            raise TooLarge(f"The body is larger than {limit} bytes.")
    try:
        return model.model_validate_json(bytes(data) or b"{}")
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, problem['loc'])) or 'body'}: {problem['msg']}" for problem in error.errors()
        )
        raise BadRequest(f"The body can't be used: {problems}.") from error
