"""pycrdt-websocket's own tests, unchanged, with our server in the place of theirs."""

import os
import re
import subprocess
import sys
from pathlib import Path

from processes import TESTS, node_program

NOT_ABOUT_THE_PROTOCOL = {
    "tests/test_server.py::test_server_restart": "raises in the task group of a WebsocketServer object",
    "tests/test_server.py::test_stop_waits_for_start_to_return": "the life cycle of a WebsocketServer object",
    "tests/test_server.py::test_stop_can_be_bounded_by_the_caller": "the life cycle of a WebsocketServer object",
    "tests/test_server.py::test_context_manager_stop_does_not_stall": "the life cycle of a WebsocketServer object",
    "tests/test_yroom.py::test_yroom": "a YRoom object that is served streams in memory",
    "tests/test_yroom.py::test_yroom_restart": "raises in the task group of a YRoom object",
}
"""Tests that touch only objects of that package and never a socket of ours, each with what it does instead."""


def test_its_clients_and_yjs_clients_pass_its_suite_against_our_server() -> None:
    folder = _named("COSESSION_TEST_PEER")
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, [TESTS, TESTS / "interop" / "pycrdt_websocket", folder / "tests"])),
        "NODE_PATH": str(TESTS / "node" / "node_modules"),
        "PATH": f"{Path(node_program()).parent}{os.pathsep}{os.environ['PATH']}",
        "COSESSION_TEST_PYTHON": sys.executable,
    }
    deselect = [f"--deselect={test}" for test in NOT_ABOUT_THE_PROTOCOL]

    run = subprocess.run(
        [
            *(_named("COSESSION_TEST_PEER_PYTHON"), "-m", "pytest", "-q"),
            *("-c", folder / "pyproject.toml"),  # its own, else pytest looks for one above and finds ours
            *("-p", "swap", "-p", "no:cacheprovider", *deselect, "tests"),
        ],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )

    assert run.returncode == 0, run.stdout[-8000:] + run.stderr[-2000:]
    passed = re.search(r"(\d+) passed", run.stdout)
    assert passed, run.stdout[-2000:]
    assert int(passed[1]) >= 34
    assert "skipped" not in run.stdout


def _named(variable: str) -> Path:
    assert variable in os.environ, (
        f"{variable} is not set; run `python3 tests/run.py interop`, which gets what it names."
    )
    return Path(os.environ[variable])
