"""A document of a hocuspocus socket as a pycrdt `Channel`: its frames, and receipts when the storage has committed.

The connection in the hub is an extended one. A fence follows what the client wants a receipt for, one at a time: what
arrives while it is under way is counted, and gets the next fence.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable

from pycrdt import Channel

from cosession.auth import Participant
from cosession.auth.capabilities import Capabilities
from cosession.protocol import Fence, Granted, Notice, Renewal, decode_frame, encode_frame
from cosession.protocol.hocuspocus import (
    Authenticated,
    Body,
    Close,
    Denied,
    DocumentFrame,
    Message,
    SyncStatus,
    TokenRequest,
    document_name,
    encode_message,
)
from cosession.protocol.lib0 import Reader
from cosession.runtime import Hub

from .edge.arrivals import SMALL_BYTES
from .token_renewal import Renewals

_WAITING = 16
"""The frames of one document that may wait; when they do, the socket is not read."""

_RENEWED_AFTER = 0.75
"""The fraction of a grant's remaining time after which the client is asked for a fresh token."""

_RESET = 4205
"""hocuspocus' own code for a socket that is to be opened anew."""

_STEP_1, _STEP_2, _UPDATE = b"\x00\x00", b"\x00\x01", b"\x00\x02"
"""The first bytes of sync frames."""

_FENCE = encode_frame(Fence(b""))


class HocuspocusDocument(Channel):
    """One document of one provider, from its authentication until either side closes it.

    Args:
        address: the address of its messages.
        send: sends a message on the socket.
        end_socket: closes the socket with a code and a reason; the provider then connects again.
    """

    def __init__(
        self,
        address: str,
        send: Callable[[bytes], Awaitable[None]],
        end_socket: Callable[[int, str], Awaitable[None]],
    ) -> None:
        self.address = address
        self._send = send
        self._end_socket = end_socket
        self._frames: deque[bytes] = deque()
        self._arrived = asyncio.Event()
        self._taken = asyncio.Event()
        self._is_idle = False
        self._is_finished = False
        self._is_over = False
        self._is_authenticated = False
        self._is_readonly: bool = True
        self._expires_at: float | None = None
        self._granted = asyncio.Event()
        self._steps = {_STEP_1: 0, _STEP_2: 0}
        self._owed = 0
        """The changes that need a receipt, and have no fence yet."""
        self._fenced = 0
        """The changes that the fence under way stands for."""
        self._reason = ""

    @property
    def path(self) -> str:
        """The session's id."""
        return document_name(self.address)

    async def serve(self, hub: Hub, participant: Participant, renewals: Renewals) -> None:
        """Keep the document open until either side closes it.

        Args:
            hub: has the session.
            participant: the participant, whose credential is verified.
            renewals: verifies its next tokens.

        Raises:
            CosessionError: it can't be opened.
        """
        self._is_readonly = participant.capabilities.writes_nothing
        asking = asyncio.create_task(self._ask_for_tokens())
        try:
            await hub.serve(self, participant, extended=True, grants=renewals)
        finally:
            asking.cancel()
            await asyncio.wait((asking,))

    async def put(self, frame: bytes) -> None:
        """Take a frame of the client; wait while `_WAITING` others wait, and until a large one is handled."""
        await self._wait_until(lambda: len(self._frames) < _WAITING)
        if self._is_finished or self._is_over:
            return
        self._frames.append(frame)
        self._arrived.set()
        if len(frame) > SMALL_BYTES:
            await self._wait_until(lambda: self._is_idle and not self._frames)

    async def renew(self, token: str) -> None:
        """Take a new token of the client."""
        await self.put(encode_frame(Renewal(token)))

    def finish(self) -> None:
        """End the document for the client, which has closed it: handle the frames that wait, and send no more."""
        self._is_finished = True
        self._arrived.set()
        self._taken.set()

    def drop(self) -> None:
        """End the document: it is not served any more."""
        self._is_over = True
        self._frames.clear()
        self._taken.set()

    async def __anext__(self) -> bytes:
        """Return the next frame for the room: a client's, or a fence behind it."""
        self._is_idle = True
        while True:
            self._taken.set()
            if self._owed and not self._fenced:
                self._fenced, self._owed = self._owed, 0
                return _FENCE
            if self._frames:
                frame = self._frames.popleft()
                if await self._admit(frame):
                    self._is_idle = False
                    return frame
                continue
            if self._is_finished:
                raise StopAsyncIteration
            self._arrived.clear()
            await self._arrived.wait()

    async def recv(self) -> bytes:
        """Receive one frame."""
        return await self.__anext__()

    async def send(self, message: bytes) -> None:
        """Send a frame of the room, as hocuspocus has it; a frame that it has no message for is left out."""
        if message[0] < _FENCE[0]:
            await self._say(DocumentFrame(message))
            return
        match decode_frame(message):
            case Fence():
                saved, self._fenced = self._fenced, 0
                self._arrived.set()
                for _ in range(saved):
                    await self._say(SyncStatus(is_saved=True))
            case Notice(reason=reason, final=True):
                self._reason = reason
            case Granted(capabilities=capabilities, expires_at=expires_at):
                await self._grant(Capabilities.parse(capabilities), expires_at)
            case _:
                pass

    async def close(self, code: int, reason: str) -> None:
        """Close the document, or the socket if the provider should come back.

        Args:
            code: a close code; 4400 to 4499 are final, and close the document alone: after the close of a socket the
                provider connects again, whatever the code.
            reason: the sentence that the user may read.
        """
        reason = self._reason or reason
        if not 4400 <= code < 4500:
            await self._end_socket(code, reason)
        elif self._is_authenticated:
            await self._say(Close(reason))
        else:
            await self._say(Denied(reason))

    async def _say(self, body: Body) -> None:
        if not self._is_finished:
            await self._send(encode_message(Message(self.address, body)))

    async def _wait_until(self, condition: Callable[[], bool]) -> None:
        while not (condition() or self._is_finished or self._is_over):
            self._taken.clear()
            await self._taken.wait()

    async def _admit(self, frame: bytes) -> bool:
        """Count a frame if it needs a receipt; return False for a write of a viewer, which is not saved.

        The provider counts its first sync as one change, however often the server asks for its document. A later
        step 1 is a forced sync, which counts again.
        """
        step = frame[:2]
        if self._is_readonly and (step == _UPDATE or (step == _STEP_2 and _brings_content(frame))):
            await self._say(SyncStatus(is_saved=False))
            return False
        if step in self._steps:
            self._steps[step] += 1
            is_first = self._steps[step] == 1
            self._owed += is_first if step == _STEP_2 else not is_first
        elif step == _UPDATE:
            self._owed += 1
        return True

    async def _grant(self, capabilities: Capabilities, expires_at: float | None) -> None:
        is_readonly = capabilities.writes_nothing
        if self._is_authenticated and self._is_readonly and not is_readonly:
            await self._end_socket(_RESET, "You may write now; connect again to send what was not saved.")
            return
        if not self._is_authenticated or is_readonly != self._is_readonly:
            self._is_authenticated, self._is_readonly = True, is_readonly
            await self._say(Authenticated("readonly" if is_readonly else "read-write"))
        self._expires_at = expires_at
        self._granted.set()

    async def _ask_for_tokens(self) -> None:
        """Ask the client for a fresh token before each grant ends; once for a grant."""
        asked_for: float | None = None
        while True:
            end = None if self._expires_at == asked_for else self._expires_at
            try:
                async with asyncio.timeout(None if end is None else max(end - time.time(), 0) * _RENEWED_AFTER):
                    await self._granted.wait()
                self._granted.clear()
            except TimeoutError:
                asked_for = end
                await self._say(TokenRequest())


def _brings_content(frame: bytes) -> bool:
    """Return whether a sync step 2 has content; one that only deletes is the usual answer of a client without any.

    Raises:
        MalformedFrame: the frame ends before its update.
    """
    reader = Reader(frame)
    for _ in range(3):  # the type, the step, and the length of the update
        reader.uint()
    return reader.uint() != 0
