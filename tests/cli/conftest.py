"""What the tests of the command line share: the real command, in a process of its own."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest


@pytest.fixture
def cosession() -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """Start `cosession` with arguments, and variables by name: `cosession("tail", "trip", COSESSION_URL=url)`."""
    processes: list[subprocess.Popen[str]] = []

    def start(*arguments: str, **variables: str) -> "subprocess.Popen[str]":
        environment = {name: value for name, value in os.environ.items() if not name.startswith("COSESSION_")}
        process = subprocess.Popen(
            [sys.executable, "-m", "cosession.cli", *arguments],
            env={**environment, "COLUMNS": "200", "NO_COLOR": "1", **variables},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.communicate()
