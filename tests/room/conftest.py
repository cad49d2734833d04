"""Fixtures for the tests of a room."""

import pytest

from cosession.settings import Settings


@pytest.fixture
def settings() -> Settings:
    return Settings(unload_after_seconds=0.05)
