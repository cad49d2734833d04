"""Somebody who wants to do harm."""

from typing import Any

from pycrdt import Doc, Text
from simulation.line import Line
from simulation.surroundings import POISON

from cosession.protocol import SyncStep1, SyncUpdate, encode_frame


class Vandal:
    """Somebody who sends what breaks a room, or is no frame at all."""

    def __init__(self, poison: bool) -> None:
        self.poison = poison
        self.closed: int | None = None

    def strike(self, line: Line) -> None:
        """Do it."""
        doc: Doc[Any] = Doc()
        text = doc.get("text:notes", type=Text)
        line.say(encode_frame(SyncStep1(doc.get_state())))
        text += POISON
        line.say(encode_frame(SyncUpdate(doc.get_update())) if self.poison else b"\x00\x02\x05\x01")

    def hear(self, line: Line, frame: bytes) -> None:
        """Pass over what comes."""

    def hung_up(self, line: Line, code: int, reason: str) -> None:
        """Note why it was thrown out."""
        self.closed = code
