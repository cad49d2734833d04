"""Agents as processes of their own, and what they say."""

import signal
from pathlib import Path

from forks import Forked
from processes import Server

AGENT = Path(__file__).with_name("agent.py")


class Agent:
    """A process of the agent; see `agent.py` for what it does and says.

    Args:
        server: where it works.
        what: what it does.
        log: the file for what it says.
    """

    def __init__(self, server: Server, what: str, log: Path) -> None:
        self.log = log
        with log.open("wb") as out:
            self.process = Forked(AGENT, server.url, what, stdout=out)

    def send(self, how: signal.Signals) -> None:
        """Kill it, freeze it, let it go on."""
        self.process.send_signal(how)

    def said(self, line: str) -> bool:
        """Whether it has said something."""
        return line in self.log.read_text()

    def end(self) -> None:
        """End it, however it is."""
        self.process.kill()
        self.process.wait()
