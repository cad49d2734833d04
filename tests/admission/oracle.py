"""What nobody may have changed, read from plain JSON before and after; it knows nothing of the table of rules.

Whose something is, is read from before: the stamp of a message, the agent of a run, a part of a key.
"""

import json
from typing import Any

from cosession.document import SessionDocument, split_key
from cosession.document.session import ROOTS

Json = dict[str, Any]

_WRITES = {"viewer": (), "member": ("user",), "agent": ("assistant", "system"), "operator": ("user",)}
"""The roles of messages that each role may send."""
_AGENTS_PARTS = ("tool-", "dynamic-tool", "reasoning", "step-start")
_KEY_OF = {"selections": 0, "counters": 1, "requests": -1}
"""Which part of a flat key names its writer."""


def everything(document: SessionDocument) -> Json:
    """All of a session as plain JSON, and the names of its roots."""
    whole: Json = {name: json.loads(str(document.doc.get(name, type=kind))) for name, kind in ROOTS.items()}
    whole["text:notes"] = str(document.text("notes"))
    whole["roots"] = sorted(name for name in tuple(document.doc) if name not in ROOTS)
    return whole


def trespasses(before: Json, after: Json, who: str, role: str, *, offered: bool = False) -> list[str]:
    """What somebody changed who may not; empty when all is well.

    Args:
        before: the session before their update.
        after: and after it, with all that the server did about it.
        who: their participant id.
        role: their role.
        offered: whether it was an answer to the server's question; in one an operator brings back what others wrote.
    """
    if role == "viewer":
        return [name for name in before if before[name] != after[name]]
    found = [
        name
        for name in ("participants", "approvals")
        if not _same(before, after, name, but=("decision", "votes", "value"))
    ]
    if {**before["meta"], "title": 0} != {**after["meta"], "title": 0} or not isinstance(after["meta"]["title"], str):
        found.append("meta")
    if any(name.startswith("cosession") or name in ("", "text:", "xml:") for name in after["roots"]):
        found.append("roots")
    found += _messages(before, after, who, role, offered)
    found += _runs(before, after, who, role)
    found += _others(before, after, who, role)
    found += _queue(before, after, who, role)
    for name, part in _KEY_OF.items():
        changed = [key for key in {**before[name], **after[name]} if before[name].get(key) != after[name].get(key)]
        found += [f"{name}/{key}" for key in changed if len(split_key(key)) < 2 or split_key(key)[part] != who]
    return found


def _same(before: Json, after: Json, name: str, *, but: tuple[str, ...]) -> bool:
    """Whether the records that were there are as they were; a vote decides, and an agent asks for approval."""
    kept = {key: item for key, item in after[name].items() if key in before[name] or name == "participants"}
    return _without(before[name], but) == _without(kept, but)


def _without(records: Json, keys: tuple[str, ...]) -> Json:
    return {id_: {key: item for key, item in one.items() if key not in keys} for id_, one in records.items()}


def _messages(before: Json, after: Json, who: str, role: str, offered: bool) -> list[str]:
    found: list[str] = []
    if not all(isinstance(one, dict) and "id" in one and "role" in one for one in after["messages"]):
        return ["a message that is none"]
    ids = [message["id"] for message in after["messages"]]
    if len(ids) != len(set(ids)):
        found.append("two messages of one id")
    old, new = [{message["id"]: message for message in side["messages"]} for side in (before, after)]
    for id_, was in old.items():
        owner, now = was["stamp"]["by"], new.get(id_)
        if owner != who and role != "operator":
            found += [] if was == now else [f"messages/{id_}, {owner}'s"]
        elif now is not None:
            kept = ("id", "role", "stamp")
            named = now.get("metadata", {}).get("author")
            if [was[key] for key in kept] != [now.get(key) for key in kept] or named not in (None, owner):
                found.append(f"what the server says of messages/{id_}")
    for id_ in new.keys() - old.keys():
        message = new[id_]
        metadata = message.get("metadata", {})
        if offered and role == "operator":
            continue
        if message.get("stamp", {}).get("by") != who or metadata.get("author") not in (None, who):
            found.append(f"messages/{id_} in another's name")
        if message["role"] not in _WRITES[role]:
            found.append(f"messages/{id_} of the role {message['role']}")
        run = metadata.get("run")
        if run is not None and after["runs"][run]["agent"] != who:
            found.append(f"messages/{id_} of another's run")
    for message in new.values():
        parts = message.get("parts", []) if role == "member" and message["stamp"]["by"] == who else []
        types = [str(part.get("type")) for part in parts if isinstance(part, dict)]  # one may spoil one's own
        if any(type_.startswith(_AGENTS_PARTS) for type_ in types):
            found.append(f"messages/{message['id']} shows an agent's work")
    return found


def _runs(before: Json, after: Json, who: str, role: str) -> list[str]:
    found = [f"runs/{id_} is gone" for id_ in before["runs"].keys() - after["runs"].keys()]
    authors = {message["id"]: message["stamp"]["by"] for message in after["messages"]}
    for id_, now in after["runs"].items():
        if not {"id", "agent"} <= now.keys():
            return [f"runs/{id_} is no run"]
        was = before["runs"].get(id_, {"id": id_, "agent": who if role == "agent" else None, "steers": []})
        hands = ("cancel", "steers")
        if was["agent"] != who and _without({"": was}, hands) != _without({"": now}, hands):
            found.append(f"runs/{id_}, {was['agent']}'s")
        if (was["id"], was["agent"]) != (now["id"], now["agent"]) or (
            now.get("status") == "lost" and was.get("status") != "lost"
        ):
            found.append(f"what a run is, runs/{id_}")
        if now.get("cancel") != was.get("cancel"):
            is_own = who in (now["agent"], authors.get(now.get("reply_to")))
            if (now.get("cancel") or {}).get("by") != who or not (is_own or role == "operator"):
                found.append(f"runs/{id_}/cancel")
        old, new = was.get("steers", []), now.get("steers", [])
        if new[: len(old)] != old or any(steer["by"] != who or role == "agent" for steer in new[len(old) :]):
            found.append(f"runs/{id_}/steers")
    return found


def _others(before: Json, after: Json, who: str, role: str) -> list[str]:
    """Agents, surfaces and claims."""
    changed = [
        id_
        for id_ in {**before["agents"], **after["agents"]}
        if before["agents"].get(id_) != after["agents"].get(id_)
    ]
    found = [f"agents/{id_}" for id_ in changed if id_ != who or role != "agent"]
    for id_ in {**before["surfaces"], **after["surfaces"]}:
        was, now = before["surfaces"].get(id_), after["surfaces"].get(id_)
        if was is None or now is None:
            mine = (was or now or {}).get("agent") in (None, who) and role == "agent"
            found += [] if mine else [f"surfaces/{id_}"]
        elif (was.get("agent") not in (None, who) or role != "agent") and _without({"": was}, ("data",)) != _without(
            {"": now}, ("data",)
        ):
            found.append(f"surfaces/{id_}")
    for key in {**before["claims"], **after["claims"]}:
        was, now = before["claims"].get(key), after["claims"].get(key)
        if was != now and who not in ((was or {}).get("by"), (now or {}).get("by")):
            found.append(f"claims/{key}")
    return found


def _queue(before: Json, after: Json, who: str, role: str) -> list[str]:
    old, new = [{item["id"]: item for item in side["queue"]} for side in (before, after)]
    found = ["two entries of one id"] if len(new) != len(after["queue"]) else []
    for id_, now in new.items():
        was = old.get(id_)
        if was is None:
            found += [] if now["author"] == who and role != "agent" else [f"queue/{id_} in another's name"]
        elif any(was.get(key) != now.get(key) for key in ("author", "created_at")):
            found.append(f"whose queue/{id_} is")
    return found
