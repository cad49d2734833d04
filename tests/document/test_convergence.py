"""Replicas that have seen the same updates show the same session, in whatever order they came."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from document.samples import AT, EVERY_PART, TOOL_PARTS, exchange, texts, values
from hypothesis import given, settings
from hypothesis import strategies as st

from cosession.document import SessionDocument
from cosession.errors import BadDocument

REPLICAS = 3
names = st.sampled_from(["a", "b", "c"])
Edit = Callable[[SessionDocument, str], None]


def on_a_message(place: int, change: Callable[[Any], None]) -> Edit:
    def edit(document: SessionDocument, _unique: str) -> None:
        messages = list(document.messages)
        if messages:
            change(messages[place % len(messages)])

    return edit


def on_the_queue(place: int, change: Callable[[SessionDocument, str], None]) -> Edit:
    def edit(document: SessionDocument, _unique: str) -> None:
        entries = list(document.queue)
        if entries:
            change(document, entries[place % len(entries)].id)

    return edit


def on_a_part(place: int, text: str) -> Edit:
    def grow(message: Any) -> None:
        part = message.append_part({"type": "text", "state": "streaming"}) if not message.parts else message.parts[-1]
        if part.type == "text":
            part.grow(text)

    return on_a_message(place, grow)


def append(part: dict[str, Any]) -> Edit:
    return lambda document, unique: void(
        document.messages.append("assistant", [part], id=unique, author="agent", created_at=AT)
    )


def start_run(document: SessionDocument, unique: str) -> None:
    run = document.runs.start(unique, agent="agent", started_at=AT)
    run.add_step("s1", "look")
    run.set_progress("looking", 1, 2)


def void(_result: object) -> None:
    """An edit returns nothing."""


places = st.integers(0, 5)
edits: st.SearchStrategy[Edit] = st.one_of(
    st.builds(append, st.sampled_from(EVERY_PART)),
    st.builds(on_a_part, places, texts),
    st.builds(
        lambda place, text: on_a_message(place, lambda message: message.edit(text, at=AT, by="ada")), places, texts
    ),
    st.builds(lambda place: on_a_message(place, lambda message: message.delete(at=AT)), places),
    st.builds(
        lambda place, part: on_a_message(place, lambda message: message.append_part(part)),
        places,
        st.sampled_from(TOOL_PARTS),
    ),
    st.just(start_run),
    st.builds(
        lambda path, value: lambda d, _: d.state.set(path, value), st.lists(names, min_size=1, max_size=3), values
    ),
    st.builds(lambda path: lambda d, _: void(d.state.delete(path)), st.lists(names, min_size=1, max_size=3)),
    st.builds(lambda name, amount: lambda d, u: d.counters.add(name, u, amount), names, st.integers(-5, 5)),
    st.builds(lambda name, value: lambda d, _: d.selections.set("ada", name, value), names, values),
    st.builds(lambda text: lambda d, _: d.text("note").insert(len(d.text("note")) // 2, text), texts),
    st.builds(lambda text: lambda d, u: void(d.queue.append(text, id=u, author="ada", created_at=AT)), texts),
    st.builds(lambda place, to: on_the_queue(place, lambda d, id: d.queue.move(id, to)), places, places),  # noqa: A006
    st.builds(lambda place: on_the_queue(place, lambda d, id: void(d.queue.remove(id))), places),  # noqa: A006
)


class Peer(SessionDocument):
    """A replica that keeps what it made, update by update."""

    def __init__(self) -> None:
        super().__init__()
        self.made: list[bytes] = []
        self.doc.observe(lambda event: self.made.append(event.update))


def attempt(edit: Edit, document: SessionDocument, unique: str) -> None:
    """Edits that don't fit what is there (a path through a number) are refused; that must not matter either."""
    with suppress(BadDocument):
        edit(document, unique)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, REPLICAS - 1), edits, st.booleans()), max_size=25), st.randoms())
def test_replicas_converge_whoever_edits_and_whenever_they_exchange(
    script: list[tuple[int, Edit, bool]], random: Any
) -> None:
    replicas = [SessionDocument() for _ in range(REPLICAS)]
    replicas[0].initialise(created_at=AT, title="Trip")
    for number, (writer, edit, meet) in enumerate(script):
        attempt(edit, replicas[writer], f"u{number}")
        if meet:
            exchange(*random.sample(replicas, 2))
    exchange(*replicas)
    exchange(*replicas)
    shown = [replica.to_json() for replica in replicas]
    assert shown[0] == shown[1] == shown[2]


@settings(max_examples=30, deadline=None)
@given(st.lists(edits, max_size=10), st.lists(edits, max_size=10), st.randoms())
def test_two_that_wrote_apart_merge_to_the_same_whichever_way(
    mine: list[Edit], theirs: list[Edit], random: Any
) -> None:
    first, second = Peer(), Peer()
    for number, (document, edit) in enumerate([(first, edit) for edit in mine] + [(second, edit) for edit in theirs]):
        attempt(edit, document, f"u{number}")
    one_way, other_way = SessionDocument(), SessionDocument()
    for update in first.made + second.made:
        one_way.doc.apply_update(update)
    queues = [list(first.made), list(second.made)]
    while any(queues):
        other_way.doc.apply_update(random.choice([queue for queue in queues if queue]).pop(0))
    exchange(first, second)
    assert one_way.to_json() == other_way.to_json() == first.to_json() == second.to_json()
