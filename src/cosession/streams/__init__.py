"""Event streams of other protocols, made of the session document. Pure: no I/O and no clock.

`ai_sdk` projects the message of a run into the chunks that the AI SDK's chat transports read.
"""

from .ai_sdk import Chunk, MessageProjection

__all__ = ["Chunk", "MessageProjection"]
