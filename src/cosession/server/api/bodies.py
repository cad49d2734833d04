"""What requests bring, bodies and queries: read with a limit, checked, refused with a sentence that says where."""

from typing import Any, TypeVar, cast

from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.requests import HTTPConnection, Request

from cosession.admission import STRUCT_BYTES
from cosession.errors import BadRequest, TooLarge
from cosession.runtime import Hub


class Body(BaseModel):
    """What a request's body may hold: what is named, of the right type, and nothing else."""

    model_config = ConfigDict(extra="forbid", strict=True)


AnyBody = TypeVar("AnyBody", bound=Body)


async def read_body(request: Request, model: type[AnyBody]) -> AnyBody:
    """Read and check a JSON body; an empty one is an empty object.

    Raises:
        BadRequest: it does not fit.
        TooLarge: it is larger than `max_body_bytes`.
    """
    hub: Hub = request.app.state.hub
    limit = hub.settings.max_body_bytes
    kind = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise BadRequest(f"The body must be application/json, not {kind!r}.")
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > limit:
            raise TooLarge(f"The body is larger than {limit} bytes.")
    try:
        return model.model_validate_json(bytes(data) or b"{}")
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, problem['loc'])) or 'body'}: {problem['msg']}" for problem in error.errors()
        )
        raise BadRequest(f"The body can't be used: {problems}.") from error


def read_flag(connection: HTTPConnection, name: str) -> bool:
    """Read a parameter of the query that is on or off; without it, it is off.

    Raises:
        BadRequest: it is neither `1` nor `0`.
    """
    written = connection.query_params.get(name, "0")
    if written not in ("0", "1"):
        raise BadRequest(f"`{name}` must be 1 or 0, not {written[:20]!r}.")
    return written == "1"


def read_number(connection: HTTPConnection, name: str, default: int, least: int, most: int) -> int:
    """Read a parameter of the query that is a whole number; without it, it is the default.

    Raises:
        BadRequest: it is none, or out of its range.
    """
    written = connection.query_params.get(name, str(default))
    if written.isascii() and written.isdigit() and len(written) <= len(str(most)) and least <= int(written) <= most:
        return int(written)
    raise BadRequest(f"`{name}` must be a number from {least} to {most}, not {written[:20]!r}.")


def size_of(value: Any, most: int | None = None) -> int:
    """Return how many bytes the document grows by with a JSON value, about, and with each thing in it.

    Args:
        value: the value.
        most: how many things it may hold; None is as many as there are.

    Raises:
        TooLarge: it holds more.
    """
    things, size = 0, 0
    waiting: list[Any] = [value]
    while waiting:
        one = waiting.pop()
        things += 1
        if isinstance(one, dict):
            fields = cast("dict[str, Any]", one)
            waiting += fields.values()
            size += sum(map(len, fields))
        elif isinstance(one, list):
            waiting += one
        else:
            size += len(str(one).encode())
    if most is not None and things > most:
        raise TooLarge(f"A message may hold {most} things, and this one holds {things}; send it in several.")
    return size + things * STRUCT_BYTES
