"""A session server in miniature, made of pycrdt's own sync functions: an opinion on the wire that isn't ours."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from pycrdt import (
    Doc,
    TransactionEvent,
    create_awareness_message,
    create_sync_message,
    create_update_message,
    handle_sync_message,
)
from websockets.asyncio.server import Server, ServerConnection, broadcast, serve
from websockets.exceptions import ConnectionClosed

from cosession.document import SessionDocument
from cosession.protocol import (
    AwarenessEntry,
    Frame,
    Granted,
    Notice,
    Renewal,
    SyncStep2,
    SyncUpdate,
    decode_awareness,
    decode_frame,
    encode_awareness,
    encode_frame,
)


async def until(condition: Callable[[], Any], seconds: float = 60.0) -> None:
    """Wait for a condition, and fail when it doesn't come."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - any condition, with a limit
            await asyncio.sleep(0.002)


class Hub:
    """One session on a real socket.

    `frames` is all that clients sent; fences are held back while `holding`; `refusal` closes whoever comes; an update
    after which `forbidden` holds is refused; `grant` is told to whoever comes, `expires_at` counted from now;
    `greeting` is sent first.
    """

    def __init__(self) -> None:
        self.doc: Doc[Any] = Doc()
        self.document = SessionDocument(self.doc)
        self.document.initialise(created_at="2026-01-01T00:00:00Z")
        self.frames: list[Frame] = []
        self.paths: list[str] = []
        self.headers: list[str | None] = []
        self.sockets: set[ServerConnection] = set()
        self.holding = False
        self.held: list[tuple[ServerConnection, bytes]] = []
        self.refusal: tuple[int, str] | None = None
        self.forbidden: Callable[[SessionDocument], bool] | None = None
        self.grant: Granted | None = None
        self.greeting: bytes | None = None
        self.port = 0
        self.said: dict[int, AwarenessEntry] = {}
        self._grants = 0
        self._source: ServerConnection | None = None
        self._server: Server | None = None
        self._observed = self.doc.observe(self._on_update)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        self._server = await serve(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
            self._server = None

    async def close(self) -> None:
        await self.stop()
        self.doc.unobserve(self._observed)

    def cut(self) -> None:
        """Break every connection as a network does: with no word."""
        for socket in self.sockets:
            socket.transport.abort()

    async def release(self) -> None:
        """Answer the fences that were held back."""
        self.holding = False
        for socket, data in self.held:
            await socket.send(data)
        self.held.clear()

    def count(self, kind: type[Frame]) -> int:
        return sum(isinstance(frame, kind) for frame in self.frames)

    def _on_update(self, event: TransactionEvent) -> None:
        broadcast([s for s in self.sockets if s is not self._source], create_update_message(event.update))

    async def _serve(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        self.paths.append(socket.request.path)
        self.headers.append(socket.request.headers.get("Authorization"))
        if self.refusal is not None:
            code, reason = self.refusal
            await socket.send(encode_frame(Notice("test.refused", reason)))
            await socket.close(code, reason)
            return
        self.sockets.add(socket)
        spoken: dict[int, int] = {}
        try:
            if self.greeting is not None:
                await socket.send(self.greeting)
            await socket.send(create_sync_message(self.doc))
            await self._tell_grant(socket)
            await socket.send(create_awareness_message(encode_awareness(self.said.values())))
            async for data in socket:
                assert isinstance(data, bytes)
                self.frames.append(decode_frame(data))
                if self._is_forbidden(self.frames[-1]):
                    await socket.send(encode_frame(Notice("auth.forbidden", "You may not write this.", "messages/*")))
                    await socket.close(4403, "You may not write this.")
                    return
                await self._answer(socket, data, spoken)
        except ConnectionClosed:
            pass
        finally:
            self.sockets.discard(socket)
            for client in spoken:
                self.said.pop(client, None)
            gone = encode_awareness(AwarenessEntry(client, clock + 1, "null") for client, clock in spoken.items())
            broadcast(self.sockets, create_awareness_message(gone))

    def _decide(self) -> None:
        """Grant what is free and hand over what is lost, as the server does; all else that is asked for waits."""
        document = self.document
        for request in list(document.requests.items()):
            about, client = request.subject[0] if request.subject else "", request.client or 0
            held = document.claims.get(about)
            match request.kind:
                case "claim" if held is None:
                    self._grants += 1
                    document.claims.grant(
                        about, by=request.participant, client=client, epoch=self._grants, at="2026-01-01T00:00:00Z"
                    )
                case "release" if held is not None and held["client"] == client:
                    document.claims.release(about)
                case "adopt":
                    run = document.runs.get(about)
                    if run is not None and run.status == "lost":
                        run.hand_over(client, [run.client] if run.client != client else [])
                case "claim" | "release":
                    pass
                case _:
                    continue
            document.requests.remove(request.key)

    def _is_forbidden(self, frame: Frame) -> bool:
        if self.forbidden is None or not isinstance(frame, SyncUpdate | SyncStep2):
            return False
        shadow: Doc[Any] = Doc()
        shadow.apply_update(self.doc.get_update())
        shadow.apply_update(frame.update)
        return self.forbidden(SessionDocument(shadow))

    async def _tell_grant(self, socket: ServerConnection) -> None:
        if self.grant is not None:
            ends = self.grant.expires_at
            grant = replace(self.grant, expires_at=None if ends is None else time.time() + ends)
            await socket.send(encode_frame(grant))

    async def _answer(self, socket: ServerConnection, data: bytes, spoken: dict[int, int]) -> None:
        match data[0]:
            case 0:
                self._source = socket
                reply = handle_sync_message(data[1:], self.doc)
                self._source = None
                self._decide()
                if reply is not None:
                    await socket.send(reply)
            case 1:
                frame = decode_frame(data)
                for entry in decode_awareness(frame.payload):
                    spoken[entry.client] = entry.clock
                    self.said[entry.client] = entry
                broadcast(self.sockets - {socket}, data)
            case 104:
                if decode_frame(data) == Renewal("bad"):
                    await socket.close(4401, "The token has expired.")
                await self._tell_grant(socket)
            case 102 if self.holding:
                self.held.append((socket, data))
            case 102:
                await socket.send(data)
