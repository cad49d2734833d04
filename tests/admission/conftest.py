"""Fixtures for the tests of admission."""

import pytest
from admission.scene import Scene


@pytest.fixture
def scene() -> Scene:
    return Scene()
