"""The configurations of demo/deploy, each run by the real proxy in front of a real server."""

import contextlib
import re
import socket
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import pytest
from people import SECRET, token
from processes import ROOT, Server, eventually
from pycrdt import Text
from wire import Wire

pytestmark = pytest.mark.anyio

DEPLOY = ROOT / "demo" / "deploy"


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def nginx(folder: Path, server: Server, port: int) -> list[str | Path]:
    """Return nginx's command with the delivered file: another port, no certificate, files in a folder of the test."""
    text = (DEPLOY / "nginx.conf").read_text()
    text = text.replace("listen 443 ssl;", f"listen 127.0.0.1:{port};")
    text = re.sub(r"^ *ssl_certificate.*\n", "", text, flags=re.MULTILINE)
    text = text.replace("server_name app.example;", "server_name 127.0.0.1;")
    text = text.replace("http://127.0.0.1:8765", server.url).replace(
        "/var/log/nginx/cosession.log", f"{folder}/access"
    )
    text = text.replace("proxy_set_header Host $host;", "proxy_set_header Host $http_host;")  # with the test's port
    paths = "".join(
        f"    {name}_temp_path {folder}/{name};\n" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    text = text.replace("http {\n", "http {\n" + paths, 1)
    text = f"daemon off;\nmaster_process off;\npid {folder}/pid;\nerror_log {folder}/errors;\n{text}"
    (folder / "nginx.conf").write_text(text)
    return ["nginx", "-c", folder / "nginx.conf", "-p", folder]


def caddy(folder: Path, server: Server, port: int) -> list[str | Path]:
    """Return Caddy's command with the delivered file, for a test's own address; its log goes to `errors`."""
    upstream = server.url.removeprefix("http://")
    head = f"{{\n\tadmin off\n\tstorage file_system {folder}/storage\n}}\n"
    (folder / "Caddyfile").write_text(head + (DEPLOY / "Caddyfile").read_text())
    return ["env", f"DOMAIN=http://127.0.0.1:{port}", f"UPSTREAM={upstream}", f"HOME={folder}",
            "caddy", "run", "--adapter", "caddyfile", "--config", folder / "Caddyfile"]  # fmt: skip


PROXIES = {"nginx": nginx, "caddy": caddy}


@pytest.fixture(params=list(PROXIES))
async def proxied(
    request: pytest.FixtureRequest, start_server: Callable[..., Server], tmp_path: Path
) -> AsyncIterator[tuple[Server, str, Path]]:
    """A server, the address of a proxy in front of it, and the folder of the proxy's logs."""
    server = start_server(auth_secret=SECRET, trusted_proxies="127.0.0.1", log_level="debug")
    port = free_port()
    folder = tmp_path / "proxy"
    folder.mkdir()
    command = PROXIES[request.param](folder, server, port)
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)  # noqa: ASYNC220
    try:
        url = f"http://127.0.0.1:{port}"
        await eventually(lambda: is_open(url) or process.poll() is not None, "the proxy")
        assert process.poll() is None, (folder / "output").read_text()
        yield server, url, folder
    finally:
        process.terminate()
        process.wait(30)


def is_open(url: str) -> bool:
    """Whether something listens."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", int(url.rsplit(":", 1)[1])), 1):
        return True
    return False


class Behind(Server):
    """The server as clients see it: by the address of the proxy."""

    def __init__(self, url: str) -> None:
        self.url = url


async def test_a_session_works_through_the_delivered_proxy(proxied: tuple[Server, str, Path]) -> None:
    _, url, _ = proxied
    secret = token("ann", "member")
    behind = Behind(url)
    async with Wire.open(behind, "trip", token=secret, ext=1) as ann, Wire.open(behind, "trip", token=secret) as ben:
        await ann.edit(lambda doc: doc.get("text:note", type=Text).insert(0, "through"))
        await ann.fence()
        await eventually(lambda: str(ben.doc.get("text:note", type=Text)) == "through", "the text behind the proxy")
    async with httpx.AsyncClient(base_url=url, headers={"authorization": f"Bearer {secret}"}) as http:
        sent = await http.post("/sessions/trip/messages", json={"text": "by HTTP"})
        assert sent.status_code == 201, sent.text
        large = await http.post("/sessions/trip/messages", json={"text": "x" * 7 * 2**20})
        assert large.status_code == 201, large.text


async def test_the_server_knows_the_address_of_a_client_behind_the_proxy(proxied: tuple[Server, str, Path]) -> None:
    server, url, _ = proxied
    transport = httpx.AsyncHTTPTransport(local_address="127.0.0.2")  # 127.0.0.1 is the trusted proxy
    headers = {"x-forwarded-for": "203.0.113.9"}
    async with httpx.AsyncClient(base_url=url, headers=headers, transport=transport) as http:
        assert (await http.get("/sessions/trip")).status_code == 401
    refused = [line for line in server.log.read_text().splitlines() if "connection.refused" in line]
    assert refused
    assert all("address=127.0.0.2" in line for line in refused), "not the proxy's, nor what the client says of itself"


async def test_no_log_of_a_proxy_has_a_token(proxied: tuple[Server, str, Path]) -> None:
    server, url, folder = proxied
    secret = token("ann", "member")
    async with Wire.open(Behind(url), "trip", token=secret, ext=1) as ann:
        await ann.fence()
    logs = await eventually(
        lambda: "".join(p.read_text() for p in (folder / "output", folder / "access") if p.exists())
    )
    assert secret not in logs
    assert secret not in server.log.read_text()
