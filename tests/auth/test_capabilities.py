"""What capabilities include, and which strings are none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosession.auth import CAPABILITIES, ROLES, SERVER, Capabilities, Participant
from cosession.auth.capabilities import EVERYTHING
from cosession.errors import NotAllowed, NotAuthenticated

keys = st.text(min_size=1, max_size=6).filter(lambda key: key != "*")


def pointer(path: tuple[str, ...]) -> str:
    """A path as a capability writes it."""
    return "/".join(key.replace("~", "~0").replace("/", "~1") for key in path)


def test_a_path_covers_everything_below_it_and_nothing_else():
    granted = Capabilities.parse(["state:trip/flight"])
    assert granted.may_state(("trip", "flight"))
    assert granted.may_state(("trip", "flight", "seat"))
    assert not granted.may_state(("trip",))
    assert not granted.may_state(("trip", "flights"))
    assert not granted.may_state(())
    assert not granted.may("read")


@given(st.lists(keys, min_size=1, max_size=4).map(tuple), st.lists(keys, max_size=3).map(tuple))
def test_any_path_can_be_written_as_a_capability(path: tuple[str, ...], below: tuple[str, ...]):
    granted = Capabilities.parse([f"state:{pointer(path)}"])
    assert granted.state == {path}
    assert granted.may_state(path + below)
    assert not granted.may_state(path[:-1])


def test_a_star_is_all_of_the_state_or_of_the_texts():
    granted = Capabilities.parse(["state:*", "text:*"])
    assert granted.may_state(())
    assert granted.may_state(("a", "b"))
    assert granted.may_text("notes")
    assert not Capabilities.parse(["text:notes"]).may_text("Notes")


@pytest.mark.parametrize(
    "written",
    ["", "fly", "read:x", "state", "state:", "state:trip/", "state:trip/*", "text:", "text", "READ", " read"],
)
def test_a_string_that_is_no_capability_is_refused(written: str):
    with pytest.raises(NotAuthenticated, match=r"unknown|ends in nothing"):
        Capabilities.parse(["read", written])


@pytest.mark.parametrize("capability", CAPABILITIES)
def test_admin_includes_every_capability_and_only_admin_goes_unchecked(capability: str):
    assert EVERYTHING.may(capability)
    for role in ROLES:
        assert Capabilities.of(role).writes_everything == (role == "admin")
    assert EVERYTHING.may_state(("a",))
    assert EVERYTHING.may_text("notes")


def test_each_role_is_a_set_of_capabilities():
    for role in ROLES:
        assert Capabilities.of(role).may("read")
    viewer, member, agent, operator = (Capabilities.of(role) for role in ("viewer", "member", "agent", "operator"))
    assert viewer.names == {"read", "presence"}
    assert not viewer.may_state(("a",))
    assert not agent.may("prompt")
    assert not agent.may("approve")
    assert not member.may("run")
    assert member.names < operator.names
    with pytest.raises(NotAuthenticated, match="there are viewer, member"):
        Capabilities.of("owner")


def test_what_is_missing_is_named():
    with pytest.raises(NotAllowed, match=r"'prompt' \(send and queue messages"):
        Capabilities.of("viewer").require("prompt")
    Capabilities.of("operator").require("cancel-any", "cancel-own")


def test_a_participant_is_a_value_and_the_server_may_everything():
    ada = Participant("ada", "Ada", capabilities=Capabilities.of("member"))
    assert {ada: 1}[Participant("ada", "Ada", capabilities=Capabilities.of("member"))] == 1
    assert SERVER.capabilities.writes_everything


def test_admin_is_a_role_of_one_capability():
    assert ROLES["admin"] == ("admin",)


@pytest.mark.parametrize("written", [["admin"], ["prompt", "read"], ["state:*"], ["state:trip/a~1b", "text:n:1"]])
def test_capabilities_are_written_as_they_were_read(written: list[str]):
    assert list(Capabilities.parse(written).written()) == written


@pytest.mark.parametrize("role", ROLES)
def test_what_is_written_of_a_role_reads_as_the_role(role: str):
    assert Capabilities.parse(Capabilities.of(role).written()) == Capabilities.of(role)


def test_a_path_whose_first_key_is_empty_is_written_so_that_it_is_read_again():
    odd = Capabilities(state=frozenset({("", "x")}))
    assert Capabilities.parse(odd.written()) == odd
