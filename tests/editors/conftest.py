"""Pages with published editors in Chromium, bundled once, served from this machine."""

import functools
import http.server
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from processes import node_program

FOLDER = Path(__file__).resolve().parent


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the whole matrix be asked for; without it each editor runs once."""
    parser.addoption("--matrix", action="store_true", help="every editor with every kind of access and y-websocket")


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base class
        """Log nothing."""


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address under which the bundled pages are."""
    folder = tmp_path_factory.mktemp("editors")
    subprocess.run([node_program(), FOLDER / "build.mjs", folder], check=True)
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.fixture
def anyio_backend() -> str:
    """asyncio: it is what the server and the pages' driver run on."""
    return "asyncio"
