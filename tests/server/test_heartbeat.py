"""The heartbeat: who is gone is known to be, and who reads slowly is not taken for gone."""

import socket

import pytest

from cosession.server.edge.heartbeat import Heartbeat, Signs, can_look, look

BEAT, PATIENCE = 4.5, 60.0


class Other:
    """The other end of a socket, beat by beat."""

    def __init__(self) -> None:
        self.heartbeat = Heartbeat(BEAT, PATIENCE)
        self.now = 1000.0
        self.received = self.sent = self.taken = self.unanswered = 0
        self.held = False

    def beat(self) -> str:
        self.now += BEAT
        signs = Signs(self.received, self.taken, self.sent - self.taken, self.unanswered, self.held)
        verdict = self.heartbeat.beat(signs, self.now)
        if verdict == "ask":
            self.sent += 2
        return verdict

    def live(self, beats: int = 1) -> None:
        """Answer every question in time."""
        for _ in range(beats):
            verdict = self.beat()
            assert verdict != "gone"
            self.taken = self.sent
            if verdict == "ask":
                self.answer()

    def answer(self) -> None:
        self.received += 6
        self.heartbeat.answered()

    def beats_until_gone(self, most: int = 100) -> int:
        return next(number for number in range(1, most + 1) if self.beat() == "gone")


@pytest.mark.parametrize("before", range(6))
def test_who_dies_is_gone_after_three_beats_at_the_latest(before: int) -> None:
    other = Other()
    other.live(before)
    other.taken = other.sent
    other.received += 100  # its last word
    seconds = 0.0
    while True:
        seconds += BEAT
        if other.beat() == "gone":
            break
        other.taken = other.sent  # a proxy takes everything
    assert seconds <= 3 * BEAT


def test_who_lives_and_says_nothing_is_asked_every_other_beat() -> None:
    other = Other()
    other.live(1)
    asked = 0
    for _ in range(20):
        verdict = other.beat()
        asked += verdict == "ask"
        other.taken = other.sent
        if verdict == "ask":
            other.answer()
    assert asked == 10


def test_who_talks_and_never_answers_is_not_gone() -> None:
    other = Other()
    for _ in range(50):
        other.received += 10
        assert other.beat() != "gone"


def test_a_reader_that_takes_a_little_at_a_time_is_not_gone() -> None:
    other = Other()
    other.live(4)
    other.sent += 10_000_000
    for _ in range(50):
        assert other.beat() != "gone"
        other.taken += 100_000
    other.taken = other.sent
    other.answer()
    other.live(4)


def test_a_reader_whose_window_is_closed_is_left_to_the_room() -> None:
    other = Other()
    other.live(4)
    other.sent += 10_000_000
    other.taken += 100_000
    for _ in range(50):
        assert other.beat() != "gone"


def test_a_network_that_is_dead_is_noticed_behind_whatever_waits() -> None:
    other = Other()
    other.live(4)
    other.sent += 10_000_000
    other.taken += 100_000
    other.unanswered = 5
    assert other.beats_until_gone() <= 3


def test_a_reader_behind_a_proxy_has_time_for_what_the_proxy_holds() -> None:
    other = Other()
    other.live(4)
    other.sent += 1_000_000  # 15 seconds of a bad network
    other.beat()
    other.beat()
    other.taken = other.sent
    for _ in range(3):
        assert other.beat() != "gone"
    other.answer()
    other.live(4)


def test_what_was_read_before_counts_no_more() -> None:
    other = Other()
    other.sent += 50_000_000
    other.live(6)
    assert other.beats_until_gone() <= 3


def test_nobody_has_more_time_than_a_slow_reader() -> None:
    other = Other()
    other.live(4)
    other.sent += 10**9
    other.taken = other.sent
    other.beat()
    other.beat()
    other.taken = other.sent
    assert other.beats_until_gone() * BEAT <= PATIENCE + 2 * BEAT


def test_who_is_held_back_by_us_is_not_gone() -> None:
    other = Other()
    other.live(3)
    other.held = True
    for _ in range(50):
        assert other.beat() != "gone"
    other.held = False
    other.taken = other.sent
    other.answer()
    other.live(4)


def test_what_tcp_says_is_read_right() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as near:
        far, _ = listener.accept()
        with far:
            assert can_look(near)
            near.sendall(b"x" * 1000)
            far.sendall(b"y" * 10)
            assert len(far.recv(1000, socket.MSG_WAITALL)) == 1000
            assert near.recv(10, socket.MSG_WAITALL) == b"y" * 10
            signs = look(near, 0, held=False)
            assert (signs.received, signs.waiting, signs.unanswered, signs.held) == (10, 0, 0, False)
            assert signs.taken in (1000, 1001), "the side that calls counts its call"
            called = signs.taken - 1000
            near.setblocking(False)
            sent = 1000
            try:
                while True:
                    sent += near.send(b"z" * 65_536)
            except BlockingIOError:
                pass
            signs = look(near, 7, held=True)
            assert signs.taken + signs.waiting == sent + called + 7
            assert signs.waiting > 7
            assert signs.held
