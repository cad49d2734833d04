"""The permissions on each place of the session document: the one table, as data. README.md shows it; a test compares.

A place is a pattern: `*` is any one key or entry, `**` everything below. The closest pattern decides alone; an action
that it doesn't name is refused. There are three actions:

- `create`: an entry is added, or a key is written into a shared type that the same update makes, or a record under
  an unused key of its root. A row that allows only this means: once, together with its container.
- `change`: a key of an existing shared type is written, or a text edited.
- `delete`: an entry or a key is removed. The contents of a deleted container aren't judged one by one.

A capability such as `surface+run` needs both. Inside of a record (a message, a run, …) that the update itself makes,
the right to make it is enough, but a row of the server's alone stays refused.
"""

from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

Action: TypeAlias = Literal["create", "change", "delete"]

Whose: TypeAlias = Literal["record", "unowned", "first", "second", "last", "all"]
"""How a place is a participant's own: by the owner of the record it is in (`unowned`: also if that has none), by a
part of its flat key, or always (`all`)."""

Check: TypeAlias = Literal[
    "value", "text", "number", "object", "list", "agents", "empty list", "empty object", "record", "self", "owner",
    "own run", "own client", "key", "new id", "role", "part", "not lost", "old stamp",
]  # fmt: skip
"""A condition on the written value; `value_checks.py` has a function for each."""

STATE: Final = "state:PATH"
TEXT: Final = "text:NAME"
ROOT: Final = "root:NAME"
KIND: Final = "of the kind"
"""A capability that depends on the place: the path in the state, a text's or root's name, the kind of request."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One row.

    Attributes:
        where: the pattern.
        what: the actions that it is about.
        own: the capabilities of which one is needed where the place is the participant's own; none: server only.
        others: the same where the place is another participant's.
        whose: how a place is a participant's own.
        check: the condition on the value.
        note: the reason, where it isn't obvious.
    """

    where: str
    what: tuple[Action, ...]
    own: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    whose: Whose = "record"
    check: Check | None = None
    note: str = ""


_ALL: Final[tuple[Action, ...]] = ("create", "change", "delete")
_WRITE: Final[tuple[Action, ...]] = ("create", "change")
_ONCE: Final[tuple[Action, ...]] = ("create",)
_EDIT: Final = ("edit-own", "run")

RULES: Final[tuple[Rule, ...]] = (
    Rule("meta/title", ("change",), ("title",), ("title",), "all", "text"),
    Rule("meta/**", _ALL, note="schema, origin and policy"),
    #
    Rule("messages/*", _ONCE, ("prompt", "run"), check="record", note="with an id and a role"),
    Rule("messages/*", ("delete",), ("edit-own",), ("edit-any",)),
    Rule("messages/*/id", _ONCE, _EDIT, check="new id"),
    Rule("messages/*/role", _ONCE, _EDIT, check="role"),
    Rule("messages/*/stamp", _ONCE, _EDIT, check="old stamp", note="undo restores a message as it was"),
    Rule("messages/*/stamp", ("change", "delete"), note="author, time and order of arrival"),
    Rule("messages/*/metadata", _WRITE, _EDIT, ("edit-any",), check="object"),
    Rule("messages/*/metadata/author", _ONCE, _EDIT, ("edit-any",), check="owner"),
    Rule("messages/*/metadata/run", _ONCE, _EDIT, check="own run"),
    Rule("messages/*/metadata/created_at", _ONCE, _EDIT, ("edit-any",)),
    Rule("messages/*/metadata/parent", _ONCE, _EDIT, ("edit-any",)),
    Rule("messages/*/metadata/to", _ONCE, _EDIT, check="agents", note="fixed when the message is sent"),
    Rule("messages/*/metadata/**", _ALL, _EDIT, ("edit-any",), note="`status`, `edited_at`, `deleted`, …"),
    Rule("messages/*/parts", _WRITE, _EDIT, ("edit-any",), check="list"),
    Rule("messages/*/parts/*", ("create", "delete"), _EDIT, ("edit-any",)),
    Rule("messages/*/parts/*/type", _ONCE, _EDIT, ("edit-any",), check="part"),
    Rule("messages/*/parts/**", _ALL, _EDIT, ("edit-any",)),
    #
    Rule("runs/*", _ONCE, ("run",), check="record", note="with its id and its agent; ids are used once"),
    Rule("runs/*/id", _ONCE, ("run",), check="key"),
    Rule("runs/*/agent", _ONCE, ("run",), check="self"),
    Rule("runs/*/status", _WRITE, ("run",), check="not lost"),
    Rule("runs/*/client", _ONCE, ("run",), check="own client"),
    Rule("runs/*/epoch", _ONCE, ("run",), check="number"),
    Rule("runs/*/former", _ALL, note="the clients that lost the run"),
    Rule("runs/*/cancel", _ALL, note="on request"),
    Rule("runs/*/steers", _ONCE, ("run",), check="empty list"),
    Rule("runs/*/steers/**", _ALL, note="on request"),
    Rule("runs/*/**", _ALL, ("run",)),
    #
    Rule("agents/*", _ONCE, ("run",), check="record", note="under its own id"),
    Rule("agents/*/**", _ALL, ("run",)),
    Rule("participants/**", _ALL, note="names, kinds and attendance"),
    Rule("selections/*", _ALL, ("select",), whose="first", check="value"),
    Rule("state/**", _ALL, (STATE,), (STATE,), "all"),
    Rule("counters/*", _ALL, ("count",), whose="second", check="number"),
    #
    Rule("surfaces/*", _ONCE, ("surface+run",), check="record"),
    Rule("surfaces/*", ("delete",), ("surface+run",), whose="unowned"),
    Rule("surfaces/*/agent", _ONCE, ("surface+run",), check="self"),
    Rule("surfaces/*/data", _WRITE, ("surface+run",), whose="unowned"),
    Rule("surfaces/*/data/**", _ALL, ("surface",), ("surface",), note="people fill it in"),
    Rule("surfaces/*/**", _ALL, ("surface+run",), whose="unowned"),
    #
    Rule("approvals/*", _ONCE, ("run",), check="record", note="a question is not changed after it was asked"),
    Rule("approvals/*/run", _ONCE, ("run",), check="own run"),
    Rule("approvals/*/asked_by", _ALL, note="written where no run names the asker"),
    Rule("approvals/*/decision", _ALL, note="decided by votes"),
    Rule("approvals/*/value", _ONCE, ("run",)),
    Rule("approvals/*/value/**", _ALL, ("approve",), ("approve",), "all", note="people edit it before they vote"),
    Rule("approvals/*/votes", _ONCE, ("run",), check="empty object"),
    Rule("approvals/*/votes/**", _ALL, note="on request"),
    Rule("approvals/*/**", _ONCE, ("run",)),
    #
    Rule("claims/**", _ALL, note="granted on request"),
    Rule("requests/*", _ALL, (KIND,), whose="last", check="value", note="see the kinds of requests"),
    #
    Rule("queue/*", _ONCE, ("prompt",), check="record", note="with an id and its author"),
    Rule("queue/*", ("delete",), ("prompt", "queue"), ("queue",)),
    Rule("queue/*/id", _ONCE, ("prompt",), check="new id"),
    Rule("queue/*/author", _ONCE, ("prompt",), check="self"),
    Rule("queue/*/created_at", _ONCE, ("prompt",)),
    Rule("queue/*/to", _ALL, ("prompt", "queue"), check="agents"),
    Rule("queue/*/place", _ALL, ("prompt", "queue"), ("queue",), note="what the queue is ordered by"),
    Rule("queue/*/**", _ALL, ("prompt", "queue"), note="it is sent in its author's name"),
    #
    Rule("text:NAME", ("change",), (TEXT,), (TEXT,), "all"),
    Rule("text:NAME/**", _ALL, (TEXT,), (TEXT,), "all"),
    Rule("xml:NAME/**", _ALL, (TEXT,), (TEXT,), "all"),
    Rule("root:NAME/**", _ALL, (ROOT,), (ROOT,), "all", note="every other root belongs to the application"),
)  # fmt: skip

REQUESTS: Final[dict[str, tuple[str, ...]]] = {
    "cancel": ("cancel-any", "cancel-own"),
    "steer": ("steer", "cancel-own"),
    "adopt": ("run",),
    "vote": ("approve",),
    "answer": ("prompt",),
    "policy": ("queue",),
    "claim": ("claim", "run"),
    "release": ("claim", "run"),
}
"""Per kind of request, the capabilities of which one allows it. `cancel-own` covers runs that answer the participant,
and, for `cancel`, its own runs: the server checks that when it decides, because the run may arrive later."""

REQUIRED: Final[dict[str, frozenset[str]]] = {
    "messages/*": frozenset({"id", "role"}),
    "runs/*": frozenset({"id", "agent"}),
    "queue/*": frozenset({"id", "author"}),
}
"""The keys that a record must have when it is made: one that is added later would escape the checks."""


@dataclass(slots=True)
class Node:
    """A place of the table, shared by all places of documents that it stands for.

    Attributes:
        name: the pattern.
        rules: the row of each action.
        children: the places below it that have a row.
        entry: the place of every other key or entry.
        rest: the place of everything deeper that has no closer row.
        is_record: whether the place holds a record, with an owner of its own.
    """

    name: str
    rules: dict[Action, Rule] = field(default_factory=dict[Action, Rule])
    children: dict[str, "Node"] = field(default_factory=dict[str, "Node"])
    entry: "Node | None" = None
    rest: "Node | None" = None
    is_record: bool = False

    def child(self, key: str | None) -> "Node":
        """The place under a key; None is an entry of a list."""
        found = None if key is None else self.children.get(key)
        return found or self.entry or self.rest or NOWHERE


NOWHERE: Final = Node("")


def _compiled() -> Node:
    top = Node("")
    for rule in RULES:
        node = top
        for segment in rule.where.split("/"):
            name = f"{node.name}/{segment}".lstrip("/")
            if segment == "*":
                node.entry = node = node.entry or Node(name)
            elif segment == "**":
                node.rest = node = node.rest or Node(name)
            else:
                node = node.children.setdefault(segment, Node(name))
        for action in rule.what:
            node.rules[action] = rule
        node.is_record = node.is_record or rule.check == "record"
    _inherit(top, None)
    return top


def _inherit(node: Node, rest: Node | None) -> None:
    """Make the `**` row of a place known to every place below it that has no closer one."""
    node.rest = node.rest or rest
    for child in (*node.children.values(), *([node.entry] if node.entry else [])):
        _inherit(child, node.rest)
    if node.rest is not None:
        node.rest.rest = node.rest


TABLE: Final = _compiled()
"""The roots, by name."""

RECORD_ROOTS: Final = frozenset(
    name for name, node in TABLE.children.items() if node.entry is not None and node.entry.is_record
)
"""The roots that hold records."""
