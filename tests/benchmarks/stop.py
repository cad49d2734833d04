"""How long a run goes on after somebody has clicked Stop: from the click to the last token that people see.

    python tests/benchmarks/stop.py [--runs 200] [--rate 50]

A server process, an agent that streams in one process, and a person in another: as in life, but for the network.
The person's clock measures both ends: the click, and the last growth of the answer in the person's replica.
"""

import argparse
import asyncio
import random
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from processes import Server, eventually

from cosession.client import Session, connect
from cosession.document import Change, Run


async def stream(url: str, rate: float) -> None:
    """Be the agent: answer each prompt with tokens without end."""
    async with connect(url, session="stop", participant="agent") as session:
        async for prompt in session.prompts():
            async with session.run(reply_to=prompt) as run:
                while True:
                    run.text("token ")
                    await asyncio.sleep(1 / rate)


async def measure(url: str, runs: int) -> tuple[list[float], list[float]]:
    """Be the person; return the seconds from each click to the last token, and to the run's end."""
    last: list[float] = []
    over: list[float] = []
    dice = random.Random(5)
    async with connect(url, session="stop", participant="ann", kind="human") as session:
        grown_at = 0.0

        def note(changes: list[Change]) -> None:
            nonlocal grown_at
            if any(change.kind == "text" for change in changes):
                grown_at = time.perf_counter()

        def has_grown() -> bool:
            return grown_at > 0

        with session.document.observe(note, "messages"):
            for _ in range(runs):
                prompt = await session.send("Talk")
                run = await eventually(lambda prompt=prompt: _answering(session, prompt.id), "the run")
                grown_at = 0.0
                await eventually(has_grown, "tokens")
                await asyncio.sleep(dice.random() * 0.1)  # any moment of the stream
                clicked = time.perf_counter()
                session.cancel(run.id, "enough")
                while run.status != "cancelled":  # noqa: ASYNC110 - as fast as a page would draw it, and faster
                    await asyncio.sleep(0.001)
                over.append(time.perf_counter() - clicked)
                await asyncio.sleep(0.05)  # what was on its way would come now
                last.append(max(grown_at - clicked, 0.0))
    return last, over


def _answering(session: Session, prompt: str) -> Run | None:
    return next((run for run in session.runs if run.reply_to == prompt and not run.ended), None)


def quantile(values: list[float], share: float) -> float:
    """The value below which a share of them lies, in milliseconds."""
    return sorted(values)[min(int(share * len(values)), len(values) - 1)] * 1000


async def main(runs: int, rate: float) -> None:
    """Measure, and print one line for each of the two."""
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder))
        server.start()
        agent = await asyncio.create_subprocess_exec(
            sys.executable, __file__, "--agent", server.url, "--rate", str(rate)
        )
        try:
            for name, values in zip(("last token", "run's end"), await measure(server.url, runs), strict=True):
                figures = ", ".join(
                    f"p{share * 100:g} {quantile(values, share):.0f} ms" for share in (0.5, 0.9, 0.99)
                )
                print(f"click to {name}: {figures}, most {max(values) * 1000:.0f} ms ({len(values)} runs)")
        finally:
            agent.kill()
            await agent.wait()
            server.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--rate", type=float, default=50.0, help="tokens per second")
    parser.add_argument("--agent", metavar="URL", help="be the agent's process; used by the benchmark itself")
    options = parser.parse_args()
    asyncio.run(stream(options.agent, options.rate) if options.agent else main(options.runs, options.rate))
