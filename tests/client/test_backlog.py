"""What a server lacks goes in frames that it takes, and no record is cut in two where it fits."""

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycrdt import Doc, Text

from cosession.client.backlog import fits, piece_bytes, pieces_of
from cosession.document import SessionDocument
from cosession.protocol import EMPTY_UPDATE, Limits, decode_state_vector, encode_state_vector, read_update_header


def pieces(update: bytes, limits: Limits) -> list[bytes]:
    return [piece for piece in pieces_of(update, limits) if piece != EMPTY_UPDATE]


def write(document: SessionDocument, seed: int, count: int) -> None:
    """Do what applications do, in an order drawn from a seed."""
    chance = random.Random(seed)
    for number in range(count):
        id_ = f"{seed}-{number}"
        match chance.randrange(9):
            case 0 | 1:
                parts = [
                    {"type": "text", "text": "word 🌊 " * chance.randrange(40)} for _ in range(chance.randint(1, 3))
                ]
                document.messages.append("user", parts, id=id_, author="ann", created_at="t")
            case 2:
                document.messages.append_json(
                    {
                        "id": id_,
                        "role": "assistant",
                        "parts": [
                            {
                                "type": "tool-x",
                                "toolCallId": id_,
                                "state": "input-available",
                                "input": {"n": list(range(chance.randrange(60)))},
                            }
                        ],
                    }
                )
            case 3:
                document.state.set(
                    ["trip", f"k{chance.randrange(3)}"], {"a": [1, {"b": "x" * chance.randrange(300)}]}
                )
            case 4:
                document.text("notes").append("tok ")
            case 5 if len(document.text("notes")):
                document.text("notes").delete(0, chance.randint(1, len(document.text("notes"))))
            case 6 if len(document.messages.shared):
                del document.messages.shared[chance.randrange(len(document.messages.shared))]
            case 7:
                document.runs.start(id_, agent="ann", started_at="t").add_message(id_)
            case _:
                document.counters.add("likes", "ann")


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 60), st.integers(0, 40), st.sampled_from([600, 2048, 2**14]))
def test_pieces_follow_one_another_fit_and_make_the_same_document(
    seed: int, count: int, known: int, frame_bytes: int
):
    document, server = SessionDocument(client_id=5), SessionDocument()
    write(document, seed, known)
    server.doc.apply_update(document.doc.get_update())
    vector = server.doc.get_state()
    write(document, seed + 1, count)
    limits = Limits(frame_bytes=frame_bytes, structs=1024)

    for piece in pieces(document.doc.get_update(vector), limits):
        header = read_update_header(piece)
        assert header.fits(decode_state_vector(server.doc.get_state()))
        server.doc.apply_update(piece)

    assert server.to_json() == document.to_json()
    assert server.doc.get_update() == document.doc.get_update()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 60))
def test_whoever_sees_a_piece_sees_whole_records_and_nothing_that_was_deleted(seed: int, count: int):
    document, server = SessionDocument(client_id=5), SessionDocument()
    write(document, seed, count)
    whole = {message["id"]: message for message in document.to_json()["messages"]}
    limits = Limits(frame_bytes=2**14, structs=2**13)
    for piece in pieces(document.doc.get_update(), limits):
        server.doc.apply_update(piece)
        for message in server.to_json()["messages"]:
            assert message == whole[message["id"]]
        for run in server.to_json()["runs"].values():
            assert {"id", "agent", "status", "messages", "steers"} <= run.keys()


def test_large_messages_are_one_frame_each_and_small_ones_share_them():
    document = SessionDocument(client_id=5)
    for number in range(3):
        url = "data:image/png;base64," + "A" * 5 * 2**20
        document.messages.append(
            "user",
            [{"type": "text", "text": "look"}, {"type": "file", "mediaType": "image/png", "url": url}],
            id=f"m{number}",
            author="a",
            created_at="t",
        )
        document.messages.append(
            "user", [{"type": "text", "text": "and a word"}], id=f"w{number}", author="a", created_at="t"
        )
    found = pieces(document.doc.get_update(), Limits())
    server = SessionDocument()
    seen: list[int] = []
    for piece in found:
        assert fits(piece, Limits())
        server.doc.apply_update(piece)
        seen.append(len(server.messages.shared))
    assert sum(len(piece) > 2**20 for piece in found) == 3
    assert seen[-1] == 6
    assert server.to_json() == document.to_json()


def test_many_small_changes_are_frames_of_few_structs():
    limits = Limits(structs=2500)
    document = SessionDocument(client_id=5)
    for number in range(2600):
        document.state.set("n", number)
    update = document.doc.get_update()
    assert not fits(update, limits)
    server = SessionDocument()
    for piece in pieces(update, limits):
        assert len(piece) <= 2 * piece_bytes(limits)
        assert fits(piece, limits)
        server.doc.apply_update(piece)
    assert server.state.get("n") == 2599


@pytest.mark.parametrize("size", [100, 40_000])
def test_a_text_that_is_larger_than_a_frame_is_cut_and_a_value_comes_as_it_is(size: int):
    doc: Doc[Any] = Doc(client_id=5)
    doc.get("text:notes", type=Text).insert(0, "word 🌊 " * size)
    limits = Limits(frame_bytes=4096, structs=4096)
    server: Doc[Any] = Doc()
    for piece in pieces(doc.get_update(encode_state_vector({})), limits):
        assert fits(piece, limits)
        server.apply_update(piece)
    assert str(server.get("text:notes", type=Text)) == "word 🌊 " * size
