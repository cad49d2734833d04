"""A whole run of the Python SDK goes through admission, token by token."""

import asyncio

import pytest
from admission.scene import AT, Client, Scene, participant
from pycrdt import TransactionEvent

from cosession.client.credential import Credential
from cosession.client.run import AgentRun
from cosession.client.run_takeover import Adoption
from cosession.client.session import Session
from cosession.client.session_link import SessionLink
from cosession.protocol import EMPTY_UPDATE

pytestmark = pytest.mark.anyio


class Wire:
    """Brings what a client writes to the scene when it is told to."""

    def __init__(self, scene: Scene, client: Client) -> None:
        self.scene = scene
        self.client = client
        self.waiting: list[bytes] = []
        client.document.doc.observe(self._note)

    def _note(self, event: TransactionEvent) -> None:
        self.waiting.append(event.update)

    def send(self) -> None:
        for update in self.waiting:
            if update != EMPTY_UPDATE:
                self.scene.receive(update, self.client.who)
        self.waiting.clear()

    def hear(self) -> None:
        self.client.sync()
        self.waiting.clear()


def agent_run(client: Client) -> AgentRun:
    user = {"id": "bot", "name": "Bot", "kind": "agent"}
    link = SessionLink("s", user, "ws://nowhere", Credential(None, "bot"), on_refused=None, on_replaced=lambda: None)
    link.document = client.document
    session = Session("s", "bot", "Bot", "agent", url="http://nowhere", token=None)
    return AgentRun(session, link, reply_to="m-ada", id=None, task="plan", batch_ms=0, runs=Adoption(link))


async def test_a_run_with_reasoning_tokens_tools_steps_and_steers_is_admitted(scene: Scene) -> None:
    wire = Wire(scene, scene.client(participant("bot", role="agent")))
    async with agent_run(wire.client) as run:
        wire.send()
        run.reasoning("hm")
        for token in ("one ", "🦊 ", "three"):
            run.text(token)
            wire.send()
        run.tool("pay", {"sum": 3}).output({"paid": [True]})
        run.progress("half", 1, 2)
        wire.send()
        scene.by_server(lambda d: d.runs.get(run.id).record_steer("s", by="ada", text="faster", at=AT))
        wire.hear()
        assert [steer.text for steer in run.steers()] == ["faster"]
        run.text("done")
        wire.send()
    wire.send()
    wire.hear()

    assert scene.document.runs.get(run.id).status == "complete"
    assert scene.document.messages.get(run.message.id).text == "one 🦊 threedone"
    assert scene.document.to_json() == wire.client.document.to_json()


async def test_every_state_of_a_tool_call_is_admitted(scene: Scene) -> None:
    wire = Wire(scene, scene.client(participant("bot", role="agent")))
    async with agent_run(wire.client) as run:
        wire.send()
        call = run.tool("pay", title="Pay", streaming=True, provider_executed=True)
        wire.send()
        for token in ('{"sum', '": 3}'):
            call.grow(token)
            wire.send()
        call.ready({"sum": 3})
        wire.send()
        call.output({"paid": []}, preliminary=True)
        wire.send()
        call.output({"paid": [True]})
        wire.send()
        run.tool("pay", {"sum": 4}, dynamic=True).error("no money")
        wire.send()
        run.tool("pay", {"sum": 5}).deny("too much")
        wire.send()
        asking = asyncio.ensure_future(run.tool("pay", {"sum": 6}).ask("Pay?"))
        await asyncio.sleep(0)
        wire.send()
        asking.cancel()
        await asyncio.wait([asking])
    wire.send()
    wire.hear()

    assert [part.state for part in scene.document.messages.get(run.message.id).parts] == [
        "output-available",
        "output-error",
        "output-denied",
        "output-denied",
    ]
    assert scene.document.approvals.get(f"{run.id}/1").tool_call == f"{run.id}-4"
    assert scene.document.to_json() == wire.client.document.to_json()


async def test_parts_that_change_metadata_and_usage_of_a_run_are_admitted(scene: Scene) -> None:
    wire = Wire(scene, scene.client(participant("bot", role="agent")))
    async with agent_run(wire.client) as run:
        run.metadata(model="small")
        run.part({"type": "step-start"})
        wire.send()
        run.text("a", id="1")
        run.text("b", id="2")
        wire.send()
        run.text("A", id="1")
        wire.send()
        run.data("table", {"rows": 1}, id="t")
        run.part({"type": "source-url", "sourceId": "s", "url": "https://example.org"}).update(title="Example")
        run.file({"type": "file", "mediaType": "image/png", "url": "https://example.org/a.png"})
        wire.send()
        run.data("table", {"rows": 2}, id="t")
        run.metadata(temperature=0.5)
        run.usage(input_tokens=10, model="small", cost={"USD": 0.25})
        wire.send()
        run.usage(input_tokens=5, output_tokens=2, cost={"USD": 0.25})
        run.truncate()
        wire.send()
        run.text("again")
    wire.send()
    wire.hear()

    answer, record = scene.document.messages.get(run.message.id), scene.document.runs.get(run.id)
    assert [part.to_json() for part in answer.parts] == [
        {"type": "step-start"},
        {"type": "text", "text": "again", "state": "done"},
    ]
    assert (answer.metadata["model"], answer.metadata["temperature"]) == ("small", 0.5)
    assert record.usage == {"input_tokens": 15, "output_tokens": 2, "model": "small", "cost": {"USD": 0.5}}
    assert scene.document.to_json() == wire.client.document.to_json()


async def test_a_run_whose_message_is_deleted_under_it_goes_on_unrefused(scene: Scene) -> None:
    wire = Wire(scene, scene.client(participant("bot", role="agent")))
    async with agent_run(wire.client) as run:
        run.text("one ")
        wire.send()
        olga = scene.client(participant("olga", role="operator"))
        olga.write(lambda d: d.messages.get(run.message.id).delete(at=AT))
        for token in ("two ", "three"):
            run.text(token)
            wire.send()
        wire.hear()
        run.text("four")
    wire.send()
    wire.hear()

    assert scene.document.messages.get(run.message.id).text == ""
    assert scene.document.to_json() == wire.client.document.to_json()


async def test_a_run_that_is_cancelled_says_so_and_what_it_still_had_to_say(scene: Scene) -> None:
    wire = Wire(scene, scene.client(participant("bot", role="agent")))
    async with agent_run(wire.client) as run:
        run.text("one ")
        call = run.tool("pay", {"sum": 3})
        wire.send()
        run.text("two")
        wire.send()
        scene.by_server(lambda d: d.runs.get(run.id).record_cancel(by="ada", at=AT, reason="enough"))
        wire.hear()
        call.output({"paid": True})
    wire.send()
    wire.hear()

    assert scene.document.runs.get(run.id).status == "cancelled"
    assert scene.document.to_json() == wire.client.document.to_json()


async def test_a_run_that_fails_says_why(scene: Scene) -> None:
    wire = Wire(scene, scene.client(participant("bot", role="agent")))
    with pytest.raises(RuntimeError):  # noqa: PT012 - what is done before is the point
        async with agent_run(wire.client) as run:
            run.text("one ")
            run.tool("pay", {"sum": 3})
            wire.send()
            raise RuntimeError("no money")
    wire.send()
    wire.hear()

    assert scene.document.runs.get(run.id).status == "error"
    assert scene.document.to_json() == wire.client.document.to_json()
