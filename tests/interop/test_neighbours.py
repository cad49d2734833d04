"""Neighbours that the server takes give one document: in Yjs and in yrs, for who is there and for who comes later.

An enumeration: between every two entries of small texts something is forged, while another client writes there too.
"""

import base64
import json
from typing import Any

from admission.forge import Id, forge, string
from admission.scene import Scene, participant
from processes import run_node
from pycrdt import Doc, Text

from cosession.errors import MalformedFrame
from cosession.protocol.structs import read_structs

ROOT = "text:notes"
EVE = participant("eve", role="member")
LIAR = 100
OTHERS = (3, 900)
"""Yjs clients below the liar's and above."""


def typed(doc: Doc[Any], at: int, words: str) -> bytes:
    """Insert something, and return the update."""
    before = doc.get_state()
    doc.get(ROOT, type=Text).insert(at, words)
    return doc.get_update(before)


def texts() -> list[bytes]:
    """One run; two that lie in each other; and four that were written at once at the same place."""
    plain: Doc[Any] = Doc(client_id=50)
    typed(plain, 0, "abcdef")
    inside: Doc[Any] = Doc(client_id=40)
    inside.apply_update(plain.get_update())
    typed(inside, 3, "XY")
    typed(inside, 4, "Z")
    start: Doc[Any] = Doc(client_id=50)
    typed(start, 0, "ab")
    writers: list[Doc[Any]] = [Doc(client_id=client) for client in (20, 60, 200)]
    for writer in writers:
        writer.apply_update(start.get_update())
        typed(writer, 1, f"{writer.client_id % 7}")
        typed(writer, 2, "-")
    for writer in writers:
        start.apply_update(writer.get_update())
    return [plain.get_update(), inside.get_update(), start.get_update()]


def entries(update: bytes) -> list[Id]:
    """The ids of all characters."""
    return [
        (struct.client, clock)
        for struct in read_structs(update)
        for clock in range(struct.clock, struct.clock + struct.length)
    ]


def is_taken(scene: Scene, update: bytes) -> bool:
    """Whether the server takes an update."""
    try:
        scene.receive(update, EVE)
    except MalformedFrame:
        return False
    return True


def test_what_is_written_between_any_two_neighbours_gives_one_document() -> None:
    lines: list[str] = []
    expected: list[str] = []
    taken = refused = 0
    for base in texts():
        ids = entries(base)
        length = len(ids)
        for left in (None, *ids):
            for right in (None, *ids):
                if left is None and right is None:
                    continue
                lie = forge(LIAR, 0, string("!", left=left, right=right))
                probe = Scene()
                probe.document.doc.apply_update(base)
                start = probe.document.doc.get_update()
                if not is_taken(probe, lie):
                    refused += 1
                    continue
                taken += 1
                for number, at in enumerate((0, 1, length // 2, length - 1, length)):
                    other: Doc[Any] = Doc(client_id=OTHERS[number % 2])
                    other.apply_update(start)
                    words = typed(other, at + len("dear notes"), "?")
                    here: Doc[Any] = Doc(client_id=1)
                    for update in (start, lie, words):
                        here.apply_update(update)
                    for order in ((start, lie, words), (start, words, lie), (here.get_update(),)):
                        updates = [base64.b64encode(update).decode() for update in order]
                        lines.append(json.dumps({"roots": {ROOT: "Text"}, "updates": updates}))
                        expected.append(str(here.get(ROOT, type=Text)))
                    there: Doc[Any] = Doc(client_id=1)
                    for update in (start, words, lie):
                        there.apply_update(update)
                    assert str(there.get(ROOT, type=Text)) == expected[-1]
    assert taken > 50, "it is not that everything is refused"
    assert refused > taken
    results = run_node("replay.mjs", lines)
    assert [result["json"][ROOT] for result in results] == expected
    assert not any(result["pending"] for result in results)
