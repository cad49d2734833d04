"""Requests: what participants want the server to decide, each under a key of their own: `KIND/…/PARTICIPANT`.

What two processes of one participant may ask for at the same time names the Yjs client as well, before the
participant: else the server would take the second one's wish away with the first one's.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pycrdt import Map

from cosession.errors import BadRequest

from .values import MAX_INTEGER, JsonObject, checked_object, join_key, plain_object, split_key

MAX_REASON = 1_000
"""Characters of the reason of a cancel that are kept: the server writes it into the run, also in a full session."""

_OF_CLIENTS = frozenset({"claim", "release", "adopt", "answer"})
"""The kinds of requests whose subject ends in the Yjs client that asks."""


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """Something that a participant asks the server to decide.

    Attributes:
        key: where it is written.
        kind: `cancel`, `steer`, `claim`, `release`, `vote`, …
        subject: what it is about, e.g. (run,).
        participant: who asks.
        value: what exactly they want.
    """

    key: str
    kind: str
    subject: tuple[str, ...]
    participant: str
    value: JsonObject

    @property
    def client(self) -> int | None:
        """The Yjs client that asks, where two of one participant may ask for the same; None elsewhere."""
        named = self.subject[-1] if self.kind in _OF_CLIENTS and self.subject else ""
        if not (named.isascii() and named.isdecimal()) or len(named) > len(str(MAX_INTEGER)):
            return None
        client = int(named)
        return client if client <= MAX_INTEGER else None

    def about(self, *names: str) -> tuple[str, ...]:
        """Return the subject, which has so many parts; `client` is a Yjs client id.

        Args:
            names: what each part is.

        Raises:
            BadRequest: it has fewer or more parts, or names no Yjs client where it should.
        """
        if len(self.subject) != len(names) or (names[-1] == "client" and self.client is None):
            form = "/".join((self.kind, *(name.upper() for name in names), "PARTICIPANT"))
            raise BadRequest(f"The key of a request of this kind is {form}.")
        return self.subject


class Requests:
    """What waits for the server's decision, which removes it."""

    __slots__ = ("shared",)

    def __init__(self, shared: Map[Any]) -> None:
        self.shared = shared

    def __len__(self) -> int:
        return len(self.shared)

    def put(
        self, kind: str, *subject: str, participant: str, value: Mapping[str, Any] | None = None
    ) -> RequestRecord:
        """Ask for something.

        Args:
            kind: what is asked for.
            subject: what it is about.
            participant: who asks.
            value: what exactly they want, a JSON object.
        """
        key = join_key(kind, *subject, participant)
        prepared = checked_object(value or {}, "The request")
        self.shared[key] = prepared
        return RequestRecord(key, kind, subject, participant, prepared)

    def remove(self, key: str) -> None:
        """Take a request away; one that is gone already is no error."""
        if key in self.shared:
            del self.shared[key]

    def items(self) -> Iterator[RequestRecord]:
        """The requests, by key; a key of fewer than two segments has no kind or no participant (both empty then)."""
        return self.among(self.shared.keys())

    def among(self, keys: Iterable[str]) -> Iterator[RequestRecord]:
        """The requests under some keys, by key; where there is none, none."""
        for key in sorted(keys):
            if key not in self.shared:
                continue
            kind, *subject = split_key(key)
            participant = subject.pop() if subject else ""
            yield RequestRecord(key, kind, tuple(subject), participant, plain_object(self.shared[key]))

    def participant(self, key: str) -> str:
        """The participant who asks under a key, without reading the rest of it."""
        _, slash, last = key.rpartition("/")
        return split_key(last)[0] if slash else ""

    def ask_cancel(self, run: str, participant: str, reason: str = "") -> RequestRecord:
        """Ask that a run be cancelled."""
        return self.put("cancel", run, participant=participant, value={"reason": reason})

    def ask_steer(self, run: str, id: str, participant: str, text: str) -> RequestRecord:  # noqa: A002 - the field's name
        """Ask that a running run take something in; the id is the steer's."""
        return self.put("steer", run, id, participant=participant, value={"text": text})

    def ask_claim(
        self, key: str, client: int, participant: str, *, seconds: float | None = None, wait: bool = False
    ) -> RequestRecord:
        """Ask to hold something that one client at a time holds.

        Args:
            key: what it is.
            client: the Yjs client that shall hold it, as long as it is present.
            participant: whose client it is.
            seconds: for how long at most; asking again renews it.
            wait: whether to stand in line while another holds it.
        """
        wish = {"seconds": seconds, "wait": wait or None}
        value = {name: one for name, one in wish.items() if one is not None}
        return self.put("claim", key, str(client), participant=participant, value=value)

    def ask_release(self, key: str, client: int, participant: str) -> RequestRecord:
        """Ask to give back what a client holds, or its place in the line."""
        return self.put("release", key, str(client), participant=participant)

    def ask_adopt(self, run: str, client: int, participant: str) -> RequestRecord:
        """Ask to go on with a lost run of one's own."""
        return self.put("adopt", run, str(client), participant=participant)

    def ask_vote(self, approval: str, participant: str, decision: str, value: Any = None) -> RequestRecord:
        """Vote on an approval: `approved` or `rejected`.

        Args:
            approval: its id.
            participant: who votes.
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
            participant: whose client it is.
            output: what the tool gave, JSON-like.
            error: what went wrong, in place of an output.
        """
        value = {"output": output} if error is None else {"error": error}
        return self.put("answer", message, call, str(client), participant=participant, value=value)

    def ask_policy(self, participant: str, double_texting: str) -> RequestRecord:
        """Ask for another way with prompts that arrive while an agent works."""
        return self.put("policy", participant=participant, value={"double_texting": double_texting})

    def to_json(self) -> JsonObject:
        """All requests, by their keys."""
        return plain_object(self.shared)
