"""The tests here talk to a real server with clients that others wrote."""

import pytest


@pytest.fixture
def anyio_backend() -> str:
    """asyncio: it is what the server and the clients run on."""
    return "asyncio"
