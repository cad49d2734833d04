"""What a crash took from the server, given back by replicas: by those who wrote it, and by nobody else."""

import asyncio
from pathlib import Path

import pytest
from people import SECRET, token
from processes import Server, eventually
from pycrdt import Doc, Text
from wire import Wire

from cosession.client import connect

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("role", ["viewer", "member"])
async def test_whoever_saw_what_the_server_lost_goes_on_and_its_writer_brings_it_back(
    tmp_path: Path, role: str
) -> None:
    """Broadcast doesn't wait for the disk: others may have seen what a crash takes."""
    state, ada = tmp_path / "disk", Doc()
    notes = ada.get("text:notes", type=Text)
    script = Path(__file__).with_name("serve_failing.py")
    server = Server(tmp_path, script=script, auth_secret=SECRET, log_level="warning")
    server.start(FAULT_DISK=str(state))
    try:
        async with Wire.open(server, "trip", doc=ada, ext=1, token=token("ada", "member")) as wire:
            await wire.edit(lambda _: notes.insert(0, "kept, "))
            await wire.fence()
            async with connect(server.url, session="trip", participant="ben", token=token("ben", role)) as ben:
                state.write_text("read-only")
                await wire.edit(lambda _: notes.insert(6, "lost"))
                await eventually(lambda: str(ben.text("notes")) == "kept, lost", "what is not on the disk")
                await asyncio.to_thread(server.kill)
                state.unlink()
                await eventually(lambda: ben.status != "online", "the crash")
                await asyncio.to_thread(server.start, FAULT_DISK=str(state))
                await eventually(lambda: ben.status == "online", "the return")
                async with Wire.open(server, "trip", ext=1, token=token("cy", "member")) as cy:
                    assert str(cy.doc.get("text:notes", type=Text)) == "kept, ", "only its writer brings it back"
                    async with Wire.open(server, "trip", synced=False, doc=ada, ext=1, token=token("ada", "member")):
                        await eventually(
                            lambda: str(cy.doc.get("text:notes", type=Text)) == "kept, lost", "all of it"
                        )
                        await ben.wait_saved()
                assert (ben.status, str(ben.text("notes"))) == ("online", "kept, lost")
    finally:
        server.close()
