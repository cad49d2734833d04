"""Requests that the server declines: each of them is answered by a notice, before the request is removed."""

from collections.abc import Callable
from typing import Any

import pytest
from pycrdt import Map
from room.decisions.stage import Actor, Stage
from room.scene import AT

from cosession.auth import Capabilities
from cosession.document import SessionDocument, tool_key
from cosession.document.requests import Requests
from cosession.protocol import Notice, SyncUpdate
from cosession.room.decisions.requests import ANSWERS

Ask = Callable[[Requests, int], Any]

DECLINED: dict[str, tuple[str, Ask]] = {
    "cancel nothing": ("run.unknown", lambda r, _: r.ask_cancel("r9", "mia")),
    "cancel what is no prompt": ("run.unknown", lambda r, _: r.ask_cancel("busy.m", "mia")),
    "cancel another's run": ("auth.forbidden", lambda r, _: r.ask_cancel("busy", "mia")),
    "cancel another's prompt": ("auth.forbidden", lambda r, _: r.ask_cancel("hers", "mia")),
    "cancel what is over": ("run.ended", lambda r, _: r.ask_cancel("answer", "mia")),
    "cancel what is answered": ("run.ended", lambda r, _: r.ask_cancel("mine", "mia")),
    "cancel two things": ("request.invalid", lambda r, _: r.put("cancel", "busy", "over", participant="mia")),
    "steer another's run": ("auth.forbidden", lambda r, _: r.ask_steer("busy", "s1", "mia", "left")),
    "steer nothing": ("run.unknown", lambda r, _: r.ask_steer("r9", "s1", "mia", "left")),
    "steer what is over": ("run.ended", lambda r, _: r.ask_steer("answer", "s1", "mia", "left")),
    "steer without a word": ("request.invalid", lambda r, _: r.ask_steer("now", "s1", "mia", "")),
    "steer without an id": ("request.invalid", lambda r, _: r.put("steer", "busy", participant="mia")),
    "adopt nothing": ("run.unknown", lambda r, c: r.ask_adopt("r9", c, "mia")),
    "adopt another's run": ("auth.forbidden", lambda r, c: r.ask_adopt("busy", c, "mia")),
    "adopt without a client": ("request.invalid", lambda r, _: r.put("adopt", "busy", "x", participant="mia")),
    "vote on nothing": ("approval.unknown", lambda r, _: r.ask_vote("a9", "mia", "approved")),
    "vote on what is decided": ("approval.closed", lambda r, _: r.ask_vote("done", "mia", "approved")),
    "vote where others are asked": ("auth.forbidden", lambda r, _: r.ask_vote("hers", "mia", "approved")),
    "vote for nonsense": ("request.invalid", lambda r, _: r.ask_vote("open", "mia", "perhaps")),
    "vote for nothing": ("request.invalid", lambda r, _: r.put("vote", participant="mia")),
    "answer what one doesn't hold": ("claim.lost", lambda r, c: r.ask_answer("busy.m", "c1", c, "mia", output=1)),
    "answer no call": ("tool.closed", lambda r, c: r.ask_answer("busy.m", "c9", c, "mia", output=1)),
    "answer where others are asked": ("auth.forbidden", lambda r, c: r.ask_answer("busy.m", "c2", c, "mia")),
    "answer without a client": ("request.invalid", lambda r, _: r.put("answer", "m", "c1", "x", participant="mia")),
    "a policy that there isn't": ("request.invalid", lambda r, _: r.ask_policy("mia", "ignore")),
    "a policy for something": ("request.invalid", lambda r, _: r.put("policy", "x", participant="mia")),
    "claim what another holds": ("claim.held", lambda r, c: r.ask_claim("lock", c, "mia")),
    "claim a prompt that is answered": ("claim.held", lambda r, c: r.ask_claim("prompt/mine", c, "mia")),
    "claim without a client": ("request.invalid", lambda r, _: r.put("claim", "lock", "x", participant="mia")),
    "release without a client": ("request.invalid", lambda r, _: r.put("release", "lock", participant="mia")),
}  # fmt: skip


def prepare(document: SessionDocument) -> None:
    call = {"type": "tool-pick", "toolCallId": "c1", "state": "input-available", "input": {}}
    asked = {"callProviderMetadata": {"cosession": {"client": True, "who": ["ada"]}}}
    parts = [call, {**call, **asked, "toolCallId": "c2"}]
    for id_, author in (("mine", "mia"), ("hers", "ada"), ("also", "mia")):
        text = {"type": "text", "text": "hi"}
        document.messages.append("user", [text], id=id_, author=author, created_at=AT).set_stamp(
            by=author, at=AT, seq=1
        )
    document.messages.append("assistant", parts, id="busy.m", author="bot", created_at=AT, run="busy")
    document.runs.start("busy", agent="bot", started_at=AT)
    document.runs.start("over", agent="mia", started_at=AT)
    document.runs.start("answer", agent="bot", started_at=AT, reply_to="mine")
    document.runs.start("now", agent="bot", started_at=AT, reply_to="also")
    document.approvals.ask("open", question="?", created_at=AT)
    document.approvals.ask("hers", question="?", created_at=AT, who=["ada"])
    document.approvals.ask("done", question="?", created_at=AT)


@pytest.fixture
def mia(stage: Stage) -> Actor:
    """A participant whose client understands notices, in a session where others are at work."""
    bot = stage.actor("bot", "agent")
    bot.write(prepare)
    for id_ in ("over", "answer"):
        bot.become("complete", id_)
    ada = stage.actor("ada", extended=True)
    ada.write(lambda d: d.requests.ask_vote("done", "ada", "approved"))
    ada.claim("lock")
    may = ["read", "presence", "prompt", "cancel-own", "approve", "queue", "claim", "run"]
    mia = stage.actor("mia", may=Capabilities.parse(may), extended=True)
    for call in ("c2", "c9"):
        mia.claim(tool_key(call))
    for actor in (ada, mia):
        stage.taken(actor.connection)
    return mia


def test_every_kind_of_request_is_declined_somewhere_in_the_table() -> None:
    assert {what.split()[0] for what in DECLINED} == {"a", *ANSWERS} - {"policy"}


@pytest.mark.parametrize("what", DECLINED)
def test_a_declined_request_gets_a_notice_before_it_is_removed(stage: Stage, mia: Actor, what: str) -> None:
    code, wish = DECLINED[what]
    key = mia.write(lambda d: wish(d.requests, mia.client)).key
    frames = stage.taken(mia.connection)
    [notice] = [frame for frame in frames if isinstance(frame, Notice)]
    assert (notice.code, notice.request, notice.final) == (code, key, False)
    assert notice.reason.endswith(".")
    [removal] = [frame for frame in frames if isinstance(frame, SyncUpdate)][:1]
    assert frames.index(notice) < frames.index(removal)
    assert len(stage.document.requests) == 0


def test_a_kind_that_there_is_not_is_declined(stage: Stage) -> None:
    ada = stage.actor("ada", extended=True)
    ada.write(lambda d: d.requests.put("explode", "now", participant="ada"))
    assert [one.code for one in notices(stage, ada)] == ["request.invalid"]


def test_what_is_granted_or_is_so_already_gets_no_notice(stage: Stage, mia: Actor) -> None:
    mia.claim("mine")
    mia.claim("mine")
    mia.claim("lock", wait=True)
    mia.claim("lock", wait=True)
    mia.release("mine")
    mia.release("mine")
    mia.prompt("m2")
    mia.cancel("m2")
    mia.cancel("m2")
    mia.write(lambda d: d.requests.ask_steer("now", "s1", "mia", "left"))
    mia.write(lambda d: d.requests.ask_steer("now", "s1", "mia", "left"))
    mia.cancel("now")
    mia.cancel("now")
    assert notices(stage, mia) == []


def test_only_the_connections_of_who_asked_that_know_notices_hear(stage: Stage, mia: Actor) -> None:
    other = stage.actor("mia", may=mia.who.capabilities, extended=True)
    stock = stage.actor("mia", may=mia.who.capabilities)
    ada = stage.actors[1]
    mia.cancel("r9")
    assert [len(notices(stage, actor)) for actor in (mia, other, stock, ada)] == [1, 1, 0, 0]


def test_of_a_flood_of_requests_the_rest_is_declined(stage: Stage) -> None:
    ada = stage.actor("ada", extended=True)
    ada.write(lambda d: [d.requests.ask_claim(f"k{number:04}", ada.client, "ada") for number in range(300)])
    assert [one.code for one in notices(stage, ada)] == ["limit.too_fast"] * 44
    assert len(stage.document.requests) == 0


def test_a_request_with_a_very_long_key_is_removed_unread(stage: Stage) -> None:
    ada = stage.actor("ada", extended=True)
    key = f"claim/{'%2Fa/' * 2_000}ada"
    ada.write(lambda d: d.requests.shared.update({key: {}}))
    assert [(one.code, one.request) for one in notices(stage, ada)] == [("limit.too_large", key[:64])]
    assert len(stage.document.requests) == 0


@pytest.mark.parametrize("root", ["runs", "approvals", "claims"])
def test_what_has_a_very_long_key_is_passed_over(stage: Stage, root: str) -> None:
    ada = stage.actor("ada")
    fields = {"by": "bot", "client": 7, "epoch": 1, "at": AT, "agent": "bot", "status": "none", "quorum": 1}
    ada.write(lambda d: d.doc.get(root, type=Map).update({"a" * 5_000: fields if root == "claims" else Map(fields)}))
    for one in (stage, stage.restart()):
        assert one.document.to_json()[root] == {"a" * 5_000: fields}
        assert set(one.timers) <= {"attendance"}


def notices(stage: Stage, actor: Actor) -> list[Notice]:
    return [frame for frame in stage.taken(actor.connection) if isinstance(frame, Notice)]
