"""Requests that may have to be sent again, because the server can lose its answer in a crash after it was seen here.

The answer removes the request, in this replica too, and only the server may write it; so if the server restarts
without both, no replica has the request any more. Requests of this client are kept until a fence covers them. They
are idempotent: a steer has an id, a run is cancelled once, and the last vote or policy counts. Requests that name a
Yjs client (claims, adoptions, answers of tools) are not sent again: the fresh document has another client id.
"""

from dataclasses import dataclass, replace

from cosession.document import Change, RequestRecord, SessionDocument

from .replica import Replica

_AGAIN = frozenset({"cancel", "policy", "steer", "vote"})


@dataclass(frozen=True, slots=True)
class _Wish:
    request: RequestRecord
    edit: int
    """The number of the replica's edit that contains it."""


class Asked:
    """The requests made in one document that aren't known to be stored."""

    def __init__(self, document: SessionDocument, replica: Replica) -> None:
        """Watch a document for requests of this client.

        Args:
            document: the session's document.
            replica: the replica of the document.
        """
        self._document = document
        self._replica = replica
        self._wishes: dict[str, _Wish] = {}
        self._watch = document.observe(self._note, "requests")

    def close(self) -> None:
        """Stop watching."""
        self._watch.close()

    def taken(self, fresh: SessionDocument) -> list[RequestRecord]:
        """Return the unsaved requests that were answered here, and that aren't in a fresh document of the server."""
        waiting, there = self._document.requests.shared, fresh.requests.shared
        gone = [wish.request for key, wish in self._unsaved().items() if key not in waiting and key not in there]
        return [again for request in gone if (again := self._as_answered(request)) is not None]

    def _as_answered(self, request: RequestRecord) -> RequestRecord | None:
        """Return a vote with the value that it was for, as another may be shown now; None if it didn't count."""
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
