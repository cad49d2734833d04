"""Claims: exclusive holds that the server grants to one process at a time.

    async with session.claim("inbox") as claim:
        claim.check()  # raises ClaimLost when another process may hold it by now

A process acts on a grant only after a fence has come back: the grant then survives a crash of the server.
"""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Self

from cosession.document import JsonObject, SessionDocument, join_key
from cosession.errors import ClaimHeld, ClaimLost

from .session_link import SessionLink

AWAY_SECONDS = 7.5
"""The time for which a claim is valid without a connection: half of the grace after which the server regrants it."""


async def obtain(
    link: SessionLink,
    document: SessionDocument,
    key: str,
    *,
    seconds: float | None = None,
    wait: bool = False,
    wanted: Callable[[], bool] = lambda: True,
) -> JsonObject | None:
    """Ask for a claim, and return the claim as the server recorded it; None when another process holds it.

    Args:
        link: the link to the server.
        document: the session's current document; the grant is to its client id.
        key: the key of the claim.
        seconds: the longest time to hold it; None is no limit.
        wait: whether to wait while another process holds it.
        wanted: returns whether the claim is still needed, when the waiting list was dropped.

    Raises:
        Disconnected: the session is over.
        WriteRefused: another document replaced this one.
    """
    who, client = link.me.id, document.doc.client_id
    wishes = document.requests.shared
    letting_go = join_key("release", key, str(client), who)
    await link.until(lambda: letting_go not in wishes, document, "requests")
    try:
        while True:
            asked = document.requests.ask_claim(key, client, who, seconds=seconds, wait=wait).key
            await link.until(lambda asked=asked: asked not in wishes, document, "requests")
            stands_in_line = _is_waiting(document, key, who, client)
            await link.until(lambda: not _is_waiting(document, key, who, client), document, "claims")
            fact = document.claims.get(key)
            if is_held(fact, who, client):
                await (link.confirm() if wait else link.wait_saved())
                if _is_grant(document.claims.get(key), fact):
                    return fact
                continue  # a crash reverted the grant before it was saved
            if fact is None and stands_in_line and wanted():
                continue  # every waiting client, this one included, was away for longer than the grace
            if not wait or fact is None:
                return None
            await link.until(lambda fact=fact: document.claims.get(key) != fact, document, "claims")
    except asyncio.CancelledError:
        document.requests.ask_release(key, client, who)
        raise


def is_held(fact: JsonObject | None, who: str, client: int) -> bool:
    """Return whether a claim names a Yjs client of a participant as its holder."""
    return fact is not None and (fact.get("by"), fact.get("client")) == (who, client)


def _is_grant(fact: JsonObject | None, granted: JsonObject | None) -> bool:
    """Return whether a claim is the granted one; a change of its waiting list doesn't matter."""
    named = ("by", "client", "epoch")
    return [(fact or {}).get(name) for name in named] == [(granted or {}).get(name) for name in named]


def _is_waiting(document: SessionDocument, key: str, who: str, client: int) -> bool:
    return {"by": who, "client": client} in (document.claims.get(key) or {}).get("waiting", [])


class Claim:
    """A claim that this process holds for the length of an `async with` block; made by `Session.claim`.

    Attributes:
        key: the key of the claim.
        epoch: a number that grows with each grant, to any holder: pass it to the resource as a fencing token.
    """

    def __init__(self, link: SessionLink, held: set[str], key: str, *, seconds: float | None, wait: bool) -> None:
        """Prepare; it is asked for when the block is entered.

        Args:
            link: the link to the server.
            held: the keys that this process holds; two tasks of one process exclude each other as well.
            key: the key of the claim.
            seconds: the longest time to hold it; None is no limit.
            wait: whether to wait while another process holds it.
        """
        self.key = key
        self.epoch = 0
        self._link = link
        self._held = held
        self._seconds = seconds
        self._wait = wait

    def check(self) -> None:
        """Check that this process still holds the claim.

        Raises:
            ClaimLost: it doesn't, or the connection has been away too long to know.
        """
        fact = self._document.claims.get(self.key)
        if self._document is not self._link.document or fact is None or fact.get("epoch") != self.epoch:
            raise ClaimLost(f"{self.key!r} isn't held by this process any more; stop acting on it.")
        if self._link.away_seconds > AWAY_SECONDS:
            raise ClaimLost(f"Whether {self.key!r} is held by this process can't be known without a connection.")

    async def __aenter__(self) -> Self:
        while self.key in self._held:
            if not self._wait:
                why = f"Another task of this process holds {self.key!r}; wait for it, or let it be."
                raise ClaimHeld(why, by=self._link.me.id)
            self._link.go_on()
            await self._link.bell.wait()
        self._held.add(self.key)
        self._document = self._link.document
        try:
            fact = await obtain(self._link, self._document, self.key, seconds=self._seconds, wait=self._wait)
        except BaseException:
            self._let_go()
            raise
        if fact is None:
            self._let_go()
            holder = (self._document.claims.get(self.key) or {}).get("by")
            by = holder if isinstance(holder, str) else None
            raise ClaimHeld(f"{by or 'Another'} holds {self.key!r}; wait for it, or let it be.", by=by)
        self.epoch = int(fact["epoch"])
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        document, who = self._document, self._link.me.id
        if document is self._link.document and is_held(document.claims.get(self.key), who, document.doc.client_id):
            document.requests.ask_release(self.key, document.doc.client_id, who)
        self._let_go()

    def _let_go(self) -> None:
        self._held.discard(self.key)
        self._link.bell.ring()
