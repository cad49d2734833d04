"""Roles: what a role doesn't include is seen by no other, and its writer is told which place it was.

A connection with our frames gives what else it has, then ends; a stock one goes on.

Judged without tokens, where participants name themselves and may ask for less than everything.
"""

import pytest
from conformance import codec
from conformance.peer import NOTES, Endpoint, Peer, until
from pycrdt import Doc, Map, Text

pytestmark = [pytest.mark.anyio, pytest.mark.extended]


async def made(endpoint: Endpoint, room: str) -> None:
    """Make a room: not everybody may."""
    async with endpoint.join(room, ext=1, user="ann") as ann:
        await ann.write("open: ")
        await ann.fence()


def notices(peer: Peer) -> list[dict[str, object]]:
    """The notices that a peer was sent."""
    return [codec.read_json(body) for body in peer.bodies(codec.NOTICE)]


async def writes_on(ann: Peer, endpoint: Endpoint, room: str) -> None:
    """Let her write behind her own words, and see that all of them are there."""
    await ann.write(", all of it")
    await ann.fence()
    async with endpoint.join(room) as ben:
        await ben.until_reads("open: mine, all of it")


async def test_a_viewer_is_refused_with_the_touched_place(endpoint: Endpoint, room: str) -> None:
    await made(endpoint, room)
    async with endpoint.join(room) as ben, endpoint.join(room, ext=1, user="vi", role="viewer") as vi:
        await vi.write("refused")
        code, reason = await vi.until_closed()
        assert (code, NOTES in reason) == (4403, True)
        assert [(said["code"], said["touched"]) for said in notices(vi)] == [("auth.forbidden", NOTES)]
        await ben.settle()
        assert str(ben.notes) == "open: "


async def test_a_stock_client_gets_the_refusal_and_stays_connected(endpoint: Endpoint, room: str) -> None:
    await made(endpoint, room)
    async with endpoint.join(room, user="vi", role="viewer") as vi, endpoint.join(room) as ben:
        await vi.write("refused")
        await until(lambda: vi.count(codec.DENIED), "the word of the server")
        assert NOTES in vi.bodies(codec.DENIED)[0].decode()
        await ben.write("and on")
        await vi.until_reads("open: and on")
        assert vi.closed is None
        assert notices(vi) == []


async def test_edits_within_a_role_are_applied(endpoint: Endpoint, room: str) -> None:
    await made(endpoint, room)
    async with endpoint.join(room) as ben, endpoint.join(room, ext=1, user="eve", role="member") as eve:
        await eve.write("taken")
        await eve.fence()
        await ben.until_reads("open: taken")


async def test_a_member_may_not_write_server_fields(endpoint: Endpoint, room: str) -> None:
    await made(endpoint, room)
    async with endpoint.join(room, ext=1, user="eve", role="member") as eve:
        await eve.edit(lambda doc: doc.get("claims", type=Map).update({"door": {"by": "eve"}}))
        assert (await eve.until_closed())[0] == 4403
        assert notices(eve)[0]["touched"] == "claims/door"


async def test_edits_around_a_refused_one_stay(endpoint: Endpoint, room: str) -> None:
    await made(endpoint, room)
    async with endpoint.join(room) as ben, endpoint.join(room, user="eve", role="member") as eve:
        await eve.write("mine")
        await eve.edit(lambda doc: doc.get("meta", type=Map).update({"schema": 2}))
        await until(lambda: eve.count(codec.DENIED), "the word of the server")
        await eve.write(" and on")
        await ben.until_reads("open: mine and on")


async def test_a_refused_connection_is_asked_once_more_and_its_answer_applied(endpoint: Endpoint, room: str) -> None:
    await made(endpoint, room)
    async with (
        endpoint.join(room) as ben,
        endpoint.join(room, ext=1, answers=False, user="eve", role="member") as eve,
    ):
        schema = ben.doc.get("meta", type=Map).get("schema")
        assert schema != 2
        await until(lambda: eve.count(codec.STEP1), "a step 1")
        await eve.send(codec.step2(codec.EMPTY))
        await eve.edit(lambda doc: doc.get("meta", type=Map).update({"schema": 2}))
        await until(lambda: eve.count(codec.STEP1) == 2, "the question once more")
        eve.changed(lambda doc: doc.get(NOTES, type=Text).__iadd__("last words"))
        await eve.send(codec.step2(eve.doc.get_update(eve.bodies(codec.STEP1)[1])))
        assert (await eve.until_closed())[0] == 4403
        assert eve.came[-1].kind == codec.NOTICE
        assert eve.count(codec.STEP1) == 2
        await ben.until_reads("open: last words")
        assert ben.doc.get("meta", type=Map).get("schema") == schema


async def test_a_refused_connection_that_does_not_answer_is_closed_soon(endpoint: Endpoint, room: str) -> None:
    await made(endpoint, room)
    async with endpoint.join(room, ext=1, answers=False, user="eve", role="member") as eve:
        await eve.edit(lambda doc: doc.get("meta", type=Map).update({"schema": 2}))
        await until(lambda: eve.closed, "the close of the connection", seconds=10)
        assert eve.closed is not None
        assert eve.closed[0] == 4403


async def test_edits_under_the_client_id_of_another_are_not_applied(endpoint: Endpoint, room: str) -> None:
    await made(endpoint, room)
    async with endpoint.join(room, ext=1, user="ann", role="member") as ann:
        await ann.write("mine")
        await ann.fence()
        async with endpoint.join(room, ext=1, user="eve", role="member") as eve:
            forged: Doc = Doc(client_id=ann.client)
            forged.apply_update(eve.doc.get_update())
            before = forged.get_state()
            notes = forged.get(NOTES, type=Text)
            notes += " and hers"
            await eve.send(codec.update(forged.get_update(before)))
            await eve.settle()
        await writes_on(ann, endpoint, room)


async def test_no_answer_uses_up_the_clocks_of_another_client(endpoint: Endpoint, room: str) -> None:
    """What is written later under a clock that is known is passed over: it would be lost without a word."""
    await made(endpoint, room)
    async with endpoint.join(room, ext=1, user="ann", role="member") as ann:
        await ann.write("mine")
        await ann.fence()
        async with endpoint.join(room, ext=1, answers=False, user="eve", role="member") as eve:
            await until(lambda: eve.count(codec.STEP1), "a step 1")
            gone = b"\x01\x01" + codec.number(ann.client) + codec.number(4) + b"\x00" + codec.number(100) + b"\x00"
            await eve.send(codec.step2(gone))
            await eve.settle()
        await writes_on(ann, endpoint, room)
