"""The work endpoint, `/work/{agent}`: a socket on which a worker receives its jobs. JSON, in text frames.

| from the worker | from the server |
|---|---|
| `{"more": n}`: it accepts n more jobs | `{"take": {session, message, run, client, epoch}}`: one of them |
| `{"back": {session, client}}`: it couldn't begin this one | |
| `{"drain": true}`: it accepts no more | |

A job is written into its session under a Yjs client id; the worker joins the session with that id and finds it there.
The socket closes when the grant expires or is revoked; the worker then connects again with a fresh token.
"""

import asyncio
import json
import time
from typing import Any, cast

from starlette.websockets import WebSocket

from cosession.auth import Grant, Participant
from cosession.errors import BadRequest, CosessionError, MalformedFrame, NotAllowed, NotAuthenticated
from cosession.logs import get_logger
from cosession.room.decisions import Job
from cosession.runtime import Hub, RateLimit
from cosession.storage import Revocation, Revocations

from .api.authorize import accept, check_revoked, identify, taken_away
from .edge.refusals import log_refusal

PATH = "/work/"
"""The path prefix of the agents."""

_MOST_CREDITS = 1024
"""The most jobs that a worker may ask for in advance; it bounds the queue for its socket."""

_MOST_BYTES = 4096
"""The largest text frame of a worker; a longer one closes the socket."""

_REASON_BYTES = 120

log = get_logger(__name__)


class WorkPost:
    """One worker, connected by a socket; see `runtime.agent_queue.Post`."""

    def __init__(self, grant: Grant, revocations: Revocations) -> None:
        self.agent = Participant(grant.id, grant.name, grant.kind, token_id=grant.token_id)
        self.credits = 0
        self.error: CosessionError | None = None
        self._grant = grant
        self._revocations = revocations
        self._jobs: list[Job] = []
        self._bell = asyncio.Event()

    def may_work_in(self, session: str) -> bool:
        """Whether the worker's token lets it run in a session, and is not revoked."""
        return self._grant.may("run", session) and not self._revocations.is_revoked(self._grant, session)

    def give(self, job: Job) -> None:
        """Send a job."""
        self._jobs.append(job)
        self._bell.set()

    def end(self, error: CosessionError) -> None:
        """Close the socket with an error."""
        self.error = error
        self._bell.set()

    async def next(self) -> list[Job]:
        """Wait for jobs, and return all that are to be sent.

        Raises:
            CosessionError: the socket must be closed.
        """
        while not self._jobs:
            if self.error is not None:
                raise self.error
            self._bell.clear()
            await self._bell.wait()
        jobs, self._jobs = self._jobs, []
        return jobs


async def serve_work(websocket: WebSocket) -> None:
    """Serve a worker until its socket closes."""
    await accept(websocket)
    error: CosessionError | None = None
    try:
        grant = await identify(websocket)
        check_revoked(websocket, grant)
        if grant.kind != "agent" or grant.id != websocket.path_params["agent"]:
            raise NotAllowed("Only the agent itself gets its work: connect to /work/ and the id of your token.")
        await _serve(websocket, grant)
    except* CosessionError as group:
        error = next(one for one in _flat(group) if isinstance(one, CosessionError))
    except* _Gone:
        pass
    if error is not None:
        log_refusal(websocket.scope, error)
        reason = str(error).encode()[:_REASON_BYTES].decode(errors="ignore")
        try:
            await websocket.close(error.close_code, reason)
        except Exception as failure:  # a closed socket may raise anything
            log.debug("work.lost", error=repr(failure))


class _Gone(Exception):
    """The socket was closed at the other end."""


async def _serve(websocket: WebSocket, grant: Grant) -> None:
    hub: Hub = websocket.app.state.hub
    revocations: Revocations = websocket.app.state.revocations
    post = WorkPost(grant, revocations)

    def hear(_: Revocation) -> None:
        if revocations.is_revoked(grant):
            post.end(NotAuthenticated(str(taken_away())))

    websocket.scope["headers"] = ()
    pace = RateLimit(hub.settings.max_frames_per_second, hub.settings.flood_seconds)
    with hub.dispatch.open(post) as queue, revocations.observe(hear):
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_send(websocket, post))
            if grant.expires_at is not None:
                tasks.create_task(_expire(grant.expires_at))
            while True:
                said = await _receive(websocket, pace)
                match said:
                    case {"more": int(more)} if 0 < more <= _MOST_CREDITS - post.credits:
                        post.credits += more
                        queue.ring()
                    case {"back": {"session": str(session), "client": int(client)}}:
                        if queue.was_given(post, client, session):
                            await queue.give_back({client: session}, refused=True)
                    case {"drain": True}:
                        post.credits = 0
                    case _:
                        raise BadRequest(
                            'A worker says {"more": n}, with 1,024 credits at most, '
                            '{"back": {"session": …, "client": …}} or {"drain": true}.'
                        )


async def _send(websocket: WebSocket, post: WorkPost) -> None:
    while True:
        for job in await post.next():
            take = {
                "session": job.session,
                "message": job.message,
                "run": job.run,
                "client": job.client,
                "epoch": job.epoch,
            }
            await websocket.send_text(json.dumps({"take": take}))


async def _expire(at: float) -> None:
    await asyncio.sleep(max(at - time.time(), 0))
    raise NotAuthenticated("Your token has expired; connect again with a fresh one.")


async def _receive(websocket: WebSocket, pace: RateLimit) -> dict[str, Any]:
    message = await websocket.receive()
    if message["type"] == "websocket.disconnect":
        raise _Gone
    text = message.get("text")
    await pace.wait(len(text or ""))
    if not isinstance(text, str) or len(text) > _MOST_BYTES:
        raise MalformedFrame("A worker sends short text frames with a JSON object each.")
    try:
        said: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise MalformedFrame("A worker sends JSON objects, and this is not JSON.") from error
    return cast("dict[str, Any]", said) if isinstance(said, dict) else {}


def _flat(group: BaseExceptionGroup[CosessionError]) -> list[BaseException]:
    return [
        one
        for error in group.exceptions
        for one in (_flat(error) if isinstance(error, BaseExceptionGroup) else [error])
    ]
