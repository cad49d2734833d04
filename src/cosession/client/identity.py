"""Who this connection is, and what it may do: as the server verified, or, before that, as was asked for. No I/O."""

from dataclasses import dataclass

from cosession.protocol import Granted


@dataclass(frozen=True, slots=True)
class Me:
    """Oneself, as the server sees it.

    Attributes:
        id: the participant's id.
        name: what people see.
        kind: `human`, `agent` or `operator`.
        capabilities: what one may do, as tokens write it; None while the server has not said it.
        expires_at: when the grant ends unless it is renewed, in seconds since 1970; None is never, or not said yet.
    """

    id: str
    name: str
    kind: str
    capabilities: tuple[str, ...] | None = None
    expires_at: float | None = None

    @classmethod
    def granted(cls, grant: Granted) -> "Me":
        """Take over what the server says."""
        return cls(grant.id, grant.name, grant.kind, grant.capabilities, grant.expires_at)

    def may(self, capability: str) -> bool:
        """Whether one may do something; True while the server has not said what, and the server decides anyway.

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
