"""What the SDK's tests share."""

from collections.abc import AsyncIterator

import pytest
from client.hub import Hub


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def hub() -> AsyncIterator[Hub]:
    hub = Hub()
    await hub.start()
    yield hub
    await hub.close()
