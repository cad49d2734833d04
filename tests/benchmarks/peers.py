"""The servers that are measured: ours, and the ones beside it. Each is a real process, alone on one core."""

import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from benchmarks.yframes import TOKEN, client_frame, sized
from forks import Forked
from processes import ROOT, node_program

HERE = Path(__file__).resolve().parent
CACHE = ROOT / ".cache" / "benchmarks"
SERVER_CORE, LOAD_CORE = 0, 1
_CORES = os.sched_getaffinity(0)


@dataclass
class Peer:
    """A server that can be started, asked what it used, and ended.

    Attributes:
        name: what tables call it.
        durable: whether it stores each update before it says so.
        path: where a session is; `{}` is its name.
    """

    name: str
    command: Callable[[], list[str]]
    path: str = "/{}"
    ready_line: str | None = None
    durable: bool = False
    database: str = "store.sqlite3"
    environment: dict[str, str] = field(default_factory=dict)
    folder: Path = field(init=False)
    port: int = field(init=False, default=0)
    process: "subprocess.Popen[bytes] | Forked | None" = field(init=False, default=None)

    def start(self, *, keep: bool = False, **settings: object) -> None:
        """Start it on the server's core, and wait until it listens.

        Args:
            keep: on the data of the last start, instead of none.
            settings: ours alone, by name.
        """
        if not keep:
            self.folder = Path(tempfile.mkdtemp(prefix="benchmark-", dir=_data_root()))
            self.port = _free_port()
        environment = os.environ | self.environment
        environment |= {"PORT": str(self.port), "HOST": "127.0.0.1", "DATABASE": str(self.folder / self.database)}
        environment |= {"COSESSION_PORT": str(self.port), "COSESSION_DATA": str(self.folder)}
        environment |= {"COSESSION_LOG_LEVEL": "warning", "YPERSISTENCE": str(self.folder / "level")}
        environment |= {f"COSESSION_{name.upper()}": str(value) for name, value in settings.items()}
        if "YPERSISTENCE" not in self.environment:
            del environment["YPERSISTENCE"]
        before = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {SERVER_CORE} & _CORES or _CORES)
        try:
            with (self.folder / "output.log").open("ab") as log:
                self.process = self._launch(environment, log)
        finally:
            os.sched_setaffinity(0, before)
        self._wait_until_listening()

    def stop(self) -> None:
        """Ask it to end, and wait."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a power cut would."""
        self._end(signal.SIGKILL)

    def remove(self) -> None:
        """Kill it and drop its data."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, session: str, query: str = "") -> str:
        """The address of a session."""
        return f"ws://127.0.0.1:{self.port}" + self.path.format(session) + (f"?{query}" if query else "")

    def cpu(self) -> float:
        """How many seconds of CPU it has used, all its threads together."""
        assert self.process is not None
        tasks = Path(f"/proc/{self.process.pid}/task").glob("*/schedstat")
        return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9

    def memory(self) -> int:
        """How many bytes of its memory are resident."""
        assert self.process is not None
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def stored_tokens(self) -> int:
        """How many tokens are in its database, whoever wrote them into whatever table."""
        path = self.folder / self.database
        if not path.exists():
            return 0
        with sqlite3.connect(path) as db:
            tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            rows = (
                row for table in tables if table != "ycheckpoints" for row in db.execute(f"SELECT * FROM {table}")
            )
            return sum(len(TOKEN.findall(value)) for row in rows for value in row if isinstance(value, bytes))

    def prefix(self, session: str) -> bytes:
        """What comes before each message in this server's dialect."""
        return sized(session.encode()) if self.name == "hocuspocus" else b""

    def greeting(self, session: str, vector: bytes = b"\x00") -> bytes:
        """The frames that open a session: sync step 1 with a state vector."""
        prefix = self.prefix(session)
        login = client_frame(prefix + b"\x02\x00" + sized(b"token")) if prefix else b""
        return login + client_frame(prefix + b"\x00\x00" + sized(vector))

    def is_reply(self, payload: bytes) -> bool:
        """Whether a payload is a sync step 2."""
        if self.name == "hocuspocus":
            size = payload[0]  # the names here are short, so their length is one byte
            return payload[size + 1 : size + 3] in (b"\x00\x01", b"\x04\x01")
        return payload[:2] == b"\x00\x01"

    def output(self) -> str:
        """The end of what it wrote."""
        return (self.folder / "output.log").read_text(errors="replace")[-2000:]

    def _launch(self, environment: dict[str, str], log: IO[bytes]) -> "subprocess.Popen[bytes] | Forked":
        return subprocess.Popen(self.command(), env=environment, stdout=log, stderr=log, cwd=HERE)

    def _end(self, how: signal.Signals) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(how)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def _wait_until_listening(self) -> None:
        assert self.process is not None
        end = time.monotonic() + 30
        while time.monotonic() < end and self.process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                time.sleep(0.05)
            else:
                return
        raise RuntimeError(f"{self.name} doesn't listen:\n{self.output()}")


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def _data_root() -> Path:
    folder = CACHE / "data"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _node(script: str) -> list[str]:
    folder = HERE / "node"
    if not (folder / "node_modules").exists():
        environment = os.environ | {"PATH": f"{Path(node_program()).parent}:{os.environ['PATH']}"}
        command = ["npm", "ci", "--legacy-peer-deps", "--ignore-scripts", "--no-audit", "--no-fund"]
        subprocess.run(command, cwd=folder, env=environment, check=True)
    own = sorted((folder / "node_modules").glob("node-linux-*/bin/node"))
    return [str(own[0]) if own else node_program(), "--no-warnings", str(folder / script)]


def _python_peer() -> list[str]:
    python = CACHE / "venv" / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(CACHE / "venv")], check=True)
        requirements = str(HERE / "servers" / "requirements.txt")
        subprocess.run([str(python), "-m", "pip", "install", "-q", "-r", requirements], check=True)
    return [str(python), str(HERE / "servers" / "pycrdt_server.py")]


PEERS = {
    peer.name: peer
    for peer in (
        Peer(
            "cosession",
            lambda: [
                os.environ.get("COSESSION_TEST_PYTHON") or sys.executable,
                str(HERE / "servers" / "cosession_server.py"),
            ],
            path="/sync/{}",
            durable=True,
            database="cosession.sqlite3",
        ),
        Peer("hocuspocus", lambda: _node("hocuspocus.mjs")),
        Peer("y-websocket", lambda: _node("node_modules/@y/websocket-server/src/server.js")),
        Peer("pycrdt-websocket", _python_peer),
    )
}
