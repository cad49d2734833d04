"""A bell: wakes every task that waits for something of the session to change.

Rings aren't kept. Who waits checks its condition first, waits, and checks again; so nothing queues, and a
cancelled wait leaves nothing behind.
"""

import asyncio


class Signal:
    """Wakes whoever waits."""

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: set[asyncio.Future[None]] = set()

    def ring(self) -> None:
        """Wake everybody who waits now. May be called from a document's observer."""
        for future in self._waiting:
            if not future.done():
                future.set_result(None)

    async def wait(self) -> None:
        """Wait for the next ring."""
        future = asyncio.get_running_loop().create_future()
        self._waiting.add(future)
        try:
            await future
        finally:
            self._waiting.discard(future)
