"""The reference that SQLite is compared with keeps the contract itself."""

import pytest
from storage.acceptance import StorageAcceptance
from storage.memory import MemoryStorage

pytestmark = pytest.mark.anyio


@pytest.fixture
def storage() -> MemoryStorage:
    """An empty storage."""
    return MemoryStorage()


class TestMemoryStorage(StorageAcceptance):
    """The acceptance suite."""
