"""A differential fuzz of the server against Yjs: random edits by stock clients must come in, and all end equal.

    python tests/fuzz.py                     rounds until it is stopped
    python tests/fuzz.py --rounds 20         so many
    python tests/fuzz.py --seed 4711         one round again, the one that a failure names

Each round is a session of three Yjs replicas in a Node process, with values of all kinds, formats, embeds, XML, undo,
and replicas that are offline for a while. The server restarts, is killed, snapshots and packs meanwhile. It stops at
the first divergence, refusal or wait without an end. The work of a round is bounded, its time is not.
"""

import argparse
import asyncio
import contextlib
import itertools
import random
import secrets
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from people import SECRET, token
from processes import NodeClient, Server, eventually

from cosession.client import connect

REPLICAS = 3
STEPS = 24
SETTINGS = {
    "snapshot_after_updates": 20,
    "compact_after_seconds": 0.05,
    "unload_after_seconds": 0.05,
    "max_merged_updates": 3,
}
"""So small that a short session goes through all that a long one does."""


class Divergence(AssertionError):
    """Replicas of one session that differ, an edit that was refused, or a client that doesn't get in sync."""


@contextlib.asynccontextmanager
async def running(folder: Path, *, judged: bool) -> AsyncIterator[Server]:
    """A server for many rounds; `judged` has participants with tokens, whose updates go through admission."""
    server = Server(folder, **SETTINGS, **({"auth_secret": SECRET} if judged else {}))
    server.start()
    try:
        yield server
    finally:
        server.close()


async def run_round(server: Server, seed: int, *, judged: bool, halves: bool = False) -> None:
    """One session from its first edit to its end; with `halves`, emoji are cut in two as well.

    Raises:
        Divergence: Yjs and the server differ; its text says how to see it again.
    """
    try:
        await _Round(server, seed, judged=judged, halves=halves).run()
    except Exception as error:
        again = f"python tests/fuzz.py --seed {seed}{' --judged' if judged else ''}{' --halves' if halves else ''}"
        raise Divergence(f"{error}\nSee it again: {again}\nThe server's log:\n{server.tail(20)}") from error


class _Round:
    def __init__(self, server: Server, seed: int, *, judged: bool, halves: bool) -> None:
        self._server = server
        self._dice = random.Random(seed)
        self._session = f"fuzz-{seed}-{secrets.token_hex(3)}"
        self._judged = judged
        self._halves = halves

    async def run(self) -> None:
        params = [self._who(f"p{number}") for number in range(REPLICAS)]
        config = {
            "url": self._server.ws_url("").rstrip("/"),
            "session": self._session,
            "params": params,
            "halves": self._halves,
        }
        async with NodeClient.running("fuzz.mjs", config) as self._pages, self._agent() as agent:
            await self._settle()
            for _ in range(STEPS):
                await self._step()
            for replica in range(REPLICAS):
                await self._pages.ask("online", replica=replica)
            await self._settle()
            await self._compare(agent)
            self._server.restart()
            await self._settle()
            await self._compare(agent)

    def _who(self, name: str) -> dict[str, str]:
        return {"token": token(name, role="member")} if self._judged else {"participant": name, "name": name}

    @contextlib.asynccontextmanager
    async def _agent(self) -> AsyncIterator[Any]:
        """The Python client in the same session: it only reads."""
        key = token("reader", role="member") if self._judged else None
        async with connect(self._server.url, session=self._session, participant="reader", token=key) as session:
            yield session

    async def _step(self) -> None:
        dice = self._dice
        replica = dice.randrange(REPLICAS)
        match dice.randrange(20):
            case 0 | 1:
                await self._pages.ask("offline", replica=replica)
            case 2 | 3 | 4:
                await self._pages.ask("online", replica=replica)
            case 5:
                await self._settle()
            case 6 if dice.random() < 0.3:
                self._server.restart()
            case 7 if dice.random() < 0.3:
                self._server.kill()
                self._server.start()
            case _:
                await self._pages.ask(
                    "edit", replica=replica, seed=dice.randrange(1, 2**31 - 1), count=dice.randint(1, 6)
                )

    async def _settle(self) -> None:
        """Wait until all who are online have the same, and none was refused."""

        async def is_settled() -> bool:
            everybody = await self._pages.ask("status")
            final = [close for status in everybody for close in status["closes"] if close.startswith("44")]
            if final:
                raise AssertionError(f"An edit was refused: {final}")
            stands = [status for status in everybody if status["wants"]]
            first = stands[0] if stands else {}
            return all(
                status["synced"]
                and not status["pending"]
                and (status["vector"], status["deleted"]) == (first["vector"], first["deleted"])
                for status in stands
            )

        await eventually(is_settled, "all replicas with the same document")

    async def _compare(self, agent: Any) -> None:
        views = await self._pages.ask("views")
        late = await self._pages.ask("late", number=0)
        for number, view in enumerate([*views, late["view"]]):
            if view != views[0]:
                raise AssertionError(f"Replica {number} differs from replica 0:\n{_difference(views[0], view)}")
        texts = await self._pages.ask("texts")

        def read() -> dict[str, str]:
            return {name: str(agent.document.text(name.removeprefix("text:"))) for name in texts}

        await eventually(lambda: read() == texts, "the Python client with the same texts")


def _difference(one: str, other: str) -> str:
    at = next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    return f"  {one[max(0, at - 80) : at + 80]!r}\n  {other[max(0, at - 80) : at + 80]!r}"


async def fuzz(seeds: Any, *, judged: bool | None, halves: bool) -> None:
    """Run rounds by their seeds; where it isn't said, judged and not in turn."""
    with tempfile.TemporaryDirectory() as open_, tempfile.TemporaryDirectory() as closed:
        folders = {False: Path(open_), True: Path(closed)}
        modes = [judged] if judged is not None else [False, True]
        async with contextlib.AsyncExitStack() as stack:
            servers = {mode: await stack.enter_async_context(running(folders[mode], judged=mode)) for mode in modes}
            for number, seed in enumerate(seeds):
                mode = modes[number % len(modes)]
                print(f"round {number + 1}: seed {seed}{', judged' if mode else ''}", flush=True)
                await run_round(servers[mode], seed, judged=mode, halves=halves)


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, help="how many; without it, until stopped")
    parser.add_argument("--seed", type=int, help="the one round to run")
    parser.add_argument("--judged", action="store_true", help="with --seed: the round had participants with tokens")
    parser.add_argument("--halves", action="store_true", help="cut emoji in two as well")
    options = parser.parse_args()
    if options.seed is not None:
        asyncio.run(fuzz([options.seed], judged=options.judged, halves=options.halves))
        return
    first = secrets.randbelow(2**31)
    count = itertools.count(first) if options.rounds is None else range(first, first + options.rounds)
    asyncio.run(fuzz(count, judged=None, halves=options.halves))


if __name__ == "__main__":
    main()
