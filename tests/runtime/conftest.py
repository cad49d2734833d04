"""Fixtures for the tests of live sessions."""

from collections.abc import Iterator

import pytest
from blockbuster import BlockBuster, blockbuster_ctx

from cosession.settings import Settings


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def settings() -> Settings:
    return Settings(unload_after_seconds=0.05)


@pytest.fixture(autouse=True)
def no_blocking_calls() -> Iterator[BlockBuster]:
    """Fail a test in which something blocks the event loop."""
    with blockbuster_ctx("cosession") as blockbuster:
        yield blockbuster
