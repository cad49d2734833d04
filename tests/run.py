"""Set up everything that the tests need, on a fresh machine, and run every test.

    python3 tests/run.py

Needs Python 3.11 to 3.13, and only the standard library until it has made its own environment in .venv. Each
step is printed with its time; the first that fails ends the run with its exit code.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = ROOT / ".venv" / "bin"


def step(title: str, *command: str | Path) -> None:
    """Run one command from the root; stop everything when it fails."""
    print(f"\n== {title}\n   $ {' '.join(map(str, command))}", flush=True)
    began = time.monotonic()
    code = subprocess.run(list(map(str, command)), cwd=ROOT, check=False).returncode
    print(
        f"   {title}: {'ok' if code == 0 else f'failed ({code})'} in {time.monotonic() - began:.1f} s",
        flush=True,
    )
    if code:
        sys.exit(code)


def prepare_python() -> None:
    """Make .venv and install what requirements.lock pins."""
    if not (BIN / "python").exists():
        step("make a Python environment in .venv", sys.executable, "-m", "venv", "--clear", ".venv")
    if not (BIN / "pip").exists():
        step("put pip into it", BIN / "python", "-m", "ensurepip")
    pip = (BIN / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    step("install the pinned packages", *pip, "--require-hashes", "-r", "requirements.lock")
    step("install cosession itself", *pip, "--no-deps", "-e", ".")


def main() -> None:
    """Prepare, check, test."""
    os.environ["PYTHONUNBUFFERED"] = "1"
    prepare_python()
    step("lint", BIN / "ruff", "check", ".")
    step("format", BIN / "ruff", "format", "--check", ".")
    step("types", BIN / "pyright")
    step("layers", BIN / "lint-imports")
    step("Python tests", BIN / "python", "-m", "pytest")


if __name__ == "__main__":
    main()
