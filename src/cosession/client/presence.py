"""Presence: the ephemeral state of this connection and of the others (the awareness protocol).

No I/O and no clock: `take` returns the update to send, `receive` applies an incoming one, the transport calls `renew`
in time. If another client removes our state, it is sent again with a higher clock: only `leave` removes it. When
the connection ends, the other states are dropped with their clocks: the server sends them again, and remembered
clocks would hide them.
"""

import json
from collections.abc import Callable
from typing import Any, cast

from cosession.document import checked
from cosession.errors import InvalidValue, TooLarge
from cosession.protocol import AwarenessEntry, Limits, decode_awareness, encode_awareness

from .people import Who, identities

_GONE = "null"

_IDENTITY_BYTES = 256
"""The bytes that the server may add: it replaces our identity with the verified one."""


class Presence:
    """The awareness states of a session, ours and theirs.

    Attributes:
        client: our Yjs client id, under which our state goes out.
    """

    def __init__(
        self,
        client: int,
        user: dict[str, Any],
        *,
        wake: Callable[[], None],
        changed: Callable[[], None],
        most_bytes: Callable[[], int] = lambda: Limits().presence_bytes,
        check_open: Callable[[], None] = lambda: None,
    ) -> None:
        """Start with a state that has our identity and `visible`, as a program connects in order to work.

        Args:
            client: our Yjs client id.
            user: our identity; the server replaces it with the verified one.
            wake: called when there is an update to send.
            changed: called when another state changed.
            most_bytes: returns the largest size of a state that the server accepts.
            check_open: raises when the session is over.
        """
        self.client = client
        self._state: dict[str, Any] = {"user": user, "visible": True}
        self._clock = 0
        self._due = False
        self._left = False
        self._others: dict[int, tuple[int, dict[str, Any] | None]] = {}
        self._wake = wake
        self._changed = changed
        self._most_bytes = most_bytes
        self._check_open = check_open

    def set(self, field: str, value: Any) -> None:
        """Set a field of this connection's state, such as a cursor or a hover, until the connection ends.

        Args:
            field: the name; `user` is reserved for the identity.
            value: any JSON value; None removes the field.

        Raises:
            InvalidValue: the value isn't JSON, or the field is `user`.
            TooLarge: with the value, our state is larger than the server accepts.
            Disconnected: the session is over.
        """
        self._check_open()
        if field == "user":
            raise InvalidValue("`user` in presence is the identity; it is given to connect().")
        said = checked({field: value}, "What is said in presence")
        state = {**self._state, **said}
        if value is None:
            state.pop(field, None)
        elif (size := len(_written(state).encode()) + _IDENTITY_BYTES) > (most := self._most_bytes()):
            raise TooLarge(
                f"With {field!r}, presence has {size} bytes, and the server takes {most}; what is large or lasting "
                "belongs into the document."
            )
        self._state = state
        self.renew()

    def move(self, client: int) -> None:
        """Continue under another Yjs client id, that of a fresh document."""
        self.client = client
        self._clock = 0
        self.renew()

    def leave(self) -> None:
        """Remove our state: claims of this connection are released at once instead of after a grace."""
        self._left = True
        self.renew()

    def others(self) -> dict[int, dict[str, Any]]:
        """Return the states of the other connections by client id; each has `user` and the client's own fields."""
        return {client: dict(state) for client, (_, state) in self._others.items() if state is not None}

    def everybody(self) -> list[dict[str, Any]]:
        """Return the state of each connection, ours first."""
        return [dict(self._state), *self.others().values()]

    def people(self) -> list[Who]:
        """Return the other connected participants, each once; a state without an identity is left out."""
        return identities(self.others().values())

    def renew(self) -> None:
        """Send our state again, with a higher clock."""
        self._clock += 1
        self._due = True
        self._wake()

    def forget_others(self) -> None:
        """Drop the states of the other connections: the connection that delivered them has ended."""
        if self._others:
            self._others.clear()
            self._changed()

    def take(self) -> bytes | None:
        """Return an awareness update to send, or None when there is nothing new."""
        if not self._due:
            return None
        self._due = False
        state = _GONE if self._left else _written(self._state)
        return encode_awareness([AwarenessEntry(self.client, self._clock, state)])

    def receive(self, payload: bytes) -> None:
        """Apply an awareness update.

        Raises:
            MalformedFrame: the payload is no awareness update.
        """
        for entry in decode_awareness(payload):
            if entry.client == self.client:
                if entry.gone or entry.clock > self._clock:
                    self._clock = max(self._clock, entry.clock)
                    self.renew()
                continue
            clock, state = self._others.get(entry.client, (-1, None))
            if entry.clock > clock or (entry.clock == clock and entry.gone and state is not None):
                said = None if entry.state == _GONE else cast("dict[str, Any]", json.loads(entry.state))
                self._others[entry.client] = (entry.clock, said)
                self._changed()


def _written(state: dict[str, Any]) -> str:
    return json.dumps(state, ensure_ascii=False, separators=(",", ":"))
