"""Resolve cosession beside frameworks for agents: the step `beside` of `tests/run.py`.

    python tests/beside.py [PACKAGE …]

Each package is resolved alone and beside cosession's dependencies. The step fails when the package gets another
version there, which is an older one: a bound of ours then holds back a program that installs both. Of the packages
that come with it, those that get another version are named.
"""

import subprocess
import sys
import tomllib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

PACKAGES = ("openai-agents", "google-adk", "crewai", "pydantic-ai", "langgraph", "claude-agent-sdk")
PROJECT = Path(__file__).resolve().parent.parent / "pyproject.toml"
UV = Path(sys.executable).parent / "uv"


def resolve(requirements: Sequence[str]) -> dict[str, str]:
    """Return the versions that uv would install now."""
    resolved = subprocess.run(
        [UV, "pip", "compile", "--quiet", "--no-header", "--no-annotate", "--python", sys.executable, "-"],
        input="\n".join(requirements),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    pins = (line.partition(" ")[0].partition("==") for line in resolved.stdout.splitlines())
    return {name: version for name, _, version in pins}


def compare(package: str) -> tuple[str, bool]:
    """Return a line about a package, and whether it keeps its version."""
    ours = tomllib.loads(PROJECT.read_text())["project"]["dependencies"]
    alone, beside = resolve([package]), resolve([package, *ours])
    others = [
        f"{name} {version} → {beside.get(name, 'none')}"
        for name, version in alone.items()
        if name != package and beside.get(name) != version
    ]
    line = f"{package:18} alone {alone[package]:10} beside {beside[package]:10} {', '.join(others)}"
    return line.rstrip(), beside[package] == alone[package]


def main() -> None:
    """Compare each package; exit with 1 if one is held back."""
    held_back = False
    with ThreadPoolExecutor(2) as pool:
        for line, is_kept in pool.map(compare, sys.argv[1:] or PACKAGES):
            print(line if is_kept else f"{line}  HELD BACK", flush=True)
            held_back |= not is_kept
    sys.exit(held_back)


if __name__ == "__main__":
    main()
