"""A session's tie to its server, from the first sync to the last commit: document, presence and transport as one.

Inside `live` there is one background task, which keeps the connection, and none after it. What is written while the
network is away is kept in the document and goes out when it is back.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from cosession.document import SessionDocument
from cosession.errors import Disconnected
from cosession.logs import get_logger

from .bell import Bell
from .credential import Credential
from .presence import Presence
from .replica import Replica
from .transport import Status, Transport

log = get_logger(__name__)

FLUSH_SECONDS = 5.0
"""How long leaving waits for what was written to be saved: a commit takes milliseconds, a stuck disk for ever."""


class Link:
    """One session's tie to its server.

    Attributes:
        presence: what this connection says of itself, and what the others say.
        bell: rung when the status, presence or what is saved changes.
    """

    def __init__(
        self, session: str, document: SessionDocument, user: dict[str, Any], url: str, credential: Credential
    ) -> None:
        """Prepare; `live` opens it.

        Args:
            session: the session's id, for the log.
            document: the session; its client id is ours alone.
            user: who we are.
            url: the socket's address.
            credential: what is shown at the door.
        """
        self.bell = Bell()
        self._session = session
        self._transport = Transport(url, credential=credential, bell=self.bell)
        wake = self._transport.wake
        self.presence = Presence(document.doc.client_id, user, wake=wake, changed=self.bell.ring)
        self._replica = Replica(document.doc, self.presence, wake=wake)

    @property
    def status(self) -> Status:
        """Where the connection stands."""
        return self._transport.status

    @property
    def ended(self) -> Disconnected | None:
        """Why it is over, or None while it isn't."""
        return self._transport.ended

    @property
    def saved(self) -> bool:
        """Whether the server has committed everything that was written here."""
        return self._replica.saved

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
        """
        edits = self._replica.edits
        while self._replica.saved_edits < edits:
            self.go_on()
            await self.bell.wait()

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
        unsaved: Disconnected | None = None
        async with asyncio.TaskGroup() as tasks:
            keeping = tasks.create_task(self._keep(), name=f"cosession {self._session}")
            try:
                await self._open(url, wait_seconds)
                yield
            except Exception as error:  # a task group would wrap it; it is raised as it is below
                failure = error
            finally:
                try:
                    unsaved = await self._close()
                finally:
                    keeping.cancel()
        if (why := failure or unsaved) is not None:
            raise why

    async def _open(self, url: str, seconds: float | None) -> None:
        """Wait for the document."""
        try:
            async with asyncio.timeout(seconds):
                while self.status == "connecting":
                    await self.bell.wait()
        except TimeoutError:
            raise Disconnected(f"No session came from {url} in {seconds} s; is the server running there?") from None
        self.go_on()

    async def _close(self) -> Disconnected | None:
        """Wait a little for what was written to be saved, then say that it is over; return what isn't saved."""
        why = f"nothing came back from the server within {FLUSH_SECONDS:g} s."
        try:
            self._transport.hurry()
            async with asyncio.timeout(FLUSH_SECONDS):
                await self.wait_saved()
        except TimeoutError:
            pass
        except Disconnected as error:
            why = str(error)
        finally:
            if not self.saved:
                log.warning("client.unsaved", session=self._session, status=self.status)
            close = self.ended.close if self.ended else None
            self._transport.end(Disconnected("The session is closed: its `async with` block has ended."))
        return None if self.saved else Disconnected(f"What was written last may not be saved: {why}", close)

    async def _keep(self) -> None:
        try:
            await self._transport.run(self._replica)
        finally:
            self._replica.release()
