"""The whole service in virtual time, from many seeds; what happens and what must hold: `world`, `restricted`,
`teamwork`.

python -m pytest tests/simulation --seed 17       one seed again
python -m pytest tests/simulation --seeds 50000   many more than usual

What the CRDT library keeps in hash maps comes in another order in every process: a seed that failed may take some
runs to fail again.
"""

from collections.abc import Sequence

import pytest
from simulation.restricted import RestrictedWorld
from simulation.teamwork import AgentWorld
from simulation.world import World

KNOWN_SEEDS: dict[type[World], tuple[int, ...]] = {
    World: (1198, 95, 2237, 140, 165),
    RestrictedWorld: (335, 437, 2235, 130, 78, 210, 260, 268, 412, 954, 627),
    AgentWorld: (307,),
}
"""Seeds that once found a mistake of the server's; they come first."""

SHARES: dict[type[World], int] = {World: 2, RestrictedWorld: 2, AgentWorld: 8}
"""Which part of the seeds each kind of world takes: in one with agents much more happens."""

SEEDS = 640
"""How many seeds a run takes when it isn't told; a change of rooms or storage deserves thousands."""

PARTS = 10
"""How many tests the seeds of a kind of world are spread over, so that a run shows how far it is."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Spread the seeds of each kind of world over the parts."""
    one, many = (metafunc.config.getoption(name, None) for name in ("seed", "seeds"))
    parts: list[tuple[type[World], Sequence[int]]] = []
    for world, known in KNOWN_SEEDS.items():
        everything = (*known, *range((SEEDS if many is None else many) // SHARES[world])) if one is None else (one,)
        parts += [(world, everything[part::PARTS]) for part in range(min(PARTS, len(everything)))]
    ids = [f"{len(seeds)} of {world.__name__} from {seeds[0]}" for world, seeds in parts]
    metafunc.parametrize(("world", "seeds"), parts, ids=ids)


def test_whatever_happens_nothing_is_lost_or_doubled(world: type[World], seeds: Sequence[int]) -> None:
    for seed in seeds:
        try:
            world(seed).run()
        except Exception as error:
            again = f"python -m pytest tests/simulation/test_service.py --seed {seed}"
            raise AssertionError(f"{error}\n\nOnce more: {again}") from error
