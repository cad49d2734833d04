"""Our server as users run it. tests/serve.py looks for blocking calls, which taxes each send."""

import asyncio

from cosession.server import serve
from cosession.settings import Settings

if __name__ == "__main__":
    asyncio.run(serve(Settings()))
