"""pycrdt-websocket with its SQLite store, under the same uvicorn options as our server."""

import asyncio
import os

import uvicorn
from pycrdt.store import SQLiteYStore
from pycrdt.websocket import ASGIServer, WebsocketServer, YRoom


class Store(SQLiteYStore):
    """The store, in the benchmark's folder."""

    db_path = os.environ["DATABASE"]


class Rooms(WebsocketServer):
    """A server whose rooms are stored: the store is loaded before the room is served, as its documentation shows."""

    async def get_room(self, name: str) -> YRoom:
        """Get a room, loaded from the store."""
        if name not in self.rooms:
            store = Store(name)
            room = self.rooms[name] = YRoom(ready=False, ystore=store, log=self.log)
            await self.start_room(room)
            async with store.start_lock:
                if not store.started.is_set():
                    await self._task_group.start(store.start)
            try:
                await store.apply_updates(room.ydoc)
            except Exception as error:
                if type(error).__name__ != "YDocNotFound":
                    raise
            room.ready = True
        else:
            await self.start_room(self.rooms[name])
        return self.rooms[name]


async def main() -> None:
    """Serve until killed."""
    rooms = Rooms(auto_clean_rooms=True)
    config = uvicorn.Config(
        ASGIServer(rooms),
        port=int(os.environ["PORT"]),
        loop="asyncio",
        http="h11",
        ws="websockets-sansio",
        ws_per_message_deflate=False,
        log_level="error",
        access_log=False,
    )
    async with rooms:
        await uvicorn.Server(config).serve()


if __name__ == "__main__":
    asyncio.run(main())
