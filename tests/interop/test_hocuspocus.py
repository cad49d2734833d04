"""hocuspocus' published provider, unchanged, at `/hocuspocus`: alone, and beside the other clients of a session."""

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import AsyncGenerator, Callable
from typing import Any

import httpx
import pytest
from people import SECRET, token
from processes import NodeClient, Server, eventually

from cosession.auth.keys import secret_keys
from cosession.auth.tokens import mint
from cosession.client import connect

pytestmark = pytest.mark.anyio

StartServer = Callable[..., Server]


@contextlib.asynccontextmanager
async def provider(server: Server, *documents: str, **options: Any) -> AsyncGenerator[NodeClient]:
    """A process with one socket of the provider, and some documents opened on it."""
    async with NodeClient.running("hocuspocus.mjs", {"url": f"ws{server.url[4:]}/hocuspocus"}) as client:
        for document in documents:
            await client.ask("open", document=document, **options)
        for document in documents:
            await client.ask("saved", document=document)
        yield client


async def reads(client: NodeClient, document: str, text: str) -> None:
    """Wait until a document reads so."""

    async def is_so() -> bool:
        return await client.ask("text", document=document) == text

    await eventually(is_so, f"{document} reads {text!r}")


async def logs(client: NodeClient, document: str, key: str) -> Any:
    """Wait until a provider reports something, and return the last report of it."""

    async def reported() -> Any:
        log = (await client.ask("status", document=document))["log"]
        return next((entry[key] for entry in reversed(log) if key in entry), None)

    return await eventually(reported, f"{document}: {key}")


async def test_two_providers_edit_many_documents_each_on_one_socket(server: Server) -> None:
    names = [f"note-{number}" for number in range(20)]
    async with provider(server, *names) as ann, provider(server, *names) as ben:
        for name in names:
            await (ann if name.endswith("1") else ben).ask("insert", document=name, text=f"{name} 🦊")
        for name in names:
            await reads(ann, name, f"{name} 🦊")
            await reads(ben, name, f"{name} 🦊")
            await ann.ask("saved", document=name)
            await ben.ask("saved", document=name)
        assert (await ann.ask("status", document=names[0]))["scope"] == "read-write"


async def test_presence_is_seen_and_ends_with_the_document_alone(server: Server) -> None:
    async with provider(server, "note", "other") as ann, provider(server, "note", "other") as ben:
        await ann.ask("setPresence", document="note", name="Ann")

        async def sees(name: str) -> bool:
            return any(state.get("user") == {"name": name} for state in await ben.ask("presence", document="note"))

        await eventually(lambda: sees("Ann"), "Ann is seen")
        await ann.ask("destroy", document="note")

        async def is_gone() -> bool:
            return not await sees("Ann")

        await eventually(is_gone, "Ann is gone")
        await ann.ask("insert", document="other", text="still open")
        await reads(ben, "other", "still open")
        await ann.ask("open", document="note")
        await ben.ask("insert", document="note", text="again")
        await reads(ann, "note", "again")
        assert not await ann.ask("closes")


async def test_two_providers_of_one_document_share_a_socket(server: Server) -> None:
    async with provider(server) as ann:
        for document in ("left", "right"):
            await ann.ask("open", document=document, name="note", sessionAwareness=True)
        await ann.ask("insert", document="left", text="both")
        await reads(ann, "right", "both")
        await ann.ask("saved", document="left")


async def test_what_is_acknowledged_survives_a_killed_server(server: Server) -> None:
    async with provider(server, "note") as ann:
        for number in range(1, 4):
            await ann.ask("burst", document="note", count=300, text=str(number))
            await ann.ask("saved", document="note")
            server.kill()
            server.start()
            async with provider(server, "note") as reader:
                text = await reader.ask("text", document="note")
                assert [text.count(str(one)) for one in range(1, number + 1)] == [300] * number
            await ann.ask("saved", document="note")


async def test_an_edit_is_acknowledged_only_when_the_storage_has_it(server: Server) -> None:
    async with provider(server, "note") as ann, provider(server, "note") as ben:
        with contextlib.closing(sqlite3.connect(server.data / "cosession.sqlite3", isolation_level=None)) as database:
            database.execute("BEGIN IMMEDIATE")
            await ann.ask("insert", document="note", text="seen")
            await reads(ben, "note", "seen")
            await eventually(lambda: "log.append_failed" in server.log.read_text(), "a commit that fails")
            assert (await ann.ask("status", document="note"))["unsynced"] == 1
            database.execute("ROLLBACK")
        await ann.ask("saved", document="note")


async def test_offline_edits_come_in_after_a_restart_and_are_acknowledged(server: Server) -> None:
    async with provider(server, "note") as ann, provider(server, "note") as ben:
        await ben.ask("disconnect")
        await ben.ask("insert", document="note", text="offline ")
        server.stop()
        await ann.ask("insert", document="note", text="alone ")
        server.start()
        await ben.ask("connect")
        for client in (ann, ben):

            async def has_both(client: NodeClient = client) -> bool:
                return sorted((await client.ask("text", document="note")).split()) == ["alone", "offline"]

            await eventually(has_both, "both edits")
            await client.ask("saved", document="note")


async def test_a_forced_sync_is_acknowledged_once(server: Server) -> None:
    async with provider(server, "note") as ann:
        await ann.ask("insert", document="note", text="here")
        await ann.ask("saved", document="note")
        await ann.ask("forceSync", document="note")
        await ann.ask("saved", document="note")
        assert (await ann.ask("status", document="note"))["unsynced"] == 0


async def test_one_session_is_edited_with_y_websocket_and_the_python_sdk(server: Server) -> None:
    async with (
        provider(server, "note") as ann,
        NodeClient.open(server, "note") as ben,
        connect(server.url, session="note", participant="bot") as bot,
    ):
        await ann.ask("insert", document="note", text="a🐙")
        await eventually(lambda: str(bot.document.text("note")) == "a🐙", "the text in Python")
        await ben.ask("insert", root="text:note", index=-1, text="b")
        await reads(ann, "note", "a🐙b")
        message = await bot.send("hello from Python")

        async def has_message() -> bool:
            return message.id in {one["id"] for one in await ben.ask("array", root="messages")}

        await eventually(has_message, "the message")
        await ann.ask("saved", document="note")


async def test_a_wrong_token_is_denied_and_the_other_documents_go_on(start_server: StartServer) -> None:
    server = start_server(auth_secret=SECRET)
    async with provider(server, "mine", token=token("ann", "member")) as ann:
        await ann.ask("open", document="note", token="nonsense")
        assert await logs(ann, "note", "denied")
        await ann.ask("insert", document="mine", text="goes on")
        await ann.ask("saved", document="mine")
        assert not await ann.ask("closes")

        await ann.ask("setToken", document="note", token=token("ann", "member"))
        await ann.ask("sendToken", document="note")
        assert await logs(ann, "note", "scope") == "read-write"


async def test_a_viewer_reads_and_its_edits_are_not_saved(start_server: StartServer) -> None:
    server = start_server(auth_secret=SECRET)
    async with (
        provider(server, "note", token=token("ann", "member")) as ann,
        provider(server, "note", token=token("vic", "viewer")) as vic,
    ):
        assert await logs(vic, "note", "scope") == "readonly"
        await vic.ask("insert", document="note", text="not mine")
        await ann.ask("insert", document="note", text="ours ")

        async def has_ours() -> bool:
            return "ours" in await vic.ask("text", document="note")

        await eventually(has_ours, "the viewer reads on")
        await ann.ask("saved", document="note")
        assert await ann.ask("text", document="note") == "ours "
        assert (await vic.ask("status", document="note"))["unsynced"] == 1
        await vic.ask("disconnect")
        await vic.ask("connect")
        await ann.ask("insert", document="note", index=5, text="again")

        async def has_again() -> bool:
            return "again" in await vic.ask("text", document="note")

        await eventually(has_again, "it reads on after it came back")
        assert await ann.ask("text", document="note") == "ours again"
        assert (await vic.ask("status", document="note"))["unsynced"] == 1


async def test_a_write_that_is_not_allowed_closes_its_document_with_the_reason(start_server: StartServer) -> None:
    server = start_server(auth_secret=SECRET)
    async with provider(server, "note", "other", token=token("ann", "member")) as ann:
        await ann.ask("set", document="note", root="runs", key="forged", value=1)
        assert "runs" in await logs(ann, "note", "reason")
        assert not (await ann.ask("status", document="note"))["synced"]
        await ann.ask("insert", document="other", text="goes on")
        await ann.ask("saved", document="other")
        assert not await ann.ask("closes")


async def test_a_token_is_renewed_on_the_open_socket(start_server: StartServer) -> None:
    server = start_server(auth_secret=SECRET, auth_leeway_seconds=0)

    def short(seconds: float) -> str:
        claims = {"sub": "ann", "role": "member", "sessions": ["*"], "exp": time.time() + seconds}
        return mint(claims, secret_keys(SECRET)[0])

    async with provider(server, "note", token=short(4)) as ann:
        await ann.ask("setToken", document="note", token=short(8))

        async def was_asked() -> bool:
            return (await ann.ask("status", document="note"))["asked"] > 1

        await eventually(was_asked, "the server asks for a token")
        await ann.ask("insert", document="note", text="renewed")
        await ann.ask("saved", document="note")
        reason = await logs(ann, "note", "reason")
        assert "expired" in reason
        status = await ann.ask("status", document="note")
        assert status["asked"] == 3, "once for each grant"
        assert not await ann.ask("closes")


async def test_a_viewer_that_may_write_later_brings_what_was_not_saved(start_server: StartServer) -> None:
    server = start_server(auth_secret=SECRET)
    async with (
        provider(server, "note", token=token("ben", "member")) as ben,
        provider(server, "note", token=token("ann", "viewer")) as ann,
    ):
        await ann.ask("insert", document="note", text="kept")
        await ann.ask("setToken", document="note", token=token("ann", "member"))
        await ann.ask("sendToken", document="note")
        await reads(ben, "note", "kept")
        await ann.ask("saved", document="note")


async def test_a_revoked_participant_is_told_in_the_document(start_server: StartServer) -> None:
    server = start_server(auth_secret=SECRET)
    async with provider(server, "note", token=token("ann", "member")) as ann:
        async with httpx.AsyncClient(headers={"authorization": f"Bearer {token('root', 'admin')}"}) as http:
            answer = await http.post(f"{server.url}/revocations", json={"participant": "ann"})
        assert answer.status_code == 201
        assert "operator" in await logs(ann, "note", "reason")
        assert not await ann.ask("closes")


async def test_stateless_messages_are_ignored(server: Server) -> None:
    async with provider(server, "note") as ann, provider(server, "note") as ben:
        await ann.ask("sendStateless", document="note", payload="to all")
        await ann.ask("insert", document="note", text="after it")
        await reads(ben, "note", "after it")
        await asyncio.gather(ann.ask("saved", document="note"), ben.ask("saved", document="note"))
        assert (await ben.ask("status", document="note"))["stateless"] == []
