"""Three people of different roles in one chat, by tokens: what one may not do is disabled, and refused anyway."""

import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx
import pytest
from browser.conftest import DEMO, Agent, Foreigner
from playwright.sync_api import expect
from processes import PATIENCE_SECONDS, Server
from pycrdt import Array, Map, Text
from websockets.sync.client import connect

from cosession.auth.keys import secret_keys
from cosession.auth.tokens import mint

if TYPE_CHECKING:
    from browser.conftest import Person
    from playwright.sync_api import Browser, Page, WebSocketRoute

    Join = Callable[..., Person]

SECRET = secrets.token_hex(32)
PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 780}, "has_touch": True, "is_mobile": True}


def token(subject: str, role: str, *, name: str = "", kind: str = "human") -> str:
    """What `cosession token` prints."""
    command = [sys.executable, "-m", "cosession.cli", "token", subject, "--session", "trip", "--role", role]
    options = ["--kind", kind, "--name", name or subject]
    environment = {**os.environ, "COSESSION_AUTH_SECRET": SECRET}
    return subprocess.run(
        [*command, *options], env=environment, check=True, capture_output=True, text=True
    ).stdout.strip()


class Answers:
    """What the server says to one page, held back until it is released; what the page says goes through."""

    def __init__(self, page: "Page") -> None:
        self._held: list[Callable[[], None]] | None = []
        page.route_web_socket("**/sync/**", self._carry)

    def release(self) -> None:
        """Let through what was held back, and what comes after it."""
        held, self._held = self._held, None
        for answer in held or ():
            answer()

    def _carry(self, page: "WebSocketRoute") -> None:
        def close(code: int | None, reason: str | None) -> None:
            self._tell(lambda: page.close(code=code, reason=reason))

        server = page.connect_to_server()
        server.on_message(lambda message: self._tell(lambda: page.send(message)))
        server.on_close(close)

    def _tell(self, answer: Callable[[], None]) -> None:
        if self._held is None:
            answer()
        else:
            self._held.append(answer)


@pytest.fixture
def guarded(start_server: Callable[..., Server]) -> Server:
    """A server that knows people by tokens."""
    return start_server(DEMO, auth_secret=SECRET)


@pytest.fixture
def agent(guarded: Server) -> Iterator[Agent]:
    """An agent in the session `trip`, with a token of its own; it comes when the session is there."""
    with connect(guarded.ws_url("trip", token=token("olga", "operator", kind="operator"))) as socket:
        socket.recv(PATIENCE_SECONDS)
    agent = Agent(guarded, "trip", token("scripted", "agent", kind="agent"))
    agent.hears("joined")
    yield agent
    agent.close()


def message(words: str, author: str) -> Map[Any]:
    """A whole message, as a page would write it."""
    part = Map({"type": "text", "text": Text(words), "state": "done"})
    metadata = Map({"author": author, "created_at": "2026-01-01T00:00:00Z", "status": "complete"})
    return Map({"id": f"m-{author}", "role": "user", "parts": Array([part]), "metadata": metadata})


def test_three_people_of_different_roles_see_the_same_and_may_do_different_things(
    guarded: Server, agent: Agent, join: "Join"
) -> None:
    olga = join(guarded.url, "trip", "Olga", token("olga", "operator", name="Olga", kind="operator"))
    mia = join(guarded.url, "trip", "Mia", token("mia", "member", name="Mia"))
    vic = join(guarded.url, "trip", "Vic", token("vic", "viewer", name="Vic"), **PHONE)

    expect(vic.testid("composer")).to_be_disabled()
    expect(vic.testid("barred")).to_contain_text("You can read along here")
    expect(vic.testid("title")).to_be_disabled()
    for person in (olga, mia):
        expect(person.testid("composer")).to_be_enabled()
        expect(person.testid("name-input")).to_be_disabled()
    assert "token" not in mia.page.url

    mia.sends("Where do we go?")
    agent.hears("prompt")
    agent.writes(5)
    for person in (olga, mia, vic):
        expect(person.testid("message")).to_have_count(2)
        expect(person.message(0)).to_have_attribute("data-verified", "")
        expect(person.testid("stop")).to_be_visible()
    expect(vic.testid("stop")).to_be_disabled()
    vic.testid("stop").evaluate("(button) => { button.disabled = false; button.click(); }")
    expect(vic.testid("notice")).to_contain_text("cancel")
    vic.testid("notice").get_by_role("button", name="Close").click()
    expect(vic.testid("steer-input")).to_be_hidden()
    expect(vic.testid("edit")).to_have_count(0)
    expect(mia.testid("stop")).to_be_enabled()
    expect(olga.testid("person")).to_have_count(4)

    olga.testid("stop").click()
    assert agent.hears("ended") == "cancelled"
    for person in (mia, vic):
        expect(person.message(1)).to_contain_text("Stopped by Olga")

    mia.page.reload()
    mia.is_("saved")
    expect(mia.testid("message")).to_have_count(2)
    expect(mia.testid("composer")).to_be_enabled()


def test_a_viewer_whose_client_writes_anyway_is_refused_and_changes_nothing(
    guarded: Server, agent: Agent, join: "Join"
) -> None:
    mia = join(guarded.url, "trip", "Mia", token("mia", "member", name="Mia"))
    mia.sends("A question of mine")
    mia.is_("saved")
    with connect(guarded.ws_url("trip", token=token("vic", "viewer"))) as socket:
        forger = Foreigner(socket)
        forger.writes(lambda doc: doc.get("messages", type=Array).append(message("A forged word", "mia")))
        assert "You may not add a message" in forger.hears_a_refusal()
    expect(mia.testid("message")).to_have_count(1)
    mia.page.reload()
    mia.is_("saved")
    assert mia.texts() == ["A question of mine"]


def test_what_is_refused_is_shown_with_its_words_and_can_be_copied(
    guarded: Server, agent: Agent, join: "Join"
) -> None:
    mia = join(
        guarded.url,
        "trip",
        "Mia",
        token("mia", "member", name="Mia"),
        permissions=["clipboard-read", "clipboard-write"],
    )
    vic = join(guarded.url, "trip", "Vic", token("vic", "viewer", name="Vic"), **PHONE)
    mia.sends("Before")
    mia.is_("saved")
    words = "Ein langer Satz, den niemand sonst mehr hat 🦑"
    for person in (vic, mia):
        # What the page keeps people from doing, a script can do, and so can a page that is out of date.
        person.page.evaluate(
            """async ([session, token, words]) => {
              const { connect } = await import("/client/cosession.js");
              const { showLoss } = await import("/refused.js");
              const odd = connect(location.origin, session, { token });
              odd.on("refused", (loss) => showLoss(document.getElementById("notice"), loss));
              await odd.waitSynced();
              odd.send(words, { role: "assistant" });
            }""",
            ["trip", person.token, words],
        )
        expect(person.testid("lost")).to_have_text(words)
        expect(person.testid("notice")).to_contain_text("What you wrote was not taken.")
    mia.testid("copy-lost").click()
    expect(mia.testid("copy-lost")).to_have_text("Copied")
    assert mia.page.evaluate("navigator.clipboard.readText()") == words
    expect(vic.testid("message")).to_have_count(1)


def test_a_token_in_the_query_is_taken_out_of_the_address_too(guarded: Server, agent: Agent, join: "Join") -> None:
    mia = join(guarded.url, f"trip&token={quote(token('mia', 'member'))}", "Mia")
    assert "token" not in mia.page.url
    expect(mia.testid("composer")).to_be_enabled()
    mia.testid("share").click()
    expect(mia.testid("share-hint")).to_contain_text("ask the person who gave you yours")
    assert "token" not in mia.testid("share-link").input_value()


def test_who_may_invite_makes_a_link_for_somebody_else_that_opens_as_them(
    guarded: Server, agent: Agent, join: "Join"
) -> None:
    olga = join(guarded.url, "trip", "Olga", token("olga", "operator", name="Olga", kind="operator"))
    olga.testid("share").click()
    options = olga.testid("invite-role").locator("option")
    assert options.evaluate_all("all => all.map(each => each.value)") == ["viewer", "member", "operator"]
    links: dict[str, str] = {}
    for name, role in (("Ben", "member"), ("Cleo", "viewer")):
        olga.testid("invite-name").fill(name)
        olga.testid("invite-role").select_option(role)
        olga.testid("invite-make").click()
        expect(olga.testid("share-hint")).to_contain_text(f"Whoever opens this link is {name} here")
        expect(olga.page.locator(".share-code svg")).to_be_visible()
        links[name] = olga.testid("share-link").input_value()
        olga.testid("share-another").click()
    ben, cleo = (
        join(guarded.url, "trip", name, link.partition("#token=")[2], **PHONE) for name, link in links.items()
    )
    expect(ben.testid("composer")).to_be_enabled()
    expect(cleo.testid("barred")).to_contain_text("You can read along here")
    ben.sends("Thanks for the link")
    expect(cleo.text(0)).to_have_text("Thanks for the link")
    expect(cleo.message(0)).to_contain_text("Ben")


def test_what_a_viewer_types_before_the_page_knows_is_given_back_with_a_reason_for_people(
    guarded: Server, agent: Agent, join: "Join"
) -> None:
    mia = join(guarded.url, "trip", "Mia", token("mia", "member", name="Mia"))
    vic = join(guarded.url, "trip", "Vic", token("vic", "viewer", name="Vic"), **PHONE)
    answers = Answers(vic.page)
    vic.page.reload()
    words = "Typed before I knew 🦑, and so much of it that a title made of it has to be cut"
    vic.sends(words)
    expect(vic.text(0)).to_have_text(words)
    answers.release()
    expect(vic.testid("lost")).to_have_text(words)
    expect(vic.testid("notice")).to_contain_text("Your access here doesn't let you write that message")
    expect(vic.testid("message")).to_have_count(0)
    expect(vic.testid("composer")).to_be_disabled()
    vic.is_("saved")
    mia.is_("saved")
    expect(mia.testid("message")).to_have_count(0)


def test_a_link_that_is_taken_away_says_so_and_leaves_what_was_typed(guarded: Server, join: "Join") -> None:
    ann = join(guarded.url, "trip", "Ann", token("ann", "member"))
    ann.testid("composer").fill("Half a sentence")
    admin = {"authorization": f"Bearer {token('op', 'admin')}"}
    taken = {"participant": "ann", "session": "trip"}
    assert httpx.post(f"{guarded.url}/revocations", json=taken, headers=admin).status_code == 201
    ann.is_("closed")
    expect(ann.testid("notice")).to_contain_text("Your access was taken away by an operator")
    expect(ann.testid("barred")).to_contain_text("Nothing can be sent now")
    expect(ann.testid("composer")).to_have_value("Half a sentence")
    expect(ann.testid("composer")).not_to_be_editable()
    expect(ann.testid("composer")).to_be_enabled()


def test_a_link_that_has_expired_says_so(guarded: Server, browser: "Browser") -> None:
    claims = {"sub": "ann", "role": "member", "sessions": ["trip"], "exp": int(time.time()) - 60}
    page = browser.new_page()
    for address in ("", "?session=trip"):
        page.goto(f"{guarded.url}/{address}#token={mint(claims, secret_keys(SECRET)[0])}")
        expect(page.get_by_test_id("notice")).to_contain_text("Your link isn't good any more")
    page.close()


def test_who_has_no_link_is_told_to_ask_for_one(guarded: Server, browser: "Browser") -> None:
    page = browser.new_page()
    page.goto(guarded.url)
    expect(page.get_by_test_id("notice")).to_contain_text("people who were given a link of their own")
    page.close()


def test_there_is_a_face_for_everybody_there_is_room_for_and_for_the_agent(
    guarded: Server, agent: Agent, join: "Join"
) -> None:
    names = [f"P{number}" for number in range(5)]
    people = [join(guarded.url, "trip", name, token(name, "member"), **PHONE) for name in names]
    for person in people:
        expect(person.testid("more-people")).to_contain_text("+3")
        expect(person.testid("person")).to_have_count(3)
        expect(person.page.locator('[data-testid="person"][data-kind="agent"]')).to_be_in_viewport(ratio=1)
