"""Python scripts as processes, forked from one that has imported cosession: that takes a tenth of a start's time.

    python tests/forks.py FD        the process that is forked; it reads what to start from the socket FD

A forked process has its own memory, files and signals, as a started one. At the fork no thread and no loop runs.
"""

import atexit
import contextlib
import functools
import gc
import json
import os
import runpy
import selectors
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO

_REQUEST_BYTES = 2**20
"""A request bears a whole environment; it is one datagram, so it comes whole."""


class Forked:
    """A process that runs a script; what it can do is named as in `subprocess.Popen`.

    Args:
        script: the file.
        arguments: the script's.
        python: the interpreter.
        env: its environment.
        stdout: where its output goes; None makes a pipe.
        stderr: where its errors go; None shows them.

    Attributes:
        pid: the process.
        stdout: the pipe's end, if one was made.
        returncode: how it ended, negative for a signal; None while it runs, as far as `poll` or `wait` has seen.
    """

    def __init__(
        self,
        script: Path,
        *arguments: str,
        python: str = sys.executable,
        env: Mapping[str, str] | None = None,
        stdout: IO[bytes] | None = None,
        stderr: IO[bytes] | None = None,
    ) -> None:
        request = {"script": str(script), "arguments": arguments, "env": dict(os.environ if env is None else env)}
        self.returncode: int | None = None
        self.stdout: IO[str] | None = None
        self._status, status = socket.socketpair()
        with contextlib.ExitStack() as files:
            files.enter_context(status)
            if stdout is None:
                reading, writing = os.pipe()
                self.stdout = os.fdopen(reading)
                stdout = files.enter_context(os.fdopen(writing, "wb"))
            passed = [status.fileno(), stdout.fileno(), stderr.fileno() if stderr else 2]
            socket.send_fds(_origin(python), [json.dumps(request).encode()], passed)
        self.pid = int(self._read())

    def poll(self) -> int | None:
        """Return how it ended, or None while it runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait until it has ended.

        Args:
            timeout: how many seconds at most; None waits for ever.

        Raises:
            subprocess.TimeoutExpired: it still runs.
        """
        if self.returncode is None:
            with selectors.DefaultSelector() as selector:
                selector.register(self._status, selectors.EVENT_READ)
                if not selector.select(timeout):
                    raise subprocess.TimeoutExpired(["forked", str(self.pid)], timeout or 0)
            self.returncode = int(self._read())
            self._status.close()
        return self.returncode

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """End it by SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        """End it by SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def _read(self) -> str:
        line = b""
        while not line.endswith(b"\n"):
            more = self._status.recv(64)
            assert more, "The process that is forked has ended."
            line += more
        return line.decode()


@functools.cache
def _origin(python: str) -> socket.socket:
    """Start the process that is forked, once for an interpreter; return the socket on which it is asked."""
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _REQUEST_BYTES)
    with its:
        origin = subprocess.Popen([python, __file__, str(its.fileno())], pass_fds=[its.fileno()])

    @atexit.register
    def end() -> None:
        ours.close()  # it ends by itself then
        origin.wait()

    return ours


def _serve(requests: socket.socket) -> tuple[list[str], dict[str, str]]:
    """Fork for each request; return in the new process, with its arguments and its environment."""
    while True:
        request, files, _flags, _address = socket.recv_fds(requests, _REQUEST_BYTES, 3)
        if not request:
            sys.exit()
        if os.fork() == 0:
            break
        for file in files:
            os.close(file)
    requests.close()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    status, stdout, stderr = files
    os.dup2(stdout, 1)
    os.dup2(stderr, 2)
    os.close(stdout)
    os.close(stderr)
    pid = os.fork()
    if pid:
        _report(pid, status)
    os.close(status)
    asked = json.loads(request)
    return [asked["script"], *asked["arguments"]], asked["env"]


def _report(pid: int, status: int) -> None:
    """Tell the starter of a process which it is, and how it has ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it outlives what it reports of
    with contextlib.suppress(BrokenPipeError):
        os.write(status, b"%d\n" % pid)
        os.closerange(0, 3)
        os.write(status, b"%d\n" % os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    os._exit(0)


def main() -> None:
    """Import what scripts need, and become the scripts that are asked for."""
    requests = socket.socket(fileno=int(sys.argv[1]))
    import blockbuster  # noqa: F401
    import uvicorn.lifespan.off  # noqa: F401

    import cosession.client
    import cosession.server  # noqa: F401

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # none is waited for
    gc.freeze()
    sys.argv, environment = _serve(requests)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[0] = str(Path(sys.argv[0]).parent)
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
