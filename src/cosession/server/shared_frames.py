"""Frames that many sockets are sent, in memory from which the kernel sends by itself.

When hundreds join a large session, half of the time goes into copying its bytes to each socket. So the second of them
has them put into a file without a name (Linux's memfd), from which they are sent by `sendfile`: sockets share its
pages. Where that can't be done (other systems, TLS, too many files) they are copied.
"""

import asyncio
import os
import sys
from collections.abc import Callable, Sequence
from weakref import WeakSet, finalize

from uvicorn.protocols.utils import is_ssl

from cosession.rooms import SharedFrame

_MOST = 128
"""Files that are open at once; connections need theirs."""

_LEAST_BYTES = 32_768
"""Below it a copy costs no more than the file."""

_SENT_ONCE = object()
_COPIED = object()


class MemoryFile:
    """Bytes in a file without a name.

    Args:
        data: they.

    Raises:
        OSError: there is no such file to be had.
    """

    __slots__ = ("__weakref__", "_file", "_size")

    def __init__(self, data: bytes) -> None:
        if sys.platform != "linux" or len(_open) >= _MOST:
            raise OSError("No file for shared memory.")
        self._size = len(data)
        self._file = os.memfd_create("cosession-frame")
        finalize(self, os.close, self._file)
        if os.write(self._file, data) < self._size:
            raise OSError("The memory for a shared frame is full.")
        _open.add(self)

    def write_to(self, transport: asyncio.Transport) -> None:
        """Write them to a transport that is not encrypted."""
        sent = 0
        if not transport.get_write_buffer_size():
            try:
                sent = os.sendfile(transport.get_extra_info("socket").fileno(), self._file, 0, self._size)
            except OSError:  # it is full or gone, which the transport handles
                sent = 0
        if sent < self._size:
            transport.write(os.pread(self._file, self._size - sent, sent))


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
        try:
            frame.wire = MemoryFile(pack((frame,)))
        except OSError:
            frame.wire = _COPIED
    if can_share and isinstance(frame.wire, MemoryFile):
        frame.wire.write_to(transport)
    else:
        transport.write(pack((frame,)))
