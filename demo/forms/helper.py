"""The demo's helper: sees who hesitates in a field of the form, and offers help beside it.

It is a client like the pages. Where somebody is, their page says in presence (`at`: the field); what the field holds
is in the document. Who is in one for a while without changing it gets a word, once per visit.
"""

import argparse
import asyncio
import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from cosession.client import Session, connect

PARTICIPANT = "helper"

PATIENCE_SECONDS = 8.0
"""How long somebody may think before they are offered help: as long as it takes to look for a passport."""

LOOK_SECONDS = 0.5

OFFERS: Final = {
    "given_names": "All of them, as in the passport, in that order; without titles.",
    "family_name": "As in the machine-readable lines at the foot of the passport: there ß is SS and ø is OE.",
    "passport": "Nine characters at the top right of the page with the photograph. The letter O doesn't occur in it.",
    "purpose": "What you do on most days counts: a conference with two days on the beach is business.",
    "arrival": "The day on which you land there, not the one on which you leave. It may be three months ahead.",
    "address": "The first night is enough: a hotel's name and town. For friends, their street as well.",
    "plans": "Two or three sentences: which towns, in which order, and who pays for it.",
}
"""What to say, by the field; for the others there is nothing to know."""


@dataclass(slots=True)
class Visit:
    """Somebody in a field.

    Attributes:
        since: what their page calls the visit.
        value: what the field held when it changed last.
        changed_at: when that was, by the loop's clock.
        helped: whether they were offered help.
    """

    since: str
    value: Any
    changed_at: float
    helped: bool = False


class Helper:
    """Watches the visits in one session.

    Args:
        session: the session.
        patience_seconds: how long somebody may think.
    """

    def __init__(self, session: Session, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._session = session
        self._patience_seconds = patience_seconds
        self._visits: dict[tuple[int, str], Visit] = {}

    async def look(self, now: float) -> None:
        """Look once at who is where, and offer help to those who hesitate."""
        here: dict[tuple[int, str], Visit] = {}
        for client, state in self._session.presence.others().items():
            at = state.get("at")
            field, since = (at.get("field"), at.get("since")) if isinstance(at, dict) else (None, None)
            if isinstance(field, str) and field in OFFERS:
                here[client, field] = self._visit(self._visits.get((client, field)), str(since), field, now)
        self._visits = here
        for (_, field), visit in here.items():
            if not visit.helped and now - visit.changed_at >= self._patience_seconds:
                visit.helped = True
                await self._offer(field)

    def _visit(self, before: Visit | None, since: str, field: str, now: float) -> Visit:
        state = self._session.document.state.get(field)
        value = (state, str(self._session.document.text(field)))
        if before is None or before.since != since:
            return Visit(since, value, now)
        if before.value != value:
            before.value, before.changed_at = value, now
        return before

    async def _offer(self, field: str) -> None:
        message = await self._session.send(OFFERS[field], role="assistant")
        message.set_metadata(field=field)


async def help_out(
    url: str,
    session_id: str,
    token: Callable[[], str] | None = None,
    *,
    patience_seconds: float = PATIENCE_SECONDS,
) -> None:
    """Help in one session, until cancelled.

    Args:
        url: the server's address.
        session_id: the form's session.
        token: gives a credential, where the server wants one.
        patience_seconds: how long somebody may think.
    """
    async with connect(url, session=session_id, participant=PARTICIPANT, name="Helper", token=token) as session:
        helper = Helper(session, patience_seconds)
        while True:
            await helper.look(asyncio.get_running_loop().time())
            await asyncio.sleep(LOOK_SECONDS)


def main() -> None:
    """Help with a form on a server that runs elsewhere."""
    parser = argparse.ArgumentParser(description="Offer help to who hesitates in a form.")
    parser.add_argument("--url", default="http://127.0.0.1:8765", help="the server's address")
    parser.add_argument("--session", default="visa")
    parser.add_argument("--patience", type=float, default=PATIENCE_SECONDS, help="seconds that somebody may think")
    options = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        known = os.environ.get("COSESSION_TOKEN")
        token = None if known is None else lambda: known
        asyncio.run(help_out(options.url, options.session, token, patience_seconds=options.patience))


if __name__ == "__main__":
    main()
