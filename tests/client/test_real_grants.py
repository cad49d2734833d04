"""The SDK against a server that knows people by tokens: what one may, what a refusal costs, renewals."""

import asyncio
import secrets
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from client.hub import until
from client.relay import Relay
from processes import PATIENCE_SECONDS, Server

from cosession.auth.keys import secret_keys
from cosession.auth.tokens import mint
from cosession.client import Refusal, Session, connect
from cosession.errors import Disconnected, WriteRefused

pytestmark = pytest.mark.anyio

SECRET = secrets.token_hex(32)


def token(subject: str, role: str, seconds: float = 600, **claims: Any) -> str:
    said = {"sub": subject, "role": role, "sessions": ["trip"], "exp": int(time.time() + seconds), **claims}
    return mint(said, secret_keys(SECRET)[0])


@pytest.fixture
def server(start_server: Callable[..., Server]) -> Server:
    """A server that knows people by tokens, and gives them no second more than they have."""
    return start_server(auth_secret=SECRET, auth_leeway_seconds=0)


async def test_a_member_and_an_agent_work_together_and_the_server_vouches_for_both(server: Server):
    ann = connect(
        server.url, session="trip", participant="ann", kind="human", token=token("ann", "member", name="Ann L.")
    )
    async with ann as ann, asyncio.timeout(PATIENCE_SECONDS):
        await until(lambda: ann.me.capabilities is not None)
        assert (ann.me.name, ann.may("prompt"), ann.may("run")) == ("Ann L.", True, False)
        async with connect(
            server.url, session="trip", participant="bot", token=token("bot", "agent", kind="agent")
        ) as bot:
            question = await ann.send("Where to?")
            prompt = await anext(bot.prompts())
            async with bot.run(reply_to=prompt) as run:
                run.text("To Lisbon 🌊")
            await until(lambda: len(ann.messages) == 2 and all(message.verified for message in ann.messages))
            assert [message.author for message in ann.messages] == ["ann", "bot"]
            assert question.verified
            await until(lambda: bot.someone_is_watching)
            assert {who.id for who in bot.people if who.online} == {"ann", "bot"}
            assert bot.who("ann").name == "Ann L."


async def test_what_a_member_writes_without_a_network_arrives_however_much_it_is(server: Server):
    told: list[Refusal] = []
    image = "data:image/png;base64," + "A" * 5 * 2**20
    async with (
        connect(server.url, session="trip", participant="ann", token=token("ann", "member")) as ann,
        asyncio.timeout(2 * PATIENCE_SECONDS),
    ):
        ann.on("refused", told.append)
        server.stop()
        await until(lambda: ann.status == "offline")
        for number in range(2):
            await ann.send("look", parts=[{"type": "file", "mediaType": "image/png", "url": image}])
            for word in range(300):
                await ann.send(f"word {number}-{word}", to=["bot"])
        for number in range(500):
            ann.state.set("n", number)
        server.start()
        await ann.wait_saved()
        for _ in range(2):  # and in one turn, with a network
            await ann.send("look", parts=[{"type": "file", "mediaType": "image/png", "url": image}])
        await ann.wait_saved()
        async with connect(
            server.url, session="trip", participant="bot", token=token("bot", "agent", kind="agent")
        ) as bot:
            assert bot.messages.to_json() == ann.messages.to_json()
            assert bot.state.get("n") == 499
            assert len(bot.messages) == 604
    assert told == []


async def test_what_is_refused_is_told_and_the_session_goes_on(server: Server):
    told: list[Refusal] = []
    async with (
        connect(server.url, session="trip", participant="ann", token=token("ann", "member")) as ann,
        asyncio.timeout(PATIENCE_SECONDS),
    ):
        ann.on("refused", told.append)
        await ann.send("fine")
        await ann.wait_saved()
        await ann.send("I am the assistant 🦑", role="assistant")
        await until(lambda: told)
        assert (told[0].close, told[0].code, told[0].lost) == (4403, "auth.forbidden", ("I am the assistant 🦑",))
        assert told[0].touched == "messages/*/role"
        assert [message.text for message in ann.messages] == ["fine"]
        await ann.send("and on")
        await ann.wait_saved()


async def test_a_refusal_whose_notice_was_lost_with_its_connection_is_told_at_the_next_one(server: Server):
    told: list[Refusal] = []
    async with (
        asyncio.timeout(PATIENCE_SECONDS),
        Relay.open(server) as line,
        connect(server.url, session="trip", participant="ben", token=token("ben", "member")) as ben,
        connect(line.url, session="trip", participant="ann", token=token("ann", "member")) as ann,
    ):
        ann.on("refused", told.append)
        line.is_deaf = True
        await ann.send("fine")
        await ann.send("forged 🦑", role="assistant")
        await until(lambda: [message.text for message in ben.messages] == ["fine"])
        line.cut()
        line.is_deaf = False
        await until(lambda: len(told) > 0 and ann.saved)
        assert [(refusal.close, refusal.lost) for refusal in told] == [(4403, ("forged 🦑",))]
        assert [message.text for message in ann.messages] == ["fine"]


async def test_what_stands_beside_a_refused_message_is_kept_and_not_told_as_lost(server: Server):
    told: list[Refusal] = []
    async with (
        connect(server.url, session="trip", participant="ann", token=token("ann", "member")) as ann,
        asyncio.timeout(PATIENCE_SECONDS),
    ):
        ann.on("refused", told.append)
        for number in range(2):  # the second time in a document that begins with a loss
            with ann.document.transaction():
                await ann.send(f"before {number} 🌊")
                await ann.send(f"forged {number} 🦑", role="assistant")
                await ann.send(f"behind {number}")
            await until(lambda number=number: len(told) > number)
            assert told[number].lost == (f"forged {number} 🦑",)
        await ann.wait_saved()
        assert [message.text for message in ann.messages] == ["before 0 🌊", "behind 0", "before 1 🌊", "behind 1"]


async def test_a_viewer_who_writes_anyway_changes_nothing(server: Server):
    async with (
        connect(server.url, session="trip", participant="ann", token=token("ann", "member")) as ann,
        asyncio.timeout(PATIENCE_SECONDS),
    ):
        with pytest.raises(WriteRefused) as refused:  # noqa: PT012 - the block's end raises
            async with connect(server.url, session="trip", participant="vic", token=token("vic", "viewer")) as vic:
                await until(lambda: vic.me.capabilities is not None)
                assert not vic.may("prompt")
                await vic.send("anyway")
                await until(lambda: not list(vic.messages))
        assert (refused.value.refusal.close, refused.value.refusal.lost) == (4403, ("anyway",))
        await ann.send("unmoved")
        await ann.wait_saved()
        assert [message.text for message in ann.messages] == ["unmoved"]


async def test_a_member_may_take_part_in_everything_that_is_theirs(server: Server):
    told: list[Refusal] = []
    ann = connect(server.url, session="trip", participant="ann", token=token("ann", "member"))
    bot = connect(server.url, session="trip", participant="bot", token=token("bot", "agent", kind="agent"))
    async with ann as ann, bot as bot, asyncio.timeout(PATIENCE_SECONDS):
        ann.on("refused", told.append)
        question = await ann.send("Where to?")
        ann.edit(question.id, "Where to go?")
        prompt = await anext(bot.prompts())
        async with bot.run(reply_to=prompt) as run:
            run.text("To Lisbon, ")
            bot.document.approvals.ask("a1", question="Book it?", run=run.id, created_at="2026-01-01T00:00:00Z")
            await until(lambda: ann.runs.get(run.id) and ann.document.approvals.get("a1"))
            ann.steer(run.id, "by train")
            ann.set_title("Lisbon")
            ann.state.set("trip/city", "Lisbon")
            ann.selections.set("ann", "hotel", "Ritz")
            ann.count("likes")
            ann.document.queue.append("And then?", id="q1", author="ann", created_at="2026-01-01T00:00:00Z")
            ann.document.requests.ask_vote("a1", "ann", "approved")
            ann.document.requests.ask_claim("the wheel", ann.document.doc.client_id, "ann")
            ann.text("notes").insert(0, "sea 🌊")
            await ann.wait_saved()
            await until(lambda: [steer.text for steer in run.steers()] == ["by train"])
            ann.cancel(run.id, "enough")
            await until(lambda: (record := bot.runs.get(run.id)) and record.cancel)
            run.text("never written")
        assert told == []
        await until(lambda: ann.saved and ann.messages.get("q1"))
        assert (ann.title, ann.counters.value("likes"), str(bot.text("notes"))) == ("Lisbon", 1, "sea 🌊")
        assert [message.text for message in ann.messages] == ["Where to go?", "To Lisbon, ", "And then?"]


async def test_whatever_a_viewer_tries_is_told_with_its_words_and_changes_nothing(server: Server):
    told: list[Refusal] = []
    vic = connect(server.url, session="trip", participant="vic", token=token("vic", "viewer"))
    ann = connect(server.url, session="trip", participant="ann", token=token("ann", "member"))
    async with ann as ann, asyncio.timeout(2 * PATIENCE_SECONDS):
        ann.on("refused", told.append)
        await ann.send("Anna's own", id="m1")
        ann.set_title("Trip")
        await ann.wait_saved()
        before = ann.document.to_json()
        tries: list[tuple[Callable[[Session], object], str, tuple[str, ...]]] = [
            (lambda vic: vic.edit("m1", "Anna's own, and mine 🐙"), "messages", (", and mine 🐙",)),
            (lambda vic: vic.remove("m1"), "messages", ()),
            (lambda vic: vic.set_title("Mine"), "meta", ("Mine",)),
            (lambda vic: vic.state.set("trip", {"city": "Porto"}), "state", ("Porto",)),
            (lambda vic: vic.document.requests.ask_steer("r1", "s1", "vic", "by train"), "requests", ("by train",)),
            (lambda vic: vic.text("notes").insert(0, "scribbled"), "text:notes", ("scribbled",)),
            (
                lambda vic: vic.document.requests.ask_vote("a1", "vic", "rejected", {"text": "dear"}),
                "requests",
                ("dear",),
            ),
            (lambda vic: vic.count("likes"), "counters", ()),
        ]
        async with vic as vic:
            vic.on("refused", told.append)
            await until(lambda: vic.messages.get("m1") is not None)
            for number, (attempt, root, lost) in enumerate(tries, 1):
                attempt(vic)
                await until(lambda number=number: len(told) == number)
                assert (told[-1].touched.split("/")[0], told[-1].lost) == (root, lost), told[-1]
                assert told[-1].close == 4403
                assert vic.document.to_json()["messages"] == before["messages"]
        after = ann.document.to_json()
        assert {name: after[name] for name in after if name != "participants"} == {
            name: before[name] for name in before if name != "participants"
        }


async def test_words_that_stand_in_the_queue_or_in_a_reason_are_given_back_too(server: Server):
    told: list[Refusal] = []
    async with (
        connect(server.url, session="trip", participant="ann", token=token("ann", "member")),
        connect(server.url, session="trip", participant="vic", token=token("vic", "viewer")) as vic,
        asyncio.timeout(PATIENCE_SECONDS),
    ):
        vic.on("refused", told.append)
        vic.document.queue.append("Next, Porto", id="q1", author="vic", created_at="2026-01-01T00:00:00Z")
        await until(lambda: told)
        vic.document.requests.ask_cancel("r1", "vic", "too dear")
        await until(lambda: len(told) == 2)
        assert [refusal.lost for refusal in told] == [("Next, Porto",), ("too dear",)]
        with vic.document.transaction():
            await vic.send("both of")
            vic.set_title("these")
        await until(lambda: len(told) == 3)
        assert sorted(told[2].lost) == ["both of", "these"]


async def test_a_token_is_renewed_on_the_open_socket_and_outlives_its_first_end(server: Server):
    given: list[str] = []

    def give() -> str:
        given.append(token("ann", "member", 3.5))
        return given[-1]

    async with (
        connect(server.url, session="trip", participant="ann", token=give) as ann,
        asyncio.timeout(PATIENCE_SECONDS),
    ):
        await until(lambda: ann.me.expires_at is not None)
        first = ann.me.expires_at
        assert first is not None
        await until(lambda: (ann.me.expires_at or first) > first + timedelta(seconds=2), PATIENCE_SECONDS)
        assert ann.status == "online"
        await ann.send("still here")
        await ann.wait_saved()
    assert len(given) >= 2


async def test_a_token_that_is_not_renewed_ends_the_session_which_says_so(server: Server):
    async with connect(server.url, session="trip", participant="ann", token=token("ann", "member", 2)) as ann:
        await until(lambda: ann.status == "closed", PATIENCE_SECONDS)
        with pytest.raises(Disconnected, match="expired") as ended:
            await ann.send("too late")
        assert ended.value.close == 4401
