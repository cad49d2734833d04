"""Claims: a key, and the one client that holds it. Only the server writes them."""

from collections.abc import Mapping, Sequence
from typing import Any

from pycrdt import Map

from .values import JsonObject, checked_id, checked_object, join_key, plain_object


def prompt_key(message: str, agent: str = "") -> str:
    """Return the key of the claim to answer a prompt: for the agent that it names, or, if it names none, for any."""
    return join_key("prompt", message, agent) if agent else join_key("prompt", message)


def tool_key(call: str) -> str:
    """Return the key of the claim to answer a call to a tool that clients offer."""
    return join_key("tool", call)


class Claims:
    """The claims, each with one holder at a time. Only the server writes them.

    Key → {by, client, epoch, at}, with `until`, the time at which it ends by itself, `waiting`, the next clients in
    line ({by, client} each), and `former`, the clients that are fenced off. The epoch is the fencing token: it only
    grows, over releases and restarts.
    """

    __slots__ = ("shared",)

    def __init__(self, shared: Map[Any]) -> None:
        self.shared = shared

    def get(self, key: str) -> JsonObject | None:
        """Return a claim with its holder, {by, client, epoch, at, …}; None if no client holds it."""
        return plain_object(self.shared.get(key)) or None

    def grant(
        self,
        key: str,
        *,
        by: str,
        client: int,
        epoch: int,
        at: str,
        until: str | None = None,
        waiting: Sequence[Mapping[str, Any]] = (),
        former: Sequence[int] = (),
    ) -> JsonObject:
        """Grant a claim to a client.

        Args:
            key: the claim.
            by: the participant.
            client: the participant's Yjs client that holds it.
            epoch: larger than that of any grant before.
            at: the time, RFC 3339.
            until: the time at which it ends by itself.
            waiting: the next clients in line, {by, client} each, in order.
            former: the clients that held it before and may write no more.

        Returns:
            The claim as it was written.
        """
        more = {"until": until, "waiting": list(waiting), "former": list(former)}
        fact = {
            "by": by,
            "client": client,
            "epoch": epoch,
            "at": at,
            **{name: one for name, one in more.items() if one},
        }
        prepared = checked_object(fact, "The claim")
        self.shared[checked_id(key, "What is claimed")] = prepared
        return prepared

    def release(self, key: str) -> None:
        """Remove a claim: no client holds it any more."""
        if key in self.shared:
            del self.shared[key]

    def to_json(self) -> JsonObject:
        """Return all claims, by key."""
        return plain_object(self.shared)
