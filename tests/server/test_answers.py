"""Large answers that are read slowly, or never: what waits for all of them has one bound."""

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress

import httpx
import pytest
from processes import Server
from starlette.requests import Request

from cosession.errors import ServerBusy
from cosession.server.edge.answers import ABORT, Answers

MEGABYTE = 2**20
SIZE = 7 * MEGABYTE
"""Bytes of the session; the kernel takes some of them for a connection that doesn't read."""

KINDS = ["application/json", "application/octet-stream"]


@pytest.fixture
def server(start_server: Callable[..., Server]) -> Server:
    """One with a session whose answer is more than half of what all answers may hold."""
    server = start_server(max_answering_bytes=8 * MEGABYTE)
    httpx.post(f"{server.url}/sessions", json={"id": "trip"})
    say(server, "x" * SIZE)
    return server


@pytest.fixture
def sockets() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def say(server: Server, text: str) -> None:
    assert httpx.post(f"{server.url}/sessions/trip/messages", json={"text": text}).status_code == 201


def ask(server: Server, sockets: ExitStack, kind: str) -> socket.socket:
    """Ask for the session, and read the first byte of the answer only."""
    one = sockets.enter_context(server.small_socket())
    one.setblocking(True)
    one.sendall(f"GET /sessions/trip HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: {kind}\r\n\r\n".encode())
    assert one.recv(1) == b"H"
    return one


def read(one: socket.socket) -> int:
    """Read to the end, and return how much came."""
    one.settimeout(10)
    size = 0
    with suppress(ConnectionError, TimeoutError):
        while data := one.recv(MEGABYTE):
            size += len(data)
            if size >= SIZE:
                break
    return size


@pytest.mark.parametrize("kind", KINDS)
def test_readers_that_read_nothing_do_not_hold_one_session_each(
    server: Server, sockets: ExitStack, kind: str
) -> None:
    assert httpx.get(f"{server.url}/sessions/trip", headers={"accept": kind}).status_code == 200
    before = server.memory_bytes()
    deaf = []
    for number in range(16):
        deaf.append(ask(server, sockets, kind))
        say(server, f"version {number}")
    assert server.memory_bytes() - before < 60 * MEGABYTE
    assert read(deaf[0]) < SIZE
    assert read(deaf[-1]) >= SIZE
    assert httpx.get(f"{server.url}/sessions/trip", headers={"accept": kind}).status_code == 200
    assert "Traceback" not in server.tail(200)


@pytest.mark.parametrize("kind", KINDS)
def test_readers_of_the_same_version_share_its_bytes_and_none_is_cut(
    server: Server, sockets: ExitStack, kind: str
) -> None:
    slow = [ask(server, sockets, kind) for _ in range(4)]
    assert all(read(one) >= SIZE for one in slow)


def request_of(address: str, cuts: list[str] | None) -> Request:
    state = {} if cuts is None else {ABORT: lambda: cuts.append(address)}
    return Request({"type": "http", "client": (address, 1), "headers": [], "state": state})


def test_the_address_that_holds_most_loses_its_oldest_answer() -> None:
    cuts: list[str] = []
    answers = Answers(4 * MEGABYTE, lambda address: address, 60)
    for address in ("honest", "greedy", "greedy"):
        answers.answer(request_of(address, cuts), bytes(MEGABYTE))
    answers.answer(request_of("late", cuts), bytes(2 * MEGABYTE))
    assert cuts == ["greedy"]


def test_an_answer_larger_than_the_bound_is_sent_alone() -> None:
    cuts: list[str] = []
    answers = Answers(MEGABYTE, lambda address: address, 60)
    for address in ("one", "two"):
        answers.answer(request_of(address, cuts), bytes(3 * MEGABYTE))
    assert cuts == ["one"]


def test_where_no_connection_can_be_cut_more_is_refused() -> None:
    answers = Answers(MEGABYTE, lambda address: address, 60)
    answers.answer(request_of("one", None), bytes(MEGABYTE))
    with pytest.raises(ServerBusy):
        answers.answer(request_of("two", None), bytes(MEGABYTE))
