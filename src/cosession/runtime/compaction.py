"""Compaction in the background: one session after the other, while nothing waits for it.

A session asks when its room was unloaded, and while it lives when a snapshot of it was kept; what is packed then is
that snapshot and the log before it. Whatever goes on with the session meanwhile is no trouble, and whatever fails,
a defect of ours included, costs space only: the next time it is asked for again. Bound: one compaction at a time;
what waits are names.
"""

import asyncio
from functools import partial

from cosession.errors import CosessionError, NoSuchSession, SessionDeleted
from cosession.logs import get_logger
from cosession.storage import Storage

from .thinning import thin

log = get_logger(__name__)


class Compaction:
    """The one that compacts for all rooms of a process.

    Args:
        storage: where sessions are kept.
        grain_seconds: how much time one row of a thinned log may cover.
    """

    def __init__(self, storage: Storage, grain_seconds: float) -> None:
        self._storage = storage
        self._thin = partial(thin, grain_seconds=grain_seconds)
        self._waiting: dict[str, None] = {}
        self._work = asyncio.Event()

    def ask(self, session: str) -> None:
        """Have a session compacted, some time."""
        self._waiting[session] = None
        self._work.set()

    async def run(self) -> None:
        """Compact for ever, until cancelled; what waits then is left as it is."""
        while True:
            await self._work.wait()
            self._work.clear()
            while self._waiting:
                session = next(iter(self._waiting))
                del self._waiting[session]
                await self._compact(session)

    async def _compact(self, session: str) -> None:
        try:
            await self._storage.compact(session, self._thin)
        except (NoSuchSession, SessionDeleted):
            return
        except CosessionError as error:
            log.warning("session.compaction_failed", session=session, error=str(error))
        except Exception:
            log.exception("session.compaction_failed", session=session)  # a defect of ours, and the session is whole
        else:
            log.info("session.compacted", session=session)
