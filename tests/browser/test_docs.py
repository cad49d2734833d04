"""The documentation in Chromium, as the server serves it: each page opens without an error, and its search finds."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, expect
from processes import ROOT, Server

PAGES = ROOT / "src" / "docs" / "pages"


@pytest.fixture
def docs(start_server: Callable[..., Server]) -> str:
    """The address of the documentation."""
    assert (ROOT / "src" / "docs" / "site").is_dir(), "not built; run python src/docs/build.py"
    return f"{start_server().url}/docs/"


def test_each_page_opens_without_an_error(browser: Browser, docs: str) -> None:
    page = browser.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on(
        "response", lambda answer: said.append(f"{answer.status}: {answer.url}") if answer.status >= 400 else None
    )
    for path in sorted(PAGES.rglob("*.md")):
        name = str(path.relative_to(PAGES)).removesuffix(".md").removesuffix("index")
        answer = page.goto(f"{docs}{name}/" if name and not name.endswith("/") else docs + name)
        assert answer is not None
        assert answer.status == 200, name
        expect(page.locator("h1").first).to_be_visible()
        assert said == [], name
    page.close()


def test_the_search_finds_a_page(browser: Browser, docs: str) -> None:
    page = browser.new_page()
    page.goto(docs)
    page.keyboard.press("Control+k")
    page.keyboard.type("fencing")
    expect(page.get_by_text("Glossary").last).to_be_visible()
    page.close()


def test_each_page_is_served_as_markdown(browser: Browser, docs: str) -> None:
    page = browser.new_page()
    index = page.request.get(docs + "llms.txt").text()
    for path in PAGES.rglob("*.md"):
        name = str(path.relative_to(PAGES))
        assert f"]({name})" in index
        assert page.request.get(docs + name).body() == path.read_bytes()
    page.close()
