"""The whole service in virtual time, from thousands of seeds; see `world` for what happens and what must hold.

python -m pytest tests/simulation --seed 17       one seed again
python -m pytest tests/simulation --seeds 50000   many more than usual
"""

from collections.abc import Sequence

import pytest
from simulation.world import World

KNOWN_SEEDS: tuple[int, ...] = (1198, 95, 2237)
"""Seeds that once found a mistake of the server's; they come first."""

PARTS = 20
"""How many tests the seeds are spread over, so that a run shows how far it is."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Spread the seeds over the parts."""
    one, many = (metafunc.config.getoption(name, None) for name in ("seed", "seeds"))
    if one is not None:
        parts: list[Sequence[int]] = [(one,)]
    else:
        everything = (*KNOWN_SEEDS, *range(2000 if many is None else many))
        parts = [everything[part::PARTS] for part in range(PARTS)]
    metafunc.parametrize("seeds", [part for part in parts if part], ids=lambda part: f"{len(part)} from {part[0]}")


def test_whatever_happens_nothing_is_lost_or_doubled(seeds: Sequence[int]) -> None:
    for seed in seeds:
        try:
            World(seed).run()
        except Exception as error:
            again = f"python -m pytest tests/simulation/test_service.py --seed {seed}"
            raise AssertionError(f"{error}\n\nOnce more: {again}") from error
