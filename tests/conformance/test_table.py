"""The README's table names every case."""

import re
from pathlib import Path

FOLDER = Path(__file__).resolve().parent


def test_the_table_in_the_readme_names_every_case_and_no_other() -> None:
    cases = {
        (path.name, name.replace("_", " "))
        for path in FOLDER.glob("test_*.py")
        if path != Path(__file__)
        for name in re.findall(r"^async def test_(\w+)\(", path.read_text(), re.MULTILINE)
    }
    rows = re.findall(
        r"^\| `(\w+\.py)` \| (?:stock|extended|survival) \| (.+?) \|$",
        (FOLDER / "README.md").read_text(),
        re.MULTILINE,
    )
    assert set(rows) == cases
    assert len(rows) == len(cases)
