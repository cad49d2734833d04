"""A signal: wakes every task that waits for a change of the session.

Signals aren't stored. A waiting task checks its condition first, waits, and checks again; so nothing queues, and a
cancelled wait leaves nothing behind.
"""

import asyncio
from collections.abc import Callable


class Signal:
    """Wakes all waiting tasks.

    Attributes:
        on_ring: called at each ring as well; it must return at once.
    """

    __slots__ = ("_waiting", "on_ring")

    def __init__(self) -> None:
        self.on_ring: Callable[[], None] | None = None
        self._waiting: set[asyncio.Future[None]] = set()

    def ring(self) -> None:
        """Wake all tasks that wait now. May be called from a document's observer."""
        if self.on_ring is not None:
            self.on_ring()
        for future in self._waiting:
            if not future.done():
                future.set_result(None)

    async def wait(self) -> None:
        """Wait for the next call of `ring`."""
        future = asyncio.get_running_loop().create_future()
        self._waiting.add(future)
        try:
            await future
        finally:
            self._waiting.discard(future)
