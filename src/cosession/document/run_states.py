"""A run's life: the one table of what may follow on what, and by whose hand. Server and SDK both read it.

    (new) ──→ queued ──→ running ⇄ suspended ──→ complete, cancelled, error
                 └──────────┴────────────┴──→ lost ──→ running, with the next epoch

Only the last of several steps may be seen, because what was written offline comes in one piece: so an agent's row
holds all that can be reached, and only `queued` is never come back to. What isn't in the table, the server writes
back.
"""

from collections.abc import Mapping
from typing import Final

RUN_STATUSES: Final = ("queued", "running", "suspended", "complete", "cancelled", "error", "lost")

FINAL: Final = frozenset({"complete", "cancelled", "error"})
"""The statuses that nothing follows on."""

ENDED: Final = (*sorted(FINAL), "lost")
"""The statuses in which a run does nothing any more; one that is lost may be taken up again."""

_ACTIVE: Final = frozenset({"running", "suspended"})

_BY_AGENT: Final[Mapping[str, frozenset[str]]] = {
    "": _ACTIVE | FINAL | {"queued"},
    "queued": _ACTIVE | FINAL,
    "running": _ACTIVE | FINAL,
    "suspended": _ACTIVE | FINAL,
    "lost": FINAL,  # its last word came late
}

_BY_SERVER: Final[Mapping[str, frozenset[str]]] = {
    "": frozenset({"cancelled"}),  # another process has the prompt, or has answered it
    "queued": frozenset({"lost", "cancelled"}),
    "running": frozenset({"lost", "cancelled"}),
    "suspended": frozenset({"lost", "cancelled"}),
    "lost": frozenset({"running", "cancelled", "error"}),  # adopted; cancelled meanwhile; lost too often
}


def may_become(before: str, after: str, by_server: bool) -> bool:
    """Whether a run may go from one status to another.

    Args:
        before: the status that it had; empty for a run that is new.
        after: the status that it shall have.
        by_server: whether the server says so, and not the run's agent.
    """
    return after in (_BY_SERVER if by_server else _BY_AGENT).get(before, ())
