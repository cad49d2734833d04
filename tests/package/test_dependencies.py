"""What pyproject.toml declares is what the code imports."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = {"openai", "llama_cpp"}
"""Packages of the extras, which may not be installed."""
ADAPTERS = {"pycrdt-websocket"}
"""Packages for users, whose objects we serve without importing them."""


def imports(source: Path) -> Iterator[str]:
    """Yield the top-level packages that a file imports, except its neighbours."""
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name.partition(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def test_each_imported_package_is_declared_and_no_other():
    sources = [*(ROOT / "src" / "cosession").rglob("*.py"), *(ROOT / "demo").rglob("*.py")]
    local = {"cosession"} | {path.stem for path in sources} | {path.parent.name for path in sources}
    foreign = {name for path in sources for name in imports(path)} - sys.stdlib_module_names - local - EXTRAS
    distributions = packages_distributions()
    imported = {distributions[name][0].lower().replace("_", "-") for name in foreign}
    declared = {re.split(r"[<>=~! \[]", line)[0] for line in PROJECT["dependencies"]}
    assert imported | ADAPTERS == declared


def test_only_packages_whose_private_parts_are_used_have_an_upper_bound():
    bounded = {re.split(r"[<>=~! \[]", line)[0] for line in PROJECT["dependencies"] if "<" in line or "==" in line}
    assert bounded == {"aiosqlite", "pycrdt", "uvicorn", "websockets"}
