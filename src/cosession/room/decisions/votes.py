"""Votes: the last vote of each participant on one approval, counted by decision and value.

A vote is counted under a digest of its decision and value, so one more vote costs as much among thousands as alone.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Self, TypeAlias

from cosession.document import Approval, JsonObject

DECISIONS = ("approved", "rejected")
"""The decisions that a vote may have."""

_Count: TypeAlias = dict[bytes, dict[str, None]]
"""The voters, by the digest of their decision and value."""


@dataclass(frozen=True, slots=True)
class Terms:
    """The terms under which votes on an approval count; read once for many votes.

    Attributes:
        who: the participants who may answer; empty means all.
        schema: the JSON Schema of the value.
        is_editable: whether people may edit the value.
    """

    who: dict[str, None]
    schema: JsonObject | None
    is_editable: bool

    @classmethod
    def of(cls, approval: Approval) -> Self:
        """Read the terms of an approval."""
        return cls(dict.fromkeys(approval.who), approval.schema, approval.is_editable)


class Votes(dict[str, JsonObject]):
    """The votes on one approval by participant: {decision, value, at} each.

    Args:
        votes: the votes in the document.
    """

    __slots__ = ("_count",)

    def __init__(self, votes: Mapping[str, JsonObject]) -> None:
        super().__init__(votes)
        self._count: _Count | None = None

    def cast(self, voter: str, vote: JsonObject) -> None:
        """Record a participant's vote; it replaces an earlier one."""
        before = self.get(voter)
        if self._count is not None:
            if before is not None and (old := _digest(before)) is not None:
                self._count[old].pop(voter, None)
            if (new := _digest(vote)) is not None:
                self._count.setdefault(new, {})[voter] = None
        self[voter] = vote

    def alike(self, voter: str, quorum: int) -> list[str]:
        """Return the voters who vote as this one does, sorted; none if they are fewer than the quorum."""
        digest = _digest(self[voter])
        voters = () if digest is None else self._counted().get(digest, ())
        return sorted(voters) if len(voters) >= quorum else []

    def agreed(self, quorum: int) -> Iterator[list[str]]:
        """Return the sorted groups of voters that vote alike and reach the quorum, ordered by their first voters."""
        groups = [sorted(voters) for voters in self._counted().values() if voters and len(voters) >= quorum]
        return iter(sorted(groups))

    def _counted(self) -> _Count:
        if self._count is None:
            self._count = {}
            for voter, vote in self.items():
                if (digest := _digest(vote)) is not None:
                    self._count.setdefault(digest, {})[voter] = None
        return self._count


def _digest(vote: JsonObject) -> bytes | None:
    """Return a digest of a vote's decision and value as JSON, where True is not 1; None if it is no valid vote."""
    decision = vote.get("decision")
    if decision not in DECISIONS:
        return None
    return sha256(json.dumps([decision, vote.get("value")], sort_keys=True).encode()).digest()
