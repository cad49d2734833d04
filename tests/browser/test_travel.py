"""The travel planner as one starts it: people, a phone, four agents in processes of their own, one of them killed."""

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from browser.conftest import RESULTS, Person, visitors
from playwright.sync_api import Browser, expect
from processes import PATIENCE_SECONDS

AGENTS = ("planner", "flights", "hotels", "activities")


@dataclass
class Demo:
    """A running demo.

    Attributes:
        url: the page's address.
        processes: an agent's process and the command that starts it again.
    """

    url: str
    processes: dict[str, tuple[int, str]]


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    """The demo, started by its command."""
    flags = ["--port", "0", "--no-open", "--speed", "60", "--data", str(tmp_path), "--model", "scripted"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COSESSION_")}
    with subprocess.Popen(
        [sys.executable, "-m", "cosession.cli", "demo", "travel", *flags],
        env=environment | {"COSESSION_LEASE_GRACE_SECONDS": "1"},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        url = re.search(r"http://\S+", process.stdout.readline())
        assert url is not None
        demo = Demo(url[0], {})
        for _ in AGENTS:
            agent, pid, again = re.findall(r"(\w+) +is process (\d+); again: (.*)", process.stdout.readline())[0]
            demo.processes[agent] = int(pid), again
        yield demo
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_SECONDS) == 0


@pytest.fixture
def come(browser: Browser, demo: Demo, request: pytest.FixtureRequest) -> Iterator[Callable[..., Person]]:
    """Let people come to the trip."""
    script = "((name) => localStorage.setItem('chat.me', JSON.stringify({{id: name, name}})))({})"
    with visitors(browser, demo.url, request.node.name, script, viewport={"width": 1280, "height": 800}) as come:
        yield come


def say(person: Person, text: str) -> None:
    box = person.page.get_by_test_id("composer")
    box.fill(text)
    box.press("Enter")


def agent(person: Person, name: str) -> Any:
    return person.page.get_by_test_id(f"agent-{name}")


def is_in(person: Person, name: str, state: str) -> None:
    expect(agent(person, name)).to_have_attribute("data-state", state)


def test_a_team_plans_what_people_edit_by_hand_and_books_what_they_approve(come: Callable[..., Person]) -> None:
    ada = come("Ada")
    for name in AGENTS:
        is_in(ada, name, "ready")
    bob = come("Bob", viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True)
    items, told = ada.page.get_by_test_id("item"), ada.page.locator("[data-told=seen]")

    say(ada, "4 nights in Lisbon from Berlin for 2 people")
    for name in AGENTS:
        is_in(ada, name, "working")
    say(bob, "Only direct flights, please")
    expect(told).to_have_count(1)
    is_in(ada, "planner", "ready")
    expect(items).to_have_count(5)
    flights = items.filter(has_text="Berlin → Lisbon")
    expect(flights).to_contain_text("direct")

    flights.get_by_test_id("item-delete").click()
    bob.page.get_by_test_id("tab-plan").click()
    expect(bob.page.get_by_test_id("item")).to_have_count(4)
    room = bob.page.get_by_test_id("option").filter(has_text="cheapest that is good")
    room.get_by_test_id("choose").click()
    expect(items.filter(has_text="· Bob")).to_have_count(1)
    bob.page.get_by_test_id("item-time").nth(1).fill("21:30")
    bob.page.get_by_test_id("item-time").nth(1).press("Enter")
    expect(ada.page.locator("[data-testid=item-time]").nth(1)).to_have_value("21:30")
    say(ada, "How does it look?")
    answer = ada.page.get_by_test_id("message").last
    expect(answer).to_contain_text(re.compile("you took out .*Berlin → Lisbon.* by hand"))

    is_in(ada, "planner", "ready")
    say(ada, "Book it")
    is_in(ada, "planner", "waiting")
    limit = bob.page.get_by_test_id("approval-limit")
    limit.fill("5000")
    expect(ada.page.get_by_test_id("approval-limit")).to_have_value("5000")
    ada.page.get_by_test_id("composer").fill("How does it look now?")
    ada.page.get_by_test_id("enqueue").click()
    ada.page.get_by_test_id("composer").fill("And what does it cost?")
    ada.page.get_by_test_id("enqueue").click()
    bob.page.get_by_test_id("tab-talk").click()
    bob.page.get_by_test_id("queued-up").nth(1).click()
    expect(ada.page.get_by_test_id("queued-text").first).to_have_value("And what does it cost?")
    items.last.get_by_test_id("item-delete").click()
    ada.page.get_by_test_id("approve").click()
    expect(items.filter(has_text="Booked")).to_have_count(3)
    expect(items).to_have_count(3)
    expect(ada.page.get_by_text("Booked, up to 5000 € as Ada approved")).to_be_visible()
    expect(ada.page.get_by_test_id("queued")).to_have_count(0)


def middle(place: Any) -> tuple[float, float]:
    """Where the middle of an element is on the screen."""
    place.scroll_into_view_if_needed()
    box = place.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def test_what_is_planned_is_moved_by_mouse_by_finger_and_by_keys_and_the_planner_knows(
    come: Callable[..., Person],
) -> None:
    ada = come("Ada")
    is_in(ada, "planner", "ready")
    bob = come("Bob", viewport={"width": 390, "height": 1200}, is_mobile=True, has_touch=True)
    bob.testid("tab-plan").click()
    say(ada, "4 nights in Lisbon from Berlin for 2 people")
    expect(ada.testid("item")).to_have_count(5)
    is_in(ada, "planner", "ready")
    plan = ada.testid("itinerary").locator("> *")
    first, second = (ada.testid("item").nth(index).locator("b").inner_text() for index in (2, 3))
    expect(plan).to_contain_text(["Day 2", first, "Day 3", second, "Day 4", "Day 5"])

    grip = ada.testid("item").filter(has_text=first).get_by_test_id("item-grip")
    ada.page.mouse.move(*middle(grip))
    ada.page.mouse.down()
    ada.page.mouse.move(*middle(ada.page.locator("[data-day='4']")), steps=5)
    expect(ada.page.locator("[data-day='4']")).to_have_attribute("data-target", "")
    ada.page.mouse.up()
    expect(bob.testid("itinerary").locator("> *")).to_contain_text(
        ["Day 2", "Day 3", second, "Day 4", first, "Day 5"]
    )

    touch = bob.page.context.new_cdp_session(bob.page)
    x, y = middle(bob.testid("item").filter(has_text=second).get_by_test_id("item-grip"))
    _, goal = middle(bob.page.locator("[data-day='2']"))
    touch.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [{"x": x, "y": y}]})
    touch.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [{"x": x, "y": goal + 4}]})
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    expect(plan).to_contain_text(["Day 2", second, "Day 3", "Day 4", first, "Day 5"])

    grip.focus()
    grip.press("ArrowUp")
    expect(plan).to_contain_text(["Day 2", second, "Day 3", first, "Day 4", "Day 5"])
    expect(grip).to_be_focused()
    expect(bob.testid("item").filter(has_text=first)).to_have_attribute("data-selected-by", "Ada")
    grip.press("ArrowUp")
    expect(ada.page.get_by_text(f"{first} is on day 2 now.")).to_be_attached()

    say(ada, "How does it look?")
    expect(ada.testid("message").last).to_contain_text(re.compile(f"you moved .*{second} to day 2.* by hand"))


def test_an_agent_that_is_killed_goes_red_and_its_work_is_taken_up_again(
    demo: Demo, come: Callable[..., Person]
) -> None:
    ada = come("Ada")
    is_in(ada, "flights", "ready")
    say(ada, "3 nights in Rome from Paris for 3 people")
    is_in(ada, "flights", "working")
    pid, again = demo.processes["flights"]

    os.kill(pid, signal.SIGKILL)
    expect(agent(ada, "flights")).to_have_attribute("data-state", "gone")
    RESULTS.mkdir(exist_ok=True)
    ada.page.screenshot(path=RESULTS / "travel-killed.png")

    folder, command = again.removeprefix("cd ").split(" && ")
    with subprocess.Popen(shlex.split(command), cwd=folder) as process:
        expect(agent(ada, "flights")).to_contain_text("attempt 2")
        is_in(ada, "planner", "ready")
        is_in(ada, "flights", "ready")
        answers = ada.page.get_by_test_id("message").filter(has_text="I look for flights")
        expect(answers).to_have_count(1)
        expect(ada.page.get_by_test_id("item").filter(has_text="Paris → Rome")).to_have_count(1)
        process.terminate()
