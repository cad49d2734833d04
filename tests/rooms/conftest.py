"""Fixtures for the tests of rooms."""

import pytest

from cosession.settings import Settings


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def settings() -> Settings:
    return Settings(unload_after_seconds=0.05)
