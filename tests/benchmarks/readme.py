"""What was measured, in the project's README: a table beside the peers, our own figures, and a plot."""

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.growth import plot
from markers import write_between
from processes import ROOT

PLOT = ROOT / "tests" / "benchmarks" / "growth.svg"
BEGIN, END = "<!-- measured: tests/benchmarks/run.py --readme writes what follows -->\n", "<!-- measured -->\n"

_PEERS = {
    "cosession": "cosession",
    "hocuspocus": "hocuspocus 4",
    "y-websocket": "y-websocket server",
    "pycrdt-websocket": "pycrdt-websocket",
}

Rows = Sequence[Mapping[str, Any]]


def write(rows: Rows) -> None:
    """Put results into the README, in the place of the last ones.

    Args:
        rows: all that is known, as `report.kept` gives it.

    Raises:
        ValueError: the README has no place for them.
    """
    write_between(BEGIN, END, table(rows) + "\n" + _ours(rows))
    curves = {row["peer"]: row for row in rows if row["scenario"] == "growth" and "watchers" in row}
    if curves:
        PLOT.write_text(plot(curves))


def table(rows: Rows) -> str:
    """The delays and frames of all servers, as a Markdown table."""
    peers = [name for name in _PEERS if any(row["peer"] == name for row in rows if row["scenario"] == "fan-out")]
    lines = ["| | " + " | ".join(_PEERS[name] for name in peers) + " |", "|---|" + "---:|" * len(peers)]
    for case in dict.fromkeys(row["case"] for row in rows if row["scenario"] == "fan-out"):
        delays = [_delay(_row(rows, "fan-out", case, name)) for name in peers]
        lines.append(f"| {case} | {' | '.join(delays)} |")
    frames = [_row(rows, "frames", "1,000 watchers, 1 under way", name).get("frames_per_second") for name in peers]
    lines.append(f"| frames a second to 1,000 watchers | {' | '.join(f'{n:,}' if n else '–' for n in frames)} |")
    return "\n".join(lines) + "\n"


def _ours(rows: Rows) -> str:
    fences = _row(rows, "durable", "1,000/s from 50 sessions, a fence after each 1", "cosession")
    durable = _row(rows, "durable", "20,000/s from 400 sessions, a fence after each 20", "cosession")
    chat = _row(rows, "opening", "200 messages, 100,000 tokens", "cosession")
    memory = _row(rows, "memory", "9,000 sessions, one connection each", "cosession")
    facts = (
        (fences, "p99_ms", "a fence at 1,000 updates a second comes back within {} ms (p99)"),
        (durable, "durable_per_second", "of 20,000 updates a second that are offered {:,} are committed"),
        (chat, "cold_open_ms", "a session of 100,000 tokens opens cold in {} ms"),
        (chat, "joins_new_per_second", "{:,} readers a second join it"),
        (chat, "disk_per_text", "with its history it takes {} times its text on the disk"),
        (memory, "kb_per_session", "an open session with one connection takes {} KB"),
    )
    said = [sentence.format(row[name]) for row, name, sentence in facts if row.get(name) is not None]
    return f"Ours alone: {'; '.join(said)}.\n" if said else ""


def _row(rows: Rows, scenario: str, case: str, peer: str) -> Mapping[str, Any]:
    wanted = (scenario, case, peer)
    return next((row for row in rows if (row["scenario"], row["case"], row["peer"]) == wanted), {})


def _delay(row: Mapping[str, Any]) -> str:
    """p50 / p99, in milliseconds, and what did not arrive."""
    if row.get("tokens") and row["delivered"] < row["tokens"]:
        return f"only {100 * row['delivered'] / row['tokens']:.0f} % arrived"
    if row.get("p99_ms") is None:
        return "–"
    return " / ".join(f"{value:,.0f}" if value >= 10 else f"{value:.1f}" for value in (row["p50_ms"], row["p99_ms"]))
