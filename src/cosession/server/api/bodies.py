"""Bodies and queries of requests: read with a limit, validated, rejected with an error that names the field."""

import asyncio
from typing import Any, Final, TypeVar, cast

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import from_json
from starlette.requests import HTTPConnection, Request

from cosession.admission import STRUCT_BYTES
from cosession.errors import BadRequest, CosessionError, ServerBusy, TooLarge, TooSlow
from cosession.runtime import Hub

from ..edge.arrivals import SMALL_BYTES, Arrivals

_MOST_NAMED: Final = 64
"""Length to which an unknown key is cut in an error."""


class Body(BaseModel):
    """Base of the models of request bodies: fields have strict types, and unknown fields are rejected.

    A list in it is `fail_fast`: a million wrong entries are one error, not a million.
    """

    model_config = ConfigDict(extra="forbid", strict=True)


AnyBody = TypeVar("AnyBody", bound=Body)


async def read_body(request: Request, model: type[AnyBody]) -> AnyBody:
    """Read and check a JSON body; an empty one is an empty object.

    Raises:
        BadRequest: it is no JSON, or does not fit the model.
        ServerBusy: bodies that are arriving exceed their limit, and this one is the slowest.
        TooLarge: it is larger than `max_body_bytes`, or holds more values than an update may.
        TooSlow: it didn't arrive within `body_seconds`; our own server has cut the connection by then.
    """
    hub: Hub = request.app.state.hub
    limit = hub.settings.max_body_bytes
    kind = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise BadRequest(f"The body must be application/json, not {kind!r}.")
    upload = _Upload(request, limit)
    try:
        async with asyncio.timeout(hub.settings.body_seconds):
            data = await upload.read()
        _check_count(data, hub.settings.max_structs_per_frame)
        value: Any = from_json(data or b"{}")
    except TimeoutError as error:
        raise TooSlow(f"The body did not arrive within {hub.settings.body_seconds:g} s.") from error
    except CosessionError:
        raise
    except ValueError as error:
        raise BadRequest(f"The body can't be used: it is no JSON ({error}).") from error
    finally:
        upload.release()
    if isinstance(value, dict) and model.model_config.get("extra") == "forbid":
        unknown = next((key for key in cast("dict[str, Any]", value) if key not in model.model_fields), None)
        if unknown is not None:
            fields = ", ".join(model.model_fields)
            raise BadRequest(f"The body can't be used: it has {unknown[:_MOST_NAMED]!r}; there are {fields}.")
    try:
        return model.model_validate(value)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, problem['loc'])) or 'body'}: {problem['msg']}" for problem in error.errors()
        )
        raise BadRequest(f"The body can't be used: {problems}.") from error


class _Upload:
    """A body that is arriving; it shares a limit with the bodies of other requests (see `Arrivals`).

    Args:
        request: the request of the body.
        limit: the largest size, in bytes.

    Attributes:
        address: the client's address.
    """

    def __init__(self, request: Request, limit: int) -> None:
        self.address = request.client.host if request.client else ""
        self._arrivals: Arrivals = request.app.state.uploads
        self._request = request
        self._limit = limit
        self._data = bytearray()
        self._bell = asyncio.Event()
        self._is_lost = False

    async def read(self) -> bytes:
        """Return the whole body; raises as `read_body` does."""
        async for chunk in self._request.stream():
            self._check()
            self._data += chunk
            if len(self._data) > self._limit:
                raise TooLarge(f"The body is larger than {self._limit} bytes.")
            if len(self._data) > SMALL_BYTES:
                await self._grow()
        self._check()
        self._arrivals.finish(self)
        return bytes(self._data)

    def release(self) -> None:
        """Free the body's share of the limit: it was used."""
        self._arrivals.release(self)

    def go_on(self) -> None:
        """Continue to read: there is room for the body."""
        self._bell.set()

    def give_up(self) -> None:
        """Discard the received part; the request is refused with a code after which clients try again."""
        self._is_lost, self._data = True, bytearray()
        self._bell.set()

    async def _grow(self) -> None:
        while not self._arrivals.grow(self, len(self._data)):
            self._check()
            await self._bell.wait()
            self._bell.clear()
            self._check()

    def _check(self) -> None:
        if self._is_lost:
            raise ServerBusy("The server has as many large bodies under way as it takes; send it again in a moment.")


def _check_count(text: bytes, most: int) -> None:
    """Reject a JSON text of too many values before it is parsed, at the speed of copying it.

    Args:
        text: the text; invalid JSON is found later.
        most: how many commas, brackets and braces it may have outside of strings.

    Raises:
        TooLarge: it has more.
    """
    if text.count(b",") + text.count(b"[") + text.count(b"{") <= most:
        return
    bare = text.replace(rb"\\", b"").replace(rb"\"", b"")
    if bare.count(b'"') <= 4 * most:  # each value has a string and its key has one, of two quotes
        outside = b"".join(bare.split(b'"')[::2])
        if outside.count(b",") + outside.count(b"[") + outside.count(b"{") <= most:
            return
    raise TooLarge("The body holds more values than an update may; send it in several.")


def read_flag(connection: HTTPConnection, name: str) -> bool:
    """Read a parameter of the query that is on or off; a missing one is off.

    Raises:
        BadRequest: it is neither `1` nor `0`.
    """
    written = connection.query_params.get(name, "0")
    if written not in ("0", "1"):
        raise BadRequest(f"`{name}` must be 1 or 0, not {written[:20]!r}.")
    return written == "1"


def read_number(connection: HTTPConnection, name: str, default: int, least: int, most: int) -> int:
    """Read a parameter of the query that is a whole number; a missing one is the default.

    Raises:
        BadRequest: it is no number, or out of range.
    """
    written = connection.query_params.get(name, str(default))
    if written.isascii() and written.isdigit() and len(written) <= len(str(most)) and least <= int(written) <= most:
        return int(written)
    raise BadRequest(f"`{name}` must be a number from {least} to {most}, not {written[:20]!r}.")


def size_of(value: Any, most: int | None = None) -> int:
    """Return by about how many bytes a JSON value grows the document, with the overhead of each value in it.

    Args:
        value: the value.
        most: how many values it may hold, itself included; None is any number.

    Raises:
        TooLarge: it holds more.
    """
    things, size = 0, 0
    waiting: list[Any] = [value]
    while waiting:
        one = waiting.pop()
        things += 1
        if most is not None and things > most:
            raise TooLarge(f"A message may hold {most} things, and this one holds more; send it in several.")
        if isinstance(one, dict):
            fields = cast("dict[str, Any]", one)
            waiting += fields.values()
            size += sum(map(len, fields))
        elif isinstance(one, list):
            waiting += one
        else:
            size += len(str(one).encode())
    return size + things * STRUCT_BYTES
