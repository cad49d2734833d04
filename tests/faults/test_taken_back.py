"""What a server had said and not saved when it was killed: nobody acts on it, not even who comes back with it."""

import asyncio
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from faults.agents import Agent
from processes import Server, eventually

from cosession.client import Session, connect

pytestmark = pytest.mark.anyio


class FailingServer(Server):
    """A server whose disk takes nothing from some moment until it is killed and started again."""

    def __init__(self, folder: Path) -> None:
        self.state = folder / "disk"
        script = Path(__file__).with_name("serve_failing.py")
        super().__init__(folder, script=script, lease_grace_seconds=120, log_level="warning")

    def start(self, **variables: str) -> None:
        """Start it with a disk that works."""
        self.state.unlink(missing_ok=True)
        super().start(FAULT_DISK=str(self.state), **variables)

    def save_nothing(self) -> None:
        """Let the disk take nothing more."""
        self.state.write_text("read-only")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FailingServer]:
    server = FailingServer(tmp_path)
    server.start()
    yield server
    server.close()


@pytest.fixture
def start(server: FailingServer, tmp_path: Path) -> Iterator[Callable[[str], Agent]]:
    agents: list[Agent] = []

    def start(what: str) -> Agent:
        agents.append(Agent(server, what, tmp_path / "agent.log"))
        return agents[-1]

    yield start
    for agent in agents:
        agent.end()


async def killed_while_it_sleeps(server: FailingServer, agent: Agent) -> None:
    """Freeze the agent, and kill the server, which forgets what it hadn't saved; start it again."""
    agent.send(signal.SIGSTOP)
    server.kill()
    await asyncio.to_thread(server.start)


async def save_all(session: Session) -> None:
    """Wait until all that the session shows by now is stored."""
    session.state.set("saved", True)
    await session.wait_saved()


async def test_a_grant_that_a_crash_took_back_is_acted_on_by_nobody(
    server: FailingServer, start: Callable[[str], Agent]
):
    async with connect(server.url, session="trip", participant="anna", kind="human") as anna:
        await save_all(anna)
    server.save_nothing()
    agent = start("claim")
    await eventually(lambda: agent.said("sees its claim"), "a grant that isn't saved")
    await killed_while_it_sleeps(server, agent)
    async with connect(server.url, session="trip", participant="bob", kind="human") as bob:
        async with bob.claim("inbox") as claim:
            agent.send(signal.SIGCONT)
            await eventually(lambda: agent.said("holds") or claims_line(bob), "what the agent makes of it")
            assert not agent.said("holds")
            epoch = claim.epoch
        await eventually(lambda: agent.said("holds"), "the agent's turn")
        assert (bob.claims.get("inbox") or {})["epoch"] > epoch


async def test_a_decision_that_a_crash_took_back_is_acted_on_by_nobody(
    server: FailingServer, start: Callable[[str], Agent]
):
    async with connect(server.url, session="trip", participant="anna", kind="human") as anna:
        await anna.send("Book it")
        agent = start("ask")
        await eventually(lambda: anna.approvals.to_json(), "the question")
        [question] = anna.approvals.to_json()
        await save_all(anna)
    server.save_nothing()
    async with httpx.AsyncClient(base_url=server.url) as http:
        path = f"/sessions/trip/approvals/{question.replace('/', '%2F')}"
        vote = {"decision": "approved", "value": {"limit": 200}}
        told = await http.post(path, params={"user": "anna"}, json=vote)
    assert told.status_code == 503, "it is not on the disk yet"
    await eventually(lambda: agent.said("sees approved"), "a decision that isn't saved")
    await killed_while_it_sleeps(server, agent)
    async with connect(server.url, session="trip", participant="bob", kind="human") as bob:
        bob.vote(question, "rejected")
        await eventually(lambda: "decision" in bob.approvals.to_json()[question], "the decision")
        await bob.wait_saved()
        agent.send(signal.SIGCONT)
        await eventually(lambda: [run.status for run in bob.runs] == ["complete"], "the end")
        [answer] = [message.text for message in bob.messages if message.role == "assistant"]
        assert answer == "[1] rejected None"
        assert bob.approvals.to_json()[question]["decision"]["by"] == ["bob"]


def claims_line(session: Session) -> object:
    """Who waits for the claim."""
    return (session.claims.get("inbox") or {}).get("waiting")
