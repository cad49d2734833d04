"""How a session becomes text that only grows: order, streams, steers, edits."""

import io
import json

import pytest
from rich.console import Console

from cosession.cli.tail import Printer
from cosession.client import Session
from cosession.document import Message, Run
from cosession.protocol import AwarenessEntry, encode_awareness

AT = "2026-11-21T08:00:00Z"


@pytest.fixture
def session() -> Session:
    """A session that nobody has connected: its document is written by the test."""
    return Session("trip", "tail", "Terminal", "operator", url="http://127.0.0.1:1", token=None)


class Screen:
    """A printer and what it has printed."""

    def __init__(self, session: Session) -> None:
        self.file = io.StringIO()
        self._printer = Printer(Console(file=self.file, soft_wrap=True, width=200))
        self._session = session

    def shows(self) -> str:
        self._printer.show(self._session, self._session.messages)
        return self.file.getvalue()


def say(session: Session, author: str, text: str, status: str = "complete") -> Message:
    part = {"type": "text", "text": text, "state": "done"}
    id = f"m{len(session.messages)}"  # noqa: A001
    return session.messages.append("user", [part], id=id, author=author, created_at=AT, status=status)


def started(session: Session, id: str) -> Run:  # noqa: A002
    return session.runs.start(id, agent="assistant", started_at=AT)


def test_an_answer_grows_where_it_stands(session: Session):
    screen = Screen(session)
    answer = say(session, "assistant", "One", "streaming")
    assert screen.shows() == "assistant\nOne"

    answer.parts[0].grow(" two")
    assert screen.shows() == "assistant\nOne two"

    answer.set_status("complete")
    assert screen.shows() == screen.shows() == "assistant\nOne two\n"


def test_a_run_that_fails_before_its_first_word_says_so_once(session: Session):
    screen = Screen(session)
    say(session, "ada", "Where to?")
    run = started(session, "r1")
    run.end("error", at=AT, error="the model is \x1b[31mdown")
    assert screen.shows() == screen.shows() == "ada\nWhere to?\n  ✗ assistant failed: the model is [31mdown\n"


def test_a_message_in_between_is_printed_at_once_and_the_answer_goes_on(session: Session):
    screen = Screen(session)
    answer = say(session, "assistant", "One", "streaming")
    screen.shows()
    say(session, "ada", "Hm")
    screen.shows()
    answer.parts[0].grow(" two")

    assert screen.shows() == "assistant\nOne\nada\nHm\nassistant (goes on)\n two"


def test_a_second_answer_waits_for_the_first(session: Session):
    screen = Screen(session)
    first = say(session, "assistant", "One", "streaming")
    second = say(session, "planner", "Other", "streaming")
    assert "Other" not in screen.shows()

    first.set_status("cancelled")
    second.set_status("complete")

    assert screen.shows() == "assistant\nOne (stopped)\nplanner\nOther\n"


def test_a_text_that_was_changed_while_it_grew_is_printed_anew(session: Session):
    screen = Screen(session)
    answer = say(session, "assistant", "One", "streaming")
    screen.shows()
    answer.edit("Two", at=AT, by="ada")

    assert screen.shows() == "assistant\nOne\n(changed)\nTwo"


def test_a_steer_is_shown_once(session: Session):
    screen = Screen(session)
    run = started(session, "r1")
    run.record_steer("s1", by="ada", text="shorter", at=AT)
    screen.shows()

    assert screen.shows() == "  ↳ ada: shorter\n"


def test_a_deleted_message_is_said_to_be_deleted(session: Session):
    say(session, "ada", "secret").delete(at=AT)

    assert Screen(session).shows() == "ada\n(deleted)\n"


def test_an_edit_and_a_deletion_of_a_finished_message_are_said_once(session: Session):
    screen = Screen(session)
    first, second = say(session, "ada", "Porto"), say(session, "bo", "Faro")
    screen.shows()
    answer = say(session, "assistant", "Well", "streaming")
    screen.shows()
    first.edit("Lisbon", at="2026-11-21T08:00:01Z", by="ada")
    screen.shows()
    second.delete(at="2026-11-21T08:00:02Z")
    screen.shows()
    answer.parts[0].grow(", then")

    assert screen.shows() == screen.shows()
    assert screen.shows() == (
        "ada\nPorto\nbo\nFaro\nassistant\nWell\n(ada, edited: Lisbon)\n(bo, deleted)\nassistant (goes on)\n, then"
    )


def test_an_answer_that_says_nothing_more_after_a_steer_does_not_go_on(session: Session):
    screen = Screen(session)
    answer = say(session, "assistant", "One", "streaming")
    screen.shows()
    started(session, "r1").record_steer("s1", by="ada", text="stop there", at=AT)
    screen.shows()
    screen.shows()
    answer.set_status("complete")

    assert screen.shows() == screen.shows() == "assistant\nOne\n  ↳ ada: stop there\n"


def test_an_answer_that_is_stopped_after_a_steer_is_said_to_be(session: Session):
    screen = Screen(session)
    answer = say(session, "assistant", "One", "streaming")
    screen.shows()
    started(session, "r1").record_steer("s1", by="ada", text="stop there", at=AT)
    screen.shows()
    answer.set_status("cancelled")

    assert screen.shows() == "assistant\nOne\n  ↳ ada: stop there\nassistant (goes on)\n (stopped)\n"


def test_a_steer_or_a_presence_that_a_foreign_client_wrote_anyhow_is_passed_over(session: Session):
    run = started(session, "r1")
    run.shared["steers"].append({"text": "no id"})
    state = {"user": "just a string"}
    session.presence.receive(encode_awareness([AwarenessEntry(7, 1, json.dumps(state))]))
    say(session, "ada", "Hello")

    assert Screen(session).shows() == "ada\nHello\n"
