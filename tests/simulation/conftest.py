"""`--seed N` repeats one seed of the simulated service; `--seeds N` runs so many."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of this folder."""
    group = parser.getgroup("simulation")
    group.addoption("--seed", type=int, help="run the simulated service with this seed only")
    group.addoption("--seeds", type=int, help="run the simulated service with so many seeds instead of a few hundred")
