"""A server that can't start says in one line what is wrong and what to do, and ends with an exit code."""

import os
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from processes import PATIENCE_SECONDS, Server


def cosession(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the real command until it ends."""
    return subprocess.run(
        [Path(sys.executable).with_name("cosession"), *map(str, arguments)],
        env={
            **{name: value for name, value in os.environ.items() if not name.startswith("COSESSION_")},
            **environment,
        },
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


def says_in_one_line(run: subprocess.CompletedProcess[str], *words: str) -> None:
    """Check that a command failed with one clear line and nothing else."""
    assert run.returncode == 1, (run.returncode, run.stdout, run.stderr)
    lines = [line for line in run.stderr.splitlines() if line.strip()]
    assert len(lines) == 1, run.stderr
    assert run.stdout == ""
    for word in words:
        assert word in lines[0]


def test_a_port_in_use(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        says_in_one_line(cosession("serve", "--port", port, "--data", tmp_path / "data"), port, "--port")


@pytest.mark.parametrize("folder", ["file/below", "/proc/cosession-data"])
def test_a_data_folder_that_cannot_be_written(tmp_path: Path, folder: str) -> None:
    (tmp_path / "file").write_text("not a folder")
    says_in_one_line(cosession("serve", "--port", "0", "--data", tmp_path / folder), str(tmp_path / folder))


def test_a_file_in_the_place_of_the_data_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    run = cosession("serve", "--port", "0", "--data", tmp_path / "file", COLUMNS="300")
    assert run.returncode == 2, "what is wrong with an option is a usage error"
    assert "is a file" in run.stderr


def test_a_database_of_a_newer_version(server: Server) -> None:
    server.stop()
    database = server.data / "cosession.sqlite3"
    with sqlite3.connect(database) as db:
        (version,) = db.execute("PRAGMA user_version").fetchone()
        db.execute(f"PRAGMA user_version = {version + 1}")
    db.close()
    before = database.read_bytes()
    says_in_one_line(cosession("serve", "--port", "0", "--data", server.data), "newer")
    assert database.read_bytes() == before, "it has left the database as it was"


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "cosession.sqlite3").write_bytes(b"these are not the bytes of a database " * 100)
    says_in_one_line(cosession("serve", "--port", "0", "--data", tmp_path), "cosession.sqlite3")


def test_two_servers_on_one_data_folder(server: Server) -> None:
    says_in_one_line(cosession("serve", "--port", "0", "--data", server.data), str(server.data))


def test_an_open_network_without_saying_so(tmp_path: Path) -> None:
    says_in_one_line(cosession("serve", "--host", "0.0.0.0", "--port", "0", "--data", tmp_path), "--insecure")


def test_a_setting_that_cannot_be(tmp_path: Path) -> None:
    run = cosession("serve", "--port", "0", "--data", tmp_path, COSESSION_KEEP_ALIVE_SECONDS="soon")
    assert run.returncode in (1, 2)
    assert "keep" in run.stderr.lower()
    assert "Traceback" not in run.stderr


def test_a_client_without_a_server(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    run = cosession("send", "--url", f"http://127.0.0.1:{port}", "trip", "hello")
    assert run.returncode in (1, 2)
    assert "Traceback" not in run.stderr
