"""Frames that many sockets are sent, in memory from which the kernel sends by itself.

When hundreds join a large session, half of the time goes into copying its bytes to each socket. So a frame that is
sent for the second time is put into a file without a name (Linux's memfd), from which it is sent by `sendfile`: the
sockets share its pages. Where that can't be done (other systems, TLS, too much in such files) it is copied.

What is known of a frame is kept with it, as its `wire`: None, then `_SENT_ONCE`, then its `MemoryFile` or `_COPIED`.
"""

import asyncio
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from weakref import WeakSet, finalize

from uvicorn.protocols.utils import is_ssl

from cosession.room.sync_reply import SharedFrame

_MOST_FILES = 128
_MOST_BYTES = 64 * 2**20
"""What is in such files at once: connections need files as well, and all of it is memory."""

_LEAST_BYTES = 32_768
"""Below it a copy costs no more than the file."""

_SENT_ONCE = object()
_COPIED = object()


class MemoryFile:
    """Bytes in a file without a name.

    Args:
        data: what is in it.

    Attributes:
        size: in bytes.

    Raises:
        OSError: there is no such file to be had.
    """

    __slots__ = ("__weakref__", "_file", "size")

    def __init__(self, data: bytes) -> None:
        self.size = len(data)
        taken = sum(file.size for file in _open)
        # Not every Python for Linux has it: those that are built for old systems don't.
        if not hasattr(os, "memfd_create") or len(_open) >= _MOST_FILES or taken + self.size > _MOST_BYTES:
            raise OSError("No file for shared memory.")
        self._file = os.memfd_create("cosession-frame")
        finalize(self, os.close, self._file)
        if os.write(self._file, data) < self.size:
            raise OSError("The memory for a shared frame is full.")
        _open.add(self)

    def write_to(self, transport: asyncio.Transport) -> None:
        """Write them to a transport that is not encrypted."""
        sent = 0
        if not transport.get_write_buffer_size():
            try:
                sent = os.sendfile(transport.get_extra_info("socket").fileno(), self._file, 0, self.size)
            except OSError:  # it is full or gone, which the transport handles
                sent = 0
        if sent < self.size:
            transport.write(os.pread(self._file, self.size - sent, sent))


_open: WeakSet[MemoryFile] = WeakSet()


def write_shared(transport: asyncio.Transport, frame: SharedFrame, pack: Callable[[Sequence[bytes]], bytes]) -> None:
    """Write a frame that other sockets may be sent as well.

    Args:
        transport: of the socket.
        frame: what is sent.
        pack: makes the bytes for the wire out of it.
    """
    can_share = len(frame) >= _LEAST_BYTES and not is_ssl(transport)
    if frame.wire is None:
        frame.wire = _SENT_ONCE
    elif frame.wire is _SENT_ONCE and can_share:
        frame.wire = _COPIED
        with suppress(OSError):
            frame.wire = MemoryFile(pack((frame,)))
    if can_share and isinstance(frame.wire, MemoryFile):
        frame.wire.write_to(transport)
    else:
        transport.write(pack((frame,)))
