"""Tokens: who is let in, for how long, and who is put out. Judged on a server that knows people by tokens."""

import time

import httpx
import pytest
from conformance import codec
from conformance.peer import Guarded, Peer, until
from conformance.tokens import token

pytestmark = [pytest.mark.anyio, pytest.mark.extended]


def grants(peer: Peer) -> list[dict[str, object]]:
    """The grants that a peer was sent."""
    return [codec.read_json(body) for body in peer.bodies(codec.GRANT)]


@pytest.mark.parametrize("shown", ["", "nonsense", "a.b.c", "expired", "forged", "unsigned"])
async def test_an_invalid_token_is_refused_after_the_handshake(guarded: Guarded, room: str, shown: str) -> None:
    good = token(guarded.secret, "ann")
    made = {
        "expired": token(guarded.secret, "ann", seconds=-3600),
        "forged": token("another secret, which the server has never been told", "ann"),
        "unsigned": good[: good.rindex(".") + 1],
    }
    async with guarded.endpoint.join(room, synced=False, ext=1, token=made.get(shown, shown)) as ann:
        code, reason = await ann.until_closed()
        assert code == 4401
        assert reason
        assert [message.kind for message in ann.came] == [codec.NOTICE]


async def test_a_session_outside_of_the_token_is_refused(guarded: Guarded, room: str) -> None:
    elsewhere = token(guarded.secret, "ann", sessions=[f"{room}-2"])
    async with guarded.endpoint.join(room, synced=False, ext=1, token=elsewhere) as ann:
        assert (await ann.until_closed())[0] == 4403


async def test_the_token_overrides_what_a_connection_says_of_itself(guarded: Guarded, room: str) -> None:
    shown = token(guarded.secret, "ann", name="Ann", role="viewer")
    async with guarded.endpoint.join(room, ext=1, token=token(guarded.secret, "ben")) as ben:
        await ben.fence()
        async with guarded.endpoint.join(room, ext=1, token=shown, user="root", role="admin") as ann:
            assert (grants(ann)[0]["id"], grants(ann)[0]["name"]) == ("ann", "Ann")
            await ann.write("as root?")
            assert (await ann.until_closed())[0] == 4403


async def test_a_connection_ends_with_its_token(guarded: Guarded, room: str) -> None:
    ends = int(time.time()) + 5
    async with guarded.endpoint.join(room, ext=1, token=token(guarded.secret, "ann", exp=ends)) as ann:
        assert (await ann.until_closed())[0] == 4401
        assert time.time() >= ends, "not before"


async def test_a_renewed_connection_outlives_its_first_token(guarded: Guarded, room: str) -> None:
    ends = int(time.time()) + 5
    async with guarded.endpoint.join(room, ext=1, token=token(guarded.secret, "ann", exp=ends)) as ann:
        await ann.send(codec.renewal(token(guarded.secret, "ann", exp=ends + 600)))
        await until(lambda: len(grants(ann)) == 2, "the new grant")
        assert [grant["expires_at"] for grant in grants(ann)] == [ends, ends + 600]
        await until(lambda: time.time() > ends + 0.5, "the end of the first token")
        await ann.write("still here")
        await ann.fence()


async def test_a_token_with_fewer_rights_holds_from_the_next_frame_on(guarded: Guarded, room: str) -> None:
    async with guarded.endpoint.join(room, ext=1, token=token(guarded.secret, "ann")) as ann:
        await ann.write("before")
        await ann.fence()
        await ann.send(codec.renewal(token(guarded.secret, "ann", role="viewer")))
        await until(lambda: len(grants(ann)) == 2, "the new grant")
        await ann.write("after")
        assert (await ann.until_closed())[0] == 4403


@pytest.mark.parametrize(("who", "code"), [("ben", 4403), ("", 4401)], ids=["another's", "nonsense"])
async def test_an_invalid_new_token_ends_the_connection(guarded: Guarded, room: str, who: str, code: int) -> None:
    async with guarded.endpoint.join(room, ext=1, token=token(guarded.secret, "ann")) as ann:
        await ann.send(codec.renewal(token(guarded.secret, who) if who else "nonsense"))
        assert (await ann.until_closed())[0] == code


async def test_a_revoked_connection_closes_within_a_second_and_no_other(guarded: Guarded, room: str) -> None:
    operator = token(guarded.secret, "op", role="operator", kind="operator")
    name = f"ann-{room}"
    async with (
        guarded.endpoint.join(room, ext=1, token=token(guarded.secret, name)) as ann,
        guarded.endpoint.join(room, token=token(guarded.secret, name)) as phone,
        guarded.endpoint.join(room, ext=1, token=token(guarded.secret, "ben")) as ben,
    ):
        async with httpx.AsyncClient(headers={"authorization": f"Bearer {operator}"}) as http:
            answer = await http.post(f"{guarded.http}/revocations", json={"participant": name})
        answered = time.monotonic()
        assert answer.status_code == 201
        assert [(await peer.until_closed())[0] for peer in (ann, phone)] == [4401, 4401]
        assert time.monotonic() - answered < 10, "a second, unless the machine is busy"
        await ben.fence()
    async with guarded.endpoint.join(room, synced=False, token=token(guarded.secret, name)) as back:
        assert (await back.until_closed())[0] == 4403
