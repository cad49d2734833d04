"""A channel: the transport of a connection, and the notice with which it is closed.

Any pycrdt `Channel` will do (`path`, `send`, `recv`, iteration), with an optional `close(code, reason)`; an exception
from it means that the other side is gone. A `DirectChannel` also passes frames in and out without a task in between,
as long as no frame waits: that is the path of a token.
"""

from abc import abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from pycrdt import Channel

from cosession.errors import CosessionError, NotAllowed
from cosession.logs import get_logger
from cosession.protocol import Notice, encode_frame

_REASON_BYTES = 123
"""A close frame has 125 bytes, two of which are the code."""

Write: TypeAlias = Callable[[bytes], None]
"""A function that puts bytes on the wire at once."""

Pack: TypeAlias = Callable[[Sequence[bytes]], bytes]
"""A function that makes the bytes for the wire out of frames."""

log = get_logger(__name__)


class DirectChannel(Channel):
    """A channel that can be used without a task of one's own: the fast way in and out."""

    @staticmethod
    @abstractmethod
    def pack(frames: Sequence[bytes]) -> bytes:
        """Make the bytes for the wire: the same for all channels of this kind, so they are made once for many."""
        ...

    @abstractmethod
    def follow(self, on_change: Callable[[Write | None], None] | None) -> None:
        """Report the way to write, now and at every change: None while the other side reads too slowly.

        Args:
            on_change: is called with it; None ends the reports.
        """
        ...

    @abstractmethod
    def listen(self, receiver: Callable[[bytes], bool] | None) -> None:
        """Pass the next frames to the receiver as they come, unless some wait to be iterated; None: keep them.

        A frame that the receiver rejects (it returns False) is kept.
        """
        ...

    @abstractmethod
    def abort(self) -> None:
        """Drop the connection without waiting for the other side."""
        ...


def direct(channel: Channel) -> DirectChannel | None:
    """Return the channel as a `DirectChannel`, if it is one."""
    return channel if isinstance(channel, DirectChannel) else None


async def refuse(channel: Channel, error: CosessionError, *, extended: bool) -> None:
    """Notify the other side of a channel why it is closed, and close it.

    Args:
        channel: the channel; its `close(code, reason)` is called if it has one.
        error: the reason.
        extended: whether it understands a notice.
    """
    close: Callable[[int, str], Awaitable[None]] | None = getattr(channel, "close", None)
    try:
        if extended:
            touched = error.touched if isinstance(error, NotAllowed) else ""
            await channel.send(encode_frame(Notice(error.code, str(error), touched)))
        if close is not None:
            await close(error.close_code, _close_reason(error))
    except Exception as failure:
        log.debug("connection.lost", error=repr(failure))


def _close_reason(error: CosessionError) -> str:
    """Return the sentence of an error, cut to the size of a close frame."""
    return str(error).encode()[:_REASON_BYTES].decode(errors="ignore")
