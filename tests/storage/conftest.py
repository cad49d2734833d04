"""What the storage tests share: the loop they run on, and asserts that explain themselves in the acceptance suite."""

import pytest

pytest.register_assert_rewrite("storage.acceptance")


@pytest.fixture
def anyio_backend() -> str:
    """The loop that the server runs on."""
    return "asyncio"
