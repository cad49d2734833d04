"""Results as they are kept and read: JSON for later, Markdown tables for people."""

import json
import platform
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from processes import ROOT

OUR_NAME = "cosession"
FOLDER = ROOT / "test-results" / "benchmarks"
RESULTS = "results.json"
USAGE = ("server_cpu", "load_cpu", "others_on_server_core", "others_on_load_core", "load_average")

Row = Mapping[str, Any]


class Book:
    """All results of one call of run.py."""

    def __init__(self) -> None:
        self._rows: list[dict[str, Any]] = []
        self._began = datetime.now(UTC).isoformat(timespec="seconds")

    def add(self, scenario: str, case: str, peer: str, row: Row) -> None:
        """Keep one result."""
        self._rows.append({"scenario": scenario, "case": case, "peer": peer, **row})

    def rows(self, scenario: str, case: str) -> list[dict[str, Any]]:
        """The results of one case, in the order of the peers."""
        return [row for row in self._rows if row["scenario"] == scenario and row["case"] == case]

    def table(self, scenario: str, case: str, columns: Sequence[str], ratio: str) -> str:
        """A Markdown table of one case; `ratio` names the column that peers are compared by."""
        rows = self.rows(scenario, case)
        ours = next((row.get(ratio) for row in rows if row["peer"] == OUR_NAME), None)
        shown = [*columns, *USAGE]
        head = ["server", *(name.replace("_", " ") for name in shown), f"{ratio.replace('_', ' ')} ÷ ours"]
        lines = [f"**{scenario}, {case}**", "", _line(head), _line(["---"] + ["---:"] * (len(head) - 1))]
        for row in rows:
            value = row.get(ratio)
            compared = f"{value / ours:.2f}" if value is not None and ours else ""
            cells = [_show(row.get(name)) for name in shown]
            lines.append(_line([row["peer"], *cells, row.get("error", compared)]))
        return "\n".join(lines) + "\n"

    def save(self, tables: Sequence[str]) -> Path:
        """Write results.json and results.md; returns the folder. What was not measured now stays as it was."""
        FOLDER.mkdir(parents=True, exist_ok=True)
        about = {
            "began": self._began,
            "source": _source(),
            "machine": platform.platform(),
            "python": platform.python_version(),
        }
        now = {_key(row): about | row for row in self._rows}
        (FOLDER / RESULTS).write_text(json.dumps([*({_key(row): row for row in kept()} | now).values()], indent=1))
        (FOLDER / "results.md").write_text("\n".join(tables))
        return FOLDER


def kept() -> list[dict[str, Any]]:
    """The results of all runs, the last of each case and server."""
    path = FOLDER / RESULTS
    return json.loads(path.read_text()) if path.exists() else []


def _key(row: Row) -> tuple[str, str, str]:
    return row["scenario"], row["case"], row["peer"]


def _source() -> str:
    """Which version was measured, and whether it was changed."""
    command = ["git", "describe", "--always", "--dirty"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _show(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.2f}" if abs(value) < 100 else f"{value:.0f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
