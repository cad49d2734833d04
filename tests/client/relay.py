"""A line between a client and a server that can stop carrying what the server says, and break."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from processes import Server


class Relay:
    """Carries bytes both ways, on as many connections as there are.

    Attributes:
        url: where it listens.
        is_deaf: whether what the server says is lost.
    """

    def __init__(self, server: Server) -> None:
        self.url = ""
        self.is_deaf = False
        self._server = server
        self._ends: set[asyncio.StreamWriter] = set()

    @classmethod
    @asynccontextmanager
    async def open(cls, server: Server) -> AsyncGenerator["Relay"]:
        """Listen for the length of a block."""
        relay = cls(server)
        async with await asyncio.start_server(relay._serve, "127.0.0.1", 0) as listener:
            relay.url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
            try:
                yield relay
            finally:
                relay.cut()

    def cut(self) -> None:
        """Break every connection as a network does: with no word."""
        for writer in self._ends:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection("127.0.0.1", self._server.port)
        ends = {writer, to_server}
        self._ends |= ends
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._carry(reader, to_server))
                group.create_task(self._carry(from_server, writer, is_answer=True))
        finally:
            self._ends -= ends

    async def _carry(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_answer: bool = False
    ) -> None:
        try:
            while data := await reader.read(65_536):
                if not (is_answer and self.is_deaf):
                    writer.write(data)
                    await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()
