"""The scoreboard: what users of any Yjs server would want, asked of ours and of three others in one run.

    python tests/conformance/scoreboard.py             # print the table
    python tests/conformance/scoreboard.py --readme    # write it into README.md as well

Each server runs with the store that its documentation names: hocuspocus with SQLite, pycrdt-websocket with its own,
the y-websocket server with LevelDB. The first run installs them. A case that a server can't be asked, because
its wire has nothing like it, is left out of that server's column.
"""

import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree

TESTS = Path(__file__).resolve().parent.parent
ROOT = TESTS.parent
sys.path.insert(0, str(TESTS))

from markers import write_between  # noqa: E402 - the path comes first

BEGIN = "<!-- scoreboard: tests/conformance/scoreboard.py --readme writes what follows -->\n"
END = "<!-- scoreboard -->\n"

SERVERS = {
    "cosession": "cosession",
    "hocuspocus": "hocuspocus 4",
    "y-websocket": "y-websocket server",
    "pycrdt-websocket": "pycrdt-websocket",
}

_ASKS_SECOND = "its clients always ask first, and are asked then"
NOT_APPLICABLE = {
    "hocuspocus": {
        "test_a_new_client_is_asked_for_its_document": _ASKS_SECOND,
        "test_the_step_1_of_the_server_names_the_state_of_the_room": _ASKS_SECOND,
        "test_offline_edits_are_requested_and_reach_all_clients": _ASKS_SECOND,
    },
}
"""Cases that a server can't be asked, with the reason."""

TITLES = {"test_sync": "the wire: documents (stock cases)", "test_awareness": "the wire: presence (stock cases)"}
"""The rows of which each is a whole file of cases."""

Outcome = Mapping[str, tuple[int, int]]
"""Per case, how many of its variants passed, and how many there are."""


def judge(server: str) -> Outcome:
    """Run every stock and survival case against a server."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--tb=no", "--subject", server]
        subprocess.run([*command, f"--junitxml={report}", str(TESTS / "conformance")], cwd=ROOT, check=False)
        return outcome_of(server, report)


def outcome_of(server: str, report: Path) -> Outcome:
    """Read what pytest reports of a server (JUnit's XML)."""
    outcome: dict[str, tuple[int, int]] = {}
    for case in ElementTree.parse(report).iter("testcase"):
        module, name = case.get("classname", "").rpartition(".")[2], case.get("name", "")
        test = name.partition("[")[0]
        if module == "test_table" or test in NOT_APPLICABLE.get(server, {}):
            continue
        key = test if module == "test_survival" else module
        passed, asked = outcome.get(key, (0, 0))
        failed = case.find("failure") is not None or case.find("error") is not None
        outcome[key] = (passed + (not failed), asked + 1)
    return outcome


def table(outcomes: Mapping[str, Outcome]) -> str:
    """The scoreboard as a Markdown table."""
    lines = ["| | " + " | ".join(SERVERS[server] for server in outcomes) + " |", "|---|" + ":-:|" * len(outcomes)]
    for case in dict.fromkeys([*TITLES, *(case for outcome in outcomes.values() for case in outcome)]):
        title = TITLES.get(case) or re.sub("_", " ", case.removeprefix("test_"))
        cells = [_cell(outcome.get(case)) for outcome in outcomes.values()]
        lines.append(f"| {title} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _cell(result: tuple[int, int] | None) -> str:
    if result is None:
        return "–"
    passed, asked = result
    if passed == asked:
        return "yes"
    return f"{passed} of {asked}" if passed else "no"


if __name__ == "__main__":
    text = table({server: judge(server) for server in SERVERS})
    print(text)
    if "--readme" in sys.argv[1:]:
        write_between(BEGIN, END, text)
