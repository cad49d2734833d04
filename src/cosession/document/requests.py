"""Requests of participants to the server, each under a key of its own: `KIND/…/PARTICIPANT`.

A request that two processes of one participant may make at the same time names the Yjs client as well, before the
participant: else the server would remove the second request together with the first.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pycrdt import Map

from cosession.errors import BadRequest

from .values import MAX_INTEGER, JsonObject, checked_object, join_key, plain_object, split_key

MAX_REASON = 1_000
"""Characters of the reason of a cancel that are kept; the server writes it into the run, also in a full session."""

_OF_CLIENTS = frozenset({"claim", "release", "adopt", "answer"})
"""The kinds of requests whose subject ends in the Yjs client that asks."""


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """A request that the server decides.

    Attributes:
        key: its key in the root.
        kind: `cancel`, `steer`, `claim`, `release`, `vote`, …
        subject: the ids that it is about, e.g. (run,).
        participant: the id of the participant that asks.
        value: the details.
    """

    key: str
    kind: str
    subject: tuple[str, ...]
    participant: str
    value: JsonObject

    @property
    def client(self) -> int | None:
        """The Yjs client that asks, for kinds whose key names it; None for others."""
        named = self.subject[-1] if self.kind in _OF_CLIENTS and self.subject else ""
        if not (named.isascii() and named.isdecimal()) or len(named) > len(str(MAX_INTEGER)):
            return None
        client = int(named)
        return client if client <= MAX_INTEGER else None

    def about(self, *names: str) -> tuple[str, ...]:
        """Return the subject, after a check of its number of parts; `client` is a Yjs client id.

        Args:
            names: the name of each part.

        Raises:
            BadRequest: it has fewer or more parts, or has no Yjs client where it should.
        """
        if len(self.subject) != len(names) or (names[-1] == "client" and self.client is None):
            form = "/".join((self.kind, *(name.upper() for name in names), "PARTICIPANT"))
            raise BadRequest(f"The key of a request of this kind is {form}.")
        return self.subject


class Requests:
    """The requests that wait for the server's decision, which removes them."""

    __slots__ = ("shared",)

    def __init__(self, shared: Map[Any]) -> None:
        self.shared = shared

    def __len__(self) -> int:
        return len(self.shared)

    def put(
        self, kind: str, *subject: str, participant: str, value: Mapping[str, Any] | None = None
    ) -> RequestRecord:
        """Write a request.

        Args:
            kind: the kind of request.
            subject: the ids that it is about.
            participant: the id of the participant that asks.
            value: the details, a JSON object.
        """
        key = join_key(kind, *subject, participant)
        prepared = checked_object(value or {}, "The request")
        self.shared[key] = prepared
        return RequestRecord(key, kind, subject, participant, prepared)

    def remove(self, key: str) -> None:
        """Remove a request; a missing one is no error."""
        if key in self.shared:
            del self.shared[key]

    def items(self) -> Iterator[RequestRecord]:
        """Iterate over the requests, by key; a key of one segment has no participant (it is empty then)."""
        return self.among(self.shared.keys())

    def among(self, keys: Iterable[str]) -> Iterator[RequestRecord]:
        """Iterate over the requests under some keys, by key; keys without a request are skipped."""
        for key in sorted(keys):
            if key not in self.shared:
                continue
            kind, *subject = split_key(key)
            participant = subject.pop() if subject else ""
            yield RequestRecord(key, kind, tuple(subject), participant, plain_object(self.shared[key]))

    def participant(self, key: str) -> str:
        """Return the participant that a key names, without reading the rest of it."""
        _, slash, last = key.rpartition("/")
        return split_key(last)[0] if slash else ""

    def ask_cancel(self, run: str, participant: str, reason: str = "") -> RequestRecord:
        """Ask that a run be cancelled."""
        return self.put("cancel", run, participant=participant, value={"reason": reason})

    def ask_steer(self, run: str, id: str, participant: str, text: str) -> RequestRecord:  # noqa: A002 - the field's name
        """Ask to steer an active run; the id is the steer's."""
        return self.put("steer", run, id, participant=participant, value={"text": text})

    def ask_claim(
        self, key: str, client: int, participant: str, *, seconds: float | None = None, wait: bool = False
    ) -> RequestRecord:
        """Ask for a claim, which one client at a time holds.

        Args:
            key: the claim.
            client: the Yjs client that will hold it, as long as it is present.
            participant: the client's participant.
            seconds: the longest time to hold it; asking again renews it.
            wait: whether to wait in line while another client holds it.
        """
        wish = {"seconds": seconds, "wait": wait or None}
        value = {name: one for name, one in wish.items() if one is not None}
        return self.put("claim", key, str(client), participant=participant, value=value)

    def ask_release(self, key: str, client: int, participant: str) -> RequestRecord:
        """Ask to release a claim of a client, or its place in the line."""
        return self.put("release", key, str(client), participant=participant)

    def ask_adopt(self, run: str, client: int, participant: str) -> RequestRecord:
        """Ask to continue a lost run of the same agent."""
        return self.put("adopt", run, str(client), participant=participant)

    def ask_vote(self, approval: str, participant: str, decision: str, value: Any = None) -> RequestRecord:
        """Vote on an approval: `approved` or `rejected`.

        Args:
            approval: its id.
            participant: the voter's id.
            decision: `approved` or `rejected`.
            value: the value that is approved, as the voter saw it; the server declines a vote without one where the
                value may be edited.
        """
        vote = {"decision": decision} if value is None else {"decision": decision, "value": value}
        return self.put("vote", approval, participant=participant, value=vote)

    def ask_answer(
        self, message: str, call: str, client: int, participant: str, *, output: Any = None, error: str | None = None
    ) -> RequestRecord:
        """Answer a tool call that this client holds.

        Args:
            message: the message that it is in.
            call: its `toolCallId`.
            client: the Yjs client that holds it.
            participant: the client's participant.
            output: the output of the tool, JSON-like.
            error: an error message, in place of an output.
        """
        value = {"output": output} if error is None else {"error": error}
        return self.put("answer", message, call, str(client), participant=participant, value=value)

    def ask_policy(self, participant: str, double_texting: str) -> RequestRecord:
        """Ask for another handling of prompts that arrive while an agent works."""
        return self.put("policy", participant=participant, value={"double_texting": double_texting})

    def to_json(self) -> JsonObject:
        """Return all requests, by their keys."""
        return plain_object(self.shared)
