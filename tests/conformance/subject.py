"""A server that is judged as a process: it can be killed, started again on its data, and weighed."""

import copy
from typing import IO

from benchmarks.peers import HERE, PEERS
from benchmarks.peers import Peer as ServerProcess
from conformance.peer import Endpoint
from forks import Forked


class _Ours(ServerProcess):
    """Our server, forked instead of started; it may run on every core."""

    def _launch(self, environment: dict[str, str], log: IO[bytes]) -> Forked:
        return Forked(HERE / "servers" / "cosession_server.py", env=environment, stdout=log, stderr=log)


OURS = _Ours("cosession", list, path=PEERS["cosession"].path, durable=True, database=PEERS["cosession"].database)
"""Ours, when no other is named."""


class Subject:
    """One of the servers of the benchmarks, with a socket address for each room.

    Args:
        process: the server; another process of its kind may run beside this one.
    """

    def __init__(self, process: ServerProcess) -> None:
        self._process = copy.copy(process)
        self._process.environment = process.environment | {
            "YPERSISTENCE": "yes"
        }  # the y-websocket server's own store

    @property
    def name(self) -> str:
        """What tables call it."""
        return self._process.name

    @property
    def endpoint(self) -> Endpoint:
        """Where its rooms are."""
        is_hocuspocus = self.name == "hocuspocus"
        path = "/?{room}" if is_hocuspocus else self._process.path.replace("{}", "{room}")
        return Endpoint(f"ws://127.0.0.1:{self._process.port}{path}", is_hocuspocus=is_hocuspocus)

    @property
    def runs(self) -> bool:
        """Whether the process lives."""
        return self._process.process is not None and self._process.process.poll() is None

    @property
    def memory(self) -> int:
        """How many bytes of its memory are resident."""
        return self._process.memory()

    def start(self) -> None:
        """Start it on no data."""
        self._process.start()

    def restart(self, *, kill: bool) -> None:
        """End it, by SIGKILL or SIGTERM, and start it on the data that it kept."""
        if kill:
            self._process.kill()
        else:
            self._process.stop()
        self._process.start(keep=True)

    def remove(self) -> None:
        """Kill it and drop its data."""
        self._process.remove()
