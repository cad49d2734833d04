"""The transport: keeps one socket to the session's server, and reconnects when it breaks.

Carries bytes between the socket and the replica and knows nothing of documents. One task reads, one writes, one
renews presence, one checks that the server still responds; all end with the connection. Outgoing updates stay in the
replica, merged, until the writer has room, so a slow network makes frames fewer and larger. Close codes 4400 to
4499 are final; after every other end, refused handshakes included, it reconnects after a growing, random pause, so
that a thousand agents don't return to a restarted server in the same instant. The pauses start over only after a
connection that lasted.
"""

import asyncio
import random
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol, cast

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as open_socket
from websockets.exceptions import ConnectionClosed, InvalidURI, WebSocketException

from cosession.errors import Disconnected, MalformedFrame, NotAuthenticated, TooFast, TooLarge
from cosession.logs import get_logger
from cosession.protocol import Renewal, encode_frame

from .credential import Credential, Token, TokenFailed
from .pulse import BEAT_SECONDS, Pulse
from .replica import DocumentBroken, Replica
from .signal import Signal
from .types import Status

log = get_logger(__name__)

FIRST_DELAY_SECONDS = 0.1
"""The longest first pause: most breaks are a server's restart or a proxy's timeout, and end at once."""

MAX_DELAY_SECONDS = 10.0
"""The longest pause: a person that waits for an agent to reconnect gives up soon after."""

RENEW_SECONDS = 15.0
"""The interval at which presence is sent again: other clients drop a state after 30 s."""

MERGE_SECONDS = 0.03
"""The least time between two sends: imperceptible, but long enough to merge a burst into one frame."""

STEADY_SECONDS = 5.0
"""The synced time after which the pauses start over; a shorter connection would otherwise retry in a tight loop."""

MOST_UNREADABLE = 8
"""Connections in a row with unreadable frames, then the session ends; with the pauses, a quarter of a minute."""

TOO_FAST_SECONDS = 2.0
"""The least pause after the server closed because this client sent too much."""

RENEW_AT = 0.8
"""The share of a grant's validity after which it is renewed: rarely, but early enough for several tries."""

LEAST_RENEWAL_SECONDS = 1.0
"""The least time between two renewals, also where our clock and the server's differ."""

_CLOSE_SECONDS = 2.0
"""The time that a server may take to answer our close; after it the socket is dropped."""


def retry_delay(attempt: int, chance: Callable[[], float] = random.random) -> float:
    """Return the pause before a try: exponential, capped, with full jitter.

    Args:
        attempt: the number of failed tries since a connection lasted.
        chance: returns a random number from 0 to 1.
    """
    return min(MAX_DELAY_SECONDS, FIRST_DELAY_SECONDS * 2 ** min(attempt, 30)) * chance()


class Carried(Protocol):
    """The session side of a transport, as the transport uses it."""

    def replica(self) -> Replica:
        """Return the replica that the next connection syncs."""
        ...

    def heard(self) -> None:
        """Process a change of the replica: synced, saved, granted or notified."""
        ...

    def refused(self, code: int, reason: str) -> bool:
        """Return whether to continue after a final close code."""
        ...

    def broken(self, reason: str) -> bool:
        """Return whether to continue after an update that broke the document."""
        ...


class _Line(ClientConnection):
    """A socket that counts received and sent bytes."""

    received = 0
    written = 0

    def data_received(self, data: bytes) -> None:
        """Count received bytes, incomplete frames included."""
        self.received += len(data)
        super().data_received(data)

    async def give(self, frame: bytes) -> None:
        """Send a frame, and wait until there is room for the next."""
        self.written += len(frame)
        await self.send(frame)

    @property
    def left(self) -> int:
        """The number of bytes that the kernel has taken."""
        return self.written - self.transport.get_write_buffer_size()


class Transport:
    """One session's connection, across reconnects.

    Attributes:
        status: the state of the session.
        ended: the reason why it is over, or None while it isn't.
        breaks: the number of connections that have ended.
        trouble: the reason why the last connection ended or failed; empty when none was given.
        offline_at: when the last connection broke, on the monotonic clock.
    """

    def __init__(self, url: str, *, carried: "Carried", credential: Credential, bell: Signal) -> None:
        """Prepare; nothing is opened before `run`.

        Args:
            url: the address from `sync_url`.
            carried: the session to connect, which is notified of changes.
            credential: the token to authenticate each connection with.
            bell: fires when `status`, `ended` or the saved state changes.
        """
        self.status: Status = "connecting"
        self.ended: Disconnected | None = None
        self.breaks = 0
        self.trouble = ""
        self.offline_at = 0.0
        self._carried = carried
        self._url = url
        self._credential = credential
        self._bell = bell
        self._wake = asyncio.Event()
        self._hurry = asyncio.Event()
        self._granted = asyncio.Event()
        self._attempt = 0
        self._unreadable = 0
        self._socket: _Line | None = None
        self._sending = asyncio.Lock()

    def wake(self) -> None:
        """Wake the writer, because the replica has frames to send."""
        self._wake.set()

    def hurry(self) -> None:
        """Retry at once, and start over with short pauses, because little time is left."""
        self._attempt = 0
        self._hurry.set()

    def reconnect(self, token: Token | None) -> bool:
        """Connect at once; return whether `run` must be called again, because it had ended.

        Args:
            token: the token to use from now on; None keeps the one before. An open connection is then made anew.
        """
        if token is not None:
            self._credential.replace(token)
            if self._socket is not None:
                self._socket.transport.abort()
        self.hurry()
        if self.ended is None:
            return False
        self.ended = None
        self.status = "offline"
        self._bell.ring()
        return True

    async def flush(self) -> None:
        """Send the waiting frames now; without a connection nothing is sent."""
        with suppress(ConnectionClosed):
            if (socket := self._socket) is not None:
                await self._send(socket, self._carried.replica())

    async def run(self) -> None:
        """Keep the session connected until the server refuses for good, or the task is cancelled."""
        expired = ""
        while self.ended is None:
            replica = self._carried.replica()
            code: int | None = None
            reason = ""
            served = False
            try:
                headers = await self._credential.headers()
                # No compression: it costs a token's latency. No size limit: a first sync is as large as the session.
                # No pings of its own: see `pulse`.
                async with open_socket(
                    f"{self._url}&client={replica.doc.client_id}",
                    additional_headers=headers,
                    compression=None,
                    max_size=None,
                    ping_interval=None,
                    close_timeout=_CLOSE_SECONDS,
                    create_connection=_Line,
                ) as socket:
                    served = await self._attend(cast("_Line", socket), replica)
                    await socket.close()
                code, reason = socket.close_code, socket.close_reason or ""
            except TokenFailed as error:
                reason = str(error)
                if self.status == "connecting" or expired:  # later on, a failing token source may recover
                    self.end(
                        Disconnected(f"{expired} {reason}".strip(), NotAuthenticated.close_code if expired else None)
                    )
            except Disconnected as error:
                self.end(error)
            except InvalidURI as error:
                self.end(Disconnected(str(error)))
            except (OSError, WebSocketException) as error:
                reason = str(error) or type(error).__name__
            finally:
                replica.close()
            self.breaks += 1
            self.trouble = reason
            expired = ""
            if self.ended is None and code is not None and 4400 <= code <= 4499:
                said = (
                    replica.notice.reason if replica.notice else reason
                ) or f"The server closed for good ({code})."
                is_expiry = code == NotAuthenticated.close_code and served and self._credential.renewable
                if is_expiry and not self._credential.failure:
                    expired = said  # a fresh token may be accepted
                elif self._carried.refused(code, said):
                    continue
                else:
                    self.end(Disconnected(f"{said} {self._credential.failure}".strip(), code))
            if self.ended is None:
                await self._pause(code, reason)

    def end(self, why: Disconnected) -> None:
        """End the session, once, and wake all waiting tasks."""
        if self.ended is None:
            self.ended = why
            self.status = "closed"
            self._bell.ring()

    async def _pause(self, code: int | None, reason: str) -> None:
        if self.status == "online":
            self.status, self.offline_at = "offline", time.monotonic()
            self._bell.ring()
        delay = retry_delay(self._attempt)
        self._attempt += 1
        if code == TooFast.close_code:
            delay += TOO_FAST_SECONDS
        log.info("client.offline", close=code and int(code), reason=reason, retry_seconds=round(delay, 2))
        with suppress(TimeoutError):
            async with asyncio.timeout(delay):
                await self._hurry.wait()
        self._hurry.clear()

    async def _attend(self, socket: _Line, replica: Replica) -> bool:
        """Serve one connection until it ends; return whether it was ever synced."""
        replica.open()
        self._socket = socket
        async with asyncio.TaskGroup() as tasks:
            duties = [
                tasks.create_task(self._write(socket, replica)),
                tasks.create_task(self._renew(replica)),
                tasks.create_task(self._renew_grant(socket, replica)),
                tasks.create_task(self._watch(socket)),
            ]
            try:
                return await self._read(socket, replica)
            finally:
                self._socket = None
                for duty in duties:
                    duty.cancel()

    async def _read(self, socket: _Line, replica: Replica) -> bool:
        synced_at: float | None = None
        try:
            while True:
                data = await socket.recv()
                before = replica.synced, replica.saved_edits, replica.grant, len(replica.notices)
                if isinstance(data, str):
                    raise MalformedFrame("The server sent text; is this the address of a session server?")  # noqa: TRY301
                replica.receive(data)
                if before != (replica.synced, replica.saved_edits, replica.grant, len(replica.notices)):
                    if replica.synced:
                        synced_at = synced_at or time.monotonic()
                        self.status = "online"
                    self._granted.set()
                    self._carried.heard()
                    self._bell.ring()
        except ConnectionClosed:
            if synced_at is not None:
                self._unreadable = 0
        except (MalformedFrame, TooLarge) as error:
            await self._leave_unreadable(socket, error)
        except DocumentBroken as error:
            await self._leave_broken(socket, replica, error)
        except Disconnected as error:
            self.end(error)
        if synced_at is not None and time.monotonic() - synced_at >= STEADY_SECONDS:
            self._attempt = 0
        return synced_at is not None

    async def _leave_broken(self, socket: _Line, replica: Replica, error: DocumentBroken) -> None:
        """Continue with another document, if possible; both the reader and the writer may call this."""
        if self._carried.replica() is replica and self.ended is None:
            log.warning("client.document_broken", error=str(error.__cause__))
            if not self._carried.broken(str(error)):
                self.end(Disconnected(str(error)))
        await socket.close(1000)

    async def _leave_unreadable(self, socket: _Line, error: Exception) -> None:
        """Close a connection with an unreadable frame; end the session after too many of them in a row."""
        log.warning("client.malformed", reason=str(error))
        self._unreadable += 1
        if self._unreadable >= MOST_UNREADABLE:
            self.end(Disconnected(f"What the server sends can't be read, whenever it is tried: {error}"))
        await socket.close(1002)

    async def _write(self, socket: _Line, replica: Replica) -> None:
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                await asyncio.sleep(0)  # include the writes of the same turn of the loop
                await self._send(socket, replica)
                await asyncio.sleep(0 if replica.is_busy else MERGE_SECONDS)
        except ConnectionClosed:
            pass  # the reader sees it too, and handles it
        except DocumentBroken as error:
            await self._leave_broken(socket, replica, error)

    async def _send(self, socket: _Line, replica: Replica) -> None:
        """Send the frames of the replica, under a lock, so that a fence overtakes no other frame."""
        async with self._sending:
            for frame in replica.take():
                await socket.give(frame)

    async def _watch(self, socket: _Line) -> None:
        """Drop the connection when the server stops responding."""
        pulse = Pulse(time.monotonic())
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            match pulse.beat(socket.received, socket.left, time.monotonic()):
                case "ask":
                    with suppress(ConnectionClosed):
                        await socket.ping()
                case "gone":
                    socket.transport.abort()
                    return
                case "wait":
                    pass

    async def _renew_grant(self, socket: _Line, replica: Replica) -> None:
        """Send a fresh token before the grant ends, and retry if there is none; the server ends an expired grant."""
        while self._credential.renewable:
            ends = replica.grant.expires_at if replica.grant else None
            pause = None if ends is None else max((ends - time.time()) * RENEW_AT, LEAST_RENEWAL_SECONDS)
            try:
                async with asyncio.timeout(pause):
                    self._granted.clear()
                    await self._granted.wait()
            except TimeoutError:
                try:
                    token = await self._credential.fresh()
                    await socket.give(encode_frame(Renewal(token or "")))
                except (TokenFailed, Disconnected) as error:
                    log.warning("client.token_failed", error=str(error))
                except ConnectionClosed:
                    return

    async def _renew(self, replica: Replica) -> None:
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            replica.presence.renew()
