"""Stamps: the server signs messages, and nothing else that stands under their name."""

from typing import Any

import pytest
from pycrdt import Array, Map
from room.decisions.stage import Actor, Stage

OWN: list[dict[str, Any]] = [
    {"text": "hi", "from": "x"},
    {"id": "1", "text": "hi"},
    {"role": "user", "content": "hi"},
    {"id": "1", "role": "user", "content": "hi"},
    {},
]


@pytest.mark.parametrize("entry", OWN)
def test_an_applications_own_entries_under_messages_stay_as_written(stage: Stage, ada: Actor, entry: dict[str, Any]):
    ada.write(lambda document: document.messages.shared.append(Map(entry)))
    ada.write(lambda document: document.messages.shared.append("plain"))
    assert stage.document.messages.shared.to_py() == [entry, "plain"]


def test_a_message_of_the_schema_is_signed_however_its_parts_are_written(stage: Stage, ada: Actor) -> None:
    for id_, parts in (("a", Array([Map({"type": "text", "text": "hi"})])), ("b", [{"type": "text", "text": "hi"}])):
        ada.write(lambda d, i=id_, p=parts: d.messages.shared.append(Map({"id": i, "role": "user", "parts": p})))
    assert [message.verified for message in stage.document.messages] == [True, True]
