"""Errors: a program catches a family, and a code of the server makes an error of the right one."""

import pytest

from cosession import Conflict, CosessionError, Gone, InvalidValue, NotAllowed, NotFound, TimedOut, Unavailable
from cosession.client.address import split_address
from cosession.client.refusal import error_of
from cosession.errors import ApprovalClosed, NoSuchSession, SessionDeleted, is_crdt_error


@pytest.mark.parametrize(
    ("code", "family", "builtin"),
    [
        ("document.invalid", InvalidValue, ValueError),
        ("limit.too_large", InvalidValue, ValueError),
        ("run.unknown", NotFound, LookupError),
        ("session.deleted", Gone, LookupError),
        ("auth.forbidden", NotAllowed, CosessionError),
        ("approval.closed", Conflict, CosessionError),
        ("server.shutting_down", Unavailable, CosessionError),
    ],
)
def test_a_code_of_the_server_is_an_error_of_a_family(
    code: str, family: type[CosessionError], builtin: type[Exception]
):
    error = error_of(code, "Because.")
    assert (error.code, str(error)) == (code, "Because.")
    assert isinstance(error, family)
    assert isinstance(error, builtin)


@pytest.mark.parametrize(
    ("status", "family"), [(404, NotFound), (409, Conflict), (422, InvalidValue), (502, Unavailable)]
)
def test_an_unknown_code_gives_the_family_of_its_status(status: int, family: type[CosessionError]):
    assert type(error_of("of.tomorrow", "Because.", status=status)) is family


def test_an_error_of_a_missing_item_names_its_kind_and_id():
    error = error_of("run.unknown", "There is none.", id="r1")
    assert isinstance(error, NotFound)
    assert (error.kind, error.id) == ("run", "r1")
    assert (NoSuchSession("None.").kind, SessionDeleted("Gone.").kind) == ("session", "session")


def test_only_errors_of_a_moment_are_retryable():
    assert [error_of(code, "").retryable for code in ("server.full", "storage.failed", "session.damaged")] == [
        True,
        True,
        False,
    ]
    assert TimedOut.retryable
    assert not ApprovalClosed.retryable


def test_a_bad_address_is_an_invalid_value():
    with pytest.raises(InvalidValue, match="not a server's address"):
        split_address("localhost:8765")


def test_an_invalid_value_is_no_error_of_the_crdt_library():
    assert is_crdt_error(ValueError("no update"))
    assert not is_crdt_error(InvalidValue("no text"))
