"""A reader that wakes just after it was given up: it is told why, and sent nothing that would be a gap to it."""

import asyncio
from pathlib import Path

import pytest
from processes import eventually
from runtime.channels import MemoryChannel, connected, open_hub

from cosession.protocol import Fence, Notice, SyncStep1, SyncStep2, decode_frame
from cosession.settings import Settings

pytestmark = pytest.mark.anyio


class Sleeper(MemoryChannel):
    """A channel that counts what the server tries to send."""

    tries = 0

    async def send(self, message: bytes) -> None:
        self.tries += 1
        await super().send(message)


async def test_who_reads_again_too_late_is_told_why_and_is_sent_no_gap(tmp_path: Path) -> None:
    async with (
        open_hub(tmp_path, Settings(slow_reader_seconds=0.3)) as hub,
        connected(hub, "trip") as ada,
    ):
        sleeper = Sleeper("trip")
        serving = asyncio.create_task(hub.serve(sleeper, extended=True))
        sleeper.say(SyncStep1(b"\x00"))
        await sleeper.hear(SyncStep2)
        sleeper.reading.clear()
        before = sleeper.tries
        ada.write("what it never gets, ")
        await eventually(lambda: sleeper.tries == before + 1, "the frame that it doesn't take")
        ada.write("what stands on that")
        ada.channel.say(Fence(b""))
        await ada.channel.hear(Fence)
        await eventually(lambda: sleeper.tries == before + 2, "what comes when its time is over")
        sleeper.reading.set()
        code, reason = await sleeper.closed
        await serving
        assert code == 4508
        rest = [decode_frame(sleeper.heard.get_nowait()) for _ in range(sleeper.heard.qsize())]
        assert rest == [Notice("limit.too_slow", reason)]
