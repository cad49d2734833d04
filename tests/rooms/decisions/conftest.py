"""Fixtures for the tests of what the server decides."""

import pytest
from rooms.decisions.stage import Stage


@pytest.fixture
def stage() -> Stage:
    return Stage()
