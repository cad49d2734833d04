"""Roots of the application's own: any shared type, by the capability `root:NAME`."""

from typing import Any

import pytest
from admission.scene import Scene, participant
from pycrdt import Array, Map, Text, XmlElement, XmlFragment, XmlText

from cosession.document import SessionDocument
from cosession.errors import NotAllowed


def root(document: SessionDocument, name: str, kind: Any) -> Any:
    return document.doc.get(name, type=kind)


def paragraph(document: SessionDocument) -> None:
    root(document, "default", XmlFragment).children.append(
        XmlElement("paragraph", {"align": "left"}, [XmlText("hi")])
    )


WRITES = {
    "tiptap": paragraph,
    "quill": lambda d: root(d, "quill", Text).insert(0, "bold", {"bold": True}),
    "quill image": lambda d: root(d, "quill", Text).insert_embed(0, {"image": "x.png"}),
    "monaco": lambda d: root(d, "monaco", Text).insert(0, "let x"),
    "todos": lambda d: root(d, "todos", Array).append({"title": "x", "done": False}),
    "nested": lambda d: root(d, "todos", Array).append(Map({"title": Text("x"), "tags": Array(["a"])})),
    "map": lambda d: root(d, "app", Map).update({"a": 1, "b": Map({"c": XmlFragment([XmlElement("p")])})}),
    "bytes": lambda d: root(d, "app", Map).update({"thumb": b"123"}),
}


@pytest.mark.parametrize("role", ["member", "agent", "operator"])
@pytest.mark.parametrize("what", WRITES)
def test_whoever_takes_part_writes_any_type_into_a_root_of_the_applications_own(scene: Scene, role: str, what: str):
    eve = scene.client(participant("eve", role=role))
    eve.write(WRITES[what])
    assert eve.document.doc.get_update() == scene.document.doc.get_update() or len(scene.document.doc.keys()) > 13


def test_what_was_written_is_edited_and_deleted_by_another(scene: Scene) -> None:
    eve, bob = scene.client(participant("eve", role="member")), scene.client(participant("bob", role="member"))
    eve.write(lambda d: root(d, "todos", Array).extend([{"title": "x"}, {"title": "y"}]))
    eve.write(lambda d: root(d, "app", Map).update({"a": 1}))
    eve.write(lambda d: root(d, "monaco", Text).insert(0, "one two"))
    bob.sync()
    bob.write(lambda d: root(d, "todos", Array).__delitem__(0))
    bob.write(lambda d: root(d, "app", Map).update({"a": 2}))
    bob.write(lambda d: root(d, "app", Map).__delitem__("a"))
    bob.write(lambda d: root(d, "monaco", Text).__delitem__(slice(0, 4)))
    assert root(scene.document, "todos", Array).to_py() == [{"title": "y"}]
    assert str(root(scene.document, "monaco", Text)) == "two"


@pytest.mark.parametrize("role", ["viewer"])
def test_a_viewer_writes_into_none(scene: Scene, role: str) -> None:
    with pytest.raises(NotAllowed) as refusal:
        scene.client(participant("vi", role=role)).write(WRITES["monaco"])
    assert refusal.value.needs == ("root:monaco",)


def test_a_capability_may_name_one_root(scene: Scene) -> None:
    eve = scene.client(participant("eve", "read", "root:monaco"))
    eve.write(WRITES["monaco"])
    with pytest.raises(NotAllowed):
        eve.write(WRITES["todos"])


@pytest.mark.parametrize("name", ["cosession", "cosession:plans", "text:", "xml:"])
def test_reserved_names_are_for_nobody(scene: Scene, name: str) -> None:
    with pytest.raises(NotAllowed, match="reserved"):
        scene.client(participant("eve", role="operator")).write(lambda d: root(d, name, Map).update({"a": 1}))


def test_a_root_that_two_use_with_two_types_holds_both(scene: Scene) -> None:
    """As in Yjs, where a root is what it is asked for as: neither takes the other's content away."""
    eve, bob = scene.client(participant("eve", role="member")), scene.client(participant("bob", role="member"))
    eve.write(lambda d: root(d, "both", Map).update({"a": 1}))
    bob.write(lambda d: root(d, "both", Array).append("x"))
    bob.write(lambda d: root(d, "both", Array).append("y"))
    fresh = scene.client(participant("eve", role="member"))
    assert root(fresh.document, "both", Array).to_py() == ["x", "y"]
