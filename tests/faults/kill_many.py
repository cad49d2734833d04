"""Kill a server under load many times, and print what was seen.

    python tests/faults/kill_many.py --kills 200 --seed 1

A run that fails prints its seed; the same seed chooses the same points again (the load is never quite the same).
"""

import argparse
import asyncio
import random
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from faults.kills import Run


async def main() -> None:
    """Read the arguments and kill."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    given = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        run = Run(Path(folder), given.seed)
        try:
            for number in range(given.kills):
                await run.kill(number)
                print(f"\r{number + 1} kills, {time.monotonic() - began:.0f} s", end="", flush=True)
            await run.settle()
        except BaseException:
            print(f"\nFAILED; repeat with --seed {given.seed}\n{run.server.tail()}")
            raise
        finally:
            run.server.close()
    print(f"\r{given.kills} kills in {time.monotonic() - began:.0f} s, seed {given.seed}")
    print(
        f"{run.figures.words} words are there once, {run.figures.fences} of them fenced before the last kill; "
        f"{run.figures.lost} were told as lost in {run.figures.refusals} refusals, none of them fenced"
    )
    for point, count in run.figures.kills.most_common():
        print(f"{count:5}  {point}")


if __name__ == "__main__":
    asyncio.run(main())
