"""One real worker process for a test: answers prompts word by word, until it is killed.

python tests/faults/worker.py URL [SECONDS]         SECONDS pass between two words
"""

import asyncio
import sys

from cosession.client import AgentRun, Worker

WORDS = ("one ", "two ", "three ", "four ", "five")
ANSWER = "".join(WORDS)


async def count(run: AgentRun) -> None:
    """Answer by counting; another process that goes on begins again."""
    for word in WORDS:
        run.text(word)
        await asyncio.sleep(float(sys.argv[2]))


if __name__ == "__main__":
    worker = Worker("flights", url=sys.argv[1])
    worker.handler(count)
    worker.main()
