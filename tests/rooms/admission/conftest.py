"""Fixtures for the tests of admission."""

import pytest
from rooms.admission.scene import Scene


@pytest.fixture
def scene() -> Scene:
    return Scene()
