"""What stock Yjs clients do at random comes in, and the server and all readers end with what Yjs makes of it."""

import secrets
from pathlib import Path

import pytest
from fuzz import run_round, running

pytestmark = pytest.mark.anyio

ROUNDS = 4


@pytest.mark.parametrize("judged", [False, True], ids=["everybody may do everything", "members with tokens"])
async def test_random_edits_end_equal_everywhere(tmp_path: Path, judged: bool) -> None:
    async with running(tmp_path, judged=judged) as server:
        for _ in range(ROUNDS):
            seed = secrets.randbelow(2**31)
            print(f"seed {seed}")
            await run_round(server, seed, judged=judged)
