"""Wishes that may have to be asked again, because a crash can take the server's answer after it was seen here.

The answer takes the request away, in this replica too, and only the server may write it; so when the server comes
back without both, nobody could bring the wish back. What was asked here is kept until a fence vouches for it. Asked
twice it happens once: a steer has an id, a run is cancelled once, and of votes and policies the last one counts. What
names a Yjs client (claims, adoptions, answers of tools) is not asked again: the fresh document's is another one.
"""

from dataclasses import dataclass, replace

from cosession.document import Change, RequestRecord, SessionDocument

from .replica import Replica

_AGAIN = frozenset({"cancel", "policy", "steer", "vote"})


@dataclass(frozen=True, slots=True)
class _Wish:
    request: RequestRecord
    edit: int
    """Which of the replica's edits it is in."""


class Asked:
    """What was asked in one document, and isn't known to be stored."""

    def __init__(self, document: SessionDocument, replica: Replica) -> None:
        """Watch a document for what is asked here.

        Args:
            document: the session.
            replica: its tie to the server.
        """
        self._document = document
        self._replica = replica
        self._wishes: dict[str, _Wish] = {}
        self._watch = document.observe(self._note, "requests")

    def close(self) -> None:
        """Stop watching."""
        self._watch.close()

    def taken(self, fresh: SessionDocument) -> list[RequestRecord]:
        """Return the wishes whose answer was seen here, and that aren't in a fresh document of the server."""
        waiting, there = self._document.requests.shared, fresh.requests.shared
        gone = [wish.request for key, wish in self._unsaved().items() if key not in waiting and key not in there]
        return [again for request in gone if (again := self._as_answered(request)) is not None]

    def _as_answered(self, request: RequestRecord) -> RequestRecord | None:
        """A vote is for what was shown then, and another value may be shown now; one that didn't count is none."""
        if request.kind != "vote":
            return request
        approval = self._document.approvals.get(request.subject[0]) if request.subject else None
        vote = approval.votes.get(request.participant) if approval is not None else None
        if vote is None:
            return None
        return replace(request, value={"decision": vote.get("decision"), "value": vote.get("value")})

    def _unsaved(self) -> dict[str, _Wish]:
        return {key: wish for key, wish in self._wishes.items() if wish.edit > self._replica.saved_edits}

    def _note(self, changes: list[Change]) -> None:
        if self._replica.applying:
            return
        self._wishes = self._unsaved()
        keys = {key for change in changes for key in change.keys if change.path == ("requests",)}
        for request in self._document.requests.items():
            if request.key in keys and request.kind in _AGAIN:
                self._wishes[request.key] = _Wish(request, self._replica.edits + 1)  # it is counted after this
