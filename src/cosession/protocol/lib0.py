"""lib0's variable-length encoding: the numbers, strings and byte arrays that every frame is made of.

The reader checks every bound and raises `MalformedFrame`; it never reads past its end and never loops on a
number that doesn't stop. Each number has one encoding, the shortest, so bytes that are equal for one reader are
equal for all. Counts in what strangers send can be limited: each thing that is counted costs its reader
time, however few bytes it has. Source of the format: the `lib0` package's encoding module.
"""

import sys
from collections.abc import Mapping
from typing import Final

from cosession.errors import MalformedFrame, TooLarge

from .measured import Extent, Measured

MAX_NUMBER: Final = 2**53 - 1
"""JavaScript's largest exact integer: nothing on this wire is larger, client ids included."""


_NOTHING_KNOWN: Final[Mapping[int, Extent]] = {}


class Reader:
    """Reads lib0 values from a byte string, front to back.

    Args:
        data: the bytes.
        limit: the largest sum of all counts in them.

    Attributes:
        data: the bytes.
        at: the offset of the next byte.
        ends: the known extents of some stretches of them, by offset.
    """

    __slots__ = ("_left", "_limit", "at", "data", "end", "ends")

    def __init__(self, data: bytes, limit: int = sys.maxsize) -> None:
        self.data = data
        self.at = 0
        self.end = len(data)
        self.ends = data.ends if type(data) is Measured else _NOTHING_KNOWN
        self._limit = self._left = limit

    @property
    def counted(self) -> int:
        """The sum of the counts so far."""
        return self._limit - self._left

    def byte(self) -> int:
        """Read one byte."""
        at = self.at
        if at >= self.end:
            raise MalformedFrame("The frame ends in the middle of a value; send it whole.")
        self.at = at + 1
        return self.data[at]

    def peek(self) -> int:
        """Return the next byte, and stay before it."""
        byte = self.byte()
        self.at -= 1
        return byte

    def uint(self) -> int:
        """Read a variable-length unsigned integer, seven bits a byte, lowest first."""
        data, at, end = self.data, self.at, self.end
        if at < end and (number := data[at]) < 0x80:  # most are small
            self.at = at + 1
            return number
        number = shift = 0
        while at < end:
            byte = data[at]
            at += 1
            number |= (byte & 0x7F) << shift
            if byte < 0x80:
                if number > MAX_NUMBER or (shift and not byte):
                    break
                self.at = at
                return number
            shift += 7
            if shift > 56:
                break
        raise MalformedFrame(
            f"The frame holds a number that does not end, is larger than {MAX_NUMBER}, or is longer than it need be."
        )

    def count(self) -> int:
        """Read a count of items that follow.

        Raises:
            TooLarge: the sum of all counts exceeds the limit.
        """
        count = self.uint()
        self.spend(count)
        return count

    def spend(self, count: int) -> None:
        """Count items that follow.

        Raises:
            TooLarge: the sum of all counts exceeds the limit.
        """
        self._left -= count
        if self._left < 0:
            raise TooLarge(
                f"The frame holds more than {self._limit} single things; send the change in several smaller ones."
            )

    def pass_over(self) -> bool:
        """Skip a stretch that was read before; return False if it wasn't."""
        known = self.ends.get(self.at)
        if known is None:
            return False
        self.at = known.end
        self.spend(known.counted)
        return True

    def skip(self, length: int) -> None:
        """Skip `length` bytes."""
        at = self.at + length
        if at > self.end:
            raise MalformedFrame("The frame is shorter than a length in it says.")
        self.at = at

    def take(self, length: int) -> bytes:
        """Read `length` bytes."""
        start = self.at
        self.skip(length)
        return self.data[start : self.at]

    def buffer(self) -> bytes:
        """Read a byte array with its length before it."""
        return self.take(self.uint())

    def string(self) -> str:
        """Read a UTF-8 string with its length in bytes before it."""
        try:
            return self.buffer().decode()
        except UnicodeDecodeError as error:
            raise MalformedFrame("The frame holds a string that is not UTF-8.") from error

    def rest(self) -> bytes:
        """Read all that is left."""
        return self.take(self.end - self.at)

    def finish(self) -> None:
        """Check that nothing is left."""
        if self.at != self.end:
            raise MalformedFrame("The frame goes on after its end; put one message in a frame.")


def uint(number: int) -> bytes:
    """Encode an unsigned integer."""
    if number < 0x80:
        return bytes((number,))
    out = bytearray()
    while number > 0x7F:
        out.append(0x80 | (number & 0x7F))
        number >>= 7
    out.append(number)
    return bytes(out)


def buffer(data: bytes) -> bytes:
    """Encode a byte array with its length before it."""
    return uint(len(data)) + data
