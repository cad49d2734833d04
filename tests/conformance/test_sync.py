"""Documents: asking, answering, broadcasting; what every y-websocket server does."""

import asyncio
from contextlib import AsyncExitStack

import pytest
from conformance import codec
from conformance.peer import NOTES, Endpoint, Peer, until
from pycrdt import Array, Map, Text, XmlElement, XmlFragment

pytestmark = [pytest.mark.anyio, pytest.mark.stock]


async def test_a_new_client_is_asked_for_its_document(endpoint: Endpoint, room: str) -> None:
    async with endpoint.join(room, synced=False) as ann:
        await until(lambda: ann.count(codec.STEP1), "a step 1")
        codec.read_vector(ann.bodies(codec.STEP1)[0])


async def test_a_step_1_is_answered_with_one_step_2(endpoint: Endpoint, room: str) -> None:
    async with endpoint.join(room) as ann:
        await ann.sync()
        await ann.sync()
        assert ann.count(codec.STEP2) == 3


async def test_a_current_client_gets_an_empty_diff(endpoint: Endpoint, room: str) -> None:
    async with endpoint.join(room) as ann:
        await ann.write("all of it")
        await ann.settle()
        assert await ann.sync() == codec.EMPTY


async def test_a_step_2_holds_exactly_the_missing_part(endpoint: Endpoint, room: str) -> None:
    async with endpoint.join(room) as ann:
        await ann.write("x" * 100_000)
        await ann.settle()
        async with endpoint.join(room) as ben:
            known = ben.doc.get_state()
            await ann.write("y")
            await ben.until_reads("x" * 100_000 + "y")
            before = ben.count(codec.STEP2)
            await ben.send(codec.step1(known))
            await until(lambda: ben.count(codec.STEP2) > before, "the diff")
            diff = ben.bodies(codec.STEP2)[-1]
        assert codec.writers(diff) == 1
        assert len(diff) < 100


async def test_a_step_1_with_an_empty_vector_is_answered_with_everything(endpoint: Endpoint, room: str) -> None:
    async with endpoint.join(room) as ann:
        await ann.write("from the start")
        await ann.settle()
        async with endpoint.join(room, synced=False) as ben:
            await ben.send(codec.step1(b"\x00"))
            await ben.until_reads("from the start")


async def test_the_step_1_of_the_server_names_the_state_of_the_room(endpoint: Endpoint, room: str) -> None:
    async with endpoint.join(room) as ann:
        await ann.write("known")
        await ann.settle()
        async with endpoint.join(room, synced=False) as ben:
            await until(lambda: ben.count(codec.STEP1), "a step 1")
            assert codec.read_vector(ben.bodies(codec.STEP1)[0])[ann.client] == len("known")


async def test_an_update_reaches_all_other_clients(endpoint: Endpoint, room: str) -> None:
    async with endpoint.join(room) as ann, endpoint.join(room) as ben, endpoint.join(room) as eve:
        await ann.write("for all")
        await ben.until_reads("for all")
        await eve.until_reads("for all")


async def test_an_update_before_the_first_sync_is_applied(endpoint: Endpoint, room: str) -> None:
    async with endpoint.join(room) as ben, endpoint.join(room, synced=False) as ann:
        await ann.write("at once")
        await ben.until_reads("at once")


async def test_offline_edits_are_requested_and_reach_all_clients(endpoint: Endpoint, room: str) -> None:
    async with endpoint.join(room) as ben, endpoint.join(room, synced=False, answers=False) as ann:
        ann.notes += "in the tunnel"
        await until(lambda: ann.count(codec.STEP1), "a step 1")
        await ann.send(codec.step2(ann.doc.get_update(ann.bodies(codec.STEP1)[0])))
        await ben.until_reads("in the tunnel")


async def test_a_late_joiner_has_everything_after_one_exchange(endpoint: Endpoint, room: str) -> None:
    async with endpoint.join(room) as ann:
        for word in ("one ", "two ", "three"):
            await ann.write(word)
        await ann.settle()
        async with endpoint.join(room) as ben:
            assert str(ben.notes) == "one two three"


async def test_edits_remain_after_all_clients_have_left(endpoint: Endpoint, room: str) -> None:
    async with endpoint.join(room) as ann:
        await ann.write("left behind")
        await ann.settle()
    async with endpoint.join(room) as ben:
        assert str(ben.notes) == "left behind"


async def test_rooms_are_apart(endpoint: Endpoint, room: str) -> None:
    async with endpoint.join(room) as ann, endpoint.join(f"{room}-other") as ben:
        await ann.write("here only")
        await ann.settle()
        await ben.settle()
        assert str(ben.notes) == ""


async def test_parameters_of_the_address_do_not_name_another_room(endpoint: Endpoint, room: str) -> None:
    async with endpoint.join(room, color="red") as ann, endpoint.join(room, color="blue") as ben:
        await ann.write("the same room")
        await ben.until_reads("the same room")


async def test_an_update_that_comes_again_changes_nothing(endpoint: Endpoint, room: str) -> None:
    async with endpoint.join(room) as ann, endpoint.join(room) as ben:
        update = await ann.write("once")
        await ann.send(codec.update(update))
        await ann.send(codec.step2(update))
        await ann.write(" and on")
        await ben.until_reads("once and on")


async def test_an_empty_update_is_harmless(endpoint: Endpoint, room: str) -> None:
    async with endpoint.join(room) as ann, endpoint.join(room) as ben:
        await ann.send(codec.update(codec.EMPTY))
        await ann.send(codec.step2(codec.EMPTY))
        await ann.write("after it")
        await ben.until_reads("after it")


async def test_an_update_that_only_deletes_reaches_all_clients(endpoint: Endpoint, room: str) -> None:
    async with endpoint.join(room) as ann, endpoint.join(room) as ben:
        await ann.write("keep, drop")
        await ben.until_reads("keep, drop")
        update = await ann.edit(lambda doc: doc.get(NOTES, type=Text).__delitem__(slice(4, 10)))
        assert codec.writers(update) == 0
        await ben.until_reads("keep")


async def test_a_deletion_is_there_for_late_joiners(endpoint: Endpoint, room: str) -> None:
    async with endpoint.join(room) as ann:
        await ann.write("keep, drop")
        await ann.edit(lambda doc: doc.get(NOTES, type=Text).__delitem__(slice(4, 10)))
        await ann.settle()
    async with endpoint.join(room) as ben:
        await ben.until_reads("keep")


async def test_updates_that_come_in_the_wrong_order_end_right(endpoint: Endpoint, room: str) -> None:
    async with endpoint.join(room) as ann, endpoint.join(room) as ben:
        first, second = (
            ann.changed(lambda doc, word=word: doc.get(NOTES, type=Text).__iadd__(word)) for word in ("1", "2")
        )
        await ann.send(codec.update(second))
        await ann.send(codec.update(first))
        await ben.until_reads("12")
        async with endpoint.join(room) as eve:
            await eve.until_reads("12")


async def test_a_large_update_arrives_whole(endpoint: Endpoint, room: str) -> None:
    text = "0123456789abcdef" * 2**17
    async with endpoint.join(room) as ann, endpoint.join(room) as ben:
        await ann.write(text)
        await ben.until_reads(text)
        async with endpoint.join(room) as eve:
            assert str(eve.notes) == text


@pytest.mark.parametrize(
    "text", ["👩‍👩‍👧‍👦 and 🏴󠁧󠁢󠁳󠁣󠁴󠁿", "Zoë, Zoë", "שלום عليكم", "漢字かな", "\x00\x01 \u2028 \ufeff", "\U0010ffff"]
)
async def test_every_script_arrives_as_it_was_written(endpoint: Endpoint, room: str, text: str) -> None:
    async with endpoint.join(room) as ann, endpoint.join(room) as ben:
        await ann.write(text)
        await ann.write(text)
        await ben.until_reads(text * 2)


async def test_every_kind_of_shared_type_arrives(endpoint: Endpoint, room: str) -> None:
    value = {"n": 1.5, "t": True, "none": None, "list": ["é", {"deep": []}]}

    def change(peer: Peer) -> None:
        peer.doc.get("map", type=Map)["value"] = value
        peer.doc.get("map", type=Map)["bytes"] = b"\x00\xff"
        peer.doc.get("array", type=Array).extend(["🐙", Map({"text": Text("inside")})])
        peer.doc.get("xml", type=XmlFragment).children.append(XmlElement("p", {"class": "x"}))
        peer.notes.insert(0, "bold", {"b": True})

    async with endpoint.join(room) as ann, endpoint.join(room) as ben:
        await ann.edit(lambda _: change(ann))
        await ben.until_reads("bold")
        assert ben.doc.get("map", type=Map).to_py() == {"value": value, "bytes": b"\x00\xff"}
        assert ben.doc.get("array", type=Array).to_py() == ["🐙", {"text": "inside"}]
        assert str(ben.doc.get("xml", type=XmlFragment)) == '<p class="x"></p>'
        assert ben.notes.diff() == [("bold", {"b": True})]


async def test_many_first_clients_at_once_are_all_served(endpoint: Endpoint, room: str) -> None:
    async def come(stack: AsyncExitStack) -> Peer:
        return await stack.enter_async_context(endpoint.join(room))

    async with AsyncExitStack() as stack:
        peers = await asyncio.gather(*(come(stack) for _ in range(20)))
        await peers[0].write("hello to all")
        for peer in peers:
            await peer.until_reads("hello to all")


async def test_concurrent_writers_converge(endpoint: Endpoint, room: str) -> None:
    async with AsyncExitStack() as stack:
        peers = [await stack.enter_async_context(endpoint.join(room)) for _ in range(15)]

        async def write(peer: Peer, name: int) -> None:
            for piece in range(20):
                await peer.write(f"<{name}.{piece}>")
                await asyncio.sleep(0)

        await asyncio.gather(*(write(peer, name) for name, peer in enumerate(peers)))
        words = [f"<{name}.{piece}>" for name in range(15) for piece in range(20)]
        for peer in peers:
            await until(lambda peer=peer: all(word in str(peer.notes) for word in words), "every word")
        assert len({str(peer.notes) for peer in peers}) == 1
        assert len(str(peers[0].notes)) == sum(map(len, words))


async def test_a_frame_is_one_message(endpoint: Endpoint, room: str) -> None:
    """y-websocket 1 to 3 read only the first message of a frame; the codec here fails on a second."""
    async with endpoint.join(room) as ann, endpoint.join(room) as ben:
        await ann.say({"name": "Ann"})
        for piece in range(200):
            await ann.write(f"{piece} ")
        await ben.until_reads("".join(f"{piece} " for piece in range(200)))
        await until(lambda: ben.others, "Ann, present")


async def test_a_client_that_sends_garbage_harms_no_other_client(endpoint: Endpoint, room: str) -> None:
    async with endpoint.join(room) as ann, endpoint.join(room) as ben:
        for nonsense in (b"\x00\x02\x05\x01", b"\x00\x09\x00", b"\x01\x03\x01\x01", b"\x00\x02\x03\xff\xff\xff"):
            async with endpoint.join(room, synced=False) as vandal:
                await vandal.send(nonsense)
        await ann.write("undisturbed")
        await ben.until_reads("undisturbed")
        async with endpoint.join(room) as eve:
            assert str(eve.notes) == "undisturbed"
