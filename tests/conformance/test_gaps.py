"""Updates that don't fit: what skips over something unseen is asked for again, and never half applied."""

import pytest
from conformance import codec
from conformance.peer import NOTES, Endpoint, Peer, until
from pycrdt import Map, Text

pytestmark = [pytest.mark.anyio, pytest.mark.extended]


def write_unsent(peer: Peer, text: str) -> bytes:
    """Append to the notes without sending."""
    return peer.changed(lambda doc: doc.get(NOTES, type=Text).__iadd__(text))


async def handshaken(peer: Peer) -> None:
    """Answer the first question of the server, so that the next is about a gap."""
    await until(lambda: peer.count(codec.STEP1), "a step 1")
    await peer.send(codec.step2(codec.EMPTY))
    await peer.settle()


async def test_a_gap_is_requested(endpoint: Endpoint, room: str) -> None:
    async with endpoint.join(room, answers=False) as ann:
        await handshaken(ann)
        write_unsent(ann, "lost, ")
        await ann.send(codec.update(write_unsent(ann, "sent")))
        await until(lambda: ann.count(codec.STEP1) == 2, "the question for what is missing")
        assert ann.client not in codec.read_vector(ann.bodies(codec.STEP1)[1])


async def test_no_client_sees_updates_behind_a_gap_until_it_is_filled(endpoint: Endpoint, room: str) -> None:
    async with endpoint.join(room, answers=False) as ann, endpoint.join(room) as ben:
        await handshaken(ann)
        write_unsent(ann, "lost, ")
        await ann.send(codec.update(write_unsent(ann, "sent")))
        await until(lambda: ann.count(codec.STEP1) == 2, "the question for what is missing")
        await ben.settle()
        assert str(ben.notes) == ""
        await ann.send(codec.step2(ann.doc.get_update(ann.bodies(codec.STEP1)[1])))
        await ben.until_reads("lost, sent")


async def test_many_gaps_in_a_row_are_one_request(endpoint: Endpoint, room: str) -> None:
    async with endpoint.join(room, answers=False) as ann:
        await handshaken(ann)
        write_unsent(ann, "lost, ")
        for word in ("two ", "three ", "four"):
            await ann.send(codec.update(write_unsent(ann, word)))
        await ann.settle()
        assert ann.count(codec.STEP1) == 2


async def test_a_later_gap_is_requested_again(endpoint: Endpoint, room: str) -> None:
    async with endpoint.join(room) as ann, endpoint.join(room) as ben:
        for words in ("ab", "cd"):
            write_unsent(ann, words[0])
            await ann.send(codec.update(write_unsent(ann, words[1])))
            await until(lambda words=words: str(ben.notes).endswith(words), words)
        assert str(ben.notes) == "abcd"
        assert ann.count(codec.STEP1) == 3


async def test_an_update_on_a_missing_predecessor_is_requested(endpoint: Endpoint, room: str) -> None:
    """The clocks of its own client have no hole; what it refers to has never been sent."""
    async with endpoint.join(room, answers=False) as ann, endpoint.join(room) as ben:
        await handshaken(ann)
        unsent = Peer.changed(ben, lambda _: ben.notes.insert(0, "base"))
        ann.doc.apply_update(unsent)
        await ann.send(codec.update(write_unsent(ann, "+more")))
        await until(lambda: ann.count(codec.STEP1) == 2, "the question for what is missing")
        await ann.send(codec.step2(ann.doc.get_update(ann.bodies(codec.STEP1)[1])))
        async with endpoint.join(room) as eve:
            await eve.until_reads("base+more")


async def test_a_deletion_of_a_missing_item_is_requested(endpoint: Endpoint, room: str) -> None:
    async with endpoint.join(room, answers=False) as ann, endpoint.join(room) as ben:
        await handshaken(ann)
        write_unsent(ann, "keep, drop")
        deletion = ann.changed(lambda doc: doc.get(NOTES, type=Text).__delitem__(slice(4, 10)))
        await ann.send(codec.update(deletion))
        await until(lambda: ann.count(codec.STEP1) == 2, "the question for what is missing")
        await ann.send(codec.step2(ann.doc.get_update(ann.bodies(codec.STEP1)[1])))
        await ben.until_reads("keep")


async def test_a_document_with_a_hole_is_refused_for_good(endpoint: Endpoint, room: str) -> None:
    async with endpoint.join(room, ext=1, answers=False) as ann, endpoint.join(room) as ben:
        await until(lambda: ann.count(codec.STEP1), "a step 1")
        write_unsent(ann, "lost for ever, ")
        holes = write_unsent(ann, "sent")
        for asked in range(2, 5):  # it may be in the middle of a sync with another tab
            await ann.send(codec.step2(holes))
            await until(lambda asked=asked: ann.count(codec.STEP1) == asked, "the question once more")
        await ann.send(codec.step2(holes))
        code, reason = await ann.until_closed()
        assert code == 4400
        assert reason
        await ben.settle()
        assert str(ben.notes) == ""


async def test_a_fence_behind_a_gap_waits_until_it_is_filled(endpoint: Endpoint, room: str) -> None:
    async with endpoint.join(room, ext=1, answers=False) as ann:
        await handshaken(ann)
        write_unsent(ann, "lost, ")
        await ann.send(codec.update(write_unsent(ann, "sent")))
        await ann.send(codec.fence(b"all of it"))
        await ann.settle()
        assert ann.bodies(codec.FENCE) == []
        await ann.send(codec.step2(ann.doc.get_update(ann.bodies(codec.STEP1)[1])))
        await until(lambda: ann.bodies(codec.FENCE) == [b"all of it"], "the fence")
        async with endpoint.join(room) as ben:
            await ben.until_reads("lost, sent")


async def test_a_gap_of_one_client_does_not_delay_another(endpoint: Endpoint, room: str) -> None:
    async with (
        endpoint.join(room, answers=False) as ann,
        endpoint.join(room, ext=1) as ben,
        endpoint.join(room) as eve,
    ):
        await handshaken(ann)
        write_unsent(ann, "lost, ")
        await ann.send(codec.update(write_unsent(ann, "sent")))
        await ben.edit(lambda doc: doc.get("state", type=Map).update({"a": 1}))
        await ben.fence()
        await until(lambda: eve.doc.get("state", type=Map).to_py() == {"a": 1}, "Ben's edit")


async def test_no_client_gets_updates_before_its_first_sync(endpoint: Endpoint, room: str) -> None:
    """To a replica without the past an update is a gap."""
    async with endpoint.join(room, ext=1) as ann:
        await ann.write("the past, ")
        await ann.fence()
        async with endpoint.join(room, synced=False) as ben:
            await until(lambda: ben.count(codec.STEP1), "a step 1")
            await ann.write("the present")
            await ann.fence()
            await ben.sync()
            assert str(ben.notes) == "the past, the present"
            assert ben.count(codec.UPDATE) == 0
