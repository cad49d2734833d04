"""The form that two people fill in together: each field live, locked by who is in it, and help for who hesitates."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from browser.conftest import Person, visitors
from playwright.sync_api import Browser, expect
from processes import ROOT, Server

FORMS = ROOT / "demo" / "forms"


@pytest.fixture
def server(start_server: Callable[..., Server]) -> Server:
    """A server with the form's page at `/`, on which a lost page's lock is free soon."""
    return start_server(FORMS, lease_grace_seconds=0.5)


@pytest.fixture
def come(browser: Browser, server: Server, request: pytest.FixtureRequest) -> Iterator[Callable[..., Person]]:
    """Let people come to the form."""
    script = "localStorage.setItem('forms.name', {})"
    with visitors(browser, server.url, request.node.name, script, viewport={"width": 900, "height": 860}) as come:
        yield come


def field(person: Person, name: str) -> Any:
    return person.page.locator(f"[name={name}]")


def test_two_people_and_a_phone_fill_in_one_form(come: Callable[..., Person]) -> None:
    ada, bob = come("Ada"), come("Bob", viewport={"width": 390, "height": 844})

    field(ada, "family_name").press_sequentially("Løvelace 👩‍🚀")
    expect(field(bob, "family_name")).to_have_value("Løvelace 👩‍🚀")
    expect(bob.testid("holder-family_name")).to_have_text("Ada")
    expect(field(bob, "family_name")).not_to_be_editable()
    field(bob, "plans").press_sequentially("Two weeks, by train.")
    expect(field(ada, "plans")).to_have_value("Two weeks, by train.")
    expect(field(ada, "plans")).not_to_be_editable()
    field(ada, "purpose").focus()
    field(ada, "purpose").select_option("Tourism")
    expect(field(bob, "purpose")).to_have_value("Tourism")

    expect(field(bob, "family_name")).to_be_editable()
    field(bob, "family_name").fill("Byron")
    expect(field(ada, "family_name")).to_have_value("Byron")
    field(bob, "family_name").blur()
    expect(ada.testid("holder-family_name")).to_be_hidden()
    expect(field(ada, "plans")).to_be_editable()
    field(ada, "plans").press("Home")
    field(ada, "plans").press_sequentially("About ")
    expect(field(bob, "plans")).to_have_value("About Two weeks, by train.")
    expect(bob.testid("people").locator("li")).to_have_count(2)


def test_who_is_gone_holds_no_field(come: Callable[..., Person]) -> None:
    ada, bob = come("Ada"), come("Bob")
    field(ada, "passport").fill("C01X00T47")
    expect(bob.testid("holder-passport")).to_have_text("Ada")
    expect(field(bob, "passport")).to_have_value("C01X00T47")

    ada.page.context.close()

    expect(field(bob, "passport")).to_be_editable()
    expect(field(bob, "passport")).to_have_value("C01X00T47")


def test_who_hesitates_is_offered_help_beside_the_field(server: Server, come: Callable[..., Person]) -> None:
    ada, bob = come("Ada"), come("Bob")
    command = [sys.executable, str(FORMS / "helper.py"), "--url", server.url, "--patience", "1"]
    with subprocess.Popen(command, env={**os.environ}) as helper:
        field(ada, "passport").focus()
        expect(ada.testid("offer-passport")).to_contain_text("Nine characters")
        expect(bob.testid("offer-passport")).to_contain_text("Helper")
        field(ada, "passport").fill("C01X00T47")
        ada.testid("offer-passport").get_by_role("button").click()
        expect(ada.testid("offer-passport")).to_be_hidden()
        expect(bob.testid("offer-passport")).to_be_visible()
        helper.terminate()
