"""The queue: what waits in it becomes a message when its turn has come."""

from contextlib import suppress

from cosession.auth import SERVER
from cosession.document import Message, QueuedPrompt
from cosession.document.values import join_key
from cosession.errors import BadDocument

from .case import Case
from .lanes import lanes_of

_MOST = 256
"""How many entries are looked at, those that were added first: more than people plan, and each takes its time."""


def promote(case: Case) -> None:
    """Make messages of those entries whose turn has come: one for each lane that is idle, all where none waits."""
    there = frozenset(case.document.doc.keys())  # to ask for a root makes it
    if "queue" not in there or not len(case.document.queue.shared):
        return
    prompts, rules = case.memory.prompts, case.document.meta.rules
    prompts.read(case)
    taken = set[str]()
    for entry in case.document.queue.first(_MOST):
        lanes = set(lanes_of(rules, author=entry.author, role="user", to=entry.to))
        if taken.isdisjoint(lanes) and all(_has_turn(case, lane) for lane in lanes):
            with suppress(BadDocument):  # what a foreign client wrote there may be no prompt; people can remove it
                _promote(case, entry)
        if rules.double_texting != "parallel":
            taken |= lanes


def _has_turn(case: Case, name: str) -> bool:
    """Whether nothing goes before what waits in the queue: what everybody passed over doesn't."""
    prompts = case.memory.prompts
    if not prompts.has_turn(case, name, is_persons=True):
        return False
    if case.document.meta.rules.double_texting == "parallel" or name not in prompts.lanes:
        return True
    unheard = [one for one in prompts.lanes[name].open.values() if one.offers and not one.was_taken]
    return not any(prompts.stands(case, one) for one in reversed(unheard))


def _promote(case: Case, entry: QueuedPrompt) -> None:
    """Make a message of an entry, unless its author has sent it as one.

    Where another participant's message has its id, the new one gets another; if that is taken too, the entry waits.
    """
    author = entry.author or SERVER.id
    id_ = entry.id
    there = case.document.messages.get(id_)
    if there is not None and there.author != author:
        id_ = join_key(entry.id, str(case.epoch))
        if case.document.messages.get(id_) is not None:
            return
    if there is None or id_ != entry.id:
        text = {"type": "text", "text": str(entry.text or ""), "state": "done"}
        created_at = str(entry.get("created_at") or case.at)
        message = case.document.messages.append(
            "user", [text], id=id_, author=author, created_at=created_at, to=entry.to
        )
        message.set_stamp(by=author, at=case.at, seq=case.epoch)
        case.memory.prompts.arrived(case, message)
        case.memory.prompts.promoted[id_, author] = None
    case.document.queue.remove(entry.id)


def remove_twin(case: Case, message: Message) -> None:
    """Take a message out of the list that stands there under the same id already: a promotion that a crash undid."""
    messages, stamp = case.document.messages, message.stamp
    for place in range(len(messages.shared) - 1, -1, -1):
        item = messages.at(place)
        if item is not None and item.id == message.id and item.stamp == stamp:
            del messages.shared[place]
            return
