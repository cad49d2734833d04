"""Compaction in the background: one session after the other; no caller waits for it.

A session is queued when its room was unloaded, and while it is loaded, when a snapshot of it was kept; the snapshot
and the log before it are compacted. Concurrent writes to the session do no harm, and a failure, also by a defect of
ours, costs only space: the next request tries again. Bound: one compaction at a time; the queue holds only names.
"""

import asyncio
from functools import partial

from cosession.errors import CosessionError, NoSuchSession, SessionDeleted
from cosession.logs import get_logger
from cosession.storage import Storage

from .thinning import thin

log = get_logger(__name__)


class Compaction:
    """The compaction for all rooms of a process.

    Args:
        storage: the storage of the sessions.
        grain_seconds: how much time one row of a thinned log may cover.
    """

    def __init__(self, storage: Storage, grain_seconds: float) -> None:
        self._storage = storage
        self._thin = partial(thin, grain_seconds=grain_seconds)
        self._waiting: dict[str, None] = {}
        self._work = asyncio.Event()

    def ask(self, session: str) -> None:
        """Queue a session for compaction."""
        self._waiting[session] = None
        self._work.set()

    async def run(self) -> None:
        """Compact for ever, until cancelled; sessions that wait then stay as they are."""
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
