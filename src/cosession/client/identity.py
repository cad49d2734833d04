"""Identity and capabilities of this connection: as requested, and as verified once the server says so. No I/O."""

from dataclasses import dataclass

from cosession.protocol import Granted


@dataclass(frozen=True, slots=True)
class Identity:
    """The identity of this client, as the server sees it.

    Attributes:
        id: the participant's id.
        name: the name that people see.
        kind: `human`, `agent` or `operator`.
        capabilities: the granted capabilities, as written in tokens; None before the server has sent them.
        expires_at: the end of the grant unless renewed, in seconds since 1970; None is never, or not known yet.
    """

    id: str
    name: str
    kind: str
    capabilities: tuple[str, ...] | None = None
    expires_at: float | None = None

    @classmethod
    def granted(cls, grant: Granted) -> "Identity":
        """Return the identity of a grant from the server."""
        return cls(grant.id, grant.name, grant.kind, grant.capabilities, grant.expires_at)

    def may(self, capability: str) -> bool:
        """Return whether a capability is granted; True before the grant has arrived, as the server decides anyway.

        Args:
            capability: e.g. `prompt`, `cancel-any`, `text:notes` or `state:trip/hotel`, which `state:trip` includes.
        """
        if self.capabilities is None or {"admin", capability} & set(self.capabilities):
            return True
        kind, scoped, wanted = capability.partition(":")
        if not scoped:
            return False
        paths = [
            path
            for one in self.capabilities
            for granted, colon, path in [one.partition(":")]
            if granted == kind and colon
        ]
        return "*" in paths or (kind == "state" and any(_covers(path, wanted) for path in paths))


def _covers(path: str, wanted: str) -> bool:
    return f"{wanted.removeprefix('/')}/".startswith(f"{path.removeprefix('/')}/")


_COLORS = ("#c2410c", "#0f766e", "#7c3aed", "#b45309", "#0369a1", "#be185d", "#4d7c0f", "#4338ca")
"""Readable with white text, and as text on white; the SDK for JavaScript has the same."""


def color_of(id: str) -> str:  # noqa: A002 - the field's name
    """Return the color of a participant that gave none: the same in each client."""
    hashed = 7
    for character in id:
        hashed = (hashed * 31 + ord(character)) & 0xFFFFFFFF
    return _COLORS[hashed % len(_COLORS)]
