"""The route of one token: each function of ours that it passes from the agent's call to the acknowledged write.

    python tests/benchmarks/token_route.py

A server and a client of the Python SDK in one process, without tokens; the client appends to an answer that streams,
and waits until the write is on the server's disk. A function is on the route when each of several tokens passes it:
heartbeats and timers are not.
"""

import asyncio
import sys
import tempfile
import threading
from collections import Counter
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from cosession.client import connect
from cosession.server.process import serve
from cosession.settings import Settings

SOURCE = Path(__file__).parents[2] / "src" / "cosession"
TOKENS = 5


class Trace:
    """Counts the functions of ours that are called while it is on, in all threads."""

    def __init__(self) -> None:
        self.calls: Counter[CodeType] = Counter()
        self.order: dict[CodeType, None] = {}

    def __enter__(self) -> "Trace":
        threading.setprofile(self._note)
        sys.setprofile(self._note)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)
        threading.setprofile(None)

    def _note(self, frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(str(SOURCE)):
            self.calls[frame.f_code] += 1
            self.order.setdefault(frame.f_code)


async def trace(url: str) -> dict[CodeType, int]:
    """Return how often one token calls each function, in the order of the first calls."""
    found: list[Trace] = []
    async with (
        connect(url, session="route", participant="writer") as session,
        session.run(batch_ms=0) as run,
    ):
        for number in range(TOKENS * 2):
            with Trace() as traced:
                run.text(f"token{number} ")
                await session.wait_saved()
            found.append(traced)
            await asyncio.sleep(0.02)
    warm = found[TOKENS:]
    return {
        code: min(one.calls[code] for one in warm) for code in warm[-1].order if all(one.calls[code] for one in warm)
    }


def report(route: dict[CodeType, int]) -> None:
    """Print the files in the order of the route, each with its functions."""
    files: dict[str, list[str]] = {}
    for code, calls in route.items():
        name = str(Path(code.co_filename).relative_to(SOURCE))
        files.setdefault(name, []).append(f"{code.co_qualname}{f' ×{calls}' if calls > 1 else ''}")
    print(f"One token with its ack: {len(files)} files, {len(route)} functions, {sum(route.values())} calls.\n")
    for name, functions in files.items():
        print(f"- `{name}`: {', '.join(functions)}")


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(port=0, data=Path(folder), log_level="warning")
        listening: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        server = asyncio.create_task(serve(settings, ready=listening.set_result))
        try:
            report(await trace(await listening))
        finally:
            server.cancel()
            await asyncio.gather(server, return_exceptions=True)


if __name__ == "__main__":
    asyncio.run(main())
