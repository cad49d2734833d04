"""What the server tells browsers with every answer, and what it never tells its log."""

import contextlib
import socket
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from processes import PATIENCE_SECONDS, Server
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

from cosession.server.edge.security_headers import SECURITY_HEADERS, InlineScripts, page_policy

SECRET = "eyJ-this-token-is-a-secret"


def raw(server: Server, data: bytes) -> bytes:
    """The answer to some bytes, until the server hangs up."""
    answer = b""
    with socket.create_connection(("127.0.0.1", server.port), PATIENCE_SECONDS) as one:
        one.sendall(data)
        one.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionResetError):
            while block := one.recv(65536):
                answer += block
    return answer


def test_every_answer_has_the_security_headers(start_server: Callable[..., Server], tmp_path: Path) -> None:
    pages = tmp_path / "pages"
    pages.mkdir()
    (pages / "index.html").write_text("<!doctype html><p>Hello")
    server = start_server(pages)
    with httpx.Client(base_url=server.url) as http:
        answers = [
            http.get("/"),
            http.get("/client/cosession.js"),
            http.get("/sessions"),
            http.get("/sessions/none"),
            http.get("/nothing/here"),
            http.put("/sessions"),
            http.post("/sessions", content=b"{"),
            http.get("/sessions", headers={"origin": "https://evil.example"}),
        ]
    assert {answer.status_code for answer in answers} == {200, 403, 404, 405, 422}
    for answer in answers:
        shared = {"cross-origin-resource-policy": "cross-origin"} if "/client/" in answer.url.path else {}
        for name, value in (SECURITY_HEADERS | shared).items():
            assert answer.headers[name] == value, answer.url
    garbage = raw(server, b"\x00\x01\r\n\r\n").decode().lower()
    assert all(f"{name}: {value.lower()}" in garbage for name, value in SECURITY_HEADERS.items())


def test_a_page_is_in_no_frame_and_loads_and_sends_nothing_elsewhere() -> None:
    policy = dict(rule.split(" ", 1) for rule in page_policy().split("; "))
    assert {name for name, source in policy.items() if source == "'none'"} == {
        *("default-src", "base-uri", "form-action", "frame-ancestors"),
    }
    others = {name: source.split() for name, source in policy.items() if source != "'none'"}
    assert others.pop("img-src") == ["'self'", "data:", "blob:"]
    assert set(others) == {"script-src", "style-src", "font-src", "connect-src", "manifest-src", "worker-src"}
    assert all(source == ["'self'"] for source in others.values())
    assert {name: value for name, value in SECURITY_HEADERS.items() if name not in _TOLD_ABOVE} == {
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
    }


_TOLD_ABOVE = ("content-security-policy", "permissions-policy")


def test_a_page_may_run_the_scripts_that_stand_in_it_and_no_others(
    start_server: Callable[..., Server], tmp_path: Path
) -> None:
    pages = tmp_path / "pages"
    pages.mkdir()
    (pages / "index.html").write_bytes(
        b"<!doctype html>\r\n<script type=module>\r\nlet a = 1 && '&amp;';\r\n</script><script src=a.js></script><p>x"
    )
    server = start_server(pages)
    with httpx.Client(base_url=server.url) as http:
        page = http.get("/")
        policy = page.headers["content-security-policy"]
        assert policy == page_policy(["\nlet a = 1 && '&amp;';\n"])
        assert policy.count("sha256-") == 1
        assert "unsafe" not in policy
        again = http.get("/", headers={"if-none-match": page.headers["etag"]})
        assert again.status_code == 304
        assert "content-security-policy" not in again.headers, "a browser would take it for the page it holds"


def test_scripts_are_found_however_they_are_written() -> None:
    page = "<SCRIPT>a</SCRIPT><script\nasync>b<c</d></script><script SRC='x'>no</script>"
    page += "<!-- <script>no</script> --><script>"
    assert InlineScripts(page).texts == ["a", "b<c</d>", ""]


@pytest.mark.parametrize("style", ["console", "json"])
def test_no_token_is_in_a_log(start_server: Callable[..., Server], style: str) -> None:
    server = start_server(log_level="debug", log_format=style, create_on_connect="false")
    query = f"?token={SECRET}&access_token={SECRET}"
    lines = [f"Authorization: Bearer {SECRET}", f"Cookie: token={SECRET}", f"Sec-WebSocket-Protocol: {SECRET}"]
    head = "\r\n".join(["Host: 127.0.0.1", *lines])
    upgrade = f"{head}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    key = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x3JJHMbDL1EzLkh9GBhXDw==\r\n"
    requests = [
        f"GET /sessions{query} HTTP/1.1\r\n{head}\r\n\r\n",
        f"GET /sessions{query}\r\n\r\n",
        f"GET /sessions{query} HTTP/1.1\r\n{head}\r\nno header at all\r\n\r\n",
        f"GET /sessions{query} HTTP/1.1\r\n{head}\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n",
        f"GET /sync/room{query} HTTP/1.1\r\n{upgrade}\r\n",
        f"GET /sync/room{query} HTTP/1.1\r\n{upgrade}Sec-WebSocket-Version: 8\r\n\r\n",
        f"GET /sync/room{query} HTTP/1.1\r\n{upgrade}{key}\r\n",
        f"GET /sync/room{query} HTTP/1.1\r\n{upgrade}{key}\r\n\xff\xff\xff",
        f"GET /sync/room{query} HTTP/1.1\r\n{upgrade}{key}Origin: https://evil.example\r\n\r\n",
        f"GET /sync/room{query}{'x' * 9000} HTTP/1.1\r\n{upgrade}{key}\r\n",
        f"GET /nowhere{query} HTTP/1.1\r\n{upgrade}{key}\r\n",
        f"POST /sessions{query} HTTP/1.1\r\n{head}\r\nContent-Length: 40\r\n\r\n{{",
        f'POST /sessions{query} HTTP/1.1\r\n{head}\r\nContent-Length: 8\r\n\r\n{{"id":1}}',
        f"GET /sessions?limit=x&token={SECRET} HTTP/1.1\r\n{head}\r\n\r\n",
    ]
    for request in requests:
        raw(server, request.encode("latin-1"))
    for session in ("room", "bad%20id", ""):
        with contextlib.suppress(WebSocketException), connect(server.ws_url(session, token=SECRET)) as socket_:
            socket_.send("text is not part of the protocol")
    with httpx.Client(base_url=server.url) as http:
        http.post("/sessions", json={"id": "room"})
        http.post("/sessions/room/messages", params={"token": SECRET}, json={"text": "x", "parts": []})
    with contextlib.suppress(WebSocketException), connect(server.ws_url("room", token=SECRET)) as socket_:
        socket_.send(b"\xff\xff\xff\xff")
    server.stop()
    log = server.log.read_text()
    assert "secret" not in log
    assert "Traceback" not in log, "none of this is a defect"
