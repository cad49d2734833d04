"""What large frames on their way in may hold together, and which goes on."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosession.server.arrivals import SMALL_BYTES, Arrivals

pytestmark = pytest.mark.anyio

LARGEST = 16 * SMALL_BYTES


@pytest.fixture
def anyio_backend() -> str:
    """asyncio: it is what the server runs on."""
    return "asyncio"


@dataclass(eq=False)
class Socket:
    """A sender; a real one would decide by itself when bytes come."""

    address: str
    said: list[str] = field(default_factory=list)
    size: int = 0

    def go_on(self) -> None:
        self.said.append("go on")

    def give_up(self) -> None:
        self.said.append("give up")
        self.size = 0


async def test_the_next_frame_is_of_the_address_with_the_fewest() -> None:
    arrivals = Arrivals(2 * LARGEST, lambda address: address)
    first = Socket("a")
    assert arrivals.grow(first, LARGEST)
    waiting = [Socket("a"), Socket("a"), Socket("b")]
    assert not any(arrivals.grow(socket, SMALL_BYTES + 1) for socket in waiting)
    second = Socket("a")
    arrivals.release(first)
    assert [socket.said for socket in waiting] == [["go on"]] * 3
    assert arrivals.grow(waiting[0], LARGEST)
    late = [second, Socket("c")]
    assert not any(arrivals.grow(socket, SMALL_BYTES + 1) for socket in late)
    arrivals.release(waiting[2])
    assert [socket.said for socket in late] == [[], []]
    arrivals.release(waiting[1])
    assert [socket.said for socket in late] == [[], []]
    arrivals.release(waiting[0])
    assert late[1].said == ["go on"]


async def test_the_slowest_of_the_address_that_holds_most_is_given_up() -> None:
    arrivals = Arrivals(2 * LARGEST, lambda address: address)
    small, large, honest = Socket("a"), Socket("a"), Socket("b")
    assert all(arrivals.grow(socket, 2 * SMALL_BYTES) for socket in (honest, small, large))
    assert arrivals.grow(large, LARGEST)
    assert arrivals.grow(honest, LARGEST - 2 * SMALL_BYTES)
    assert arrivals.grow(honest, LARGEST - SMALL_BYTES)
    assert (small.said, large.said, honest.said) == (["give up"], [], [])
    assert arrivals.grow(honest, LARGEST)
    arrivals.finish(large)
    assert not arrivals.grow(honest, LARGEST + SMALL_BYTES)
    assert honest.said == ["give up"]


@given(st.lists(st.tuples(st.integers(0, 7), st.sampled_from(["grow", "finish", "release"]), st.integers(1, 20))))
async def test_frames_never_hold_more_than_the_bound(steps: list[tuple[int, str, int]]) -> None:
    arrivals = Arrivals(2 * LARGEST, lambda address: None if address == "1" else address)
    sockets = [Socket(str(number % 3)) for number in range(8)]
    waits, whole = set[Socket](), set[Socket]()
    for number, step, steps_more in steps:
        socket = sockets[number]
        if step == "grow" and socket not in waits | whole:
            grown = max(socket.size, SMALL_BYTES) + steps_more * SMALL_BYTES // 4
            if grown <= LARGEST:
                socket.size = grown
                if not arrivals.grow(socket, grown) and "give up" not in socket.said:
                    waits.add(socket)
        elif step == "finish" and socket.size and socket not in waits:
            arrivals.finish(socket)
            whole.add(socket)
        elif step == "release":
            arrivals.release(socket)
            whole.discard(socket)
            waits.discard(socket)
            socket.size = 0
        waits = {one for one in waits if not one.said}
        for one in sockets:
            one.said.clear()
        assert sum(one.size for one in sockets if one not in waits) <= 2 * LARGEST
    for socket in sockets:
        arrivals.release(socket)
    assert not any(one.said for one in sockets if one not in waits)
    assert arrivals.grow(Socket("new"), LARGEST)
