"""The load generator still works: at toy size, everything that is sent arrives. It measures nothing."""

from collections.abc import Callable
from pathlib import Path

import markers
import pytest
from benchmarks import live, opening, readme, stored, traces
from benchmarks.joining import join_and_leave
from benchmarks.peers import Peer
from processes import Server


class Running(Peer):
    """The fixture's server, with a benchmark's view of it."""

    def kill(self) -> None:
        """End it; the fixture started it, and does the rest."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()


@pytest.fixture
def peer(start_server: Callable[..., Server]) -> Peer:
    """A server that runs."""
    server = start_server()
    running = Running("cosession", list, path="/sync/{}", durable=True, database="cosession.sqlite3")
    running.folder, running.port, running.process = Path(server.data), server.port, server.process  # type: ignore[assignment]
    return running


def test_every_token_reaches_every_watcher(peer: Peer) -> None:
    result = live.fan_out(peer, sessions=1, watchers=3, rate=20, seconds=1.0, warmup=0.2)
    assert result["tokens"] == 3 * 24
    assert result["delivered"] == result["tokens"]
    assert result["repeated"] == 0
    assert result["connections_lost"] == 0


def test_frames_at_saturation_are_counted(peer: Peer) -> None:
    result = live.frames_at_saturation(peer, watchers=3, window=1, seconds=1.0)
    assert result["frames_per_second"] == result["tokens_per_second"] > 0


def test_every_fence_is_answered_and_every_update_survives(peer: Peer) -> None:
    result = stored.paced(peer, sessions=3, rate=100, fence_every=5, seconds=0.5, silence=3.0)
    assert result["fences_answered"] == result["fences"]
    assert result["survived_kill"] == 1.0


def test_a_chat_is_written_token_by_token(peer: Peer) -> None:
    author, size = opening.write_chat(peer, "chat", messages=2, tokens=40)
    assert author.clock == size > 40 * 5


def test_joins_are_counted_when_the_whole_reply_is_there(peer: Peer) -> None:
    opening.write_chat(peer, "chat", messages=2, tokens=40)
    url = peer.url("chat")
    rate, taken = join_and_leave(url, opening.Greeting(peer)(url), peer.is_reply, seconds=0.3, at_once=3)
    assert sum(taken.values()) >= 3
    assert rate > 0


def test_every_keystroke_of_a_trace_reaches_the_watcher(peer: Peer) -> None:
    updates = traces.updates_of(traces.made_up(300))
    result = traces.replay(peer, updates)
    assert len(updates) == 301
    assert (result["arrived"], result["connections_lost"]) == (True, 0)


def test_results_go_into_the_readme_in_the_place_of_the_last_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page, plot = tmp_path / "README.md", tmp_path / "growth.svg"
    monkeypatch.setattr(markers, "README", page)
    monkeypatch.setattr(readme, "PLOT", plot)
    page.write_text(f"before\n{readme.BEGIN}old\n{readme.END}after\n")
    delay = {
        "scenario": "fan-out",
        "case": "1 × 10 × 50",
        "tokens": 10,
        "delivered": 10,
        "p50_ms": 0.61,
        "p99_ms": 12.3,
    }
    lines = {"watchers": [[1, 2.0], [2, 3.0]], "sessions": [[1, 2.0]], "length": [[1000, 40.0]]}
    rows = [
        delay | {"peer": "cosession"},
        delay | {"peer": "y-websocket", "delivered": 5},
        {"scenario": "growth", "case": "watchers, sessions, length", "peer": "cosession", **lines},
    ]
    for _ in range(2):
        readme.write(rows)
    assert "| 1 × 10 × 50 | 0.6 / 12 | only 50 % arrived |" in page.read_text()
    assert page.read_text().startswith("before\n")
    assert page.read_text().endswith("after\n")
    assert "old" not in page.read_text()
    assert plot.read_text().startswith("<svg")
    page.write_text("nothing")
    with pytest.raises(ValueError, match="no place"):
        readme.write(rows)
