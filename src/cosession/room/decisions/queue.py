"""The queue: its entries are prompts that become messages when their turn has come."""

from collections.abc import Sequence
from contextlib import suppress
from functools import partial

from cosession.auth.participant import SERVER
from cosession.document import Message, QueuedPrompt, SessionDocument
from cosession.document.values import join_key
from cosession.errors import BadDocument

from .context import DecisionContext, Promotion
from .prompt_lanes import lanes_of

_MOST = 256
"""How many entries are checked, the oldest first: more than people plan, and each check takes time."""

_ASKING = frozenset({"queue", "meta", "claims"})
"""The roots in which any change may give an entry its turn."""


def begin(case: DecisionContext) -> None:
    """Resume the queue at load: an entry with an existing message, as after a crash, is deleted."""
    if "queue" in frozenset(case.document.doc.keys()):
        for entry in case.document.queue.first(_MOST):
            author = entry.author or SERVER.id
            for id_ in _ids(entry):
                there = case.document.messages.get(id_)
                if there is not None and there.author == author:
                    case.promotions.append(Promotion(entry, id_, author, None))
    promote(case)


def look(case: DecisionContext) -> None:
    """Promote entries if a lane may have become idle: not when a run only reports progress."""
    if not _ASKING.isdisjoint(case.changed) or case.memory.ledger.has_news or case.memory.prompts.has_fewer:
        promote(case)
        case.memory.ledger.has_news = case.memory.prompts.has_fewer = False


def promote(case: DecisionContext) -> None:
    """Promote the entries whose turn has come: one for each idle lane; all, if prompts run in parallel."""
    there = frozenset(case.document.doc.keys())  # access to a root creates it
    if "queue" not in there or not len(case.document.queue.shared):
        return
    case.document.queue.index_if_short()
    prompts, rules = case.memory.prompts, case.document.meta.rules
    prompts.read(case)
    taken = set[str]()
    for entry in case.document.queue.first(_MOST):
        lanes = set(lanes_of(rules, author=entry.author, role="user", to=entry.to))
        if taken.isdisjoint(lanes) and all(_has_turn(case, lane) for lane in lanes):
            try:
                _promote(case, entry)
            except BadDocument:  # an entry of a foreign client may be no prompt; the others go before it
                continue
        if rules.double_texting != "parallel":
            taken |= lanes


def _has_turn(case: DecisionContext, name: str) -> bool:
    """Return whether a queued entry is next in a lane: open prompts that all workers gave up don't go before it."""
    prompts = case.memory.prompts
    if not prompts.has_turn(case, name, is_persons=True):
        return False
    if case.document.meta.rules.double_texting == "parallel" or name not in prompts.lanes:
        return True
    unheard = [one for one in prompts.lanes[name].open.values() if one.offers and not one.was_taken]
    return not any(prompts.stands(case, one) for one in reversed(unheard))


def _promote(case: DecisionContext, entry: QueuedPrompt) -> None:
    """Promote an entry to a message, unless its author has sent that message already.

    If another participant's message has its id, the new one gets another; if that is taken too, the entry waits.

    Raises:
        BadDocument: the entry can't become a message.
    """
    if entry.is_too_long:
        raise BadDocument("The entry is too long for a prompt.")
    author = entry.author or SERVER.id
    coming = {promotion.message: promotion.author for promotion in case.promotions}
    for id_ in _ids(entry):
        there = case.document.messages.get(id_)
        written_by = coming.get(id_, None if there is None else there.author)
        if written_by == author:
            case.promotions.append(Promotion(entry, id_, author, None))
            return
        if there is None and id_ not in coming:
            text, created_at = str(entry.text or ""), str(entry.get("created_at") or case.at)
            write = partial(_write, id_, author, case.at, text, created_at, entry.to)
            case.promotions.append(Promotion(entry, id_, author, write))
            return


def _ids(entry: QueuedPrompt) -> tuple[str, ...]:
    """Return the ids that the message of an entry may get."""
    with suppress(BadDocument):
        return (entry.id, join_key(entry.id, entry.author or SERVER.id))
    return ()


def _write(
    id_: str, author: str, at: str, text: str, created_at: str, to: Sequence[str], seq: int, document: SessionDocument
) -> None:
    part = {"type": "text", "text": text, "state": "done"}
    message = document.messages.append("user", [part], id=id_, author=author, created_at=created_at, to=to)
    message.set_stamp(by=author, at=at, seq=seq)


def promoted(case: DecisionContext, messages: Sequence[Message]) -> None:
    """Handle messages that were made of entries."""
    for message in messages:
        case.memory.prompts.arrived(case, message)
        case.memory.prompts.promoted[message.id, message.author or SERVER.id] = None


def remove_twin(case: DecisionContext, message: Message) -> None:
    """Delete the earlier message with the same id and stamp: the promotion of an entry that a crash undid."""
    messages, stamp = case.document.messages, message.stamp
    for place in range(len(messages.shared) - 1, -1, -1):
        item = messages.at(place)
        if item is not None and item.id == message.id and item.stamp == stamp:
            del messages.shared[place]
            return
