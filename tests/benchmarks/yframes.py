"""What goes over the wire, built by hand so that the load costs next to nothing: WebSocket frames and Yjs updates.

A token is ten bytes of text, `~@` and eight hexadecimal digits: microseconds since the start of the run, written at
the moment it is sent. However a server merges updates, the text stays whole, so what a watcher received is found
again by a regular expression. A fence is the same with `~#`.
"""

import re
from dataclasses import dataclass, field

TOKEN = re.compile(rb"~@[0-9a-f]{8}")
FENCE = re.compile(rb"~#[0-9a-f]{8}")

TEXT_ROOT = b"text:benchmark"
"""The root text that the tokens are appended to: a root of the session document, and one that any server takes."""


def uint(value: int) -> bytes:
    """Encode a number as lib0 does: seven bits a byte, the lowest first."""
    encoded = bytearray()
    while value > 127:
        encoded.append(value & 127 | 128)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def sized(data: bytes) -> bytes:
    """Encode bytes with their length before them."""
    return uint(len(data)) + data


def client_frame(payload: bytes, opcode: int = 2) -> bytes:
    """Frame a client's message; the mask is zero, so the payload can be changed in place until it is sent."""
    size = len(payload)
    if size < 126:
        header = bytes((0x80 | opcode, 0x80 | size))
    elif size < 65536:
        header = bytes((0x80 | opcode, 0x80 | 126)) + size.to_bytes(2, "big")
    else:
        header = bytes((0x80 | opcode, 0x80 | 127)) + size.to_bytes(8, "big")
    return header + bytes(4) + payload


@dataclass
class Author:
    """Writes one text token by token, as updates.

    Attributes:
        client: the Yjs client id.
        prefix: what the server's dialect puts before each message.
        clock: how many characters have been written.
    """

    client: int
    prefix: bytes = b""
    clock: int = field(default=0)

    def update(self, text: bytes) -> bytes:
        """Append ASCII text, and return the update of it alone."""
        head = b"\x01\x01" + uint(self.client) + uint(self.clock)
        place = b"\x04\x01" + sized(TEXT_ROOT)  # the first character has the root for a parent,
        if self.clock:  # and all others the character before them for a neighbour
            place = b"\x84" + uint(self.client) + uint(self.clock - 1)
        self.clock += len(text)
        return head + place + sized(text) + b"\x00"

    def frame(self, text: bytes) -> bytes:
        """Append text; the whole WebSocket frame with the sync update in it."""
        return client_frame(self.prefix + b"\x00\x02" + sized(self.update(text)))


def stamped(author: Author, mark: bytes = b"~@") -> tuple[bytearray, int]:
    """A token's frame whose time isn't written yet, and where its eight digits go."""
    frame = bytearray(author.frame(mark + b"00000000"))
    return frame, len(frame) - 9  # the delete set, one byte, is last


def fence_frame(microseconds: int) -> bytes:
    """A durable fence (102) that carries its time."""
    return client_frame(b"\x66~#%08x" % microseconds)
