"""Settings as people write them: lists with commas, mistakes that are one sentence, names that are almost right."""

import math
from ipaddress import ip_network
from typing import Any, get_args, get_origin

import pytest
from pydantic import ValidationError

from cosession.settings import Settings, explain, unknown_variables

LISTS = {
    "ALLOWED_ORIGINS": ("https://a.example", "http://localhost:5173"),
    "TRUSTED_PROXIES": ("10.0.0.1", "10.1.0.0/16"),
    "UNLIMITED_ADDRESSES": ("::1", "192.0.2.0/24"),
    "AGENTS": ("guide", "planner"),
}

WRONG = {
    "ALLOWED_ORIGINS": ("app.example", "https://a.example/page", "*", "https://*.example", "null", "[", "[1]", "{}"),
    "TRUSTED_PROXIES": ("proxy.example", "10.0.0.0/33", '["a"]'),
    "UNLIMITED_ADDRESSES": ("everybody", "10.0.0.1;10.0.0.2"),
    "AGENTS": ('["a", 1]', "["),
}


def written(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> Any:
    """The setting that a variable makes."""
    monkeypatch.setenv(f"COSESSION_{name}", value)
    return getattr(Settings(), name.lower())


@pytest.mark.parametrize("name", LISTS)
def test_a_list_is_written_with_commas_or_as_json_and_may_be_empty(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    one, two = LISTS[name]
    read = [ip_network(one), ip_network(two)] if name in ("TRUSTED_PROXIES", "UNLIMITED_ADDRESSES") else [one, two]
    for text in (f"{one},{two}", f" {one} , {two},", f'["{one}", "{two}"]'):
        assert [str(entry) for entry in written(monkeypatch, name, text)] == [str(entry) for entry in read]
    assert [str(entry) for entry in written(monkeypatch, name, one)] == [str(read[0])]
    for nothing in ("", " ", ",", "[]"):
        assert written(monkeypatch, name, nothing) == ()


def test_every_list_is_among_them() -> None:
    lists = {name for name, field in Settings.model_fields.items() if get_origin(field.annotation) is tuple}
    assert lists == {name.lower() for name in LISTS}


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_a_wrong_value_is_one_sentence_with_the_variables_name(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    variable, field = name.upper(), Settings.model_fields[name]
    kinds = get_args(field.annotation) or (field.annotation,)
    wrong = WRONG.get(variable) or ((str(math.inf), "nan", "many", "", "-1") if {int, float} & set(kinds) else ("",))
    if name == "auth_secret":
        return  # any text can be one; `auth.keys` says which is too short
    for value in wrong:
        monkeypatch.setenv(f"COSESSION_{variable}", value)
        with pytest.raises(ValidationError) as refused:
            Settings()
        said = explain(refused.value)
        assert said.startswith(f"COSESSION_{variable} can't be "), value
        assert "\n" not in said


def test_a_variable_that_is_no_setting_is_named_with_the_nearest() -> None:
    names = [
        "COSESSION_ALOWED_ORIGINS",
        "cosession_prot",
        "COSESSION_XYZZY",
        "COSESSION_PORT",
        "COSESSION_TOKEN",
        "HOME",
    ]
    assert unknown_variables(names) == {
        "COSESSION_ALOWED_ORIGINS": "COSESSION_ALLOWED_ORIGINS",
        "cosession_prot": "COSESSION_PORT",
        "COSESSION_XYZZY": None,
    }
