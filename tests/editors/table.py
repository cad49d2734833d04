"""The README's table of editors: with which access and which y-websocket each was seen to pass.

python3 tests/run.py editors-matrix                    # writes the report, over an hour
python tests/editors/table.py [REPORT.xml …] --readme  # puts it into README.md; without --readme it is printed

Of several reports it is what passed in any of them: a run that was ended early goes on with `pytest -k`.
"""

import json
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from xml.etree import ElementTree

TESTS = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TESTS))

from editors.scene import BOARDS, EDITORS  # noqa: E402 - the path comes first
from markers import write_between  # noqa: E402

REPORT = TESTS.parent / "test-results" / "editors.xml"
BEGIN, END = "<!-- editors: tests/editors/table.py --readme writes what follows -->\n", "<!-- editors -->\n"

PACKAGES = {
    "codemirror": ("codemirror", "y-codemirror.next"),
    "monaco": ("monaco-editor", "y-monaco"),
    "quill": ("quill", "y-quill"),
    "prosemirror": ("prosemirror-view", "y-prosemirror"),
    "tiptap": ("@tiptap/core", "@tiptap/extension-collaboration"),
    "blocknote": ("@blocknote/core",),
    "lexical": ("lexical", "@lexical/yjs"),
    "slate": ("slate", "@slate-yjs/core"),
    "excalidraw": ("@excalidraw/excalidraw", "y-excalidraw"),
    "stores": ("@syncedstore/core", "valtio-yjs", "react-yjs"),
}
"""What each page is made of, as package.json names it."""

COLUMNS = {
    "open-own": "own root",
    "open-schema": "schema root",
    "tokens-own": "own root, tokens",
    "tokens-schema": "schema root, tokens",
}

_CASE = re.compile(r"\[(?P<editor>\w+)-(?P<way>(?:open|tokens)-(?:own|schema))-roots-y-websocket-(?P<major>\d)\]")


def passed(report: Path) -> set[tuple[str, str, str]]:
    """The runs of a report that passed: editor, access and root, major version of y-websocket."""
    runs: set[tuple[str, str, str]] = set()
    for case in ElementTree.parse(report).iter("testcase"):
        found = _CASE.search(case.get("name", ""))
        if found and case.find("failure") is None and case.find("error") is None and case.find("skipped") is None:
            runs.add((found["editor"], found["way"], found["major"]))
    return runs


def table(runs: Iterable[tuple[str, str, str]]) -> str:
    """The table, in Markdown."""
    versions = json.loads((TESTS / "editors" / "package.json").read_text())["dependencies"]
    lines = [f"| | its own root | {' | '.join(COLUMNS.values())} |", "|---|---|" + "---|" * len(COLUMNS)]
    for name, editor in (EDITORS | BOARDS).items():
        packages = ", ".join(f"{package} {versions[package]}" for package in PACKAGES[name])
        cells = [" ".join(sorted(major for who, at, major in runs if (who, at) == (name, way))) for way in COLUMNS]
        lines.append(f"| {packages} | `{editor.root}` | {' | '.join(cell or '–' for cell in cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    named = [argument for argument in sys.argv[1:] if not argument.startswith("--")]
    text = table(set().union(*(passed(Path(name)) for name in named or [REPORT])))
    print(text)
    if "--readme" in sys.argv[1:]:
        write_between(BEGIN, END, text)
