"""What goes over the wire, built by hand so that the load costs next to nothing: WebSocket frames and Yjs updates.

A token is ten bytes of text, `~@` and eight hexadecimal digits: microseconds since the start of the run, written at
the moment it is sent. However a server merges updates, the text stays whole, so what a watcher received is found
again by a regular expression. A fence is the same with `~#`.
"""

import re
from dataclasses import dataclass

TOKEN = re.compile(rb"~@[0-9a-f]{8}")
FENCE = re.compile(rb"~#[0-9a-f]{8}")

TEXT_ROOT = b"text:%d"
"""The root texts that tokens are appended to: roots of a session document, and ones that any server takes."""


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
    """Writes texts token by token, as updates.

    Attributes:
        client: the Yjs client id.
        prefix: what the server's dialect puts before each message.
        clock: how many characters have been written.
        text: the number of the text that is written now.
    """

    client: int
    prefix: bytes = b""
    clock: int = 0
    text: int = 0
    _begun: bool = False

    def begin(self) -> None:
        """Go on in a text of its own, as a chat does with each message."""
        self.text += self._begun
        self._begun = False

    def update(self, token: bytes) -> bytes:
        """Append ASCII to the text, and return the update of it alone."""
        head = b"\x01\x01" + uint(self.client) + uint(self.clock)
        place = b"\x04\x01" + sized(TEXT_ROOT % self.text)  # the first character has the root for a parent,
        if self._begun:  # and all others the character before them for a neighbour
            place = b"\x84" + uint(self.client) + uint(self.clock - 1)
        self._begun = True
        self.clock += len(token)
        return head + place + sized(token) + b"\x00"

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
