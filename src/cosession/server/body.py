"""Bodies of requests: JSON that is read with a limit, checked, and refused with a sentence that says where."""

from typing import Any, TypeVar, cast

from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.requests import Request

from cosession.errors import BadRequest, TooLarge
from cosession.rooms import STRUCT_BYTES, Hub


class Body(BaseModel):
    """What a request's body may hold: what is named, of the right type, and nothing else."""

    model_config = ConfigDict(extra="forbid", strict=True)


AnyBody = TypeVar("AnyBody", bound=Body)


async def read_body(request: Request, model: type[AnyBody]) -> AnyBody:
    """Read and check a JSON body; an empty one is an empty object.

    Raises:
        BadRequest: it does not fit.
        TooLarge: it is larger than a frame may be.
    """
    hub: Hub = request.app.state.hub
    limit = hub.settings.max_frame_bytes
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
