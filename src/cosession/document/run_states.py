"""The states of a run, and the one table of the transitions that its agent may make. Server and SDK both read it.

    (new) ──→ queued ──→ running ⇄ suspended ──→ complete, cancelled, error
                 └──────────┴────────────┴──→ lost ──→ running, with the next epoch

Only the last of several transitions may be seen, because offline writes arrive as one: so an agent's row holds all
states that can be reached, and only `queued` is never reached again. The server reverts a transition that isn't in
the table. The server itself sets `lost`, `cancelled` (also of a new run that came too late), `error` after the last
attempt, and `running` when another process adopts a lost run.
"""

from collections.abc import Mapping
from typing import Final

RUN_STATUSES: Final = ("queued", "running", "suspended", "complete", "cancelled", "error", "lost")

FINAL: Final = frozenset({"complete", "cancelled", "error"})
"""The statuses that no other follows."""

ENDED: Final = (*sorted(FINAL), "lost")
"""The statuses of a run that has ended; a lost one may be adopted and run again."""

_ACTIVE: Final = frozenset({"running", "suspended"})

_BY_AGENT: Final[Mapping[str, frozenset[str]]] = {
    "": _ACTIVE | FINAL | {"queued"},
    "queued": _ACTIVE | FINAL,
    "running": _ACTIVE | FINAL,
    "suspended": _ACTIVE | FINAL,
    "lost": FINAL,  # its last write came late
}


def may_become(before: str, after: str) -> bool:
    """Return whether an agent may take a run from one status to another.

    Args:
        before: the status that it had; empty for a new run.
        after: the new status.
    """
    return after in _BY_AGENT.get(before, ())
