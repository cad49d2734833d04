"""The connection's own rules: addresses, and how long it waits before it tries again."""

import pytest

from cosession.client.address import sync_url
from cosession.client.transport import FIRST_DELAY_SECONDS, MAX_DELAY_SECONDS, retry_delay


def test_pauses_grow_to_a_cap_and_the_first_is_short():
    longest = [retry_delay(attempt, chance=lambda: 1.0) for attempt in range(40)]

    assert longest[0] == FIRST_DELAY_SECONDS
    assert longest == sorted(longest)
    assert longest[-1] == MAX_DELAY_SECONDS


def test_pauses_are_spread_over_all_of_their_range():
    pauses = [retry_delay(20) for _ in range(200)]

    assert min(pauses) < MAX_DELAY_SECONDS * 0.2
    assert max(pauses) > MAX_DELAY_SECONDS * 0.8
    assert len(set(pauses)) > 150


@pytest.mark.parametrize(
    ("url", "begins"),
    [
        ("http://localhost:8765", "ws://localhost:8765/sync/"),
        ("https://example.org/", "wss://example.org/sync/"),
        ("wss://example.org/behind/a/proxy/", "wss://example.org/behind/a/proxy/sync/"),
    ],
)
def test_a_servers_address_becomes_the_sessions_address(url: str, begins: str):
    assert sync_url(url, "trip", participant="p", name="P", kind="agent").startswith(begins)


def test_names_are_quoted_in_the_address():
    url = sync_url("http://h", "a/b ü", participant="x&y", name="Zoë & co", kind="agent")

    assert url == "ws://h/sync/a%2Fb%20%C3%BC?ext=1&user=x%26y&name=Zo%C3%AB+%26+co&kind=agent"


@pytest.mark.parametrize(
    ("name", "segment"), [("..", "%2E%2E"), (".", "%2E"), ("a.b", "a.b"), ("org/doc:1", "org%2Fdoc%3A1")]
)
def test_a_name_stays_one_segment_of_the_address(name: str, segment: str):
    assert f"/sync/{segment}?" in sync_url("http://h", name, participant="p", name="P", kind="agent")


@pytest.mark.parametrize("url", ["localhost:8765", "ftp://host", "http://", ""])
def test_what_is_no_servers_address_is_refused_at_once(url: str):
    with pytest.raises(ValueError, match="http://localhost"):
        sync_url(url, "trip", participant="p", name="P", kind="agent")
