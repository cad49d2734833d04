"""Frames that are sent to many sockets, in memory that the kernel sends without a copy.

When hundreds join a large session, half of the time goes into copying its bytes to each socket. So a frame that is
sent for the second time is put into an anonymous file (Linux's memfd), and sent with `sendfile`: the sockets share
its pages. Where that is impossible (other systems, TLS, the limit of such files) it is copied.

A frame's `wire` is its state: None, then `_SENT_ONCE`, then its `MemoryFile` or `_COPIED`.
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
"""Limits on these files together: connections need file descriptors as well, and the files are in memory."""

_LEAST_BYTES = 32_768
"""The size below which a copy costs no more than the file."""

_SENT_ONCE = object()
_COPIED = object()


class MemoryFile:
    """Bytes in an anonymous file.

    Args:
        data: its content.

    Attributes:
        size: its size in bytes.

    Raises:
        OSError: the system has no such files, the limits are reached, or memory is short.
    """

    __slots__ = ("__weakref__", "_file", "size")

    def __init__(self, data: bytes) -> None:
        self.size = len(data)
        taken = sum(file.size for file in _open)
        # A Python that is built for old Linux systems lacks `memfd_create`.
        if not hasattr(os, "memfd_create") or len(_open) >= _MOST_FILES or taken + self.size > _MOST_BYTES:
            raise OSError("No file for shared memory.")
        self._file = os.memfd_create("cosession-frame")
        finalize(self, os.close, self._file)
        if os.write(self._file, data) < self.size:
            raise OSError("The memory for a shared frame is full.")
        _open.add(self)

    def write_to(self, transport: asyncio.Transport) -> None:
        """Write the bytes to a transport that is not encrypted."""
        sent = 0
        if not transport.get_write_buffer_size():
            try:
                sent = os.sendfile(transport.get_extra_info("socket").fileno(), self._file, 0, self.size)
            except OSError:  # the socket is full or closed; the transport handles both
                sent = 0
        if sent < self.size:
            transport.write(os.pread(self._file, self.size - sent, sent))


_open: WeakSet[MemoryFile] = WeakSet()


def write_shared(transport: asyncio.Transport, frame: SharedFrame, pack: Callable[[Sequence[bytes]], bytes]) -> None:
    """Write a frame that may be sent to other sockets as well.

    Args:
        transport: the socket's transport.
        frame: the frame.
        pack: returns frames as bytes for the wire.
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
