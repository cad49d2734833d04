"""Grants: the identity and the capabilities per session of a token, or of a self-declared participant. Pure values.

A pattern is a session's id, or the beginning of one and `*`: `trip`, `trip-*`, `*`. Of all patterns that match a
session only the longest applies, in any order: a grant for `trip-7` may give less than the one for `trip-*`. So two
patterns never match equally well, and overlaps are unambiguous.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from cosession.errors import NotAllowed, NotAuthenticated

from .capabilities import Capabilities
from .participant import Kind, Participant
from .session_ids import MAX_SESSION_BYTES


@dataclass(frozen=True, slots=True)
class Scope:
    """Capabilities for the sessions that match a pattern."""

    pattern: str
    capabilities: Capabilities


@dataclass(frozen=True, slots=True)
class Grant:
    """The identity of a participant, and its capabilities per session.

    Attributes:
        id: the participant's id.
        name: the name that people see.
        kind: the kind of participant.
        scopes: the session patterns, with their capabilities.
        token_id: the token's `jti`, if it has one.
        expires_at: when the grant ends, in seconds since 1970; None is never.
    """

    id: str
    name: str
    kind: Kind
    scopes: tuple[Scope, ...]
    token_id: str | None = field(default=None)
    expires_at: float | None = field(default=None)
    _by_pattern: dict[str, Capabilities] = field(init=False, compare=False, repr=False)
    _lengths: tuple[int, ...] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        """Index the patterns: a list looks up thousands of sessions, and a token may have thousands of patterns."""
        by_pattern = {scope.pattern: scope.capabilities for scope in self.scopes}
        lengths = {len(pattern) - 1 for pattern in by_pattern if pattern.endswith("*")}
        object.__setattr__(self, "_by_pattern", by_pattern)
        object.__setattr__(self, "_lengths", tuple(sorted(lengths, reverse=True)))

    def capabilities(self, session: str) -> Capabilities | None:
        """Return the capabilities in a session; None where there is no access to it at all."""
        if session in self._by_pattern:  # a whole id takes precedence over a pattern with the same letters
            return self._by_pattern[session]
        for length in self._lengths:
            if length <= len(session):
                fitting = self._by_pattern.get(session[:length] + "*")
                if fitting is not None:
                    return fitting
        return None

    def may(self, capability: str, session: str) -> bool:
        """Return whether the grant includes a capability in a session."""
        capabilities = self.capabilities(session)
        return capabilities is not None and capabilities.may(capability)

    def patterns(self, capability: str) -> list[str]:
        """Return the patterns of the sessions in which the grant may include a capability; none covers another.

        `may` decides for each session: a longer pattern may give less.
        """
        written = {
            scope.pattern for scope in self.scopes if scope.capabilities.may(capability) and _is_text(scope.pattern)
        }
        kept: list[str] = []
        begin: str | None = None  # of the last pattern with `*`: what it covers comes right behind it
        for pattern in sorted(written, key=lambda pattern: (pattern.removesuffix("*"), not pattern.endswith("*"))):
            if begin is not None and pattern.startswith(begin):
                continue
            if pattern.endswith("*"):
                begin = pattern[:-1]
            kept.append(pattern)
        return kept

    def is_admin(self, session: str | None) -> bool:
        """Return whether the grant includes `admin` in a session; None is any session."""
        if session is None:
            return any(scope.capabilities.may("admin") for scope in self.scopes)
        return self.may("admin", session)

    def everywhere(self) -> Capabilities:
        """Return the capabilities of the pattern `*`, which matches every session."""
        return next((scope.capabilities for scope in self.scopes if scope.pattern == "*"), Capabilities())

    def participant(self, session: str) -> Participant:
        """Return the participant of this grant in a session.

        Raises:
            NotAllowed: the grant doesn't include the session.
        """
        capabilities = self.capabilities(session)
        if capabilities is None:
            raise NotAllowed(
                "Your access doesn't include this session; look at its id, or ask for a token that names it."
            )
        return Participant(self.id, self.name, self.kind, capabilities, self.token_id, self.expires_at)


def check_patterns(patterns: Sequence[str]) -> None:
    """Check that these are valid patterns of session ids.

    Raises:
        NotAuthenticated: one is invalid.
    """
    for pattern in patterns:
        size = len(pattern.encode(errors="replace"))
        if not pattern or "*" in pattern[:-1] or size > MAX_SESSION_BYTES + 1:
            raise NotAuthenticated(
                f"{pattern[:64]!r} can't name sessions; write a session's id, or its beginning and a `*`."
            )


def _is_text(pattern: str) -> bool:
    """Return whether a pattern can match a session: no id has half a surrogate pair."""
    return not any("\ud800" <= character <= "\udfff" for character in pattern)
