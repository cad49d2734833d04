"""Whether a participant may do what an update does: each touch against its row of the table.

The owner of a place comes from data that a client can't forge: the server's stamp on a message, the agent that made a
run, the key that ends in an id. An owner that the client names itself must agree.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from cosession.auth.capabilities import Capabilities
from cosession.auth.participant import Participant
from cosession.document import split_key
from cosession.document.session import TEXT_PREFIX, XML_PREFIX
from cosession.errors import NotAllowed
from cosession.protocol import ClockRange
from cosession.protocol.structs import Id

from .item_index import ItemIndex
from .locations import Container
from .operations import Operation
from .rules import KIND, REQUESTS, REQUIRED, ROOT, RULES, STATE, TEXT, Action, Check, Node, Rule
from .value_checks import CHECKS, CheckedWrite, inner_writings, shown

_OWNED_BY_MAKER: Final = frozenset({"messages/*", "surfaces/*"})
"""Records that their writer owns from the start; the others name their owner."""

_OF_WHO: Final[frozenset[Check]] = frozenset({"self", "owner", "own run", "role", "part", "new id"})
"""Checks that depend on the writer. They are skipped for writes of others that a participant brings back."""

_WRITING: Final = frozenset(
    one
    for needs in (*(rule.own for rule in RULES), *REQUESTS.values())
    for need in needs
    if need not in (STATE, TEXT, ROOT, KIND)
    for one in need.split("+")
)
"""The capabilities that allow some writing."""

_THINGS: Final = {
    "meta": "what the session is",
    "messages": "a message",
    "runs": "a run",
    "agents": "what an agent says of itself",
    "participants": "who is here",
    "selections": "a selection",
    "state": "the shared state",
    "counters": "a counter",
    "surfaces": "a surface",
    "approvals": "a request for approval",
    "claims": "who holds what",
    "requests": "a request",
    "queue": "a waiting prompt",
    "text": "a shared text",
    "xml": "a shared text",
}
"""The name of an entry of each root, for error messages."""
_VERBS: Final[dict[Action, str]] = {"create": "add", "change": "change", "delete": "remove"}
_INNER_VERBS: Final[dict[Action, str]] = {
    "create": "write into",
    "change": "change",
    "delete": "take something out of",
}
"""The verb of an action on an entry, and on a part of an entry, for error messages."""

_PART: Final = {"first": 0, "second": 1, "last": -1}

_JSON_RECORDS: Final = frozenset({"messages", "queue"})
"""Roots in whose records a foreign client may write plain JSON where the schema has shared types."""


class Authorizer:
    """Judges the operations of one update.

    Args:
        index: the document's; the update is staged in it.
        participant: the participant that sent the update.
        is_own: whether a Yjs client id is the participant's; None means that all in the update are.
    """

    def __init__(self, index: ItemIndex, participant: Participant, is_own: Callable[[int], bool] | None) -> None:
        self._index = index
        self._by = participant.id
        self._capabilities = participant.capabilities
        self._is_own = is_own
        runs = index.root("runs").taken  # while it is empty too: the update's own first run comes into it
        self._runs: Mapping[str, Container] = {} if runs is None else runs
        self.made: dict[Container, set[str]] = {}
        """The records that the update makes, and the keys that it writes into them."""
        self._before: dict[Container, list[Container | None]] = {}
        """Per message that the update makes, the messages that had its id before."""
        self._stamps: list[tuple[Operation, Any]] = []

    def look(self, touch: Operation) -> None:
        """Judge one operation of the update.

        Raises:
            NotAllowed: the participant lacks the permission for it.
        """
        rule = touch.node.rules.get(touch.action)
        if rule is None:
            raise self._refusal(touch, (), _no_row(touch))
        if not rule.own:
            raise self._refusal(touch, (), "only the server writes that")
        struct = touch.struct
        foreign = struct is not None and self._is_own is not None and not self._is_own(struct.client)
        record = touch.record
        if not foreign and record not in self.made:  # for writes of others see `look_at_writers`
            self._look_who(touch, record, rule)
        if touch.action == "create" and record is not None:
            if record is touch.made:
                self.made[record] = set()
                if not foreign and touch.node.name in _OWNED_BY_MAKER:
                    record.owner = self._by
            elif touch.key is not None and record is touch.container:
                self.made.setdefault(record, set()).add(touch.key)
                if touch.node.name == "messages/*/id":
                    self._before.setdefault(record, []).append(touch.holder)
                elif rule.check == "old stamp":
                    self._stamps += [(touch, value) for value in touch.values]
        if touch.action != "delete" and (rule.check is not None or touch.container.root.key in _JSON_RECORDS):
            for value in touch.values or (None,):
                self._look_what(self._writing(touch, value), touch.node, rule, foreign)

    def look_at_nothing(self) -> None:
        """Judge an update that adds nothing visible to the document, such as tokens for a text that is gone.

        Raises:
            NotAllowed: the participant may not write anywhere.
        """
        capabilities = self._capabilities
        scoped = capabilities.state or capabilities.texts or capabilities.roots
        if not (scoped or any(capabilities.may(one) for one in _WRITING)):
            raise NotAllowed(
                "Your access to this session doesn't include writing; ask the person who gave it to you."
            )

    def look_at_writers(self, brings: Iterable[ClockRange]) -> None:
        """Check that an update uses up only clocks of the participant, also where it changes nothing visible.

        Every replica ignores a later write under a clock that it has already: the write is lost without an error.

        Raises:
            NotAllowed: it uses up clocks of another participant.
        """
        if self._is_own is not None and not all(self._is_own(span.client) for span in brings):
            raise NotAllowed(
                "Another participant wrote some of what you bring back, and only they may do that; start from a "
                "fresh document.",
                needs=("admin",),
            )

    def finish(self) -> None:
        """Judge as a whole the records that the update makes.

        Raises:
            NotAllowed: a record lacks a required key, or has another stamp than the server's.
        """
        for _, error in self.faults():
            raise error

    def faults(self) -> Iterator[tuple[Id, NotAllowed]]:
        """Yield the faults of the update as a whole: each struct that may not be in it, and why."""
        for record, keys in self.made.items():
            if record.id is not None and (missing := sorted(REQUIRED.get(record.node.name, frozenset()) - keys)):
                where = "/".join(record.path)
                yield (
                    record.id,
                    NotAllowed(
                        f"What is added to {where} has no {' and no '.join(missing)}: make it whole, then add it, in "
                        "one transaction.",
                        touched=where,
                        action="create",
                    ),
                )
        for touch, stamp in self._stamps:
            before = self._before.get(touch.container, [None])
            if touch.struct is not None and not all(
                message is not None and message.stamp == stamp for message in before
            ):
                struct = touch.struct
                yield (struct.client, struct.clock), self._refusal(touch, (), "only the server writes that")

    def _look_who(self, touch: Operation, record: Container | None, rule: Rule) -> None:
        makes = record is not None and record is touch.made and touch.action == "create"
        own = makes or self._is_mine(touch, rule)
        needs = rule.own if own else rule.others
        if not needs:
            raise self._refusal(touch, (), f"it is {_whose(touch)}")
        for need in needs:
            if self._may(need, touch):
                return
        whose = "" if own or rule.whose == "all" else f"it is {_whose(touch)}, and "
        raise self._refusal(touch, _named(needs, touch), f"{whose}your access to this session doesn't include that")

    def _is_mine(self, touch: Operation, rule: Rule) -> bool:
        match rule.whose:
            case "record":
                return touch.record is not None and touch.record.owner == self._by
            case "unowned":
                return touch.record is not None and touch.record.owner in (None, self._by)
            case "all":
                return True
            case "first" | "second" | "last" as part:
                key = split_key(touch.key or "")
                return len(key) > 1 and key[_PART[part]] == self._by

    def _may(self, need: str, touch: Operation) -> bool:
        capabilities = self._capabilities
        if need == STATE:
            return capabilities.may_state(touch.path[1:])
        if need == TEXT:
            root = touch.path[0]
            prefix = TEXT_PREFIX if root.startswith(TEXT_PREFIX) else XML_PREFIX
            return capabilities.may_text(root.removeprefix(prefix))
        if need == ROOT:
            return capabilities.may_root(touch.path[0])
        if need == KIND:
            return any(capabilities.may(one) for one in REQUESTS.get(split_key(touch.key or "")[0], ()))
        return capabilities.may(need) if "+" not in need else all(map(capabilities.may, need.split("+")))

    def _writing(self, touch: Operation, value: object) -> CheckedWrite:
        return CheckedWrite(value, touch.made, touch, self._by, self._capabilities, self._runs, self._index.is_dead)

    def _look_what(self, writing: CheckedWrite, node: Node, rule: Rule, foreign: bool) -> None:
        """Judge a value, and the values in it where it is plain JSON."""
        touch = writing.touch
        if rule.check is not None and not (foreign and rule.check in _OF_WHO):
            holds, wanted = CHECKS[rule.check]
            if not holds(writing):
                was = "a shared type" if writing.made is not None else shown(writing.value)
                if rule.check in ("self", "owner"):
                    wanted += f" (you are {self._by})"
                raise self._refusal(touch, (), f"{node.name.rpartition('/')[2]} must be {wanted}, not {was}")
        if rule.check == "old stamp":
            return  # compared as a whole
        if isinstance(writing.value, dict | list) and touch.container.root.key in _JSON_RECORDS:
            for inner, key, written in inner_writings(writing, node):
                row = inner.rules.get("create")
                if row is None or not row.own:
                    raise self._refusal(touch, (), f"nobody may write {key!r} there")
                self._look_what(written, inner, row, foreign)

    def _refusal(self, touch: Operation, needs: tuple[str, ...], why: str) -> NotAllowed:
        where = "/".join(touch.path)
        where = where if len(where) <= 200 else f"{where[:199]}…"
        needed = f"; ask the person who gave it to you for {' or '.join(needs)}" if needs else ""
        return NotAllowed(
            f"You may not {_done(touch)}, at {where}: {why}{needed}.", touched=where, action=touch.action, needs=needs
        )


def _named(needs: tuple[str, ...], touch: Operation) -> tuple[str, ...]:
    """Return capabilities as tokens write them, where they depend on the place."""
    kind, name = split_key(touch.key or "")[0], touch.path[0].partition(":")[2]
    places = {
        STATE: Capabilities(state=frozenset({touch.path[1:]})).written(),
        TEXT: (f"text:{name}",),
        ROOT: (f"root:{touch.path[0]}",),
        KIND: REQUESTS.get(kind, ()),
    }
    return tuple(one for need in needs for one in places.get(need, (need,)))


def _done(touch: Operation) -> str:
    """Describe an operation without its path, for an error message."""
    root, *below = touch.path
    thing = _THINGS.get(root) or _THINGS.get(root.partition(":")[0], "the application's own data")
    verbs = _VERBS if len(below) == 1 else _INNER_VERBS
    return f"{verbs[touch.action]} {thing}"


def _no_row(touch: Operation) -> str:
    if not touch.node.rules:
        return "this name is reserved; give the root another one"
    return {
        "create": "nothing can be added there",
        "change": "it was written once, and stays",
        "delete": "it stays as long as what it is in",
    }[touch.action]


def _whose(touch: Operation) -> str:
    owner = None if touch.record is None else touch.record.owner
    return f"{owner}'s" if owner else "not yours"
