"""A page that is left by a link rests in the back/forward cache: it is gone for the others, and comes back."""

import os
import shutil
import uuid
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright
from processes import Server


@pytest.fixture
def browser_that_keeps_pages() -> Iterator[Browser]:
    """Chromium with its back/forward cache, which Playwright turns off."""
    program = os.environ.get("COSESSION_TEST_CHROMIUM") or shutil.which("chromium")
    if not program:
        pytest.skip("no Chromium")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=program,
            args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
            ignore_default_args=["--disable-back-forward-cache"],
        )
        yield launched
        launched.close()


def online(server: Server, session: str) -> int:
    """How many people are here, as the server says."""
    people = httpx.get(f"{server.url}/sessions/{session}").json()["document"]["participants"]
    return sum(person["online"] for person in people.values() if person["kind"] == "human")


def until_online(page: Page, server: Server, session: str, count: int) -> None:
    """Wait until so many people are here."""
    for _ in range(200):
        if online(server, session) == count:
            return
        page.wait_for_timeout(100)
    raise AssertionError(f"{online(server, session)} are here, not {count}")


def test_a_page_in_the_back_forward_cache_is_gone_and_comes_back(
    chat: Server, browser_that_keeps_pages: Browser
) -> None:
    session = f"away-{uuid.uuid4().hex[:8]}"
    ana, ben = (browser_that_keeps_pages.new_context().new_page() for _ in range(2))
    for page in (ana, ben):
        page.goto(f"{chat.url}/?session={session}")
        expect(page.locator("body[data-status=online]")).to_be_attached()
    until_online(ben, chat, session, 2)
    ana.evaluate("window.kept = true")

    ana.goto(f"{chat.url}/healthz")
    until_online(ben, chat, session, 1)

    ana.go_back(wait_until="commit")  # a page from the cache loads nothing
    expect(ana.locator("body[data-status=online]")).to_be_attached()
    assert ana.evaluate("window.kept") is True
    until_online(ben, chat, session, 2)
