"""A session's tie to its server, from the first sync to the last commit: document, presence and transport as one.

Inside `live` there is one background task, which keeps the connection, and none after it. What is written while the
network is away is kept in the document and goes out when it is back.
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
from cosession.errors import Disconnected, NotAllowed, RoomBroken, TooLarge, WriteRefused, is_crdt_error
from cosession.logs import get_logger
from cosession.protocol import Limits, Notice, decode_state_vector

from .credential import Credential
from .identity import Me
from .ids import fresh_client_id
from .presence import Presence
from .refusal import MOST_REFUSALS, OF_WRITING, REFUSALS_SECONDS, Refusal
from .replica import Replica
from .request import Decisions, Request
from .request_replay import Asked
from .signal import Signal
from .transport import Status, Transport
from .unsaved_text import unsaved
from .watched import WatchedDoc

log = get_logger(__name__)

T = TypeVar("T")

GOODBYE_SECONDS = 1.0
"""How long saying goodbye may take: on a line that takes nothing any more, what is held is free a grace later."""

FLUSH_SECONDS = 5.0
"""How long leaving waits for what was written to be saved: a commit takes milliseconds, a stuck disk for ever."""

_FRAME_SHARE = 64
"""The part of a frame that is left for what is around a value: its names, ids and places."""


_NAME_SHARE = 16
"""The part of a frame that a name may take: a key may hold several of them, percent-encoded."""


class SessionLink:
    """One session's tie to its server.

    Attributes:
        document: the session. Another one takes its place after a refusal.
        presence: what this connection says of itself, and what the others say.
        bell: rung when the status, presence or what is saved changes.
    """

    def __init__(
        self,
        session: str,
        user: dict[str, Any],
        url: str,
        credential: Credential,
        *,
        on_refused: Callable[[Refusal], None] | None,
        on_replaced: Callable[[], None],
        client_id: int | None = None,
    ) -> None:
        """Prepare; `live` opens it.

        Args:
            session: the session's id, for the log.
            user: who we are.
            url: the socket's address.
            credential: what is shown at the door.
            on_refused: told what a refusal of something written here cost; None ends the session instead.
            on_replaced: called when `document` has become another one.
            client_id: the Yjs client id of the first document; None draws one.
        """
        self.bell = Signal()
        self._session = session
        self._on_refused = on_refused
        self._on_replaced = on_replaced
        self._me = Me(user["id"], user["name"], user["kind"])
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
        """The ids under which was written here; what a refused document had may be in the next one, unsaved."""
        self._fresh: tuple[SessionDocument, Replica, Refusal] | None = None
        self._refused_at: list[float] = []
        self._last: Refusal | None = None

    @property
    def status(self) -> Status:
        """Where the connection stands."""
        return self._transport.status

    @property
    def away_seconds(self) -> float:
        """For how long there has been no connection."""
        return 0.0 if self.status == "online" else time.monotonic() - self._transport.offline_at

    @property
    def ended(self) -> Disconnected | None:
        """Why it is over, or None while it isn't."""
        return self._transport.ended

    @property
    def saved(self) -> bool:
        """Whether the server has committed everything that was written here."""
        return self._replica.saved

    @property
    def breaks(self) -> int:
        """How many connections have ended."""
        return self._transport.breaks

    @property
    def limits(self) -> Limits:
        """How much the server takes at once."""
        return self._replica.limits

    @property
    def writers(self) -> Collection[int] | None:
        """The Yjs clients that wrote what changes right now; None where it was written here."""
        return self._replica.writers if self._replica.applying else None

    @property
    def me(self) -> Me:
        """Who we are, as the server verified, or, until it says so, as was asked for."""
        return self._me

    def decide(self, asked: Wish) -> Request:
        """Note that the server was asked to decide something in the document that there is now."""
        return self._decisions.ask(self, self.document, asked)

    def check_fits(self, value: object, what: str, values: Iterable[object] | None = None) -> None:
        """Go on only if what can't be cut fits a frame that the server takes.

        Args:
            value: what is to be written.
            what: how the error's sentence names it.
            values: the single values in it, as which it is written; None: it is one itself.

        Raises:
            BadDocument: it isn't JSON-like.
            TooLarge: it is larger than the server takes.
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
        if size > min(limits.value_bytes, limits.value_entries):  # an entry has a byte at least
            for one in (prepared,) if values is None else values:
                _check_value(one, what, limits)

    def check_text(self, text: object, what: str) -> None:
        """Go on only if something is a text that fits a frame that the server takes; raises as `check_fits` does."""
        self.check_fits(checked_text(text, what), what)

    def check_names(self, what: str, *names: object) -> None:
        """Go on only if these can be names (ids, keys), which are parts of keys.

        Args:
            what: how the error's sentence names them.
            names: what is to be one.

        Raises:
            BadDocument: one is no text, or is empty.
            TooLarge: one is longer than the server takes.
        """
        most = self.limits.frame_bytes // _NAME_SHARE
        for name in names:
            if (size := len(checked_id(name, what).encode())) > most:
                raise TooLarge(f"{what} has {size} bytes, and the server takes {most}; use a shorter name.")

    def check_may(self, *capabilities: str) -> None:
        """Go on only if we may do something, as far as the server has said it.

        Args:
            capabilities: of which one is enough.

        Raises:
            NotAllowed: none of them was granted.
        """
        if not any(map(self._me.may, capabilities)):
            needed = " or ".join(f"`{one}`" for one in capabilities)
            raise NotAllowed(f"This takes the capability {needed}; ask for a token that has it.", needs=capabilities)

    def lost(self, document: SessionDocument) -> WriteRefused | None:
        """Return why what is written into a document of this session gets nowhere, or None when it doesn't."""
        last = None if document is self.document else self._last
        return None if last is None else WriteRefused(last.reason, last.code, last.lost)

    def replica(self) -> Replica:
        """What the next connection is for."""
        return self._fresh[1] if self._fresh else self._replica

    def heard(self) -> None:
        """Take over what the server says of us, and its document when that has come anew."""
        if (grant := self.replica().grant) is not None:
            self._me = Me.granted(grant)
        notices = self.replica().notices
        while notices:
            self._decisions.hear(notices.pop(0))
        if self._fresh is not None and self._fresh[1].synced:
            self._replace(*self._fresh)

    def refused(self, code: int, reason: str) -> bool:
        """Begin with a fresh document when something that was written here was refused, or that others wrote.

        In Yjs one edit can't be taken back alone. Until the server's document is here the old one stays in its place.
        What others wrote is refused where a crash made the server lose it: they bring it back, not we.
        """
        old = self._replica
        if self._fresh is not None or not old.answered or code not in OF_WRITING or not self._may_begin_anew():
            return False
        said = old.notice or Notice("", reason)
        self._begin_anew(Refusal(code, said.code, reason, said.touched))
        return True

    def broken(self, reason: str) -> bool:
        """Begin with a fresh document when an update, or its observer, broke this one; False when it may not be."""
        if self._fresh is not None or not self._may_begin_anew():
            return False
        self._begin_anew(Refusal(RoomBroken.close_code, "document.broken", reason))
        return True

    def _may_begin_anew(self) -> bool:
        """Whether another document may take the place of this one: a program that breaks each one is stopped."""
        now = time.monotonic()
        self._refused_at = [at for at in self._refused_at if now - at < REFUSALS_SECONDS] + [now]
        return (self._on_refused is not None or self._replica.saved) and len(self._refused_at) <= MOST_REFUSALS

    def _begin_anew(self, refusal: Refusal) -> None:
        document = SessionDocument(WatchedDoc(fresh_client_id()))
        self.presence.move(document.doc.client_id)
        self._fresh = document, Replica(document.doc, self.presence, wake=self._transport.wake), refusal

    def _replace(self, document: SessionDocument, replica: Replica, refusal: Refusal) -> None:
        """Put the fresh document in the place of the old one, and tell what only that one has."""
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
        if self._on_refused is not None and not (was_saved and not texts):
            self._tell(self._last)

    def _tell(self, refusal: Refusal) -> None:
        """Tell the application of a refusal. What it raises, a cancellation of its own too, ends nothing here."""
        if self._on_refused is None:
            return
        try:
            self._on_refused(refusal)
        except (Exception, asyncio.CancelledError):
            log.exception("client.refusal_unheard", session=self._session)

    def _unsaved(
        self,
        has: Mapping[int, int],
        fresh: SessionDocument | None = None,
        saved: Mapping[int, int] | None = None,
    ) -> tuple[bytes, tuple[str, ...]]:
        """What was written here and a state vector lacks; nothing where the document can't be read any more."""
        try:
            return unsaved(self.document, self._clients, has, fresh, saved)
        except BaseException as error:
            if isinstance(error, Exception) or is_crdt_error(error):
                log.exception("client.unsaved_unread", session=self._session)
                return b"", ()
            raise

    def _lost_words(self) -> tuple[str, ...]:
        """The texts that were written here, and that the server is not known to have."""
        if self.saved:
            return ()
        with suppress(Exception):
            doc = self.document.doc
            return self._unsaved(decode_state_vector(doc.get_state()) | {doc.client_id: self._replica.saved_clock})[1]
        return ()

    def go_on(self) -> None:
        """Go on only if it isn't over.

        Raises:
            Disconnected: it is.
        """
        if self.ended is not None:
            raise self.ended

    async def wait_saved(self) -> None:
        """Wait until the server has committed everything that was written here before this call.

        Raises:
            Disconnected: it is over before that.
            WriteRefused: the server refused something of it.
        """
        replica, document, edits = self._replica, self.document, self._replica.edits
        if replica.is_open:
            raise RuntimeError("What is written in a transaction is saved after it; leave its `with` block first.")
        while replica.saved_edits < edits or (self.ended is not None and not replica.saved):
            self.go_on()
            if (why := self.lost(document)) is not None:
                raise why
            await self.bell.wait()

    async def confirm(self) -> None:
        """Wait until the server has committed all that it has written itself up to now.

        Who was granted something acts only then: a server that is killed before that may grant it to another.
        Raises as `wait_saved` does.
        """
        self.go_on()
        self._replica.confirm()
        await self.wait_saved()

    async def until(self, condition: Callable[[], T | None], document: SessionDocument, *roots: str) -> T:
        """Wait until something holds in a document, and return what the condition gives then.

        Args:
            condition: asked at once, and whenever a root has changed; None or False is not yet.
            document: the document that it is about.
            roots: the roots that it reads.

        Raises:
            Disconnected: the session is over.
            WriteRefused: another document took the place of this one.
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
        """Be connected for the length of a block, once.

        Args:
            url: the server's address, for the error that says that nobody is there.
            wait_seconds: how long to wait for the document.

        Raises:
            Disconnected: the server refused, there was none, or what was written last isn't saved; the last only
                when the block ended normally.
        """
        failure: Exception | None = None
        async with asyncio.TaskGroup() as tasks:
            keeping = tasks.create_task(self._keep(), name=f"cosession {self._session}")
            try:
                await self._open(url, wait_seconds)
                yield
            except Exception as error:  # a task group would wrap it; it is raised as it is below
                failure = error
            finally:
                try:
                    not_saved = await self._close()
                    failure = failure or not_saved
                finally:
                    keeping.cancel()
                    self._replica.release()
                    self._asked.close()
        if failure is not None:
            raise failure

    async def _open(self, url: str, seconds: float | None) -> None:
        """Wait for the document, for longer while pieces of it come: a document has a bound, and so has that."""
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
                raise Disconnected(
                    f"No session came from {url} in {seconds} s; is the server running there?{trouble}"
                ) from None
        self.go_on()

    async def _close(self) -> Disconnected | None:
        """Wait a little for what was written to be saved, then say that it is over; return what isn't saved."""
        why = f"nothing came back from the server within {FLUSH_SECONDS:g} s."
        try:
            self._transport.hurry()
            async with asyncio.timeout(FLUSH_SECONDS):
                while not self.saved:  # other tasks may still write, as when they are cancelled
                    await self.wait_saved()
        except TimeoutError:
            pass
        except (Disconnected, WriteRefused) as error:
            why = str(error)
        finally:
            if not self.saved:
                log.warning("client.unsaved", session=self._session, status=self.status)
            close = self.ended.close if self.ended else None
            self.presence.leave()
            with suppress(TimeoutError):
                async with asyncio.timeout(GOODBYE_SECONDS):
                    await self._transport.flush()
            self._transport.end(Disconnected("The session is closed: its `async with` block has ended."))
        if self.saved:
            return None
        return Disconnected(f"What was written last may not be saved: {why}", close, self._lost_words())

    async def _keep(self) -> None:
        try:
            await self._transport.run()
        finally:
            # However it ended: what isn't saved is said, and nothing waits for a connection that nobody keeps.
            self._transport.end(Disconnected("The session's connection isn't kept any more."))
            if self.ended is not None and not self.ended.lost:
                self.ended.lost = self._lost_words()


_ENTRY_BYTES = 9
"""What a key or a value may have in an update besides what it has in JSON."""


def leaves(value: object) -> Iterator[object]:
    """Give the single values of what becomes shared types."""
    if isinstance(value, Mapping):
        for item in cast("Mapping[object, object]", value).values():
            yield from leaves(item)
    elif isinstance(value, (list, tuple)):
        for item in cast("Sequence[object]", value):
            yield from leaves(item)
    else:
        yield value


def _check_value(value: object, what: str, limits: Limits) -> None:
    """Check that the server takes a single value.

    Raises:
        TooLarge: it doesn't.
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
    """How many keys and values are in a checked value."""
    if isinstance(value, dict):
        return sum(2 + _entries(item) for item in cast("dict[str, object]", value).values())
    return sum(1 + _entries(item) for item in cast("list[object]", value)) if isinstance(value, list) else 0


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _count(value: object) -> int:
    """How many values a checked value holds, itself and all that is in it."""
    if isinstance(value, dict):
        return 1 + sum(map(_count, cast("dict[str, object]", value).values()))
    return 1 + sum(map(_count, cast("list[object]", value))) if isinstance(value, list) else 1
