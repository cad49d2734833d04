"""Wishes that the server has answered when a crash takes the answer: they are asked again, and happen once."""

import asyncio
from pathlib import Path

import pytest
from people import SECRET, token
from processes import Server, eventually
from wire import Wire

from cosession.client import Refusal, Session, connect
from cosession.document import SessionDocument

pytestmark = pytest.mark.anyio

AT = "2026-01-01T00:00:00Z"


def heard(document: SessionDocument) -> tuple[list[str], str | None, str | None]:
    """What of the wishes stands in a document: the steers of a run, why another was cancelled, and a decision."""
    run, cancelled, approval = document.runs.get("r1"), document.runs.get("r2"), document.approvals.get("a1")
    if run is None or cancelled is None or approval is None:
        return [], None, None
    return (
        [str(steer["text"]) for steer in run.steers],
        cancelled.cancel and str(cancelled.cancel["reason"]),
        approval.decision and str(approval.decision["value"]["city"]),
    )


async def test_a_wish_whose_answer_a_crash_took_is_asked_again_and_happens_once(tmp_path: Path) -> None:
    state = tmp_path / "disk"
    script = Path(__file__).with_name("serve_failing.py")
    server = Server(tmp_path, script=script, auth_secret=SECRET, lease_grace_seconds=120, log_level="warning")
    server.start(FAULT_DISK=str(state))
    told: list[Refusal] = []

    ada = connect(server.url, session="trip", participant="ada", token=token("ada", "member"))
    try:
        async with ada as ada:
            ada.on("refused", told.append)
            await prepare(server, ada)
            state.write_text("read-only")
            ada.steer("r1", "by train")
            ada.cancel("r2", "too dear")
            ada.vote("a1", "approved")
            everything = (["by train"], "too dear", "Faro")
            await eventually(lambda: heard(ada.document) == everything, "the answers")
            assert not ada.saved
            await asyncio.to_thread(server.kill)
            state.unlink()
            await asyncio.to_thread(server.start, FAULT_DISK=str(state))
            before = ada.document
            await eventually(lambda: ada.document is not before, "the server's document")
            await ada.wait_saved()
            async with connect(server.url, session="trip", participant="eve", token=token("eve", "viewer")) as eve:
                await eventually(lambda: heard(eve.document) == everything, "the answers, again")
            assert [refusal.lost for refusal in told] == [()]
    finally:
        server.close()


async def prepare(server: Server, ada: Session) -> None:
    """Two runs, one of which answers what Ada wrote, and a question, all saved and seen."""
    await ada.send("Where to?", id="m1")
    await ada.wait_saved()
    async with Wire.open(server, "trip", ext=1, token=token("bot", "agent")) as wire:
        bot = SessionDocument(wire.doc)
        await wire.edit(lambda _: bot.runs.start("r1", agent="bot", started_at=AT))
        await wire.edit(lambda _: bot.runs.start("r2", agent="bot", started_at=AT, reply_to="m1"))
        await wire.edit(
            lambda _: bot.approvals.ask("a1", question="There?", run="r1", created_at=AT, value={"city": "Faro"})
        )
        await wire.fence()
    await eventually(lambda: ada.document.approvals.get("a1") is not None, "the question")
