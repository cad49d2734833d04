"""Build the documentation site: HTML by Zensical, the Markdown of each page beside it, and llms.txt.

    python src/docs/build.py                into src/docs/site
    python src/docs/build.py FOLDER         into another folder

Links between pages are checked: a page that is missing fails the build. Needs the packages of `hook.py`'s build
dependencies, which `tests/run.py` and pip install.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent


class BuildFailed(Exception):
    """The site can't be built; the message is what the generator printed."""


def build(target: Path) -> None:
    """Build the site.

    Args:
        target: the folder to write; it is replaced.

    Raises:
        BuildFailed: the generator found an error, e.g. a broken link.
    """
    with tempfile.TemporaryDirectory() as folder:
        # Built in a copy, so that a source tree that can't be written builds too.
        copy = Path(folder) / "docs"
        shutil.copytree(DOCS, copy, ignore=shutil.ignore_patterns("site", ".cache", "node_modules"))
        (Path(folder) / "cosession").symlink_to(DOCS.parent / "cosession")
        done = subprocess.run(
            [sys.executable, "-m", "zensical", "build", "--strict", "-f", copy / "zensical.toml"],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "NO_COLOR": "1"},
        )
        if done.returncode:
            raise BuildFailed(f"The documentation can't be built:\n{_plain(done.stdout)}")
        site = copy / "site"
        pages = list(_pages(tomllib.loads((copy / "zensical.toml").read_text())["project"]["nav"]))
        for _, page in pages:
            if not (copy / "pages" / page).exists():
                raise BuildFailed(f"The navigation names {page}, which doesn't exist.")
            (site / page).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(copy / "pages" / page, site / page)
        (site / "llms.txt").write_text(_index(copy / "pages", pages))
        if target.exists():
            shutil.rmtree(target)
        shutil.copytree(site, target)


def _plain(text: str) -> str:
    """Return what the generator printed without its colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def _pages(nav: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    """Yield the title of the section and the path of each page, in the order of the navigation."""
    for section in nav:
        for title, entries in section.items():
            for entry in entries:
                yield from ((title, page) for page in entry.values())


def _index(folder: Path, pages: list[tuple[str, str]]) -> str:
    """Return llms.txt: each page with its first paragraph, as https://llmstxt.org describes."""
    lines = ["# cosession", ""]
    section = ""
    for title, page in pages:
        text = (folder / page).read_text()
        heading = re.search(r"^# (.+)$", text, re.MULTILINE)
        first = re.search(r"^# .+\n\n((?:(?!\n\n)[\s\S])+)", text, re.MULTILINE)
        if heading is None or first is None:
            raise BuildFailed(f"{page} must begin with a heading and a paragraph.")
        summary = re.sub(r"\[([^]]+)\]\([^)]+\)", r"\1", " ".join(first[1].split()))
        if page == "index.md":
            lines += [f"> {summary}", ""]
        if title != section:
            lines += [f"## {title}", ""] if not section else ["", f"## {title}", ""]
            section = title
        lines.append(f"- [{heading[1]}]({page}): {summary}")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    try:
        build(Path(sys.argv[1]) if len(sys.argv) > 1 else DOCS / "site")
    except BuildFailed as failure:
        sys.exit(str(failure))
