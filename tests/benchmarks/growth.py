"""How costs grow: with watchers, with sessions, and with the length of a session; and the plot of it."""

import time
from collections.abc import Mapping, Sequence

from benchmarks.live import SECOND, Result, fan_out
from benchmarks.load import Load
from benchmarks.opening import CHUNK, Greeting
from benchmarks.peers import Peer
from benchmarks.yframes import Author

Points = Sequence[tuple[int, float]]
MESSAGE = 500
"""Tokens of a message: a text of its own, for in yrs and in Yjs a token costs more the longer the text before it."""

PANELS = {
    "watchers": "% of a core, by watchers of each of 2 sessions",
    "sessions": "% of a core, by sessions of 20 watchers",
    "length": "µs of CPU for a token, by length in tokens",
}
_COLOURS = ("#0b6e4f", "#c8553d", "#2f5d9e", "#8a6d1f")
_WIDTH, _HEIGHT, _EDGE = 320, 200, 44


def growth(peer: Peer, seconds: float = 2.0) -> Result:
    """The server's CPU at 20 tokens a second and session, and for each token, as one thing grows and the rest stays.

    Args:
        peer: a server that runs.
        seconds: how long each point is measured.
    """
    by_watchers = [(number, _cost(fan_out(peer, 2, number, 20, seconds, 0.5))) for number in (10, 50, 100, 200, 400)]
    by_sessions = [(number, _cost(fan_out(peer, number, 20, 20, seconds, 0.5))) for number in (1, 5, 10, 20, 40)]
    return {"watchers": by_watchers, "sessions": by_sessions, "length": _by_length(peer)}


def _by_length(peer: Peer, tokens: int = 50_000, steps: int = 5) -> list[tuple[int, float]]:
    """Microseconds of CPU for each token, as one session grows."""
    load = Load()
    (writer,) = load.connect([peer.url("long")], Greeting(peer), peer.is_reply)
    author = Author(78, peer.prefix("long"))
    points: list[tuple[int, float]] = []
    step = tokens // steps
    for number in range(steps):
        before = peer.cpu()
        for sent in range(step):
            if not sent % MESSAGE:
                author.begin()
            writer.send(author.frame(b"word "))
            if sent % CHUNK == CHUNK - 1:
                load.receive(until=time.monotonic_ns() + SECOND // 100)
                load.forget()
        load.receive(until=time.monotonic_ns() + 20 * SECOND, silence=0.5)
        load.forget()
        points.append(((number + 1) * step, round((peer.cpu() - before) / step * 1e6, 1)))
    load.close()
    return points


def _cost(row: Result) -> float:
    return round(100 * row["server_cpu_seconds"] / (row["seconds"] + 0.5), 1)


def plot(curves: Mapping[str, Result]) -> str:
    """An SVG with a panel for each thing that grows and a line for each server; flat lines are linear costs.

    Args:
        curves: by the server's name, what `growth` gave.
    """
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH * len(PANELS)}" height="{_HEIGHT + 30}" '
        'font-family="sans-serif" font-size="11">',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for column, (panel, title) in enumerate(PANELS.items()):
        lines = {name: curve[panel] for name, curve in curves.items() if panel in curve}
        parts += [f'<g transform="translate({column * _WIDTH},0)">', f'<text x="{_EDGE}" y="14">{title}</text>']
        parts += _panel(lines)
        parts.append("</g>")
    for number, name in enumerate(curves):
        colour = _COLOURS[number % len(_COLOURS)]
        parts.append(f'<text x="{_EDGE + number * 130}" y="{_HEIGHT + 20}" fill="{colour}">■ {name}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _panel(lines: Mapping[str, Points]) -> list[str]:
    points = [point for line in lines.values() for point in line]
    if not points:
        return []
    most_x, most_y = max(x for x, _ in points), max(y for _, y in points) * 1.1 or 1
    bottom, top, right = _HEIGHT - 24, 24, _WIDTH - 16

    def place(x: float, y: float) -> str:
        return f"{_EDGE + (right - _EDGE) * x / most_x:.1f},{bottom - (bottom - top) * y / most_y:.1f}"

    parts = [f'<path d="M{_EDGE},{top} V{bottom} H{right}" fill="none" stroke="#888"/>']
    for share in (0.5, 1.0):
        x, y = place(0, most_y * share).split(",")
        parts.append(f'<text x="{float(x) - 4}" y="{float(y) + 4}" text-anchor="end">{most_y * share:.0f}</text>')
        x, y = place(most_x * share, 0).split(",")
        anchor = "end" if share == 1.0 else "middle"
        parts.append(f'<text x="{x}" y="{float(y) + 14}" text-anchor="{anchor}">{most_x * share:,.0f}</text>')
    for number, line in enumerate(lines.values()):
        drawn = " ".join(place(x, y) for x, y in line)
        colour = _COLOURS[number % len(_COLOURS)]
        parts.append(f'<polyline points="{drawn}" fill="none" stroke="{colour}" stroke-width="2"/>')
    return parts
