"""The README's tables that a command writes are of the cases that there are."""

import re

from conformance import scoreboard
from editors import table
from editors.scene import BOARDS, EDITORS
from processes import ROOT

README = (ROOT / "README.md").read_text()


def between(begin: str, end: str) -> list[list[str]]:
    """The cells of the table between two markers, without its head."""
    text = README.partition(begin)[2].partition(end)[0]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in text.splitlines()[2:]]


def test_the_table_of_editors_has_every_editor_at_its_version_and_root() -> None:
    told = [cells[:2] for cells in between(table.BEGIN, table.END)]
    lines = table.table([]).splitlines()[2:]
    assert told == [[cell.strip() for cell in line.strip("|").split(" | ")][:2] for line in lines]
    assert [root for _, root in told] == [f"`{editor.root}`" for editor in (EDITORS | BOARDS).values()]


def test_the_scoreboard_has_every_case() -> None:
    told = [cells[0] for cells in between(scoreboard.BEGIN, scoreboard.END)]
    source = (ROOT / "tests" / "conformance" / "test_survival.py").read_text()
    cases = [name.replace("_", " ") for name in re.findall(r"^async def test_(\w+)\(", source, re.MULTILINE)]
    assert sorted(told) == sorted([*cases, *scoreboard.TITLES.values()])
