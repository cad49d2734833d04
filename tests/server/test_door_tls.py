"""TLS by the server itself: the same session over wss, and nobody holds a handshake open."""

import asyncio
import contextlib
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path
from socket import create_connection

import httpx
import pytest
from processes import PATIENCE_SECONDS, Server, eventually
from pycrdt import Map
from websockets.asyncio.client import connect
from wire import Wire

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 that signs itself, beside its key."""
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
            *("-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")),
        ],
        check=True,
        capture_output=True,
    )
    return folder / "cert.pem"


@pytest.fixture
def start_tls(start_server: Callable[..., Server], certificate: Path) -> Callable[..., Server]:
    """Start servers that speak TLS."""
    return lambda **settings: start_server(tls_cert=certificate, tls_key=certificate.with_name("key.pem"), **settings)


async def test_a_session_is_the_same_over_tls(start_tls: Callable[..., Server], certificate: Path) -> None:
    server, trust = start_tls(), ssl.create_default_context(cafile=certificate)
    assert server.url.startswith("https://")
    async with httpx.AsyncClient(base_url=server.url, verify=trust) as http:
        assert (await http.post("/sessions", json={"id": "room"})).status_code == 201
        address = server.ws_url("room", ext=1)
        async with connect(address, ssl=trust) as one, connect(address, ssl=trust, max_size=None) as two:
            ann, ben = Wire(one), Wire(two)
            await ann.sync()
            await ben.sync()
            block = "x" * 2**20  # more than a TLS record, and than a socket takes at once
            await ann.edit(lambda doc: doc.get("state", type=Map).update({"block": block}))
            await ann.fence()
            for number in range(100):
                await ann.edit(lambda doc, number=number: doc.get("state", type=Map).update({"number": number}))
            await ann.fence()
            state = ben.doc.get("state", type=Map)
            await eventually(lambda: state.to_py() == {"block": block, "number": 99}, "all of it")
            for _ in range(3):  # what several are sent is encrypted for each
                async with connect(address, ssl=trust, max_size=None) as late:
                    cid = Wire(late)
                    await cid.sync()
                    assert cid.doc.get("state", type=Map).to_py() == {"block": block, "number": 99}
        await ann.wait_closed()
        await ben.wait_closed()


async def test_a_stopping_server_says_goodbye_over_tls(start_tls: Callable[..., Server], certificate: Path) -> None:
    server, trust = start_tls(), ssl.create_default_context(cafile=certificate)
    async with connect(server.ws_url("room"), ssl=trust) as socket:
        wire = Wire(socket)
        await wire.sync()
        await asyncio.to_thread(server.stop)
        assert (await wire.wait_closed())[0] == 4503


def test_a_handshake_that_stops_halfway_is_ended(start_tls: Callable[..., Server]) -> None:
    server = start_tls(head_seconds=0.5, max_connections_per_address=1, unlimited_addresses="[]")
    hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
    sockets = [create_connection(("127.0.0.1", server.port), PATIENCE_SECONDS) for _ in range(20)]
    for one in sockets:
        with contextlib.suppress(ConnectionError):
            one.sendall(hello)
    for one in sockets:
        with contextlib.suppress(ConnectionError):
            assert one.recv(1) == b""
        one.close()
    assert server.log.read_text().count("\n") <= 1, "a stranger's handshake is no news"


@pytest.mark.parametrize("how", ["missing", "no certificate", "another's key"])
def test_a_certificate_that_cannot_be_used_is_named(
    start_server: Callable[..., Server], certificate: Path, tmp_path: Path, how: str
) -> None:
    other = tmp_path / "other.pem"
    if how == "no certificate":
        other.write_text("nothing")
    elif how == "another's key":
        command = ("openssl", "genpkey", "-algorithm", "ed25519", "-out", str(other))
        subprocess.run(command, check=True, capture_output=True)
    settings = {"tls_cert": certificate, "tls_key": other} if how == "another's key" else {"tls_cert": other}
    with pytest.raises(AssertionError, match=r"The certificate or its key can't be used: .*COSESSION_TLS_CERT"):
        start_server(**settings)
