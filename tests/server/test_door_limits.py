"""What a connection may take before anybody knows whose it is: sockets, bytes, time."""

import asyncio
import contextlib
import os
import select
import socket
from collections.abc import Callable, Iterator
from ipaddress import ip_network
from pathlib import Path

import httpx
import pytest
from processes import PATIENCE_SECONDS, Server, eventually
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from cosession.server.edge.connection_limits import ConnectionLimits, Tally

pytestmark = pytest.mark.anyio

GET = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
POST = b"POST /sessions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\n"
NOBODY_IS_EXEMPT = {"unlimited_addresses": "[]"}

Start = Callable[..., Server]
Plug = Callable[..., socket.socket]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def plug() -> Iterator[Plug]:
    """Open raw sockets: `plug(server, b"GET", host="127.0.0.2")`."""
    with contextlib.ExitStack() as sockets:

        def open_one(server: Server, data: bytes = b"", host: str = "127.0.0.1") -> socket.socket:
            address = ("127.0.0.1", server.port)
            one = socket.create_connection(address, PATIENCE_SECONDS, source_address=(host, 0))
            sockets.enter_context(one)
            one.sendall(data)
            return one

        yield open_one


def rest(one: socket.socket) -> bytes:
    """What comes until the server hangs up; fails when it doesn't."""
    data = b""
    with contextlib.suppress(ConnectionResetError):
        while block := one.recv(65536):
            data += block
    return data


def status(answer: bytes) -> int:
    """The last HTTP status in what a server said; 0 when it said nothing."""
    heads = [part for part in answer.split(b"HTTP/1.1 ") if part]
    return int(heads[-1][:3]) if heads else 0


async def come(server: Server, host: str = "127.0.0.1", **headers: str) -> ClientConnection:
    """Open a session's socket from an address of this machine."""
    return await connect(server.ws_url("room"), local_addr=(host, 0), additional_headers=headers)


async def close_code(one: ClientConnection) -> int | None:
    """How it is closed."""
    with contextlib.suppress(ConnectionClosed):
        while True:
            await asyncio.wait_for(one.recv(), PATIENCE_SECONDS)
    return one.close_code


async def get(server: Server, host: str = "127.0.0.1", **headers: str) -> httpx.Response:
    """Ask for something on a connection of its own."""
    async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(local_address=host), headers=headers) as http:
        return await http.get(server.url + "/healthz")


def test_who_says_nothing_is_hung_up_on(start_server: Start, plug: Plug) -> None:
    assert rest(plug(start_server(head_seconds=0.3))) == b""


@pytest.mark.parametrize("before", [b"", GET, GET + GET], ids=["first", "second", "third"])
def test_a_request_that_never_ends_is_ended(start_server: Start, plug: Plug, before: bytes) -> None:
    server = start_server(head_seconds=2)
    one = plug(server, before)
    answers = b""
    while answers.count(b'"ok"') < before.count(GET):
        answers += one.recv(65536)
    one.sendall(GET[:-2])
    assert status(rest(one)) == 408


def test_bytes_that_drip_win_no_time(start_server: Start, plug: Plug) -> None:
    server = start_server(head_seconds=0.5)
    one = plug(server)
    one.settimeout(0.01)
    answer = b""
    for number in range(4000):  # 40 seconds of it
        with contextlib.suppress(TimeoutError, ConnectionError, BrokenPipeError):
            one.sendall(b"X-%d: y\r\n" % number if number else GET[:-2])
            answer += one.recv(65536)
        if answer:
            break
    assert status(answer) == 408


@pytest.mark.parametrize("before", [b"", GET], ids=["alone", "behind another"])
def test_a_body_that_never_comes_is_not_waited_for(start_server: Start, plug: Plug, before: bytes) -> None:
    server = start_server(head_seconds=0.5, body_seconds=0.5)
    assert status(rest(plug(server, before + POST + b"{"))) in (0, 200)


@pytest.mark.parametrize("path", [b"/sessions", b"/healthz", b"/nothing"])
def test_a_body_in_very_many_small_chunks_is_not_read_on(start_server: Start, plug: Plug, path: bytes) -> None:
    """Each chunk costs as much work as a large one, also of who has no token; a thousand of them are taken."""
    server = start_server(body_seconds=10_000, head_seconds=10_000)
    head = b"POST " + path + b" HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    flood = plug(server, head)
    with contextlib.suppress(ConnectionError):
        flood.sendall(b"1\r\n \r\n" * 20_000)
    rest(flood)
    few = plug(
        server, head.replace(b"Host", b"Connection: close\r\nHost") + b"1\r\n \r\n" * 1000 + b"2\r\n{}\r\n0\r\n\r\n"
    )
    assert status(rest(few)) in (201, 404, 405)


async def test_who_asks_for_much_and_reads_nothing_is_hung_up_on(
    start_server: Start, plug: Plug, tmp_path: Path
) -> None:
    pages = tmp_path / "pages"
    pages.mkdir()
    (pages / "large.bin").write_bytes(bytes(64 * 2**20))
    server = start_server(pages, slow_reader_seconds=0.5)
    before = open_files(server)
    deaf = plug(server, GET.replace(b"/healthz", b"/large.bin"))
    deaf.recv(1)
    await eventually(lambda: open_files(server) == before, "the end of the connection")
    assert len(rest(deaf)) < 64 * 2**20


def open_files(server: Server) -> int:
    """How many files and sockets it has open."""
    assert server.process is not None
    return len(os.listdir(f"/proc/{server.process.pid}/fd"))


@pytest.mark.parametrize(
    "head",
    [
        GET[:-2] + b"X: " + b"y" * 100_000 + b"\r\n\r\n",
        GET[:-2] + b"X: y\r\n" * 10_000 + b"\r\n",
        b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"GET /" + b"x" * 100_000,
    ],
    ids=["one large header", "many headers", "a long address", "an address without end"],
)
def test_a_head_that_is_too_large_is_refused(server: Server, plug: Plug, head: bytes) -> None:
    assert status(rest(plug(server, head))) in (413, 431)


LARGE = "x" * 9000
HUGE = "x" * 20_000


@pytest.mark.parametrize(
    ("query", "headers", "code"),
    [
        (f"?token={LARGE}", {}, 4401),
        (f"?token={HUGE}", {}, 4401),
        (f"?ext=1&token={LARGE}", {}, 4401),
        ("", {"Authorization": f"Bearer {LARGE}"}, 4401),
        ("", {"Sec-WebSocket-Protocol": f"a, cosession.token.{LARGE}"}, 4401),
        (f"/{LARGE}", {}, 4401),
        ("", {"Cookie": LARGE}, None),
        ("", {f"X-{number}": "y" for number in range(200)}, None),
        ("", {"Cookie": HUGE}, None),
    ],
    ids=["query", "huge query", "extended", "header", "subprotocol", "path", "cookie", "many", "huge cookie"],
)
async def test_a_handshake_that_the_websocket_library_would_not_answer_is_answered_with_a_reason(
    server: Server, query: str, headers: dict[str, str], code: int | None
) -> None:
    async with connect(server.ws_url("room") + query, additional_headers=headers) as socket_:
        first = await asyncio.wait_for(socket_.recv(), PATIENCE_SECONDS) if code is None or "ext=1" in query else b""
        if code is None:
            return
        assert await close_code(socket_) == code
        assert "shorter token" in (socket_.close_reason or "")
        assert not first or first[0] == 103


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\x00" * 5000,
        b"GET\r\n\r\n",
        GET[:20] + b"\r\n\r\n",
    ],
)
def test_garbage_is_answered_and_leaves_one_line_in_the_log(server: Server, plug: Plug, garbage: bytes) -> None:
    before = server.log.read_text()
    assert status(rest(plug(server, garbage))) == 400
    lines = server.log.read_text().removeprefix(before).splitlines()
    assert len(lines) == 1
    assert "connection.refused" in lines[0]
    assert "code=400" in lines[0]


async def test_an_address_has_its_share(start_server: Start, plug: Plug) -> None:
    server = start_server(max_connections_per_address=3, **NOBODY_IS_EXEMPT)
    ann = await come(server)
    silent = [plug(server), plug(server)]

    async def refused() -> bool:
        return (await get(server)).status_code == 429

    await eventually(refused, "the limit")
    answer = await get(server)
    assert answer.json()["code"] == "limit.too_many_connections"
    assert answer.headers["retry-after"]
    assert await close_code(await come(server)) == 4529
    assert (await get(server, host="127.0.0.2")).status_code == 200, "another address is not concerned"
    for one in silent:
        one.close()

    async def served() -> bool:
        return (await get(server)).status_code == 200

    await eventually(served, "room for the address again")
    await ann.close()


async def test_far_beyond_its_share_an_address_is_not_heard(start_server: Start, plug: Plug) -> None:
    server = start_server(max_connections_per_address=3, head_seconds=600, **NOBODY_IS_EXEMPT)
    many = [plug(server) for _ in range(60)]
    await eventually(lambda: len(select.select(many, (), (), 0)[0]) == 60 - 3 - 16, "those beyond limit and margin")
    assert (await get(server, host="127.0.0.2")).status_code == 200


def test_who_comes_again_and_again_is_heard_now_and_then() -> None:
    lobby = ConnectionLimits(10_000, Tally(512, (ip_network("127.0.0.1"),)))

    def heard(address: str, times: int, now: float) -> int:
        count = 0
        for _ in range(times):
            if lobby.enter(address, now):
                lobby.leave(address)
                count += 1
        return count

    assert heard("127.0.0.2", 5000, now=0) == 1024
    assert heard("127.0.0.2", 5000, now=1) == 64
    assert heard("127.0.0.3", 100, now=1) == 100
    assert heard("127.0.0.1", 5000, now=1) == 5000
    assert heard("2001:db8::1", 5000, now=1) == 1024
    assert heard("2001:db8::2", 5000, now=1) == 0
    assert lobby.open == 0


async def test_a_full_server_says_when_to_come_back(start_server: Start) -> None:
    server = start_server(max_connections=2)
    ann, ben = await come(server), await come(server)
    answer = await get(server)
    assert (answer.status_code, answer.json()["code"]) == (503, "server.full")
    assert answer.headers["retry-after"]
    assert await close_code(await come(server)) == 4503
    await ann.close()

    async def served() -> bool:
        return (await get(server)).status_code == 200

    await eventually(served, "room in the server again")
    await ben.close()


async def test_behind_a_proxy_each_of_its_clients_has_its_share(start_server: Start) -> None:
    server = start_server(max_connections_per_address=2, trusted_proxies='["127.0.0.0/8"]', **NOBODY_IS_EXEMPT)
    ann = [await come(server, **{"X-Forwarded-For": "203.0.113.7"}) for _ in range(2)]
    assert await close_code(await come(server, **{"X-Forwarded-For": "203.0.113.7"})) == 4529
    told_by_the_client_and_by_the_proxy = {"X-Forwarded-For": "198.51.100.1, 203.0.113.7"}
    assert (await get(server, **told_by_the_client_and_by_the_proxy)).status_code == 429
    assert (await get(server, **{"X-Forwarded-For": "203.0.113.7, 198.51.100.1"})).status_code == 200
    two_of_one_network = [await come(server, **{"X-Forwarded-For": f"2001:db8:1:2::{last}"}) for last in (1, 2)]
    assert (await get(server, **{"X-Forwarded-For": "2001:db8:1:2:ffff::3"})).status_code == 429
    assert (await get(server, **{"X-Forwarded-For": "2001:db8:1:3::3"})).status_code == 200
    for one in (*ann, *two_of_one_network):
        await one.close()


async def test_who_is_no_proxy_is_not_believed(start_server: Start) -> None:
    server = start_server(max_connections_per_address=1, trusted_proxies='["192.0.2.1"]', **NOBODY_IS_EXEMPT)
    ann = await come(server)
    for header in ("X-Forwarded-For", "X-Real-IP", "Forwarded", "CF-Connecting-IP"):
        assert (await get(server, **{header: "for=203.0.113.9"})).status_code == 429
    await ann.close()


async def test_a_proxy_that_is_no_address_is_said_to_be_none(start_server: Start) -> None:
    with pytest.raises(AssertionError, match="trusted_proxies"):
        start_server(trusted_proxies='["proxy.example"]')


async def test_this_machine_may_open_many(start_server: Start) -> None:
    server = start_server(max_connections_per_address=1)
    several = [await come(server) for _ in range(5)]
    assert (await get(server)).status_code == 200
    for one in several:
        await one.close()
