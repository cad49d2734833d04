"""Fixtures for the tests of what the server decides."""

import pytest
from room.decisions.stage import Actor, Stage


@pytest.fixture
def stage() -> Stage:
    return Stage()


@pytest.fixture
def ada(stage: Stage) -> Actor:
    """A person who is here."""
    return stage.actor("ada")


@pytest.fixture
def bot(stage: Stage) -> Actor:
    """An agent that is here."""
    return stage.actor("bot", "agent")
