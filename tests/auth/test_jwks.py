"""Keys behind a URL: rotated, cached, and still there when the issuer is down. The issuer is a real HTTP server."""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from auth.conftest import NOW, Pair, good, make_pair
from joserfc import jws
from joserfc.jwk import OKPKey
from processes import Server, eventually
from websockets.exceptions import ConnectionClosed
from wire import Wire

from cosession.auth import Grant
from cosession.auth.jwks import MAX_BYTES, RemoteKeys
from cosession.auth.tokens import TokenRules, verify
from cosession.errors import KeysUnavailable, NotAuthenticated
from cosession.protocol import Fence

pytestmark = pytest.mark.anyio


class Issuer:
    """Serves a key set, and counts who asks.

    Attributes:
        answer: the status and body of the next answers.
        asked: how often it was asked.
        gate: answers wait for it.
    """

    def __init__(self) -> None:
        self.answer: tuple[int, bytes] = (200, b"")
        self.asked = 0
        self.gate = threading.Event()
        self.gate.set()
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.asked += 1
                issuer.gate.wait(20)
                status, body = issuer.answer
                self.send_response(status)
                self.send_header("content-length", str(len(body)))
                if status == 302:
                    self.send_header("location", "/elsewhere")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/keys"

    def publish(self, *keys: dict[str, Any]) -> None:
        """Serve these keys from now on."""
        self.answer = (200, json.dumps({"keys": keys}).encode())


class Clock:
    """A clock that stands until it is moved."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    issuer = Issuer()
    thread = threading.Thread(target=issuer.server.serve_forever, args=(0.01,))
    thread.start()
    yield issuer
    issuer.gate.set()
    issuer.server.shutdown()
    issuer.server.server_close()
    thread.join()


OLD, NEW = make_pair("EdDSA"), make_pair("EdDSA")
NEW_SET = json.dumps({"keys": [NEW.jwk("new")]}).encode()


def token(pair: Pair, kid: str | None, **claims: Any) -> str:
    header = {"alg": "EdDSA"} | ({"kid": kid} if kid is not None else {})
    registry = jws.JWSRegistry(algorithms=["EdDSA"])
    registry.get_alg = lambda name: registry.algorithms[name]  # type: ignore[method-assign]
    return jws.serialize_compact(
        header, json.dumps(good(NOW, **claims)), OKPKey.import_key(pair.private), registry=registry
    )


async def taken(keys: RemoteKeys, pair: Pair, kid: str | None) -> Grant:
    return await verify(token(pair, kid), keys, TokenRules(), NOW)


async def test_a_set_is_fetched_once_and_used_until_it_is_old(issuer: Issuer):
    issuer.publish(OLD.jwk("old"))
    async with RemoteKeys.open(issuer.url, clock := Clock(), max_age_seconds=600) as keys:
        assert issuer.asked == 0
        for _ in range(3):
            assert (await taken(keys, OLD, "old")).id == "ada"
        assert issuer.asked == 1
        clock.now += 601
        assert await taken(keys, OLD, "old")
        assert issuer.asked == 2


async def test_a_new_key_is_found_when_a_token_names_it_and_the_old_one_goes_with_the_set(issuer: Issuer):
    issuer.publish(OLD.jwk("old"))
    async with RemoteKeys.open(issuer.url, clock := Clock()) as keys:
        await taken(keys, OLD, "old")
        issuer.publish(OLD.jwk("old"), NEW.jwk("new"))
        clock.now += 11
        assert await taken(keys, NEW, "new")
        assert await taken(keys, OLD, "old")
        issuer.publish(NEW.jwk("new"))
        clock.now += 601
        assert await taken(keys, NEW, "new")
        with pytest.raises(NotAuthenticated, match="can't be verified"):
            await taken(keys, OLD, "old")


async def test_made_up_key_names_are_not_turned_into_requests(issuer: Issuer):
    issuer.publish(OLD.jwk("old"))
    async with RemoteKeys.open(issuer.url, clock := Clock(), retry_seconds=10) as keys:
        await taken(keys, OLD, "old")
        for number in range(20):
            with pytest.raises(NotAuthenticated, match="can't be verified"):
                await taken(keys, OLD, f"made-up-{number}")
        assert issuer.asked == 1
        clock.now += 10
        for number in range(20):
            with pytest.raises(NotAuthenticated, match="can't be verified"):
                await taken(keys, OLD, f"made-up-{number}")
        assert issuer.asked == 2


async def test_a_token_without_a_key_name_is_tried_with_each_key(issuer: Issuer):
    issuer.publish(OLD.jwk("old"), NEW.jwk("new"))
    async with RemoteKeys.open(issuer.url, Clock()) as keys:
        assert await taken(keys, NEW, None)
        with pytest.raises(NotAuthenticated, match="can't be verified"):
            await taken(keys, NEW, "old")


@pytest.mark.parametrize(
    "answer",
    [
        (500, b""),
        (302, b""),
        (200, b"no json"),
        (200, b"[]"),
        (200, b'{"keys": []}'),
        (200, b'{"keys": [{"kty": "oct", "k": "AAAA"}, 7]}'),
        (200, b"[" * 100_000),
        (500, NEW_SET),
        (200, NEW_SET + b" " * MAX_BYTES),
    ],
    ids=lambda answer: f"{answer[0]}-{answer[1][:12]!r}",
)
async def test_when_the_issuer_fails_the_old_set_stays_in_use(issuer: Issuer, answer: tuple[int, bytes]):
    issuer.publish(OLD.jwk("old"))
    async with RemoteKeys.open(issuer.url, clock := Clock()) as keys:
        await taken(keys, OLD, "old")
        issuer.answer = answer
        clock.now += 601
        assert await taken(keys, OLD, "old")
        assert await taken(keys, OLD, "old")
        assert issuer.asked == 2
        with pytest.raises(KeysUnavailable, match="try again"):
            await taken(keys, NEW, "new")
        issuer.publish(NEW.jwk("new"))
        clock.now += 11
        assert await taken(keys, NEW, "new")


async def test_an_issuer_that_is_down_at_first_is_no_verdict_on_a_token():
    async with RemoteKeys.open("http://127.0.0.1:1/keys", Clock()) as keys:
        for _ in range(2):
            with pytest.raises(KeysUnavailable):
                await taken(keys, OLD, "old")


async def test_one_fetch_serves_all_who_wait_and_who_knows_the_key_does_not_wait(issuer: Issuer):
    issuer.publish(OLD.jwk("old"))
    async with RemoteKeys.open(issuer.url, clock := Clock()) as keys:
        await taken(keys, OLD, "old")
        issuer.gate.clear()
        issuer.publish(OLD.jwk("old"), NEW.jwk("new"))
        clock.now += 601
        async with asyncio.TaskGroup() as tasks:
            waiting = [tasks.create_task(taken(keys, NEW, "new")) for _ in range(10)]
            await eventually(lambda: issuer.asked == 2, "the second fetch")
            assert await taken(keys, OLD, "old")
            assert not any(task.done() for task in waiting)
            issuer.gate.set()
        assert issuer.asked == 2


async def test_a_real_server_takes_tokens_of_an_issuer_and_follows_its_rotation(
    issuer: Issuer, start_server: Callable[..., Server]
):
    issuer.publish(OLD.jwk("old"))
    server = start_server(auth_jwks_url=issuer.url, auth_audience="us", auth_jwks_max_age_seconds=1)

    async def enters(pair: Pair, kid: str) -> bool:
        given = token(pair, kid, aud="us", exp=int(time.time()) + 60)
        async with Wire.open(server, "trip", synced=False, ext=1, token=given) as wire:
            with suppress(ConnectionClosed):
                await wire.send(Fence(b"in"))
            await eventually(lambda: wire.closed or Fence(b"in") in wire.frames, "a word from the server")
            return wire.closed is None

    assert await enters(OLD, "old")
    assert not await enters(NEW, "old")
    issuer.publish(NEW.jwk("new"))
    await eventually(lambda: enters(NEW, "new"), "the new key")
    assert not await enters(OLD, "old")
