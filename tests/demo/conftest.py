"""What the tests of the demo share: its Python modules, loaded as the command line does."""

from types import ModuleType

import pytest

from cosession.cli.demo import find_demo, load


@pytest.fixture
def anyio_backend() -> str:
    """The demo's agent runs on asyncio, as the Python SDK does."""
    return "asyncio"


@pytest.fixture
def models() -> ModuleType:
    """The demo's models."""
    return load(find_demo("chat"), "models")


@pytest.fixture
def memory() -> ModuleType:
    """What the demo's models are told."""
    return load(find_demo("chat"), "memory")


@pytest.fixture
def agent() -> ModuleType:
    """The demo's agent."""
    return load(find_demo("chat"), "agent")
