"""A session that can't be read is an error to the client and to the operator, never a blank document."""

import contextlib
import sqlite3
from collections.abc import Iterator

import httpx
import pytest
from processes import Server, eventually
from pycrdt import Map
from wire import Wire

from cosession.protocol import Fence, Notice, SyncStep2

pytestmark = pytest.mark.anyio


@contextlib.contextmanager
def database(server: Server) -> Iterator[sqlite3.Connection]:
    """The server's database, beside it."""
    with contextlib.closing(sqlite3.connect(server.data / "cosession.sqlite3", isolation_level=None)) as db:
        yield db


async def write(server: Server, session: str) -> None:
    """Make a session with something in it."""
    async with Wire.open(server, session, ext=1) as ann:
        for number in range(3):
            await ann.edit(lambda doc, number=number: doc.get("state", type=Map).update({"n": number}))
        await ann.fence()


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(
            "UPDATE updates SET bytes = zeroblob(9) WHERE session = 'trip' AND version = 3", id="a damaged row"
        ),
        pytest.param("DELETE FROM updates WHERE session = 'trip' AND version = 2", id="a lost row"),
        pytest.param("UPDATE snapshots SET codec = 9 WHERE session = 'trip'", id="an unknown codec"),
    ],
)
async def test_damage_is_told_to_the_client_and_the_operator_and_others_are_served(
    server: Server, damage: str
) -> None:
    await write(server, "trip")
    await write(server, "other")
    if "codec" in damage:
        server.stop()  # a room that goes leaves a snapshot
    else:
        server.kill()
    with database(server) as db:
        assert db.execute(damage).rowcount == 1
    server.start()
    async with Wire.open(server, "trip", synced=False, ext=1) as ann:
        code, reason = await ann.wait_closed()
        assert code == 4422, "final: coming back is no help"
        assert reason
        assert any(isinstance(frame, Notice) for frame in ann.frames)
        assert ann.count(SyncStep2) == 0, "nothing that could be taken for the document"
    async with httpx.AsyncClient() as http:
        answer = await http.get(f"{server.url}/sessions/trip")
    assert answer.status_code == 500
    assert answer.json()["detail"]
    said = server.log.read_text()
    assert "trip" in said
    assert "Traceback" not in said
    async with Wire.open(server, "other") as ben:
        assert ben.doc.get("state", type=Map).to_py() == {"n": 2}


async def test_a_database_that_another_program_locks_is_waited_for_and_nothing_is_lost(server: Server) -> None:
    await write(server, "trip")
    async with Wire.open(server, "trip", ext=1) as ann:
        with database(server) as db:
            db.execute("BEGIN IMMEDIATE")
            await ann.edit(lambda doc: doc.get("state", type=Map).update({"while": "locked"}))
            await ann.send(Fence(b"locked"))
            await eventually(lambda: "log.append_failed" in server.log.read_text(), "a try that fails")
            assert Fence(b"locked") not in ann.frames
            async with Wire.open(server, "trip") as late:
                assert late.doc.get("state", type=Map).to_py() == {"n": 2, "while": "locked"}
            db.execute("ROLLBACK")
        await eventually(lambda: Fence(b"locked") in ann.frames, "the fence")
    server.kill()
    server.start()
    async with Wire.open(server, "trip") as late:
        assert late.doc.get("state", type=Map).to_py() == {"n": 2, "while": "locked"}
