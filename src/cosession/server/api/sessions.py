"""Sessions over HTTP: each handler parses a request, calls the hub, and answers.

A change is on the disk before it is answered.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from typing import Annotated, Any, Literal
from uuid import uuid4

from pydantic import Field, model_validator
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from cosession.admission import check_message
from cosession.auth import Grant, Participant
from cosession.document import MAX_REASON, MAX_TITLE, Run, SessionDocument, checked_policy
from cosession.errors import MessageExists, NoSuchRun, NoSuchSession, RunEnded, SessionExists, TooLarge
from cosession.room.decisions import checked_vote, is_own_run
from cosession.runtime import Hub, RoomRuntime
from cosession.storage import StoredSession

from ..edge.answers import Answers
from ..edge.encoding import encode_in_steps
from .authorize import admit, check_access, enter, identify, may_read
from .bodies import Body, read_body, read_flag, read_number, size_of
from .cursors import read_cursor, write_cursor

_UPDATE = "application/octet-stream"

_MOST_STRUCTS = 10_000
"""The most parts and fields of a message, without nested values: the limit of a new record that comes on a socket. A
message is written in one step, and more would block the loop for long."""


class NewSession(Body):
    """The body of POST /sessions."""

    id: str | None = None
    title: str = Field("", max_length=MAX_TITLE)
    policy: dict[str, Any] | None = None


class NewMessage(Body):
    """The body of POST /sessions/{id}/messages: `text`, or `parts` as of a UIMessage.

    With an `id` the request can be repeated: the author's existing message is answered, not written twice. `to` names
    the agents that are asked; an empty list leaves the choice to the session's policy.
    """

    id: str | None = Field(None, min_length=1, max_length=128)
    role: Literal["user", "assistant", "system"] = "user"
    to: Annotated[list[Annotated[str, Field(max_length=128)]], Field(fail_fast=True)] = Field([], max_length=32)
    text: str | None = None
    parts: Annotated[list[dict[str, Any]], Field(fail_fast=True)] | None = None

    @model_validator(mode="after")
    def _has_content(self) -> "NewMessage":
        if (self.text is None) == (self.parts is None):
            raise ValueError("give either text or parts")
        return self


class Cancel(Body):
    """The body of POST /sessions/{id}/runs/{run}/cancel."""

    reason: str = Field("", max_length=MAX_REASON)


class Vote(Body):
    """The body of POST /sessions/{id}/approvals/{approval}; without a value it is for the current one."""

    decision: Literal["approved", "rejected"]
    value: Any = None


class SteerBody(Body):
    """The body of POST /sessions/{id}/runs/{run}/steer."""

    text: str = Field(min_length=1)


async def create_session(request: Request) -> Response:
    """POST /sessions."""
    hub, grant = _hub(request), await identify(request)
    body = await read_body(request, NewSession)
    session = body.id if body.id is not None else uuid4().hex
    admit(request, grant, session).capabilities.require("create")
    policy = None if body.policy is None else checked_policy({"agents": hub.settings.agents, **body.policy})
    check_access(request, grant, session)
    if not await hub.create(session, body.title, policy):
        raise SessionExists(f"The session {session!r} is there already.")
    async with hub.room(session) as live:
        return await _answer(request, grant, live, status=201)


async def list_sessions(request: Request) -> Response:
    """GET /sessions: a page of those that the caller may read, newest first.

    With `occupied=1` only those with connections; with `after`, which is the `next` of an earlier page, those behind
    it. A page may have fewer than `limit`, even none, and a `next` all the same: the list ends when `next` is null.
    """
    limit = read_number(request, "limit", 100, 1, 1000)
    occupied = read_flag(request, "occupied")
    grant = await identify(request)
    hub = _hub(request)
    key = await hub.storage.key()
    after = read_cursor(request, "after", key)
    allowed = partial(may_read, request, grant)
    page = await hub.sessions(grant.patterns("read"), allowed, limit=limit, after=after, occupied=occupied)
    check_access(request, grant)
    listed = [_summary(info, hub.connections(info.id)) for info in page.sessions if allowed(info.id)]
    return JSONResponse({"sessions": listed, "next": page.next and write_cursor(key, page.next)})


async def read_session(request: Request) -> Response:
    """GET /sessions/{session}: JSON, or the document as one Yjs update."""
    reader = await enter(request)
    async with _room(request, reader) as live:
        if _UPDATE not in request.headers.get("accept", ""):
            return await _answer(request, reader, live)
        return await _answer_update(request, reader, live)


async def delete_session(request: Request) -> Response:
    """DELETE /sessions/{session}."""
    await enter(request, "admin")
    session = request.path_params["session"]
    if not await _hub(request).delete(session):
        raise NoSuchSession(f"There is no session {session!r}.")
    return Response(status_code=204)


async def append_message(request: Request) -> Response:
    """POST /sessions/{session}/messages."""
    author = await enter(request, "prompt", "run")
    body = await read_body(request, NewMessage)
    parts = body.parts if body.parts is not None else [{"type": "text", "text": body.text, "state": "done"}]
    check_message(body.role, (str(part.get("type")) for part in parts), author.capabilities)
    _check_parts(parts)
    grows = size_of(parts, _hub(request).settings.max_structs_per_frame)
    message_id = body.id or uuid4().hex
    async with _room(request, author, grows) as live:
        created_at = live.now()

        def append(document: SessionDocument) -> None:
            document.messages.append(
                body.role, parts, id=message_id, author=author.id, created_at=created_at, to=body.to
            )

        known = None if body.id is None else live.room.document.messages.get(body.id)
        if known is None:
            live.append(append, author, grows)
        elif (known.stamp or {}).get("by") != author.id:
            raise MessageExists(f"Another participant's message has the id {body.id!r}; take a new one.")
        message = known or live.room.document.messages.get(message_id)
        assert message is not None, "it was appended a line ago"
        answer = message.to_json()
        await live.flush()
    return _answers(request).answer(request, bytes(JSONResponse(answer).body), status=200 if known else 201)


async def cancel_run(request: Request) -> Response:
    """POST /sessions/{session}/runs/{run}/cancel."""
    by = await enter(request, "cancel-any", "cancel-own")
    body = await read_body(request, Cancel)
    async with _room(request, by, 0) as live:
        run = _running(live.room.document, request.path_params["run"])
        if not is_own_run(live.room.document, run, by.id):
            by.capabilities.require("cancel-any")
        live.edit(lambda document: document.requests.ask_cancel(run.id, by.id, body.reason), by)
        await live.flush()
    return Response(status_code=202)


async def steer_run(request: Request) -> Response:
    """POST /sessions/{session}/runs/{run}/steer."""
    by = await enter(request, "steer")
    body = await read_body(request, SteerBody)
    grows = size_of(body.text)
    async with _room(request, by, grows) as live:
        run = _running(live.room.document, request.path_params["run"])
        steer_id = uuid4().hex
        live.edit(lambda document: document.requests.ask_steer(run.id, steer_id, by.id, body.text), by, grows)
        await live.flush()
    return Response(status_code=202)


async def vote(request: Request) -> Response:
    """POST /sessions/{session}/approvals/{approval}: answers the approval, decided or not."""
    by = await enter(request, "approve")
    by.capabilities.require("read")  # the answer contains the approval's value
    body = await read_body(request, Vote)
    id_ = request.path_params["approval"]
    grows = size_of(body.value)
    async with _room(request, by, grows) as live:
        document = live.room.document
        checked_vote(document, id_, by.id, body.model_dump(), live.now())
        live.edit(lambda document: document.requests.ask_vote(id_, by.id, body.decision, body.value), by, grows)
        approval = document.approvals.get(id_)
        answer = {} if approval is None else approval.to_json()
        await live.flush()
    return _answers(request).answer(request, bytes(JSONResponse({"id": id_, **answer}).body))


def _check_parts(parts: list[dict[str, Any]]) -> None:
    """Reject a message of too many parts and fields.

    Raises:
        TooLarge: it has more than are written in one step.
    """
    structs = sum(2 + len(part) for part in parts)
    if structs > _MOST_STRUCTS:
        raise TooLarge(
            f"The message's parts and their fields are {structs} things, and {_MOST_STRUCTS} may be; send it in "
            "several."
        )


def _running(document: SessionDocument, run_id: str) -> Run:
    """Return a run that has not ended; the room answers the request about it like any other.

    Raises:
        NoSuchRun: there is no run of this id.
        RunEnded: it has ended.
    """
    run = document.runs.get(run_id)
    if run is None:
        raise NoSuchRun(f"The session has no run {run_id!r}.")
    if run.ended:
        raise RunEnded(f"The run {run_id!r} is over ({run.status}).")
    return run


@asynccontextmanager
async def _room(request: Request, by: Participant, grows: int | None = None) -> AsyncGenerator[RoomRuntime]:
    """Hold the room of the session that a request's path names.

    Access was checked when the request began, but reading a body and loading a room may take long: access is checked
    again here. It is valid up to the next `await`.

    Args:
        request: the request.
        by: its participant.
        grows: by how many bytes it grows the document, at most; None for a request that only reads.

    Raises:
        NotAllowed: access was revoked meanwhile.
        NotAuthenticated: it has expired meanwhile.
    """
    session = request.path_params["session"]
    async with _hub(request).room(session) as live:
        if grows is not None:
            await live.prepare_for(by, grows)
        check_access(request, by, session)
        yield live


async def _answer(request: Request, by: Grant | Participant, live: RoomRuntime, status: int = 200) -> Response:
    """Answer with a session as JSON; concurrent requests for the same version share the bytes.

    Raises:
        NotAllowed: access was revoked while the session was read.
        NotAuthenticated: it has expired meanwhile.
        ServerBusy: answers that are being sent exceed their limit.
    """
    headers = {"vary": "accept"}
    async with _answers(request).alone(live.session):
        check_access(request, by, live.session)
        what = (live.session, "json", live.room.version, live.connections)
        shared = _answers(request).find(request, what, headers, "application/json")
        if shared is not None:
            return shared
        document, version = await live.read()
        meta: dict[str, Any] = document["meta"]
        connections = live.connections
        body = {
            "id": live.session,
            "title": meta.get("title", ""),
            "created_at": live.info().created_at,
            "version": version,
            "connections": connections,
            "document": document,
        }
        data = await live.work(encode_in_steps(body))
        check_access(request, by, live.session)
        what = (live.session, "json", version, connections)
        return _answers(request).answer(request, data, what=what, status=status, headers=headers)


async def _answer_update(request: Request, by: Participant, live: RoomRuntime) -> Response:
    """Answer with a session as one Yjs update; shares the bytes and raises as `_answer` does."""
    async with _answers(request).alone(live.session):
        check_access(request, by, live.session)
        version = live.room.version
        headers = {"cosession-version": str(version), "vary": "accept"}
        what = (live.session, "update", version)
        shared = _answers(request).find(request, what, headers, _UPDATE)
        if shared is not None:
            return shared
        data, version = await live.snapshot()
        headers["cosession-version"], what = str(version), (live.session, "update", version)
        check_access(request, by, live.session)
        return _answers(request).answer(request, data, what=what, headers=headers, media_type=_UPDATE)


def _summary(info: StoredSession, connections: int) -> dict[str, Any]:
    return {
        "id": info.id,
        "title": info.title,
        "created_at": info.created_at,
        "updated_at": info.updated_at,
        "version": info.version,
        "connections": connections,
    }


def _answers(request: Request) -> Answers:
    return request.app.state.answers


def _hub(request: Request) -> Hub:
    return request.app.state.hub
