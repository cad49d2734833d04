"""One real server process for a test: reads `COSESSION_*` variables, and prints its address when it is ready.

    python tests/serve.py [FOLDER]          FOLDER is served at `/`

Once it is ready, a call that blocks the event loop is an error: it would hold up every session of the process.
"""

import asyncio
import sys
from pathlib import Path

from blockbuster import BlockBuster

from cosession.server import serve
from cosession.settings import Settings


def ready(url: str) -> None:
    """Tell the test where the server listens."""
    print(f"ready {url}", flush=True)
    detector = BlockBuster()
    for name, function in detector.functions.items():
        if name.startswith(("os.", "io.")):
            function.can_block_in("logging/__init__.py", "emit")  # a traceback, with its lines of source
    for name in ("os.write", "os.sendfile"):
        detector.functions[name].can_block_in(
            "server/edge/shared_frames.py", {"__init__", "write_to"}
        )  # it is memory
    detector.activate()


if __name__ == "__main__":
    asyncio.run(serve(Settings(), static=Path(sys.argv[1]) if len(sys.argv) > 1 else None, ready=ready))
