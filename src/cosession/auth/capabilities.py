"""Capabilities: the actions that a participant may do in a session. Pure values, made once from a token.

`CAPABILITIES` is the one list of them, `ROLES` names the usual sets. Three take an argument: `state:PATH` (a path in
the session's state, a JSON Pointer without its first slash; it covers everything below it), `text:NAME` (one shared
text) and `root:NAME` (one root of the application's own); `*` in its place means all of them. `admin` includes every
other one, and is the only one whose writes are not checked.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from cosession.errors import NotAllowed, NotAuthenticated

Path = tuple[str, ...]

CAPABILITIES: Final = {
    "read": "read the document and its changes",
    "history": "read earlier versions of the document",
    "presence": "be present for the others",
    "prompt": "send and queue messages in one's own name",
    "edit-own": "edit and delete one's own messages",
    "edit-any": "edit and delete all messages",
    "steer": "steer a run while it works",
    "cancel-own": "cancel runs that answer one's own prompts, and one's own runs",
    "cancel-any": "cancel all runs",
    "approve": "vote on approvals, and edit the value to approve",
    "select": "store selections in the document",
    "surface": "fill in surfaces; with `run`, make surfaces",
    "run": "work as an agent: runs, answers, approvals, its entry in `agents`",
    "fork": "fork the session",
    "export": "export the session as a file",
    "title": "change the title",
    "queue": "reorder and remove all queued prompts, and change the policy",
    "count": "add to the shared counters",
    "claim": "claim and release keys",
    "create": "create a session",
    "invite": "make tokens for guests, with at most one's own rights",
    "revoke": "revoke the access of participants, tokens and sessions, and restore it",
    "admin": "do everything without checks, and delete the session",
}
"""Every capability without an argument, and the actions that it allows."""

SCOPED: Final = {
    "state": "write the state at this path and below; `*` is all of it",
    "text": "write the shared text of this name; `*` is all texts",
    "root": "write the application's own root of this name, such as an editor's; `*` is all of these roots",
}
"""The capabilities that take an argument."""

_WATCH: Final = ("read", "presence")
_TAKE_PART: Final = (
    *_WATCH, "history", "edit-own", "cancel-own", "select", "surface", "title", "queue", "count", "claim", "create",
    "fork", "export", "state:*", "text:*", "root:*",
)  # fmt: skip

ROLES: Final[dict[str, tuple[str, ...]]] = {
    "viewer": _WATCH,
    "member": (*_TAKE_PART, "prompt", "steer", "approve"),
    "agent": (*_TAKE_PART, "run"),
    "operator": (*_TAKE_PART, "prompt", "steer", "approve", "edit-any", "cancel-any", "invite", "revoke"),
    "admin": ("admin",),
}
"""The usual sets. A viewer changes nothing. An agent can neither prompt nor approve, unless granted in addition."""


_WITHOUT_WRITES: Final = frozenset({"read", "history", "presence", "fork", "export", "create", "invite", "revoke"})
"""The capabilities that allow no write in the document."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """A set of capabilities. Made by `Capabilities.parse` and `Capabilities.of`.

    Attributes:
        names: the capabilities without an argument.
        state: the paths of the state that may be written, each with everything below it; `()` is the whole state.
        texts: the names of the texts that may be written; `*` is all of them.
        roots: the names of the application's own roots that may be written; `*` is all of them.
    """

    names: frozenset[str] = field(default_factory=frozenset[str])
    state: frozenset[Path] = field(default_factory=frozenset[Path])
    texts: frozenset[str] = field(default_factory=frozenset[str])
    roots: frozenset[str] = field(default_factory=frozenset[str])

    @classmethod
    def parse(cls, written: Iterable[str]) -> "Capabilities":
        """Parse capabilities as written in tokens, e.g. `["read", "state:trip/flight"]`.

        Raises:
            NotAuthenticated: one of them is unknown.
        """
        names: set[str] = set()
        state: set[Path] = set()
        texts: set[str] = set()
        roots: set[str] = set()
        for one in written:
            kind, colon, argument = one.partition(":")
            if kind == "state" and argument:
                state.add(_path(argument))
            elif kind == "text" and argument:
                texts.add(argument)
            elif kind == "root" and argument:
                roots.add(argument)
            elif one in CAPABILITIES and not colon:
                names.add(one)
            else:
                known = ", ".join((*CAPABILITIES, *(f"{scoped}:…" for scoped in SCOPED)))
                raise NotAuthenticated(f"The capability {one[:64]!r} is unknown; there are {known}.")
        return cls(frozenset(names), frozenset(state), frozenset(texts), frozenset(roots))

    @classmethod
    def of(cls, role: str) -> "Capabilities":
        """Return the capabilities of a role.

        Raises:
            NotAuthenticated: there is no such role.
        """
        if role not in ROLES:
            raise NotAuthenticated(f"The role {role[:64]!r} is unknown; there are {', '.join(ROLES)}.")
        return cls.parse(ROLES[role])

    def __or__(self, other: "Capabilities") -> "Capabilities":
        return Capabilities(
            self.names | other.names,
            self.state | other.state,
            self.texts | other.texts,
            self.roots | other.roots,
        )

    def __bool__(self) -> bool:
        return bool(self.names or self.state or self.texts or self.roots)

    def written(self) -> tuple[str, ...]:
        """Return the capabilities as written in tokens: the inverse of `parse`."""
        paths = sorted("state:" + (_written_path(path) if path else "*") for path in self.state)
        texts, roots = (f"text:{name}" for name in self.texts), (f"root:{name}" for name in self.roots)
        return (*sorted(self.names), *paths, *sorted(texts), *sorted(roots))

    @property
    def writes_everything(self) -> bool:
        """Whether writes need no check, because all of them are allowed."""
        return "admin" in self.names

    @property
    def writes_nothing(self) -> bool:
        """Whether no write in the document is allowed: they are a viewer's."""
        return not (self.names - _WITHOUT_WRITES or self.state or self.texts or self.roots)

    def may(self, capability: str) -> bool:
        """Return whether a capability without an argument is included."""
        assert capability in CAPABILITIES, capability
        return capability in self.names or "admin" in self.names

    def may_state(self, path: Sequence[str]) -> bool:
        """Return whether the state may be written at a path, e.g. `("trip", "flight")`; `()` is all of it."""
        if "admin" in self.names or () in self.state:
            return True
        path = tuple(path)
        return any(path[: len(granted)] == granted for granted in self.state)

    def may_text(self, name: str) -> bool:
        """Return whether a shared text may be written, by the name after `text:` or `xml:`."""
        return "admin" in self.names or name in self.texts or "*" in self.texts

    def may_root(self, name: str) -> bool:
        """Return whether a root of the application's own may be written."""
        return "admin" in self.names or name in self.roots or "*" in self.roots

    def include(self, other: "Capabilities") -> bool:
        """Return whether these capabilities include all others."""
        if "admin" in self.names:
            return True
        return (
            other.names <= self.names
            and all(self.may_state(path) for path in other.state)
            and all(self.may_text(name) for name in other.texts)
            and all(self.may_root(name) for name in other.roots)
        )

    def require(self, capability: str, *others: str) -> None:
        """Check that one of these capabilities is included.

        Raises:
            NotAllowed: none of them is included.
        """
        if not any(self.may(one) for one in (capability, *others)):
            raise NotAllowed(
                f"This needs the capability {' or '.join((capability, *others))!r} ({CAPABILITIES[capability]}), "
                "which your access to this session doesn't include; ask the person who gave it to you."
            )


def _path(written: str) -> Path:
    """Parse a path of the state as written in a capability.

    Raises:
        NotAuthenticated: the path is invalid.
    """
    if written == "*":
        return ()
    keys = written.removeprefix("/").split("/")
    if keys[-1] in ("", "*"):
        raise NotAuthenticated(
            f"The capability {f'state:{written}'[:64]!r} ends in nothing: a path covers everything below it, so "
            "leave out what follows its last key."
        )
    return tuple(key.replace("~1", "/").replace("~0", "~") for key in keys)


def _written_path(path: Path) -> str:
    keys = "/".join(key.replace("~", "~0").replace("/", "~1") for key in path)
    return f"/{keys}" if keys.startswith("/") else keys


EVERYTHING: Final = Capabilities.of("admin")
"""The capabilities of participants without a token (development), as no key restricts them."""
