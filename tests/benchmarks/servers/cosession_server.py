"""Our server as users run it: `tests/serve.py` without its detector of blocking calls, which costs at every call."""

import asyncio

from cosession.server import serve
from cosession.settings import Settings

if __name__ == "__main__":
    asyncio.run(serve(Settings(), ready=lambda url: print(f"ready {url}", flush=True)))
