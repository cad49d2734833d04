"""What agents ask of pages: a tool that two tabs offer, and an approval; the agent is killed in the middle of it."""

import contextlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page
from processes import Server

OPEN = """async ([user]) => {
  const { connect } = await import("/client/cosession.js");
  const session = window.session = connect(location.origin, "trip", { participant: user, name: user });
  window.calls = 0;
  session.tools.offer("selected", {
    description: "Which row is selected?",
    call: ({ list }) => {
      window.calls += 1;
      return { list, row: 3 };
    },
  });
  await session.waitSynced();
}"""

RUN = "session.runs.all.at(-1)"
APPROVAL = "session.approvals.all.at(-1)"


@pytest.fixture
def server(start_server: Callable[..., Server]) -> Server:
    """A server at which what a dead process held is soon another's."""
    return start_server(lease_grace_seconds=0.5)


@pytest.fixture
def tabs(browser: Browser, server: Server) -> Iterator[tuple[Page, Page]]:
    """Two tabs of Ada, which offer the same tool."""
    with contextlib.closing(browser.new_context()) as context:
        pages = (context.new_page(), context.new_page())
        for page in pages:
            page.goto(f"{server.url}/healthz")
            page.evaluate(OPEN, ["ada"])
        yield pages


@pytest.fixture
def start_asker(server: Server) -> Iterator[Callable[[], "subprocess.Popen[bytes]"]]:
    """Start a process of the agent."""
    processes: list[subprocess.Popen[bytes]] = []

    def start() -> "subprocess.Popen[bytes]":
        program = Path(__file__).with_name("asker.py")
        processes.append(subprocess.Popen([sys.executable, str(program), server.url, "trip"]))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.wait()


def becomes(page: Page, condition: str) -> None:
    page.wait_for_function(f"() => {condition}")


def test_one_tab_answers_and_the_decision_outlives_the_agent(
    tabs: tuple[Page, Page], start_asker: Callable[[], "subprocess.Popen[bytes]"]
) -> None:
    page, other = tabs
    asker = start_asker()
    becomes(page, "session.people.all.some(({ id, online }) => id === 'bot' && online)")
    page.evaluate("() => void session.send('Book the hotel that I have selected')")
    becomes(page, f"{APPROVAL} !== undefined")
    assert page.evaluate(f"() => [{APPROVAL}.question, {APPROVAL}.value, {RUN}.status]") == [
        *("Book it?", {"limit": 200, "row": 3}, "suspended"),
    ]

    asker.kill()
    asker.wait()
    becomes(page, f"!{RUN}.attended")
    becomes(page, f"{RUN}.status === 'lost'")
    page.evaluate(
        f"""() => {{
            session.approvals.edit({APPROVAL}.id, 'limit', 150);
            session.approvals.vote({APPROVAL}.id, 'approved');
        }}"""
    )
    becomes(other, f"{APPROVAL}?.decision?.approved")
    start_asker()

    becomes(page, f"{RUN}.status === 'complete'")
    run, answers = page.evaluate(
        f"() => [{RUN}, session.messages.all.filter(({{ role }}) => role === 'assistant').map(({{ text }}) => text)]"
    )
    assert (run["epoch"], answers) == (2, ["approved: 150 for row 3"])
    assert page.evaluate("calls") + other.evaluate("calls") == 1
    assert page.evaluate("session.runs.all.length") == page.evaluate("session.approvals.all.length") == 1


def test_the_next_tab_answers_when_the_one_that_took_the_call_is_closed(
    tabs: tuple[Page, Page], start_asker: Callable[[], "subprocess.Popen[bytes]"]
) -> None:
    page, other = tabs
    page.evaluate("() => { session.close(); }")
    page.evaluate(OPEN.replace("return { list, row: 3 };", "return new Promise(() => {});"), ["ada"])
    other.evaluate("() => { session.close(); }")
    start_asker()
    becomes(page, "session.people.all.some(({ id, online }) => id === 'bot' && online)")
    page.evaluate("() => void session.send('Book it')")
    becomes(page, "calls === 1")
    other.evaluate(OPEN, ["ada"])
    becomes(other, "session.claims.all.some(({ waiting }) => waiting.length === 1)")

    page.close()

    becomes(other, f"{APPROVAL} !== undefined")
    assert other.evaluate("calls") == 1
