"""Care for the database from the command line, beside a running server and after damage."""

import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from processes import PATIENCE_SECONDS, Server

Cosession = Callable[..., "subprocess.Popen[str]"]
"""Starts the command; see conftest.py."""


def ended(process: "subprocess.Popen[str]") -> tuple[int, str, str]:
    """Wait for the end; return exit code, output and errors."""
    output, errors = process.communicate(timeout=PATIENCE_SECONDS)
    return process.returncode, output, errors


def say(server: Server, session: str, *texts: str) -> None:
    """Put messages into a session."""
    httpx.post(f"{server.url}/sessions", json={"id": session}).raise_for_status()
    for text in texts:
        httpx.post(f"{server.url}/sessions/{session}/messages", json={"text": text}).raise_for_status()


def said(server: Server, session: str) -> list[str]:
    """The texts of a session's messages."""
    messages = httpx.get(f"{server.url}/sessions/{session}").json()["document"]["messages"]
    return [message["parts"][0]["text"] for message in messages]


def test_a_whole_database_is_checked_and_backed_up_beside_its_server(
    cosession: Cosession, server: Server, tmp_path: Path
) -> None:
    say(server, "trip", "one", "two")
    copy = tmp_path / "copy" / "cosession.sqlite3"
    copy.parent.mkdir()
    code, output, errors = ended(cosession("check", "--data", str(server.data)))
    assert (code, errors) == (0, "")
    assert "1 session is whole" in output
    code, output, errors = ended(cosession("backup", str(copy), "--data", str(server.data)))
    assert (code, errors) == (0, "")
    assert "saved and checked" in output

    code, output, errors = ended(cosession("repair", "--data", str(server.data)))
    assert (code, output) == (1, "")
    assert "in use by another cosession server" in errors
    code, output, errors = ended(cosession("backup", str(copy), "--data", str(server.data)))
    assert (code, output) == (1, "")
    assert "never replaces a file" in errors

    server.kill()
    for ending in ("", "-wal", "-shm"):
        (server.data / f"cosession.sqlite3{ending}").unlink(missing_ok=True)
    copy.rename(server.data / "cosession.sqlite3")
    server.start()
    assert said(server, "trip") == ["one", "two"]


def test_damage_is_named_repaired_and_the_server_serves_the_rest(cosession: Cosession, server: Server) -> None:
    say(server, "trip", "one", "two", "three")
    say(server, "note", "four")
    server.kill()
    database = server.data / "cosession.sqlite3"
    with sqlite3.connect(database) as db:
        (version,) = db.execute("SELECT version FROM sessions WHERE id = 'trip'").fetchone()
        db.execute("DELETE FROM snapshots")
        # The last two: the message and its stamp.
        db.execute("UPDATE updates SET bytes = x'00' WHERE session = 'trip' AND version > ?", (version - 2,))
    db.close()
    server.start()
    assert httpx.get(f"{server.url}/sessions/trip").status_code == 500, "never shown as a shorter session"
    assert said(server, "note") == ["four"]
    code, output, _ = ended(cosession("check", "--data", str(server.data)))
    assert code == 1
    assert f"trip: updates {version - 1} to {version} of its log are not what was saved" in output
    assert "note:" not in output
    assert "cosession repair" in output
    server.stop()

    code, output, errors = ended(cosession("repair", "--data", str(server.data)))
    assert (code, errors) == (0, "")
    assert f"trip: 2 of {version} updates are lost" in output
    assert [file.name for file in server.data.glob("*.damaged-*")], "the damaged one is kept"
    code, output, _ = ended(cosession("check", "--data", str(server.data)))
    assert (code, "2 sessions are whole" in output) == (0, True)
    server.start()
    assert said(server, "trip") == ["one", "two"]
    assert said(server, "note") == ["four"]


@pytest.mark.parametrize("arguments", [["check"], ["repair"], ["backup", "copy"]])
def test_a_folder_without_a_database_is_said_in_one_line(
    cosession: Cosession, tmp_path: Path, arguments: list[str]
) -> None:
    code, output, errors = ended(cosession(*arguments, "--data", str(tmp_path / "nowhere")))
    assert (code, output) == (1, "")
    assert "There is no database" in errors
    assert errors.count("\n") == 1
    assert not (tmp_path / "nowhere").exists()
