"""The tests here do harm to a real server: garbage, slow readers, kills, a disk that takes no more."""

import pytest


@pytest.fixture
def anyio_backend() -> str:
    """asyncio: it is what the server and the clients run on."""
    return "asyncio"
