"""A connection: a channel of one participant in a room, with a bound on everything that waits for it.

States: open → closing (with an error as the reason) → closed. The caller of `serve` runs its reading half; the
writing half is a task only while frames wait for a slow reader.
"""

import asyncio
import time
from typing import TYPE_CHECKING, Protocol

from pycrdt import Channel

from cosession.auth import Participant
from cosession.errors import CosessionError, ShuttingDown
from cosession.logs import Sparingly, get_logger
from cosession.room.send_queue import SendQueue
from cosession.settings import Settings

from .reader import FrameReader, Receiver
from .ticker import Ticker
from .writer import FrameWriter

if TYPE_CHECKING:
    from .token_expiry import TokenExpiry


log = get_logger(__name__)

_closings = Sparingly()


class Host(Receiver, Protocol):
    """The methods of a room that its connections need."""

    def take(self, outbox: SendQueue) -> list[bytes]:
        """Empty an outbox and return the frames to send."""
        ...


class Connection:
    """One socket of a participant, in a room.

    Args:
        number: its number, unique in this process.
        channel: the channel of its frames.
        participant: the participant that it belongs to.
        extended: whether it understands notices and fences.
        settings: the limits.
        pulse: the ticker of its keep-alive frames.
        rollup_seconds: how long frames to it are gathered before they are sent; 0 sends at once.
        client: the Yjs client id of its replica, if it named one; else 0.

    Attributes:
        lease: the expiry of its token, once it is in a room.
        writer: writes its outgoing frames.
    """

    __slots__ = ("_reader", "_session", "client", "extended", "lease", "number", "participant", "writer")

    def __init__(
        self,
        number: int,
        channel: Channel,
        participant: Participant,
        extended: bool,
        settings: Settings,
        pulse: Ticker,
        rollup_seconds: float = 0.0,
        client: int = 0,
    ) -> None:
        self.number = number
        self._session = channel.path.strip("/")
        self.participant = participant
        self.extended = extended
        self.client = client
        self.lease: TokenExpiry | None = None
        self.writer = FrameWriter(number, channel, extended, settings, pulse, rollup_seconds)
        self._reader = FrameReader(number, channel, self.writer, settings)

    @property
    def is_ending(self) -> bool:
        """Whether no more frames of it are handled."""
        return self._reader.is_closed

    def end(self, error: CosessionError) -> None:
        """Close the connection with an error; the first error stands."""
        if self.writer.finish(error):
            self._reader.close()
            self._log(error)

    def _log(self, error: CosessionError) -> None:
        """Log the reason of the end; only so many for one participant, which may come back as often as it likes."""
        who = self.participant.id
        omitted = _closings.admit(who, time.monotonic())
        if omitted is None or isinstance(error, ShuttingDown):
            return
        log.info(
            "connection.closed",
            session=self._session,
            participant=who,
            connection=self.number,
            code=error.close_code,
            error=error.code,
            size=self._reader.size,
            omitted=omitted,
        )

    async def serve(self, host: Host) -> None:
        """Carry frames until either side ends it."""
        try:
            async with asyncio.TaskGroup() as group:
                self.writer.open(group, host.take, self.end, self._reader.stop)
                try:
                    await self._reader.run(host, self.end)
                finally:
                    self.writer.leave()
        finally:
            self.writer.close()
