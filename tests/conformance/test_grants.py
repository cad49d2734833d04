"""Grants: what the server says a connection is, and a new token on an open socket.

Judged without tokens, where participants name themselves; with tokens, see `tests/auth/test_grants.py`.
"""

import pytest
from conformance import codec
from conformance.peer import Endpoint, Peer, until

pytestmark = [pytest.mark.anyio, pytest.mark.extended]


def grants(peer: Peer) -> list[dict[str, object]]:
    """The grants that a peer was sent."""
    return [codec.read_json(body) for body in peer.bodies(codec.GRANT)]


async def test_a_client_with_extensions_gets_one_grant(endpoint: Endpoint, room: str) -> None:
    who = {"user": "ann", "name": "Ann 🦊", "kind": "agent", "capabilities": "read,create,state:trip/a~1b"}
    async with endpoint.join(room, ext=1, **who) as ann:
        await ann.settle()
        assert ann.came[0].kind == codec.GRANT, "before all else"
        (granted,) = grants(ann)
        limits = granted.pop("limits")
        assert granted == {
            "id": "ann",
            "name": "Ann 🦊",
            "kind": "agent",
            "capabilities": ["create", "read", "state:trip/a~1b"],
            "expires_at": None,
        }
        assert isinstance(limits, dict)
        assert set(limits) == {"frame_bytes", "structs", "presence_bytes", "value_bytes", "value_entries"}
        assert all(type(limit) is int and limit > 0 for limit in limits.values())


async def test_a_client_without_extensions_gets_no_grant(endpoint: Endpoint, room: str) -> None:
    async with endpoint.join(room, user="ann") as ann:
        await ann.settle()
        assert grants(ann) == []


async def test_a_new_token_is_answered_with_its_grant(endpoint: Endpoint, room: str) -> None:
    async with endpoint.join(room, ext=1, user="ann") as ann:
        await ann.send(codec.renewal("anything"))
        await until(lambda: len(grants(ann)) == 2, "the answer")
        assert grants(ann)[0] == grants(ann)[1], "a token says nothing where participants name themselves"


async def test_many_new_tokens_at_once_are_answered_without_an_end_of_the_connection(
    endpoint: Endpoint, room: str
) -> None:
    async with endpoint.join(room, ext=1, user="ann") as ann:
        for number in range(50):
            await ann.send(codec.renewal(f"token {number}"))
        await until(lambda: len(grants(ann)) >= 3, "the answers to the first and the last")
        await ann.write("still here")
        await ann.fence()
        assert len(grants(ann)) <= 5, "they are verified one a second at most"


async def test_a_new_token_on_a_connection_without_extensions_is_ignored(endpoint: Endpoint, room: str) -> None:
    async with endpoint.join(room, user="ann") as ann, endpoint.join(room) as ben:
        await ann.send(codec.renewal("anything"))
        await ann.write("still here")
        await ben.until_reads("still here")
        await ann.settle()
        assert grants(ann) == []
        assert ann.closed is None


async def test_a_client_may_not_send_a_grant(endpoint: Endpoint, room: str) -> None:
    async with endpoint.join(room, ext=1, user="ann") as ann:
        await ann.send(codec.renewal('{"id": "root", "capabilities": ["admin"]}'))
        assert (await ann.until_closed())[0] == 4400
