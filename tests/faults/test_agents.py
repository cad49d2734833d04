"""Agents that are killed or frozen in the middle of a run, a question, a call, a claim; and their server too."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncGenerator, Callable, Iterator
from pathlib import Path

import pytest
from faults.agents import Agent
from processes import PATIENCE_SECONDS, Server, eventually

from cosession.client import Session, connect
from cosession.document import Message, Run, tool_key
from cosession.errors import ClaimHeld

pytestmark = pytest.mark.anyio


PATIENT = pytest.mark.parametrize("grace_seconds", [60.0])
"""For what is not about the grace: a busy machine must not use it up."""


@pytest.fixture
def grace_seconds() -> float:
    return 0.5


@pytest.fixture
def server(start_server: Callable[..., Server], grace_seconds: float) -> Server:
    return start_server(lease_grace_seconds=grace_seconds, keep_alive_seconds=0.5)


@pytest.fixture
def start(server: Server, tmp_path: Path) -> Iterator[Callable[[str], Agent]]:
    agents: list[Agent] = []

    def start(what: str) -> Agent:
        agents.append(Agent(server, what, tmp_path / f"agent-{len(agents)}.log"))
        return agents[-1]

    yield start
    for agent in agents:
        agent.end()


@contextlib.asynccontextmanager
async def joined(server: Server, name: str = "anna") -> AsyncGenerator[Session, None]:
    async with (
        asyncio.timeout(3 * PATIENCE_SECONDS),
        connect(server.url, session="trip", participant=name, kind="human") as person,
    ):
        yield person


async def restarted(server: Server, session: Session) -> None:
    """Kill the server when all that it has told is stored, and start it again."""
    session.state.set("saved", session.state.get("saved", 0) + 1)
    await session.wait_saved()
    server.kill()
    await asyncio.to_thread(server.start)


def answers(session: Session) -> list[Message]:
    return [message for message in session.messages if message.role == "assistant"]


def only_run(session: Session) -> Run:
    [run] = session.runs
    return run


def open_call(session: Session) -> str | None:
    """The tool call that nobody has answered."""
    parts = [part for answer in answers(session) for part in answer.parts if part.state == "input-available"]
    return parts[0].get("toolCallId") if parts else None


async def answer_call(session: Session) -> None:
    """Answer the open call, as the one device that holds it."""
    call, me = open_call(session), session.me.id
    assert call is not None
    async with session.claim(tool_key(call)):
        wish = session.document.requests.ask_answer(
            answers(session)[0].id, call, session.document.doc.client_id, me, output=3
        )
        await eventually(lambda: wish.key not in session.document.requests.shared, "the server's answer")


async def is_under_way(anna: Session) -> None:
    await eventually(lambda: answers(anna) and len(answers(anna)[0].text) > 12, "words of the run")


async def test_a_run_whose_agent_is_killed_is_red_at_once_lost_after_a_grace_and_finished_by_the_next(
    server: Server, start: Callable[[str], Agent]
):
    async with joined(server) as anna:
        await anna.send("Go")
        first = start("run")
        await is_under_way(anna)
        first.send(signal.SIGKILL)
        await eventually(lambda: not anna.presence.others(), "the agent's absence")
        await eventually(lambda: only_run(anna).status == "lost", "the lost run")
        assert answers(anna)[0].text.startswith("[1] 0 1 2")
        assert answers(anna)[0].status == "error"
        start("run")
        await eventually(lambda: only_run(anna).epoch == 2 and "[2]" in answers(anna)[0].text, "the second attempt")
        anna.state.set("enough", True)
        await eventually(lambda: only_run(anna).status == "complete", "the end")
        [answer] = answers(anna)
        assert (answer.status, answer.text.startswith("[2] 0")) == ("complete", True)
        assert "[1]" not in answer.text


async def test_a_frozen_agent_that_wakes_writes_nothing_into_its_successors_words(
    server: Server, start: Callable[[str], Agent]
):
    async with joined(server) as anna:
        await anna.send("Go")
        first = start("run")
        await is_under_way(anna)
        first.send(signal.SIGSTOP)
        await eventually(lambda: only_run(anna).status == "lost", "the lost run")
        start("run")
        await eventually(lambda: "[2]" in answers(anna)[0].text, "the second attempt")
        first.send(signal.SIGCONT)
        await eventually(lambda: first.said("refused run.superseded"), "the refusal")
        anna.state.set("enough", True)
        await eventually(lambda: only_run(anna).status == "complete", "the end")
        [answer] = answers(anna)
        words = answer.text.split()
        assert words == ["[2]", *map(str, range(len(words) - 1))]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
async def test_a_question_outlives_the_agent_that_asked_it(server: Server, start: Callable[[str], Agent], how):
    async with joined(server) as anna:
        await anna.send("Book it")
        first = start("ask")
        await eventually(lambda: anna.approvals.to_json(), "the question")
        first.send(how)
        await eventually(lambda: only_run(anna).status == "lost", "the lost run")
        [question] = anna.approvals.to_json()
        anna.vote(question, "approved", {"limit": 150})
        await eventually(lambda: anna.approvals.to_json()[question].get("decision"), "the decision")
        start("ask")
        await eventually(lambda: only_run(anna).status == "complete", "the end")
        assert [answer.text for answer in answers(anna)] == ["[2] approved {'limit': 150}"]
        assert list(anna.approvals.to_json()) == [question]


async def test_a_call_is_answered_for_the_agent_that_comes_after_the_one_that_called(
    server: Server, start: Callable[[str], Agent]
):
    async with joined(server) as anna:
        await anna.send("Which row?")
        first = start("call")
        await eventually(lambda: open_call(anna), "the call")
        first.send(signal.SIGKILL)
        await eventually(lambda: only_run(anna).status == "lost", "the lost run")
        start("call")
        await eventually(lambda: only_run(anna).epoch == 2 and open_call(anna), "the second call")
        await answer_call(anna)
        await eventually(lambda: only_run(anna).status == "complete", "the end")
        assert [answer.text for answer in answers(anna)] == ["[2] 3"]


@pytest.mark.parametrize("woken", ["before", "after"])
async def test_an_agent_that_was_frozen_in_a_call_leaves_the_answer_to_its_successor(
    server: Server, start: Callable[[str], Agent], woken: str
):
    async with joined(server) as anna:
        await anna.send("Which row?")
        first = start("call")
        await eventually(lambda: open_call(anna), "the call")
        called = open_call(anna)
        first.send(signal.SIGSTOP)
        await eventually(lambda: only_run(anna).status == "lost", "the lost run")
        second = start("call")
        await eventually(lambda: only_run(anna).epoch == 2 and open_call(anna), "the second call")
        assert open_call(anna) == called
        if woken == "before":
            first.send(signal.SIGCONT)
            await eventually(lambda: first.said("over"), "that the first one stops")
            assert open_call(anna) == called
        await answer_call(anna)
        await eventually(lambda: only_run(anna).status == "complete", "the end")
        if woken == "after":
            first.send(signal.SIGCONT)
            await eventually(lambda: first.said("over"), "that the first one stops")
            await eventually(lambda: len(anna.presence.others()) == 2, "that it is here again")
        assert (first.said("uses"), second.said("uses 3"), only_run(anna).epoch) == (False, True, 2)
        [answer] = answers(anna)
        assert (answer.status, answer.text) == ("complete", "[2] 3")
        assert [part.get("output") for part in answer.parts if part.get("toolCallId") == called] == [3]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
async def test_a_claim_passes_to_who_waits_when_its_holder_dies(server: Server, start: Callable[[str], Agent], how):
    async with joined(server) as anna:
        first = start("claim")
        await eventually(lambda: first.said("holds"), "the claim")
        epoch = (anna.claims.get("inbox") or {})["epoch"]
        second = start("claim")
        await eventually(lambda: (anna.claims.get("inbox") or {}).get("waiting"), "the line")
        first.send(how)
        await eventually(lambda: second.said("holds"), "the next holder")
        assert (anna.claims.get("inbox") or {})["epoch"] > epoch
        if how is signal.SIGSTOP:
            first.send(signal.SIGCONT)
            await eventually(lambda: first.said("lost"), "that the first one stops")
        assert not second.said("lost")


@pytest.mark.parametrize("what", ["run", "ask"])
async def test_a_server_that_is_killed_costs_a_run_nothing(server: Server, start: Callable[[str], Agent], what):
    async with joined(server) as anna:
        await anna.send("Go")
        start(what)
        await eventually(lambda: answers(anna) and (what == "run" or anna.approvals.to_json()), "the run")
        await anna.wait_saved()
        server.kill()
        await asyncio.to_thread(server.start)
        anna.state.set("enough", True)
        for question in anna.approvals.to_json():
            anna.vote(question, "approved")
        await eventually(lambda: only_run(anna).status == "complete", "the end")
        [answer] = answers(anna)
        words = answer.text.split(" ", 1)[1]
        assert words == (
            "approved {'limit': 200}" if what == "ask" else " ".join(map(str, range(words.count(" ") + 1)))
        )


@PATIENT
async def test_a_server_that_is_killed_leaves_a_call_to_be_answered_once(
    server: Server, start: Callable[[str], Agent]
):
    async with joined(server) as anna:
        await anna.send("Which row?")
        agent = start("call")
        await eventually(lambda: open_call(anna), "the call")
        called = open_call(anna)
        await restarted(server, anna)
        assert open_call(anna) == called
        await answer_call(anna)
        await eventually(lambda: only_run(anna).status == "complete", "the end")
        [answer] = answers(anna)
        assert (only_run(anna).epoch, answer.text, agent.log.read_text().count("uses")) == (1, "[1] 3", 1)


@PATIENT
async def test_a_server_that_is_killed_keeps_the_votes_that_it_took(server: Server, start: Callable[[str], Agent]):
    async with joined(server) as anna:
        await anna.send("Book it")
        start("agree")
        await eventually(lambda: anna.approvals.to_json(), "the question")
        [question] = anna.approvals.to_json()
        anna.vote(question, "approved")
        await eventually(lambda: "anna" in anna.approvals.to_json()[question]["votes"], "the first vote")
        await restarted(server, anna)
        anna.vote(question, "approved")
        await anna.wait_saved()
        assert anna.approvals.to_json()[question].keys().isdisjoint({"decision"})
        async with joined(server, "bob") as bob:
            bob.vote(question, "approved")
            await eventually(lambda: only_run(anna).status == "complete", "the end")
            assert [answer.text for answer in answers(anna)] == ["[1] approved by anna and bob"]
            await eventually(lambda: anna.approvals.to_json() == bob.approvals.to_json(), "the same in both replicas")


@PATIENT
async def test_a_server_that_is_killed_leaves_a_claim_to_its_holder(server: Server, start: Callable[[str], Agent]):
    async with joined(server) as anna:
        agent = start("claim")
        await eventually(lambda: agent.said("holds"), "the claim")
        held = anna.claims.get("inbox")
        await restarted(server, anna)
        await eventually(lambda: anna.presence.others(), "the agent")
        with pytest.raises(ClaimHeld):
            async with anna.claim("inbox"):
                pass
        assert (anna.claims.get("inbox"), agent.said("lost")) == (held, False)


async def test_a_server_that_is_killed_leaves_one_holder_of_a_claim(server: Server, start: Callable[[str], Agent]):
    async with joined(server) as anna:
        first = start("claim")
        await eventually(lambda: first.said("holds"), "the claim")
        second = start("claim")
        await eventually(lambda: (anna.claims.get("inbox") or {}).get("waiting"), "the line")
        await anna.wait_saved()
        server.kill()
        await asyncio.to_thread(server.start)
        first.send(signal.SIGKILL)
        await eventually(lambda: second.said("holds"), "the next holder")
        assert not second.said("lost")
