"""The life of a grant on an open socket: it ends, is renewed, is changed, and is taken away."""

import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from auth.conftest import SECRET, good
from processes import Server, eventually
from pycrdt import Map
from wire import Wire

from cosession.auth.keys import secret_keys
from cosession.auth.tokens import mint
from cosession.protocol import Granted, Limits, Notice, Renewal
from cosession.settings import Settings

pytestmark = pytest.mark.anyio

StartServer = Callable[..., Server]


def token(seconds: float = 300, **claims: Any) -> str:
    return mint(good(exp=time.time() + seconds, **claims), secret_keys(SECRET)[0])


def operator() -> dict[str, str]:
    return {"authorization": f"Bearer {token(sub='op', sessions=['*'], role='operator', kind='operator')}"}


def granted(wire: Wire) -> list[Granted]:
    return [frame for frame in wire.frames if isinstance(frame, Granted)]


def notices(wire: Wire) -> list[Notice]:
    return [frame for frame in wire.frames if isinstance(frame, Notice)]


async def renew(wire: Wire, new: str) -> Granted:
    before = len(granted(wire))
    await wire.send(Renewal(new))
    await eventually(lambda: wire.closed or len(granted(wire)) > before, "the answer to a renewal")
    assert wire.closed is None, wire.closed
    return granted(wire)[-1]


async def revoke(server: Server, **what: str) -> None:
    async with httpx.AsyncClient(base_url=server.url) as http:
        answer = await http.post("/revocations", json=what, headers=operator())
    assert answer.status_code == 201, answer.text


def write(wire: Wire, key: str) -> Any:
    return wire.edit(lambda doc: doc.get("state", type=Map).update({key: 1}))


@pytest.fixture
def server(start_server: StartServer) -> Server:
    """A server that knows people by tokens, and gives clocks no leeway."""
    return start_server(auth_secret=SECRET, auth_leeway_seconds=0, attendance_seconds=0.1)


async def test_a_client_is_told_who_it_is_what_it_may_and_until_when(server: Server):
    expires = round(time.time()) + 300
    own = mint(good(exp=expires, name="Ada L.", role="viewer", sub="ada"), secret_keys(SECRET)[0])
    async with Wire.open(server, "trip", token=token()):
        pass
    async with Wire.open(server, "trip", ext=1, token=own) as wire:
        await eventually(lambda: granted(wire), "the grant")
        assert granted(wire) == [Granted("ada", "Ada L.", "human", ("presence", "read"), expires)]


@pytest.mark.parametrize("settings", [{}, {"auth_secret": SECRET}])
async def test_a_client_is_told_first_of_all_how_much_it_may_send(
    start_server: StartServer, settings: dict[str, Any]
):
    server = start_server(
        max_frame_bytes=70_000, max_structs_per_frame=2000, max_presence_bytes=300, max_value_entries=1500, **settings
    )
    own = {"token": token()} if settings else {"participant": "ada"}
    async with Wire.open(server, "trip", **own):
        pass
    async with Wire.open(server, "trip", ext=1, **own) as wire:
        first = wire.frames[0]
        assert isinstance(first, Granted)
        assert first.limits == Limits(70_000, 2000, 300, 2**24, 1500)


def test_a_client_keeps_to_the_defaults_of_the_settings_until_it_is_told():
    settings = Settings()
    defaults = (settings.max_frame_bytes, settings.max_structs_per_frame, settings.max_presence_bytes)
    assert Limits() == Limits(*defaults, settings.max_value_bytes, settings.max_value_entries)


@pytest.mark.parametrize("extended", [0, 1])
async def test_a_socket_is_closed_in_the_moment_in_which_its_token_expires(server: Server, extended: int):
    ends = time.time() + 4
    own = mint(good(exp=ends), secret_keys(SECRET)[0])
    async with Wire.open(server, "trip", ext=extended, token=own) as wire:
        await write(wire, "before")
        code, reason = await wire.wait_closed()
        late = time.time() - ends
        assert (code, "expired" in reason) == (4401, True)
        assert -0.05 < late < 10, "it doesn't wait for anything else"
        assert [notice.code for notice in notices(wire)] == ["auth.required"] * extended
    async with Wire.open(server, "trip", synced=False, token=own) as wire:
        assert (await wire.wait_closed())[0] == 4401


async def test_a_socket_that_is_renewed_outlives_its_first_token(server: Server):
    first = time.time() + 4
    async with Wire.open(server, "trip", ext=1, token=mint(good(exp=first), secret_keys(SECRET)[0])) as wire:
        new = await renew(wire, token(300))
        assert new.expires_at is not None
        assert new.expires_at > first + 200
        await eventually(lambda: time.time() > first + 0.5, "the time at which the first token ends")
        await write(wire, "after")
        await wire.fence()
        assert wire.closed is None


async def test_a_socket_ends_with_its_last_token_when_that_is_the_shorter(server: Server):
    async with Wire.open(server, "trip", ext=1, token=token(300)) as wire:
        await renew(wire, token(1))
        assert (await wire.wait_closed())[0] == 4401


async def test_new_capabilities_hold_at_once(server: Server):
    async with Wire.open(server, "trip", ext=1, token=token(role="member")) as wire:
        await write(wire, "as a member")
        await wire.fence()
        new = await renew(wire, token(role=None, capabilities=["read"]))
        assert new.capabilities == ("read",)
        await eventually(lambda: _offline(server), "who may not be seen any more is not seen")


async def _offline(server: Server) -> bool:
    return (await read(server))["participants"]["ada"]["online"] is False


async def read(server: Server, session: str = "trip") -> dict[str, Any]:
    async with httpx.AsyncClient(base_url=server.url) as http:
        return (await http.get(f"/sessions/{session}", headers=operator())).json()["document"]


async def test_a_new_name_is_in_the_document(server: Server):
    async with Wire.open(server, "trip", ext=1, token=token(name="Ada")) as wire:
        await renew(wire, token(name="Ada Lovelace"))
        assert (await read(server))["participants"]["ada"]["name"] == "Ada Lovelace"


@pytest.mark.parametrize(
    ("claims", "code"),
    [
        ({"sub": "eve"}, 4403),
        ({"sessions": ["elsewhere"]}, 4403),
        ({"role": None, "capabilities": ["prompt"]}, 4403),
        ({"aud": "elsewhere"}, 4401),
        ({"seconds": -60}, 4401),
    ],
    ids=["another's", "another session's", "without read", "another server's", "expired"],
)
async def test_a_new_token_that_gives_no_access_ends_the_connection(
    server: Server, claims: dict[str, Any], code: int
):
    async with Wire.open(server, "trip", ext=1, token=token()) as wire:
        await wire.send(Renewal(token(**claims)))
        assert (await wire.wait_closed())[0] == code
        assert len(notices(wire)) == 1


@pytest.mark.parametrize("forged", ["", "nonsense", "a.b.c", "ey" * 20_000])
async def test_a_forged_token_ends_the_connection(server: Server, forged: str):
    async with Wire.open(server, "trip", ext=1, token=token()) as wire:
        await wire.send(Renewal(forged))
        assert (await wire.wait_closed())[0] == 4401


@pytest.mark.parametrize(
    ("what", "code"),
    [({"participant": "ada"}, 4401), ({"token": "t-1"}, 4401), ({"session": "trip"}, 4403)],
    ids=["participant", "token", "session"],
)
async def test_what_is_revoked_is_closed_within_a_second_and_does_not_return(
    server: Server, what: dict[str, str], code: int
):
    mine, other = token(jti="t-1"), token(sub="bob", jti="t-2", sessions=["*"])
    async with (
        Wire.open(server, "trip", ext=1, token=mine) as revoked,
        Wire.open(server, "trip", token=mine) as stock,
        Wire.open(server, "other", ext=1, token=other) as spared,
    ):
        await revoke(server, **what)
        began = time.monotonic()
        for wire in (revoked, stock):
            closed, reason = await wire.wait_closed()
            assert (closed, "operator" in reason) == (code, True)
        assert time.monotonic() - began < 10, "a second, unless the machine is busy"
        assert len(notices(revoked)) == 1
        await spared.fence()
        assert spared.closed is None
    async with Wire.open(server, "trip", synced=False, token=mine) as back:
        assert (await back.wait_closed())[0] == 4403


async def test_a_revoked_token_does_not_renew_a_socket(server: Server):
    await revoke(server, token="t-9")
    async with Wire.open(server, "trip", ext=1, token=token()) as wire:
        await wire.send(Renewal(token(jti="t-9")))
        assert (await wire.wait_closed())[0] == 4403


async def test_another_token_of_a_participant_is_not_touched_by_the_end_of_one(server: Server):
    async with Wire.open(server, "trip", ext=1, token=token(jti="t-1")) as wire:
        await renew(wire, token(jti="t-2"))
        await revoke(server, token="t-1")
        await wire.fence()
        assert wire.closed is None
        await revoke(server, token="t-2")
        assert (await wire.wait_closed())[0] == 4401
