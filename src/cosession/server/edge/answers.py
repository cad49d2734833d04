"""Large answers of a process that are being sent: their memory has one limit, `max_answering_bytes`.

An answer counts until it is read. Concurrent requests for the same version of a session share one answer. Beyond the
limit the oldest answer of the address that holds most is aborted: its connections are cut, and their clients may ask
again. One answer always fits.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Hashable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final
from weakref import WeakValueDictionary

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from cosession.errors import ServerBusy

ABORT: Final = "cosession.abort"
"""The key in the ASGI scope's state of the function that cuts a request's connection; only our own server sets it."""

_SMALL_BYTES: Final = 2**16
"""The largest answer that isn't counted; every connection may hold as much."""

_SLICE: Final = 2**16
"""Bytes that are written at once; a reader has `slow_reader_seconds` for each slice."""


@dataclass(slots=True, eq=False)
class _Held:
    """A large answer.

    Attributes:
        data: its bytes.
        owner: the address that it was made for.
        what: the key by which other requests share it; None when it isn't shared.
        readers: for each response that sends it, the function that cuts the connection; None where none can.
    """

    data: bytes
    owner: str
    what: Hashable
    readers: "dict[_Answer, Callable[[], None] | None]" = field(
        default_factory=dict["_Answer", "Callable[[], None] | None"]
    )


class Answers:
    """The large answers that are being sent.

    Args:
        most: the bytes that they may have together.
        key: returns the key that an address counts as; where it returns None, the address is the key.
        slice_seconds: the time that a reader has for each slice.
    """

    def __init__(self, most: int, key: Callable[[str], str | None], slice_seconds: float) -> None:
        self.slice_seconds = slice_seconds
        self._most = most
        self._key = key
        self._held: dict[_Held, None] = {}
        self._shared: dict[Hashable, _Held] = {}
        self._bytes: Counter[str] = Counter()
        self._sum = 0
        self._turns: WeakValueDictionary[Hashable, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def alone(self, what: Hashable) -> AsyncGenerator[None]:
        """Hold a lock per key: one answer is made at a time, and a waiting request then finds it with `find`."""
        turn = self._turns.setdefault(what, asyncio.Lock())
        async with turn:
            yield

    def find(self, request: Request, what: Hashable, headers: Mapping[str, str], media_type: str) -> Response | None:
        """Return an answer, of status 200, with the bytes that are being sent to other requests, or None.

        Args:
            request: the request to answer.
            what: the key of the shared answer.
            headers: headers of the answer.
            media_type: its media type.
        """
        held = self._shared.get(what)
        return held and _Answer(self, held, request, 200, headers, media_type)

    def answer(
        self,
        request: Request,
        data: bytes,
        *,
        what: Hashable = None,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        media_type: str = "application/json",
    ) -> Response:
        """Make an answer.

        Args:
            request: the request to answer.
            data: the body.
            what: the key by which other requests share the answer; None when it isn't shared.
            status: the HTTP status.
            headers: additional headers.
            media_type: the media type of the body.

        Returns:
            An answer that must be sent without a wait before: it counts from now on until it was sent.

        Raises:
            ServerBusy: the limit is reached, and the oldest answer can't be aborted.
        """
        if len(data) <= _SMALL_BYTES:
            return Response(data, status, headers, media_type)
        while self._held and self._sum + len(data) > self._most:
            self._give_up_one()
        owner = request.client.host if request.client else ""
        held = _Held(data, self._key(owner) or owner, what)
        self._held[held] = None
        self._bytes[held.owner] += len(data)
        self._sum += len(data)
        if what is not None:
            self._shared[what] = held
        return _Answer(self, held, request, status, headers, media_type)

    def release(self, held: _Held, reader: "_Answer") -> None:
        """Remove a reader of an answer; without readers, remove the answer."""
        held.readers.pop(reader, None)
        if not held.readers and held in self._held:
            self._forget(held)

    def _give_up_one(self) -> None:
        owner, _ = self._bytes.most_common(1)[0]
        held = next(one for one in self._held if one.owner == owner)
        cuts = list(held.readers.values())
        if None in cuts:
            raise ServerBusy("The server has as many answers under way as it takes; ask again in a moment.")
        self._forget(held)
        for cut in cuts:
            assert cut is not None
            cut()

    def _forget(self, held: _Held) -> None:
        del self._held[held]
        self._sum -= len(held.data)
        self._bytes[held.owner] -= len(held.data)
        if not self._bytes[held.owner]:
            del self._bytes[held.owner]
        if self._shared.get(held.what) is held:
            del self._shared[held.what]


class _Answer(Response):
    """An answer that is written in slices, so that a connection buffers one of them and all share the rest."""

    def __init__(
        self,
        answers: Answers,
        held: _Held,
        request: Request,
        status: int,
        headers: Mapping[str, str] | None,
        media_type: str,
    ) -> None:
        super().__init__(b"", status, {**(headers or {}), "content-length": str(len(held.data))}, media_type)
        self._answers = answers
        self._content = held
        held.readers[self] = request.scope.get("state", {}).get(ABORT)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        """Send it."""
        data = self._content.data
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            for begin in range(0, len(data), _SLICE):
                is_last = begin + _SLICE >= len(data)
                async with asyncio.timeout(self._answers.slice_seconds):
                    await send(
                        {"type": "http.response.body", "body": data[begin : begin + _SLICE], "more_body": not is_last}
                    )
        except TimeoutError:
            return  # a server hangs up where an answer remains incomplete; our own has cut the connection already
        finally:
            self._answers.release(self._content, self)
