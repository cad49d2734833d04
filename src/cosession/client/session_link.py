"""A session's link to its server, from the first sync to the last commit: document, presence and transport.

Inside `live` one background task keeps the connection; none remains after it. Writes without a connection are kept in
the document and sent when it is back.
"""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any, TypeVar, cast

from cosession.document import RequestRecord as Wish
from cosession.document import SessionDocument, checked, checked_text
from cosession.document.values import checked_id
from cosession.errors import (
    Disconnected,
    NotAllowed,
    Refusal,
    RoomBroken,
    TimedOut,
    TooLarge,
    WriteRefused,
    is_crdt_error,
)
from cosession.logs import get_logger
from cosession.protocol import Limits, Notice, decode_state_vector

from .credential import Credential, Token
from .identity import Identity
from .ids import fresh_client_id
from .presence import Presence
from .refusal import MOST_REFUSALS, OF_WRITING, REFUSALS_SECONDS
from .replica import Replica
from .request import Decisions, Request
from .request_replay import Asked
from .signal import Signal
from .transport import Transport
from .types import Status
from .unsaved_text import unsaved
from .watched import WatchedDoc

log = get_logger(__name__)

T = TypeVar("T")

GOODBYE_SECONDS = 1.0
"""The time to send the last presence update; if it can't be sent, claims are released after the grace."""

FLUSH_SECONDS = 5.0
"""The time that leaving waits for writes to be saved: a commit takes milliseconds, a stuck disk has no bound."""

_FRAME_SHARE = 64
"""One of so many parts of a frame is reserved for the overhead of a value: its names, ids and places."""


_NAME_SHARE = 16
"""A name may use one of so many parts of a frame: a key may contain several names, percent-encoded."""


class SessionLink:
    """One session's link to its server.

    Attributes:
        document: the session's document. A refusal replaces it by another one.
        presence: the presence state of this connection, and those of the others.
        bell: fires when the status, presence or the saved state changes.
    """

    def __init__(
        self,
        session: str,
        user: dict[str, Any],
        url: str,
        credential: Credential,
        *,
        on_refused: Callable[[Refusal], bool],
        on_replaced: Callable[[], None],
        client_id: int | None = None,
    ) -> None:
        """Prepare; `live` opens it.

        Args:
            session: the session's id, for the log.
            user: our identity.
            url: the WebSocket address.
            credential: the token to authenticate with.
            on_refused: called with a refusal; returns whether the application has read it.
            on_replaced: called when `document` was replaced.
            client_id: the Yjs client id of the first document; None makes one.
        """
        self.bell = Signal()
        self._session = session
        self._on_refused = on_refused
        self._on_replaced = on_replaced
        self._me = Identity(user["id"], user["name"], user["kind"])
        self._transport = Transport(url, carried=self, credential=credential, bell=self.bell)
        self.document = SessionDocument(WatchedDoc(client_id or fresh_client_id()))
        wake = self._transport.wake
        self.presence = Presence(
            self.document.doc.client_id,
            user,
            wake=wake,
            changed=self.bell.ring,
            most_bytes=lambda: self.limits.presence_bytes,
            check_open=self.go_on,
        )
        self._replica = Replica(self.document.doc, self.presence, wake=wake)
        self._asked = Asked(self.document, self._replica)
        self._decisions = Decisions(session, self._tell)
        self._clients = [self.document.doc.client_id]
        """The client ids of this client's writes; writes of a refused document may be in the next one, unsaved."""
        self._fresh: tuple[SessionDocument, Replica, Refusal] | None = None
        self._refused_at: list[float] = []
        self._last: Refusal | None = None
        self._unread: Refusal | None = None
        """The last refusal with lost writes that the application hasn't read."""
        self._closed: Disconnected | None = None
        self._tasks: asyncio.TaskGroup | None = None
        self._keeping: asyncio.Task[None] | None = None

    @property
    def status(self) -> Status:
        """The state of the connection."""
        return "closed" if self._closed is not None else self._transport.status

    @property
    def away_seconds(self) -> float:
        """The time without a connection."""
        return 0.0 if self.status == "online" else time.monotonic() - self._transport.offline_at

    @property
    def ended(self) -> Disconnected | None:
        """The reason why the session is over, or None while it isn't."""
        return self._closed or self._transport.ended

    @property
    def saved(self) -> bool:
        """Whether the server has committed everything that was written here."""
        return self._replica.saved

    @property
    def synced(self) -> bool:
        """Whether the document is that of the server, as far as this client has heard."""
        return self.status == "online" and self._replica.synced

    @property
    def breaks(self) -> int:
        """The number of connections that have ended."""
        return self._transport.breaks

    @property
    def limits(self) -> Limits:
        """The limits of the server."""
        return self._replica.limits

    @property
    def writers(self) -> Collection[int] | None:
        """The Yjs clients that wrote the current change; None where it was written here."""
        return self._replica.writers if self._replica.applying else None

    @property
    def me(self) -> Identity:
        """Our identity, as the server verified; until then, as requested."""
        return self._me

    def decide(self, asked: Wish) -> Request:
        """Track a request that was made in the current document."""
        return self._decisions.ask(self, self.document, asked)

    def check_fits(self, value: object, what: str, values: Iterable[object] | None = None) -> None:
        """Check that an indivisible write fits a frame that the server accepts.

        Args:
            value: the value to write.
            what: the name of the value in the error message.
            values: the single values that it is written as; None if it is a single value itself.

        Raises:
            InvalidValue: the value isn't JSON-like.
            TooLarge: the value is larger than the server accepts.
        """
        prepared, limits = checked(value, what), self.limits
        size = len(_json(prepared).encode())
        if size > limits.frame_bytes - limits.frame_bytes // _FRAME_SHARE:
            raise TooLarge(
                f"{what} has {size} bytes, and the server takes {limits.frame_bytes} at once; keep large files "
                "elsewhere, and write their address."
            )
        if size > limits.structs // 2 and (count := _count(prepared)) > limits.structs // 2:
            raise TooLarge(
                f"{what} has {count} values, and the server takes {limits.structs} things at once; write it in parts."
            )
        if size > min(limits.value_bytes, limits.value_entries):  # an entry has at least one byte
            for one in (prepared,) if values is None else values:
                _check_value(one, what, limits)

    def check_text(self, text: object, what: str) -> None:
        """Check that a value is a text that fits a frame that the server accepts; raises as `check_fits` does."""
        self.check_fits(checked_text(text, what), what)

    def check_names(self, what: str, *names: object) -> None:
        """Check that values are valid names (ids, keys), which are used as parts of keys.

        Args:
            what: their name in the error message.
            names: the values to check.

        Raises:
            InvalidValue: one is no text, or is empty.
            TooLarge: one is longer than the server accepts.
        """
        most = self.limits.frame_bytes // _NAME_SHARE
        for name in names:
            if (size := len(checked_id(name, what).encode())) > most:
                raise TooLarge(f"{what} has {size} bytes, and the server takes {most}; use a shorter name.")

    def check_may(self, *capabilities: str) -> None:
        """Check that we have a capability, as far as the server has sent the grant.

        Args:
            capabilities: the alternatives, of which one is enough.

        Raises:
            NotAllowed: none of them was granted.
        """
        if not any(map(self._me.may, capabilities)):
            needed = " or ".join(f"`{one}`" for one in capabilities)
            raise NotAllowed(f"This takes the capability {needed}; ask for a token that has it.", needs=capabilities)

    def lost(self, document: SessionDocument) -> WriteRefused | None:
        """Return the refusal that replaced a document of this session, or None while it is the current one."""
        last = None if document is self.document else self._last
        if last is not None:
            self._unread = None
        return None if last is None else WriteRefused(last)

    def replica(self) -> Replica:
        """Return the replica that the next connection syncs: the fresh one, if there is one."""
        return self._fresh[1] if self._fresh else self._replica

    def heard(self) -> None:
        """Process the grant, the notices, and the fresh document once it has arrived."""
        if (grant := self.replica().grant) is not None:
            self._me = Identity.granted(grant)
        notices = self.replica().notices
        while notices:
            self._decisions.hear(notices.pop(0))
        if self._fresh is not None and self._fresh[1].synced:
            self._replace(*self._fresh)

    def refused(self, code: int, reason: str) -> bool:
        """Begin with a fresh document after a refused write, of this client or others; return whether possible.

        In Yjs a single edit can't be reverted. The old document stays in place until the server's document has
        arrived. Others' writes are refused if a crash made the server lose them: their own clients send them again.
        """
        old = self._replica
        if self._fresh is not None or not old.answered or code not in OF_WRITING or not self._may_begin_anew():
            return False
        said = old.notice or Notice("", reason)
        self._begin_anew(Refusal(said.code, code, reason, said.touched))
        return True

    def broken(self, reason: str) -> bool:
        """Begin with a fresh document when an update or observer broke this one; return whether that is possible."""
        if self._fresh is not None or not self._may_begin_anew():
            return False
        self._begin_anew(Refusal("document.broken", RoomBroken.close_code, reason))
        return True

    def _may_begin_anew(self) -> bool:
        """Return whether another document may replace this one: a program that breaks each one is stopped."""
        now = time.monotonic()
        self._refused_at = [at for at in self._refused_at if now - at < REFUSALS_SECONDS] + [now]
        return len(self._refused_at) <= MOST_REFUSALS

    def _begin_anew(self, refusal: Refusal) -> None:
        document = SessionDocument(WatchedDoc(fresh_client_id()))
        self.presence.move(document.doc.client_id)
        self._fresh = document, Replica(document.doc, self.presence, wake=self._transport.wake), refusal

    def _replace(self, document: SessionDocument, replica: Replica, refusal: Refusal) -> None:
        """Replace the old document by the fresh one, and report the writes that only the old one has."""
        self._fresh = None
        was_saved = self._replica.saved
        self._replica.release()
        self._asked.close()
        again = self._asked.taken(document)
        saved = {self.document.doc.client_id: self._replica.saved_clock}
        update, texts = self._unsaved(decode_state_vector(document.doc.get_state()), document, saved)
        self._last = replace(refusal, lost=texts, update=update)
        self.document, self._replica = document, replica
        self._clients.append(document.doc.client_id)
        self._asked = Asked(document, replica)
        for wish in again:
            document.requests.put(wish.kind, *wish.subject, participant=wish.participant, value=wish.value)
        self._on_replaced()
        if not was_saved or texts:
            self._tell(self._last)

    def _tell(self, refusal: Refusal) -> None:
        """Report a refusal to the application. Lost writes that it doesn't hear of are reported when it leaves."""
        if self._on_refused(refusal):
            return
        log.warning("client.refused", session=self._session, code=refusal.code, reason=refusal.reason)
        if refusal.final:
            self._unread = refusal

    def _unsaved(
        self,
        has: Mapping[int, int],
        fresh: SessionDocument | None = None,
        saved: Mapping[int, int] | None = None,
    ) -> tuple[bytes, tuple[str, ...]]:
        """Return our writes that a state vector lacks; nothing where the document can't be read any more."""
        try:
            return unsaved(self.document, self._clients, has, fresh, saved)
        except BaseException as error:
            if isinstance(error, Exception) or is_crdt_error(error):
                log.exception("client.unsaved_unread", session=self._session)
                return b"", ()
            raise

    def _lost_words(self) -> tuple[str, ...]:
        """Return the texts that were written here, and that the server is not known to have."""
        if self.saved:
            return ()
        with suppress(Exception):
            doc = self.document.doc
            return self._unsaved(decode_state_vector(doc.get_state()) | {doc.client_id: self._replica.saved_clock})[1]
        return ()

    def go_on(self) -> None:
        """Check that the session is open.

        Raises:
            Disconnected: the session is over.
        """
        if self.ended is not None:
            raise self.ended

    def close(self) -> None:
        """End the session for the application; what was written is sent until the block has ended."""
        if self.ended is None:
            self._closed = Disconnected("The session is closed: `close()` was called.")
            self.bell.ring()

    def reconnect(self, token: Token | None) -> None:
        """Connect at once, also after the server has ended the session.

        Args:
            token: the token to use from now on; None keeps the one before.

        Raises:
            Disconnected: this client has closed the session.
        """
        if self._closed is not None or self._tasks is None:
            raise self._closed or Disconnected("The session isn't open; enter its `async with` block.")
        if self._transport.reconnect(token):
            self._keeping = self._tasks.create_task(self._keep(), name=f"cosession {self._session}")

    async def wait_synced(self) -> None:
        """Wait until the document is that of the server; raises Disconnected when the session is over before that."""
        while not self.synced:
            self.go_on()
            await self.bell.wait()

    async def wait_saved(self) -> None:
        """Wait until the server has committed everything that was written here before this call.

        Raises:
            Disconnected: the session is over before that.
            WriteRefused: the server refused one of these writes.
        """
        replica, document, edits = self._replica, self.document, self._replica.edits
        if replica.is_open:
            raise RuntimeError("What is written in a transaction is saved after it; leave its `with` block first.")
        while replica.saved_edits < edits or (self._transport.ended is not None and not replica.saved):
            if self._transport.ended is not None:
                raise self._transport.ended
            if (why := self.lost(document)) is not None:
                raise why
            await self.bell.wait()

    async def confirm(self) -> None:
        """Wait until the server has committed all of its own writes up to now.

        A client acts on a grant only after that: a server that is killed before may grant the same to another client.
        Raises as `wait_saved` does.
        """
        self.go_on()
        self._replica.confirm()
        await self.wait_saved()

    async def until(self, condition: Callable[[], T | None], document: SessionDocument, *roots: str) -> T:
        """Wait until a condition holds in a document, and return the condition's result.

        Args:
            condition: called at once, and whenever a root has changed; None or False means not yet.
            document: the document to watch.
            roots: the roots that the condition reads.

        Raises:
            Disconnected: the session is over.
            WriteRefused: another document replaced this one.
        """
        with document.observe(lambda _: self.bell.ring(), *roots):
            while not (found := condition()):
                self.go_on()
                if (why := self.lost(document)) is not None:
                    raise why
                await self.bell.wait()
        return found

    @asynccontextmanager
    async def live(self, url: str, wait_seconds: float | None) -> AsyncGenerator[None, None]:
        """Keep the session connected for the length of a block, once.

        Args:
            url: the server's address, for the error message when there is no server.
            wait_seconds: how long to wait for the document.

        Raises:
            TimedOut: no document came in that time.
            Disconnected: the server refused, or the last writes aren't saved; the latter only when the block ended
                normally.
            WriteRefused: the server refused writes, and the application hasn't read that; only when the block ended
                normally.
        """
        failure: Exception | None = None
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            self._keeping = tasks.create_task(self._keep(), name=f"cosession {self._session}")
            try:
                await self._open(url, wait_seconds)
                yield
            except Exception as error:  # a task group would wrap it; raised unwrapped below
                failure = error
            finally:
                try:
                    not_saved = await self._close()
                    failure = failure or not_saved
                finally:
                    self._tasks = None
                    self._keeping.cancel()
                    self._replica.release()
                    self._asked.close()
        if failure is not None:
            raise failure

    async def _open(self, url: str, seconds: float | None) -> None:
        """Wait for the document, and longer while pieces of it arrive; the size limit of a document bounds that."""
        most = 0
        while self.status == "connecting":
            try:
                async with asyncio.timeout(seconds):
                    while self.status == "connecting":
                        await self.bell.wait()
            except TimeoutError:
                came, most = self._replica.pieces > most, max(most, self._replica.pieces)
                if came:
                    continue
                trouble = f" The last try ended so: {self._transport.trouble}" if self._transport.trouble else ""
                raise TimedOut(
                    f"No session came from {url} in {seconds} s; is the server running there?{trouble}"
                ) from None
        self.go_on()

    async def _close(self) -> Disconnected | WriteRefused | None:
        """Wait a little for writes to be saved, then end the session; return an error if some aren't saved."""
        why = f"nothing came back from the server within {FLUSH_SECONDS:g} s."
        try:
            self._transport.hurry()
            async with asyncio.timeout(FLUSH_SECONDS):
                while not self.saved:  # other tasks may still write, as when they are cancelled
                    if self._transport.ended is not None:
                        raise self._transport.ended
                    await self.bell.wait()
        except TimeoutError:
            pass
        except Disconnected as error:
            why = str(error)
        finally:
            if not self.saved:
                log.warning("client.unsaved", session=self._session, status=self.status)
            close = self._transport.ended.close if self._transport.ended else None
            self.presence.leave()
            with suppress(TimeoutError):
                async with asyncio.timeout(GOODBYE_SECONDS):
                    await self._transport.flush()
            self._transport.end(Disconnected("The session is closed: its `async with` block has ended."))
        if self.saved:
            return None if self._unread is None else WriteRefused(self._unread)
        return Disconnected(f"What was written last may not be saved: {why}", close, self._lost_words())

    async def _keep(self) -> None:
        try:
            await self._transport.run()
        finally:
            # However it ended: unsaved writes are reported, and no task waits for a connection that isn't kept.
            self._transport.end(Disconnected("The session's connection isn't kept any more."))
            if self._transport.ended is not None and not self._transport.ended.lost:
                self._transport.ended.lost = self._lost_words()


_ENTRY_BYTES = 9
"""The bytes that a key or a value may need in an update beyond those in JSON."""


def leaves(value: object) -> Iterator[object]:
    """Yield the single values of a value that is written as shared types."""
    if isinstance(value, Mapping):
        for item in cast("Mapping[object, object]", value).values():
            yield from leaves(item)
    elif isinstance(value, (list, tuple)):
        for item in cast("Sequence[object]", value):
            yield from leaves(item)
    else:
        yield value


def _check_value(value: object, what: str, limits: Limits) -> None:
    """Check that the server accepts a single value.

    Raises:
        TooLarge: the value is too large.
    """
    text = value if isinstance(value, str) else _json(value)
    size = len(text) * 4
    if size > limits.value_bytes - _ENTRY_BYTES:
        size = len(text.encode()) + _ENTRY_BYTES * (1 + _entries(value))
    if size > limits.value_bytes:
        raise TooLarge(
            f"{what} holds a value of about {size} bytes, and the server takes {limits.value_bytes}; write several "
            "values, or keep large files elsewhere and write their address."
        )
    if isinstance(value, str) or len(text) <= limits.value_entries:
        return
    entries = _entries(value)
    if entries > limits.value_entries:
        raise TooLarge(
            f"{what} holds a value of {entries} keys and values, and the server takes {limits.value_entries}; write "
            "a shared map or list (as `state` does), or several values."
        )


def _entries(value: object) -> int:
    """Return the number of keys and values in a checked value."""
    if isinstance(value, dict):
        return sum(2 + _entries(item) for item in cast("dict[str, object]", value).values())
    return sum(1 + _entries(item) for item in cast("list[object]", value)) if isinstance(value, list) else 0


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _count(value: object) -> int:
    """Return the number of values in a checked value, itself included."""
    if isinstance(value, dict):
        return 1 + sum(map(_count, cast("dict[str, object]", value).values()))
    return 1 + sum(map(_count, cast("list[object]", value))) if isinstance(value, list) else 1
