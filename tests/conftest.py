"""What every test may use: real servers, and a guard that keeps tests on this machine."""

import ipaddress
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from processes import Server

# Timings never decide a test: a busy machine is no bug.
hypothesis.settings.register_profile("cosession", deadline=None)
hypothesis.settings.load_profile("cosession")

_FAILED = pytest.StashKey[bool]()


def _only_loopback(event: str, arguments: tuple[Any, ...]) -> None:
    """Refuse a connection to any other machine: a test that needs one is wrong."""
    if event != "socket.connect" or not isinstance(arguments[1], tuple):
        return
    host = arguments[1][0]
    try:
        inside = ipaddress.ip_address(host).is_loopback
    except ValueError:
        inside = host in ("localhost", "")
    if not inside:
        raise AssertionError(f"A test tried to reach {host}; tests stay on this machine.")


sys.addaudithook(_only_loopback)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Note whether a test failed, for the fixtures that then show what they know."""
    report = yield
    if report.failed:  # type: ignore[attr-defined]
        item.stash[_FAILED] = True
        reporter = item.config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:  # at once: a run that is cut short must not lose what failed
            reporter.ensure_newline()
            reporter.write_line(f"FAILED NOW {item.nodeid} ({report.when})\n{str(report.longrepr)[-8000:]}")
    return report


@pytest.fixture
def start_server(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Callable[..., Server]]:
    """Start servers with settings of one's own: `start_server(keep_alive_seconds=1)`."""
    servers: list[Server] = []

    def start(static: Path | None = None, **settings: object) -> Server:
        folder = tmp_path / f"server-{len(servers)}"
        folder.mkdir()
        server = Server(folder, static, **settings)
        servers.append(server)
        server.start()
        return server

    yield start
    for server in servers:
        server.close()
        if request.node.stash.get(_FAILED, False):
            print(f"\n--- log of the server at {server.url} ---\n{server.tail()}")


@pytest.fixture
def server(start_server: Callable[..., Server]) -> Server:
    """A server with its default settings."""
    return start_server()
