"""Claims: what one process at a time holds, granted by the server, and what one does while one holds it.

    async with session.claim("inbox") as claim:
        claim.check()  # raises ClaimLost when it may be another's by now

Who was granted something acts on it only when a fence has come back: then the grant outlives a crash of the server.
"""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Self

from cosession.document import JsonObject, SessionDocument, join_key
from cosession.errors import ClaimHeld, ClaimLost

from .session_link import SessionLink

AWAY_SECONDS = 7.5
"""How long a holder acts on without a connection: half of the grace after which the server gives it to another."""


async def obtain(
    link: SessionLink,
    document: SessionDocument,
    key: str,
    *,
    seconds: float | None = None,
    wait: bool = False,
    wanted: Callable[[], bool] = lambda: True,
) -> JsonObject | None:
    """Ask to hold something, and return the server's word on it; None when another holds it.

    Args:
        link: the tie to the server.
        document: the session's document now; what is granted is its client's.
        key: what it is.
        seconds: for how long at most.
        wait: whether to wait while another holds it.
        wanted: whether it is still, when the line that one stood in is gone.

    Raises:
        Disconnected: the session is over.
        WriteRefused: another document took the place of this one.
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
                continue  # a crash took the grant back before it was saved
            if fact is None and stands_in_line and wanted():
                continue  # nobody of the line was there for longer than the grace, we neither
            if not wait or fact is None:
                return None
            await link.until(lambda fact=fact: document.claims.get(key) != fact, document, "claims")
    except asyncio.CancelledError:
        document.requests.ask_release(key, client, who)
        raise


def is_held(fact: JsonObject | None, who: str, client: int) -> bool:
    """Whether a claim names a Yjs client of a participant as its holder."""
    return fact is not None and (fact.get("by"), fact.get("client")) == (who, client)


def _is_grant(fact: JsonObject | None, granted: JsonObject | None) -> bool:
    """Whether a claim is what was granted, whoever has begun to wait for it since."""
    named = ("by", "client", "epoch")
    return [(fact or {}).get(name) for name in named] == [(granted or {}).get(name) for name in named]


def _is_waiting(document: SessionDocument, key: str, who: str, client: int) -> bool:
    return {"by": who, "client": client} in (document.claims.get(key) or {}).get("waiting", [])


class Claim:
    """Something that this process holds, for the length of an `async with` block; made by `Session.claim`.

    Attributes:
        key: what it is.
        epoch: grows with each grant, whoever gets it: give it to what you act on, so that it can tell late comers.
    """

    def __init__(self, link: SessionLink, held: set[str], key: str, *, seconds: float | None, wait: bool) -> None:
        """Prepare; it is asked for when the block is entered.

        Args:
            link: the tie to the server.
            held: the keys that this process holds: two tasks of one process are two as well.
            key: what is claimed.
            seconds: for how long at most.
            wait: whether to wait while another holds it.
        """
        self.key = key
        self.epoch = 0
        self._link = link
        self._held = held
        self._seconds = seconds
        self._wait = wait

    def check(self) -> None:
        """Go on only if this process holds it still.

        Raises:
            ClaimLost: it doesn't, or may not: without a connection nobody knows.
        """
        fact = self._document.claims.get(self.key)
        if self._document is not self._link.document or fact is None or fact.get("epoch") != self.epoch:
            raise ClaimLost(f"{self.key!r} isn't held by this process any more; stop acting on it.")
        if self._link.away_seconds > AWAY_SECONDS:
            raise ClaimLost(f"Whether {self.key!r} is held by this process can't be known without a connection.")

    async def __aenter__(self) -> Self:
        while self.key in self._held:
            if not self._wait:
                raise ClaimHeld(f"Another task of this process holds {self.key!r}; wait for it, or let it be.")
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
            raise ClaimHeld(f"{holder or 'Another'} holds {self.key!r}; wait for it, or let it be.")
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
