"""Presence: what this connection says of itself now, and what the others say (the awareness protocol).

No I/O and no clock: `take` gives what is to be sent, `receive` takes what came in, the transport calls `renew`
in time. A state of ours that somebody else takes away is said again with a higher clock, so only we leave. When
the connection ends, the others are forgotten with their clocks: the server tells them anew, and remembered
clocks would hide that.
"""

import json
from collections.abc import Callable
from typing import Any, cast

from cosession.document import checked
from cosession.errors import BadDocument, TooLarge
from cosession.protocol import AwarenessEntry, Limits, decode_awareness, encode_awareness

from .people import Who, identities

_GONE = "null"

_IDENTITY_BYTES = 256
"""What the server may add: it puts the verified identity in the place of ours."""


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
        """Start with a state that says who we are, and that we pay attention: who runs this is connected to work.

        Args:
            client: our Yjs client id.
            user: who we are; the server puts the verified identity in its place.
            wake: called when there is something to send.
            changed: called when the others changed.
            most_bytes: how large a state the server takes.
            check_open: raises when nothing is said any more, because the session is over.
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
        """Say something of this connection, such as a cursor or a hover, for as long as it lasts.

        Args:
            field: the name; `user` is the server's.
            value: anything that is JSON; None takes the field away.

        Raises:
            BadDocument: it isn't JSON, or the field is `user`.
            TooLarge: with it, our state is larger than the server takes.
            Disconnected: the session is over.
        """
        self._check_open()
        if field == "user":
            raise BadDocument("`user` in presence is the identity; it is given to connect().")
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
        """Go on under another Yjs client id: our document is a fresh one."""
        self.client = client
        self._clock = 0
        self.renew()

    def leave(self) -> None:
        """Say goodbye: what this connection holds is free at once, and not after a grace."""
        self._left = True
        self.renew()

    def others(self) -> dict[int, dict[str, Any]]:
        """Return the states of the other connections by client id; each holds `user` and what its client adds."""
        return {client: dict(state) for client, (_, state) in self._others.items() if state is not None}

    def everybody(self) -> list[dict[str, Any]]:
        """Return the state of each connection, ours first."""
        return [dict(self._state), *self.others().values()]

    def people(self) -> list[Who]:
        """Return who else is here, each participant once; a state that doesn't say whose it is is left out."""
        return identities(self.others().values())

    def renew(self) -> None:
        """Have our state said again, with a higher clock."""
        self._clock += 1
        self._due = True
        self._wake()

    def forget_others(self) -> None:
        """Drop what the others said: the connection that told us is gone."""
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
        """Take in an awareness update.

        Raises:
            MalformedFrame: it is not one.
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
