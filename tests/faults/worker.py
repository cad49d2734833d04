"""One real worker process for a test: answers prompts word by word, until it is killed.

python tests/faults/worker.py URL [SECONDS]         SECONDS pass between two words
"""

import asyncio
import sys

from cosession.client import Session, Worker
from cosession.document import Message

WORDS = ("one ", "two ", "three ", "four ", "five")
ANSWER = "".join(WORDS)


async def count(session: Session, prompt: Message) -> None:
    """Answer by counting; another process that goes on begins again."""
    async with session.run(reply_to=prompt) as run:
        for word in WORDS:
            run.text(word)
            await asyncio.sleep(float(sys.argv[2]))


if __name__ == "__main__":
    Worker("flights", count, url=sys.argv[1], concurrency=4).main()
