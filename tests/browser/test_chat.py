"""The chat in real browsers: what one sees, all see, through reloads, stops, cut networks and killed servers."""

import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from browser.conftest import DEMO
from playwright.sync_api import expect
from processes import Server

if TYPE_CHECKING:
    from conftest import Agent, Cable, Person

    Join = Callable[..., Person]

NAMELESS = "(buttons) => buttons.filter((b) => !(b.ariaLabel || b.innerText.trim())).map((b) => b.outerHTML)"
"""Of the buttons that are shown, those that a screen reader has no name for."""

KEPT = """async (text) => {
  for (const { name } of await indexedDB.databases()) {
    const done = (request) => new Promise((resolve) => (request.onsuccess = () => resolve(request.result)));
    const database = await done(indexedDB.open(name));
    const updates = await done(database.transaction("updates").objectStore("updates").getAll());
    database.close();
    if (updates.some((update) => new TextDecoder().decode(update).includes(text))) return true;
  }
  return false;
}"""
"""Whether a text is in what the browser keeps, which it writes by itself."""


def words(count: int) -> str:
    """The first words that the agent writes, as a page shows them."""
    return " ".join(f"w{number}🐙" for number in range(count))


def test_an_answer_grows_in_both_pages(chat: Server, agent: "Agent", join: "Join") -> None:
    ann, ben = join(chat.url, "trip", "Ann"), join(chat.url, "trip", "Ben")

    ann.sends("Where do we go? 🗺️")
    expect(ben.text(0)).to_have_text("Where do we go? 🗺️")
    expect(ben.message(0)).to_have_attribute("data-role", "user")
    assert agent.hears("prompt") == "Where do we go? 🗺️"

    for count in (5, 10, 200):
        agent.writes(5 if count < 200 else 190)
        for person in (ann, ben):
            expect(person.text(1)).to_have_text(words(count))
            expect(person.message(1)).to_have_attribute("data-status", "streaming")
    agent.order("end")
    assert agent.hears("ended") == "complete"
    for person in (ann, ben):
        expect(person.message(1)).to_have_attribute("data-status", "complete")
        expect(person.testid("stop")).to_have_count(0)
        person.is_("saved")
    assert ann.message(1).get_attribute("data-message-id") == ben.message(1).get_attribute("data-message-id")
    assert ann.texts() == ben.texts()


def test_a_reload_in_the_middle_shows_the_answer_so_far_and_goes_on(
    chat: Server, agent: "Agent", join: "Join"
) -> None:
    ann, ben = join(chat.url, "trip", "Ann"), join(chat.url, "trip", "Ben")
    ann.sends("Tell me")
    agent.hears("prompt")
    agent.writes(10)
    expect(ben.text(1)).to_have_text(words(10))

    ben.page.reload()
    expect(ben.text(1)).to_have_text(words(10))
    expect(ben.message(1)).to_have_attribute("data-status", "streaming")
    agent.writes(10)
    expect(ben.text(1)).to_have_text(words(20))
    ben.page.reload(wait_until="commit")
    agent.writes(30)
    agent.order("end")
    agent.hears("ended")
    for person in (ann, ben):
        expect(person.text(1)).to_have_text(words(50))
        expect(person.message(1)).to_have_attribute("data-status", "complete")
        expect(person.testid("message")).to_have_count(2)


def test_stop_in_one_page_stops_the_answer_in_both(chat: Server, agent: "Agent", join: "Join") -> None:
    ann, ben = join(chat.url, "trip", "Ann"), join(chat.url, "trip", "Ben")
    ann.sends("A long one")
    agent.hears("prompt")
    agent.writes(7)
    expect(ben.text(1)).to_have_text(words(7))

    ben.testid("stop").click()

    assert agent.hears("ended") == "cancelled"
    for person in (ann, ben):
        expect(person.message(1)).to_have_attribute("data-status", "cancelled")
        expect(person.text(1)).to_have_text(words(7))
        expect(person.testid("stop")).to_have_count(0)
    expect(ann.message(1)).to_contain_text("Stopped by Ben")

    ann.sends("A short one")
    assert agent.hears("prompt") == "A short one"
    agent.writes(1)
    agent.order("end")
    expect(ben.message(3)).to_have_attribute("data-status", "complete")


def test_what_somebody_adds_reaches_the_agent_while_it_writes(chat: Server, agent: "Agent", join: "Join") -> None:
    ann, ben = join(chat.url, "trip", "Ann"), join(chat.url, "trip", "Ben")
    ann.sends("A plan")
    agent.hears("prompt")
    agent.writes(2)
    expect(ben.testid("steer-input")).to_be_visible()
    ben.testid("steer-input").fill("by train 🚆")
    ben.testid("steer-send").click()
    for person in (ann, ben):
        expect(person.testid("steer")).to_contain_text("by train 🚆")
        expect(person.testid("steer")).to_contain_text("Ben")
    agent.writes(1)
    assert agent.hears("steers") == ["by train 🚆"]
    agent.order("end")
    agent.hears("ended")


def test_an_answer_that_is_cut_off_is_no_list_of_sessions(chat: Server, join: "Join") -> None:
    ann = join(chat.url, "trip", "Ann")
    expect(ann.testid("session-item")).to_have_count(1)
    ann.page.route(
        "**/sessions", lambda route: route.fulfill(content_type="application/json", body='{"sessions": [{')
    )
    expect(ann.page.locator("#sessions-hint")).to_contain_text("as it was")
    expect(ann.testid("session-item")).to_have_count(1)


def test_what_is_written_without_a_network_merges_when_it_is_back(
    chat: Server, agent: "Agent", cable: "Cable", join: "Join"
) -> None:
    ann, ben = join(chat.url, "trip", "Ann"), join(cable.url, "trip", "Ben")
    ben.sends("Befor the tunnel")
    agent.hears("prompt")
    agent.writes(3)
    expect(ben.text(1)).to_have_text(words(3))
    ben.is_("saved")

    cable.cut()
    ben.is_("offline")
    agent.writes(4)
    expect(ann.text(1)).to_have_text(words(7))
    ben.message(0).hover()
    ben.message(0).get_by_test_id("edit").click()
    ben.testid("edit-input").fill("Before the tunnel 🚇")
    ben.testid("save-edit").click()
    ben.sends("In the tunnel")
    expect(ben.text(2)).to_have_text("In the tunnel")
    expect(ben.testid("saved-state")).to_contain_text("not sent")
    ann.sends("Above the ground")
    expect(ann.text(2)).to_have_text("Above the ground")
    ann.is_("saved")

    cable.mend()
    ben.is_("saved")
    for person in (ann, ben):
        expect(person.testid("message")).to_have_count(4)
        expect(person.text(0)).to_have_text("Before the tunnel 🚇")
        expect(person.text(1)).to_have_text(words(7))
    agent.order("end")
    expect(ben.message(1)).to_have_attribute("data-status", "complete")
    assert ann.texts() == ben.texts()
    assert sorted(ann.texts()[2:]) == ["Above the ground", "In the tunnel"]


def test_a_killed_server_costs_no_word(chat: Server, agent: "Agent", join: "Join") -> None:
    ann, ben = join(chat.url, "trip", "Ann"), join(chat.url, "trip", "Ben")
    ann.sends("Go on whatever happens")
    agent.hears("prompt")
    agent.writes(5)
    expect(ben.text(1)).to_have_text(words(5))
    chat.kill()
    agent.writes(5)
    for person in (ann, ben):
        person.is_("offline")
    chat.start()
    for person in (ann, ben):
        expect(person.text(1)).to_have_text(words(10))
    agent.writes(5)
    agent.order("end")
    agent.hears("ended")
    for person in (ann, ben):
        expect(person.text(1)).to_have_text(words(15))
        expect(person.message(1)).to_have_attribute("data-status", "complete")
        person.is_("saved")


def test_people_come_and_go(chat: Server, agent: "Agent", join: "Join") -> None:
    ann = join(chat.url, "trip", "Ann 🦊")
    ben = join(chat.url, "trip", "Ben")
    expect(ann.testid("person")).to_have_count(3)
    expect(ann.testid("people")).to_contain_text("Ben")
    expect(ben.testid("people")).to_contain_text("Ann 🦊")
    expect(ben.testid("people")).to_contain_text("Scripted agent")
    ben.page.goto("about:blank")
    expect(ann.testid("person")).to_have_count(2)
    agent.kill()
    expect(ann.testid("person")).to_have_count(1)


def shown_colours(person: "Person") -> dict[str, str]:
    """Return the colour of each face in the head of a page, by the participant's id."""
    return person.page.eval_on_selector_all(
        "[data-testid=person]",
        "all => Object.fromEntries(all.map((each) =>"
        " [each.dataset.personId, each.querySelector('.avatar').style.getPropertyValue('--person')]))",
    )


def test_those_who_are_here_have_different_colours_and_keep_them_when_others_come(chat: Server, join: "Join") -> None:
    people = [join(chat.url, "trip", name) for name in ("Ann", "Ben", "Cleo")]
    before = None
    for name in ("Dan", "Eve"):
        people.append(join(chat.url, "trip", name))
        for person in people:
            expect(person.testid("person")).to_have_count(len(people))
        seen: list[dict[str, str]] = []
        for _ in range(200):  # presence may be there before the server's record of the arrival
            seen = [shown_colours(person) for person in people]
            if all(colours == seen[0] for colours in seen):
                break
            people[0].page.wait_for_timeout(50)
        assert all(colours == seen[0] for colours in seen)
        assert len(set(seen[0].values())) == len(people)
        assert before is None or before.items() <= seen[0].items()
        before = seen[0]


def test_edits_deletions_and_titles_are_seen_by_all(chat: Server, join: "Join") -> None:
    ann, ben = join(chat.url, "trip", "Ann"), join(chat.url, "trip", "Ben")
    ann.sends("Fist")
    ann.sends("Second")
    expect(ben.testid("message")).to_have_count(2)
    assert ben.message(0).get_by_test_id("edit").count() == 0, "only its author may edit a message"
    ann.message(0).hover()
    ann.message(0).get_by_test_id("edit").click()
    ann.testid("edit-input").fill("First")
    ann.testid("save-edit").click()
    expect(ben.text(0)).to_have_text("First")
    ann.message(1).hover()
    ann.message(1).get_by_test_id("delete").click()
    expect(ben.text(1)).to_contain_text("deleted")
    expect(ben.text(1)).not_to_contain_text("Second")
    ben.testid("title").fill("Lisbon 🇵🇹")
    ben.testid("title").press("Enter")
    expect(ann.testid("title")).to_have_value("Lisbon 🇵🇹")
    expect(ann.testid("session-list")).to_contain_text("Lisbon 🇵🇹")


def test_sessions_are_apart_and_can_be_switched(chat: Server, join: "Join") -> None:
    ann = join(chat.url, "trip", "Ann")
    ann.sends("only in trip")
    expect(ann.text(0)).to_have_text("only in trip")
    ann.is_("saved")
    ann.testid("new-session").click()
    expect(ann.testid("message")).to_have_count(0)
    ann.is_("saved")
    ann.sends("only in the new one")
    expect(ann.text(0)).to_have_text("only in the new one")
    ann.page.locator("[data-session-id=trip]").click()
    expect(ann.text(0)).to_have_text("only in trip")
    expect(ann.testid("message")).to_have_count(1)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_that_joins_late_sees_all_of_it(chat: Server, agent: "Agent", join: "Join", scheme: str) -> None:
    ann = join(chat.url, "trip", "Ann")
    ann.sends("What is **bold**, and `code`?")
    agent.hears("prompt")
    agent.writes(40)
    phone = join(chat.url, "trip", "Phone", color_scheme=scheme, device_scale_factor=2)
    phone.page.set_viewport_size({"width": 390, "height": 760})
    expect(phone.text(1)).to_have_text(words(40))
    expect(phone.text(0).locator("strong")).to_have_text("bold")
    width = phone.page.evaluate("document.documentElement.scrollWidth")
    assert width <= 390, "nothing sticks out of the screen"
    phone.testid("stop").click()
    expect(ann.message(1)).to_have_attribute("data-status", "cancelled")


def test_two_tabs_of_one_person_are_one_person_on_two_devices(chat: Server, join: "Join") -> None:
    ann, ben = join(chat.url, "trip", "Ann"), join(chat.url, "trip", "Ben")
    second = ann.opens_another_tab()
    second.sends("from the second tab 🐙")
    ann.sends("from the first")
    for person in (ann, second, ben):
        expect(person.testid("message")).to_have_count(2)
        expect(person.text(0)).to_have_text("from the second tab 🐙")
        expect(person.testid("person")).to_have_count(2)
    expect(ben.testid("people")).to_contain_text("×2")
    second.page.close()
    expect(ben.testid("people")).not_to_contain_text("×2")
    expect(ben.testid("people")).to_contain_text("Ann")


def test_what_was_written_offline_survives_the_tab(chat: Server, cable: "Cable", join: "Join") -> None:
    ann, ben = join(chat.url, "trip", "Ann"), join(cable.url, "trip", "Ben")
    ann.sends("Hello Ben")
    expect(ben.text(0)).to_have_text("Hello Ben")
    cable.cut()
    ben.is_("offline")
    ben.sends("written in the tunnel")
    expect(ben.text(1)).to_have_text("written in the tunnel")
    expect(ben.testid("saved-state")).to_contain_text("not sent")
    ben.page.wait_for_function(KEPT, arg="written in the tunnel")
    ben.page.goto("about:blank")
    cable.mend()
    again = ben.opens_another_tab()
    for person in (ann, again):
        expect(person.testid("message")).to_have_count(2)
        expect(person.text(1)).to_have_text("written in the tunnel")
    again.is_("saved")


def test_markup_in_a_message_is_shown_and_never_run(chat: Server, agent: "Agent", join: "Join") -> None:
    ann, ben = join(chat.url, "trip", "Ann"), join(chat.url, "trip", "Ben")
    evil = (
        "<img src=x onerror=\"document.title='owned'\"> <script>document.title='owned'</script> "
        "[link](javascript:document.title='owned') <svg onload=document.title='owned'></svg> end"
    )
    ann.sends(evil)
    ann.testid("title").fill("<b>not bold</b>")
    ann.testid("title").press("Enter")
    for person in (ann, ben):
        expect(person.text(0)).to_contain_text("end")
        expect(person.testid("title")).to_have_value("<b>not bold</b>")
        assert person.text(0).locator("script, img[onerror], svg[onload]").count() == 0
        for link in person.text(0).locator("a").all():
            assert not (link.get_attribute("href") or "").startswith("javascript:")
        expect(person.page).to_have_title("<b>not bold</b> · Shared chat")


def test_an_agent_that_dies_does_not_write_for_ever(chat: Server, agent: "Agent", join: "Join") -> None:
    """Its answer stays as far as it came; the pages say that the agent is gone, and Stop puts its work away."""
    ann, ben = join(chat.url, "trip", "Ann"), join(chat.url, "trip", "Ben")
    ann.sends("Tell me")
    agent.hears("prompt")
    agent.writes(5)
    expect(ann.text(1)).to_have_text(words(5))
    agent.kill()
    for person in (ann, ben):
        expect(person.testid("run")).to_contain_text("Scripted agent went away")
        expect(person.message(1)).to_have_attribute("data-status", "lost")
        expect(person.message(1)).to_contain_text("The agent went away before it was done")

    ann.testid("stop").click()
    for person in (ann, ben):
        expect(person.testid("run")).to_have_count(0)
        expect(person.message(1)).to_have_attribute("data-status", "cancelled")
        expect(person.message(1)).to_contain_text("Stopped by Ann")
        expect(person.text(1)).to_have_text(words(5))


def test_a_stop_is_over_also_when_the_agent_dies_before_it_obeys(chat: Server, agent: "Agent", join: "Join") -> None:
    ann = join(chat.url, "trip", "Ann")
    ann.sends("Tell me")
    agent.hears("prompt")
    expect(ann.testid("run")).to_contain_text("Scripted agent")
    agent.process.send_signal(signal.SIGSTOP)
    ann.testid("stop").click()
    expect(ann.testid("stop")).to_contain_text("Stopping…")
    agent.kill()
    expect(ann.testid("run")).to_have_count(0)
    expect(ann.page.locator(".waiting")).to_have_count(0)


def test_an_edit_keeps_what_another_device_added_meanwhile(chat: Server, join: "Join") -> None:
    ann = join(chat.url, "trip", "Ann")
    ann.sends("We go to Lisbon 🚆")
    ann.is_("saved")
    tablet = ann.opens_another_tab()
    for device in (ann, tablet):
        device.message(0).hover()
        device.message(0).get_by_test_id("edit").click()
    tablet.testid("edit-input").fill("We go to Lisbon 🚇, on Friday")
    tablet.testid("save-edit").click()
    expect(ann.text(0)).to_have_text("We go to Lisbon 🚇, on Friday")
    ann.testid("edit-input").fill("We all go to Lisbon 🚆")
    ann.testid("save-edit").click()
    for device in (ann, tablet):
        expect(device.text(0)).to_have_text("We all go to Lisbon 🚇, on Friday")


def test_edits_of_one_text_are_merged_where_they_fit(chat: Server, join: "Join") -> None:
    ann = join(chat.url, "trip", "Ann")
    for opened, wanted, current, merged in (
        ("one two", "one two three", "one two", "one two three"),
        ("one two", "one two three", "zero one two", "zero one two three"),
        ("one two", "zero one two", "one two three", "zero one two three"),
        ("one two", "one", "one two three", "one three"),
        ("one two", "one 2", "one deux", "one 2"),
        ("a🚆", "a🚇", "🐙a🚆", "🐙a🚇"),
        ("", "mine", "theirs", "minetheirs"),
        ("gone", "", "gone away", " away"),
    ):
        found = ann.page.evaluate(
            "async (texts) => (await import('/edits.js')).merge(...texts)", [opened, wanted, current]
        )
        assert found == merged, (opened, wanted, current)


def test_a_title_given_before_the_session_is_here_is_kept(chat: Server, cable: "Cable", join: "Join") -> None:
    ann, ben = join(cable.url, "trip", "Ann"), join(cable.url, "trip", "Ben")
    cable.cut()
    for person, session in ((ann, "sent"), (ben, "named")):
        person.is_("offline")
        person.page.evaluate("(id) => history.pushState(null, '', `?session=${id}`)", session)
        person.page.evaluate("dispatchEvent(new PopStateEvent('popstate'))")  # as Back does
        expect(person.testid("composer")).to_be_enabled()
    ann.sends("Where do we go? 🗺️\nAnd when?")
    ben.testid("title").fill("Lisbon 🇵🇹")
    ben.testid("title").press("Enter")
    cable.mend()
    expect(ann.testid("title")).to_have_value("Where do we go? 🗺️")
    expect(ben.testid("title")).to_have_value("Lisbon 🇵🇹")
    for person in (ann, ben):
        person.is_("saved")
        person.page.reload()
    expect(ann.testid("title")).to_have_value("Where do we go? 🗺️")
    expect(ben.testid("title")).to_have_value("Lisbon 🇵🇹")


def test_a_shared_link_brings_another_device_into_the_session(chat: Server, join: "Join") -> None:
    ann = join(chat.url, "trip", "Ann")
    ann.sends("Come in")
    ann.is_("saved")
    ann.testid("share").click()
    dialog = ann.testid("share-dialog")
    expect(dialog).to_be_visible()
    link = dialog.get_by_test_id("share-link").input_value()
    assert link == f"{chat.url}/?session=trip"
    code = dialog.get_by_role("img", name="QR code")
    expect(code).to_be_visible()
    modules = int(code.get_attribute("viewBox").split()[2]) - 4  # without its margin
    assert (modules - 17) % 4 == 0, "the side of a QR code"
    assert code.locator("path").get_attribute("d").count("M") > modules * modules / 4, "about half of it is dark"
    dialog.get_by_role("button", name="Done").click()
    expect(dialog).to_be_hidden()

    phone = join(link.partition("/?")[0], link.partition("session=")[2], "Phone", has_touch=True)
    expect(phone.text(0)).to_have_text("Come in")
    phone.sends("I am in 🐙")
    expect(ann.text(1)).to_have_text("I am in 🐙")
    expect(ann.testid("person")).to_have_count(2)


def test_an_agent_that_fails_says_so(chat: Server, agent: "Agent", join: "Join") -> None:
    ann = join(chat.url, "trip", "Ann")
    ann.sends("Tell me")
    agent.hears("prompt")
    agent.writes(5)
    agent.order("fail")
    assert agent.hears("ended") == "error"
    expect(ann.message(1)).to_have_attribute("data-status", "error")
    expect(ann.message(1)).to_contain_text("the model has broken")
    expect(ann.text(1)).to_have_text(words(5))


def test_an_agent_that_fails_before_its_first_word_says_so_and_can_be_asked_again(
    chat: Server, agent: "Agent", join: "Join"
) -> None:
    ann, ben = join(chat.url, "trip", "Ann"), join(chat.url, "trip", "Ben")
    ann.sends("Tell me")
    agent.hears("prompt")
    agent.order("fail")
    assert agent.hears("ended") == "error"
    for person in (ann, ben):
        expect(person.testid("failure")).to_contain_text("the model has broken")

    ben.testid("retry").click()
    assert agent.hears("prompt") == "Tell me"
    agent.writes(2)
    agent.order("end")
    expect(ann.text(2)).to_have_text(words(2))


@pytest.mark.parametrize("box", ["composer", "edit-input", "title"])
def test_the_enter_that_ends_a_composition_sends_nothing(chat: Server, join: "Join", box: str) -> None:
    ann = join(chat.url, "trip", "Ann")
    if box == "edit-input":
        ann.sends("written before")
        ann.message(0).hover()
        ann.testid("edit").click()
    ann.testid(box).fill("にほん")
    ann.testid(box).evaluate(  # Safari tells it after the composition, with key code 229
        """(element) => element.dispatchEvent(new KeyboardEvent("keydown",
          { key: "Enter", code: "Enter", keyCode: 229, isComposing: false, bubbles: true, cancelable: true }))"""
    )
    expect(ann.testid(box)).to_be_focused()
    expect(ann.testid(box)).to_have_value("にほん")
    expect(ann.testid("message")).to_have_count(1 if box == "edit-input" else 0)


def test_titles_and_what_a_screen_reader_says_are_without_markup(chat: Server, agent: "Agent", join: "Join") -> None:
    ann = join(chat.url, "trip", "Ann")
    ann.sends("**Lisbon** in [May](https://example.org)")
    expect(ann.testid("title")).to_have_value("Lisbon in May")
    agent.hears("prompt")
    agent.order(f"says {quote('# Plan' + chr(10) + '- *first* `day`')}")
    agent.order("end")
    expect(ann.page.locator("#announce")).to_have_text("Scripted agent: Plan first day")


def test_the_focus_stays_on_stop_until_the_answer_has_ended(chat: Server, agent: "Agent", join: "Join") -> None:
    ann = join(chat.url, "trip", "Ann")
    ann.sends("A long one")
    agent.hears("prompt")
    agent.writes(1)
    ann.testid("stop").focus()
    ann.page.keyboard.press("Enter")
    expect(ann.testid("composer")).to_be_focused()


@pytest.mark.parametrize("width", [390, 800, 1000, 1280])
def test_every_button_has_a_name_at_every_width(chat: Server, join: "Join", width: int) -> None:
    ann = join(chat.url, "trip", "Ann", viewport={"width": width, "height": 700})
    ann.sends("```\nsome code\n```")
    expect(ann.testid("message")).to_have_count(1)
    names = ann.page.get_by_role("button").evaluate_all(NAMELESS)
    assert names == []


@pytest.mark.parametrize(("static", "path"), [(DEMO, ""), (DEMO.parent, "/travel")])
def test_what_is_too_large_to_send_stays_in_its_box_with_the_reason(
    start_server: Callable[..., Server], join: "Join", static: Path, path: str
) -> None:
    server = start_server(static, max_frame_bytes=65_536)
    ann = join(server.url + path, "trip", "Ann")
    ann.sends("It fits")
    expect(ann.message(0)).to_have_attribute("data-status", "complete")
    long = "word 🐙 " * 12_000
    notice, box = ann.testid("notice"), ann.testid("composer")

    ann.sends(long)
    expect(notice).to_contain_text("bytes")
    expect(box).to_have_value(long)
    notice.get_by_role("button").click()
    expect(notice).to_be_hidden()

    ann.message(0).hover()
    ann.message(0).get_by_test_id("edit").click()
    editor = ann.message(0).get_by_test_id("edit-input")
    editor.fill(long)
    editor.press("Enter")
    expect(notice).to_contain_text("bytes")
    expect(editor).to_have_value(long)
    editor.fill("It fits again")
    editor.press("Enter")
    expect(ann.text(0)).to_have_text("It fits again")

    ann.sends("And so does this")
    expect(ann.text(1)).to_have_text("And so does this")
    expect(box).to_have_value("")
    ann.is_("saved")


def test_no_missing_agent_is_told_of_before_one_is_missed(chat: Server, join: "Join") -> None:
    ann = join(chat.url, "trip", "Ann")
    expect(ann.page.locator("#agent-line")).to_have_text("")
    ann.sends("Is anybody here?")
    expect(ann.page.locator("#agent-line")).to_contain_text("No agent is here")
