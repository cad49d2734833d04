"""`cosession send`: send one message to a session."""

import asyncio

import typer

from cosession.client import connect
from cosession.client.credential import subject_of
from cosession.errors import CosessionError, Disconnected

from .reach import reach

SECONDS = 10.0
"""How long to wait for the server, and then for the message to be saved: a person waits for it at a prompt."""


async def say(url: str, session_id: str, text: str, *, name: str, token: str | None = None) -> None:
    """Send a message and print its id when it is saved.

    Args:
        url: the server's address.
        session_id: the session.
        text: the message's text.
        name: the author's name. Without a token it also makes the participant's id: one name is one participant.
        token: the token; its subject is the participant's id.

    Raises:
        CosessionError: the text is empty, the server can't be reached, or it refused the message.
    """
    if not text:
        raise CosessionError("There is nothing to send: give a text.")
    await reach(url)
    participant = (subject_of(token) if token else None) or f"cli-{name.casefold()}"
    try:
        async with connect(
            url,
            session=session_id,
            participant=participant,
            name=name,
            kind="human",
            token=token,
            wait_seconds=SECONDS,
        ) as session:
            message = await session.send(text)
            async with asyncio.timeout(SECONDS):
                await session.wait_saved()
    except TimeoutError:
        raise Disconnected(
            f"The message was sent, but not saved within {SECONDS:.0f} s; look at the server."
        ) from None
    except ValueError as error:  # what is not a server's address
        raise CosessionError(str(error)) from None
    typer.echo(message.id)
