"""Which server is judged: ours by default, any by `--url`, the y-websocket server by `--peer`, others by `--subject`.

Ours is started twice: once as in development, where participants name themselves, and once with a secret for tokens.
A server elsewhere is one or the other: with `--secret` it is judged by the cases of tokens, without by all others.
"""

import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from benchmarks.peers import PEERS
from conformance.peer import Endpoint, Guarded
from conformance.subject import OURS, Subject
from processes import PATIENCE_SECONDS, Server, node_program

FOLDER = Path(__file__).resolve().parent
PEER = FOLDER / "node_modules" / "@y" / "websocket-server" / "src" / "server.js"
KINDS = ("stock", "extended", "survival")
SERVERS = ("endpoint", "guarded", "subject")
"""The fixtures of which each case takes one: the server that it judges."""

SECRET = "a-secret-of-a-test-longer-than-any-guess"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of this folder."""
    group = parser.getgroup("conformance")
    group.addoption("--url", help="judge the server at this address, e.g. ws://127.0.0.1:8765/sync/{room}")
    group.addoption("--secret", help="the judged server knows people by tokens, verified (HS256) with this secret")
    group.addoption("--peer", action="store_true", help="judge the y-websocket server, by the stock cases")
    group.addoption(
        "--subject", choices=sorted(PEERS), help="judge this server, started here, by the stock and survival cases"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register what a case is marked with."""
    config.addinivalue_line("markers", "stock: every y-websocket server must pass this case")
    config.addinivalue_line("markers", "survival: what users of any Yjs server would want; not every server passes")
    config.addinivalue_line("markers", "extended: what a cosession server does beyond y-websocket")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Function]) -> None:
    """Check that every case says what it is, and judge the y-websocket server by the stock cases only."""
    ours = [item for item in items if item.path.is_relative_to(FOLDER) and {*item.fixturenames} & {*SERVERS}]
    for item in ours:
        if sum(item.get_closest_marker(kind) is not None for kind in KINDS) != 1:
            raise pytest.UsageError(f"{item.nodeid} must be marked as one of {' and '.join(KINDS)}")
    if config.getoption("subject", None):
        left_out = [item for item in ours if item.get_closest_marker("extended")]
    elif config.getoption("peer", False):
        left_out = [item for item in ours if not item.get_closest_marker("stock")]
    elif config.getoption("url", None):
        judged = "guarded" if config.getoption("secret", None) else "endpoint"
        left_out = [item for item in ours if judged not in item.fixturenames]
    else:
        left_out = []
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """asyncio: it is what the client library runs on."""
    return "asyncio"


@pytest.fixture(scope="session")
def endpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    """The server that is judged."""
    url = request.config.getoption("url", None)
    folder = tmp_path_factory.mktemp("conformance")
    named = request.config.getoption("subject", None)
    if named:
        subject = Subject(PEERS[named])
        subject.start()
        yield subject.endpoint
        subject.remove()
    elif url:
        yield Endpoint(url)
    elif request.config.getoption("peer", False):
        yield from _y_websocket_server(folder)
    else:
        yield from _our_server(folder)


@pytest.fixture(scope="session")
def guarded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """The server that is judged, which knows people by tokens."""
    url = request.config.getoption("url", None)
    if url:
        yield Guarded(Endpoint(url), request.config.getoption("secret"))
        return
    for endpoint in _our_server(tmp_path_factory.mktemp("guarded"), auth_secret=SECRET, auth_leeway_seconds=0):
        yield Guarded(endpoint, SECRET)


@pytest.fixture
def subject(request: pytest.FixtureRequest) -> Iterator[Subject]:
    """The server that is judged, as a process of its own that may be killed: ours, or the one that is named."""
    named = request.config.getoption("subject", None)
    subject = Subject(PEERS[named] if named else OURS)
    subject.start()
    yield subject
    subject.remove()


@pytest.fixture
def room() -> str:
    """The name of a room that nobody has been in."""
    return f"case-{uuid4().hex}"


def _our_server(folder: Path, **settings: object) -> Iterator[Endpoint]:
    server = Server(folder, keep_alive_seconds=2, **settings)
    server.start()
    try:
        yield Endpoint(server.ws_url("{room}"))
    finally:
        server.close()


def _y_websocket_server(folder: Path) -> Iterator[Endpoint]:
    assert PEER.exists(), f"It is not installed; run `npm ci` in {FOLDER}."
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    log = folder / "y-websocket-server.log"
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [node_program(), str(PEER)],
            env={**os.environ, "HOST": "127.0.0.1", "PORT": str(port)},
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    try:
        assert process.stdout is not None
        with process.stdout as said:
            line = said.readline()
            assert line.startswith("running at"), f"{line!r}\n{log.read_text(errors='replace')}"
            yield Endpoint(f"ws://127.0.0.1:{port}/{{room}}")
    finally:
        process.kill()
        process.wait(PATIENCE_SECONDS)
