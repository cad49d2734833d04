"""The pages that the documentation shows, as they stand there, in a real browser against a real server."""

import re
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, expect
from processes import ROOT, Server


def example(document: str) -> str:
    """The page that a document shows."""
    (page,) = re.findall(r"```html\n(.*?)```", (ROOT / document).read_text(), re.DOTALL)
    return page


@pytest.mark.parametrize("document", ["README.md", "src/cosession-js/README.md"])
def test_a_page_of_the_documentation_shows_what_others_send(
    document: str, browser: Browser, start_server: Callable[..., Server], tmp_path: Path
) -> None:
    folder = tmp_path / "page"
    folder.mkdir()
    (folder / "index.html").write_text(f"<!doctype html><meta charset=utf-8>\n{example(document)}")
    server = start_server(folder)
    errors: list[str] = []
    with browser.new_context() as context, httpx.Client(base_url=server.url) as http:
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(server.url)
        if page.locator("form").count():
            expect(page.locator("#status")).to_have_text("Saved")
            page.locator("input").fill("Where shall we go?")
            page.locator("input").press("Enter")
        expect(page.locator("li")).to_have_text(["Where shall we go?"])
        for _ in range(200):  # the page shows it before the server has it
            if "Where shall" in http.get("/sessions/trip").text:
                break
            page.wait_for_timeout(50)
        http.post("/sessions/trip/messages", json={"text": "To Lisbon 🇵🇹"}).raise_for_status()
        expect(page.locator("li")).to_have_text(["Where shall we go?", "To Lisbon 🇵🇹"])
        if page.locator("form").count():
            expect(page.locator("#status")).to_have_text("Saved")
        document_now = http.get("/sessions/trip").json()["document"]
        assert [message["parts"][0]["text"] for message in document_now["messages"]] == [
            "Where shall we go?",
            "To Lisbon 🇵🇹",
        ]
    assert not errors
