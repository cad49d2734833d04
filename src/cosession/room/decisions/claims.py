"""Claims: what one Yjs client at a time holds, granted in order of arrival.

The epoch of a grant is the version of the update that grants it: it only grows, over releases and restarts, and is
never given twice to who may act on it, for who was granted something acts only when its fence has come back.
What is held goes to the next in line when its holder lets go, is gone for longer than a grace, or had its time.
"""

from typing import Any, TypeGuard, cast

from cosession.document import JsonObject, RequestRecord
from cosession.document.times import later, seconds_until
from cosession.document.values import checked_id
from cosession.errors import ClaimHeld, NotAllowed

from ..effects import Remind
from .context import DecisionContext, decidable

PROMPT = "prompt/"
"""How the keys of claimed prompts begin: `prompt/MESSAGE`, or `prompt/MESSAGE/AGENT`."""

_LONGEST_SECONDS = 366 * 86400.0
_LONGEST_LINE = 64
"""How many may wait for one claim: all of them are told whenever the line moves."""

_TRUSTED_SECONDS = 3600.0
"""A timer that rings after that long has measured it; of longer times the clock is asked: the machine may sleep."""


def begin(case: DecisionContext) -> None:
    """Take up what is held, at load: whoever holds it has a grace to be here again."""
    facts = case.document.claims.to_json()
    for key in decidable(facts):
        fact = facts[key]
        if key and _is_claim(fact):
            _remember(case, key, fact, at_load=True)
            for client in _clients(fact.get("former")):
                case.memory.fenced.add((client, fact["by"]))
        else:
            case.document.claims.release(key)


def ask(case: DecisionContext, request: RequestRecord) -> None:
    """Grant something that is free, give its holder more time, or let a client wait for it.

    Raises:
        NotAllowed: it is for a Yjs client of another participant.
        ClaimHeld: another holds it and the client doesn't wait, too many wait, or it is a prompt that isn't to be
            answered by this participant now.
    """
    key, asks = _claimed(request)
    if not case.memory.may_speak_for(request.participant, asks["client"]):
        raise NotAllowed(f"The Yjs client {asks['client']} is another participant's; claim for one of your own.")
    seconds = _seconds(request.value.get("seconds"))
    fact = case.memory.granted.get(key)
    if fact is None:
        is_prompt = key.startswith(PROMPT)
        if is_prompt and not case.memory.prompts.may_claim(case, key, request.participant):
            raise ClaimHeld("This prompt can't be answered by you now: it is another's, or it isn't its turn.")
        grant(case, key, **asks, seconds=case.settings.begin_seconds if is_prompt else seconds)
    elif _is_held_by(fact, asks):
        if seconds is not None and not key.startswith(PROMPT):
            _write(case, key, {**fact, "until": later(case.at, seconds)}, renewed=seconds)
    elif request.value.get("wait") is not True:
        raise ClaimHeld(f"Another client holds {key!r}: one of {fact['by']}'s. Wait for it, or ask again later.")
    elif asks not in (line := fact.get("waiting", [])):
        if len(line) >= _LONGEST_LINE:
            raise ClaimHeld(f"{_LONGEST_LINE} clients wait for {key!r} already; ask again later.")
        _write(case, key, {**fact, "waiting": [*line, asks]})


def release(case: DecisionContext, request: RequestRecord) -> None:
    """Let go of something, or wait for it no longer; what the client doesn't hold stays as it is."""
    key, asks = _claimed(request)
    fact = case.memory.granted.get(key)
    if fact is None:
        return
    if _is_held_by(fact, asks):
        _pass_on(case, key, fact)
    elif asks in (line := fact.get("waiting", [])):
        _write(case, key, {**fact, "waiting": [one for one in line if one != asks]})


def grant(
    case: DecisionContext,
    key: str,
    *,
    by: str,
    client: int,
    seconds: float | None = None,
    waiting: list[JsonObject] | None = None,
    former: list[int] | None = None,
) -> None:
    """Give something to a client, whoever held it.

    Args:
        case: the case.
        key: what it is.
        by: whose client it is.
        client: the Yjs client.
        seconds: for how long at most.
        waiting: who is next, {by, client} each.
        former: the clients from which it passed while they were gone.
    """
    fact: JsonObject = {"by": by, "client": client, "epoch": case.epoch, "at": case.at}
    if seconds is not None:
        fact["until"] = later(case.at, seconds)
    if waiting:
        fact["waiting"] = waiting
    if former:
        fact["former"] = former
    _write(case, key, fact, renewed=seconds)


def end(case: DecisionContext, key: str) -> None:
    """Let nobody hold something any more."""
    case.memory.granted.pop(key, None)
    case.document.claims.release(key)
    case.effects += [*case.memory.leases.end(f"claim/{key}"), Remind(f"until/{key}", None)]


def lapse(case: DecisionContext, key: str) -> None:
    """Pass something on of which the holder's lease is over."""
    fact = case.memory.granted.get(key)
    if fact is None or not case.memory.leases.is_over(f"claim/{key}"):
        return
    former = list(fact.get("former", []))
    if key.startswith(PROMPT) and fact["client"] not in former:
        former.append(fact["client"])
        case.memory.fenced.add((fact["client"], fact["by"]))
    _pass_on(case, key, fact, former[-_LONGEST_LINE:])


def expire(case: DecisionContext, key: str) -> None:
    """Pass something on of which the time is over."""
    fact = case.memory.granted.get(key)
    if fact is None or "until" not in fact:
        return
    left = seconds_until(case.at, fact["until"])
    if left > 0 and seconds_until(fact["at"], fact["until"]) > _TRUSTED_SECONDS:
        case.effects.append(Remind(f"until/{key}", left))
    else:
        _pass_on(case, key, fact, list(fact.get("former", [])))


def restore(case: DecisionContext) -> None:
    """Write back what only the server may say of claims.

    What nobody holds, and comes back after a crash that undid the grant, is granted anew: nobody has acted on it.
    """
    for key in case.touched("claims"):
        fact, known = case.document.claims.get(key), case.memory.granted.get(key)
        if fact == known:
            continue
        if known is not None:
            _write(case, key, known)
        elif key and _is_claim(fact):
            left = seconds_until(case.at, fact["until"]) if "until" in fact else None
            if left is None or left > 0:
                grant(case, key, by=fact["by"], client=fact["client"], seconds=left)
            else:
                case.document.claims.release(key)
        else:
            case.document.claims.release(key)


def _pass_on(case: DecisionContext, key: str, fact: JsonObject, former: list[int] | None = None) -> None:
    """Give something to the next in line who is here, else to nobody."""
    line = list(fact.get("waiting", []))
    while line:
        asks = line.pop(0)
        if case.memory.leases.is_here(asks["client"], asks["by"]):
            seconds = case.settings.begin_seconds if key.startswith(PROMPT) else None
            case.effects.append(Remind(f"until/{key}", None))
            grant(case, key, by=asks["by"], client=asks["client"], seconds=seconds, waiting=line, former=former)
            return
    end(case, key)


def _write(case: DecisionContext, key: str, fact: JsonObject, *, renewed: float | None = None) -> None:
    fact = case.document.claims.grant(key, **fact)  # as it stands there: without what is empty
    _remember(case, key, fact)
    if renewed is not None:
        case.effects.append(Remind(f"until/{key}", renewed))


def _remember(case: DecisionContext, key: str, fact: JsonObject, *, at_load: bool = False) -> None:
    case.memory.granted[key] = fact
    case.effects += case.memory.leases.keep(f"claim/{key}", fact["client"], fact["by"])
    if at_load and "until" in fact:
        left = min(seconds_until(case.at, fact["until"]), seconds_until(fact["at"], fact["until"]))
        case.effects.append(Remind(f"until/{key}", max(left, 0.0)))


def _is_held_by(fact: JsonObject, asks: JsonObject) -> bool:
    return _asks(fact["by"], fact["client"]) == asks


def _claimed(request: RequestRecord) -> tuple[str, JsonObject]:
    """Return what a request is to hold or to let go, and in whose name.

    Raises:
        BadRequest: it doesn't name it and a Yjs client.
        BadDocument: nothing can have that name.
    """
    key, client = request.about("key", "client")
    return checked_id(key, "What is claimed"), _asks(request.participant, int(client))


def _asks(by: str, client: int) -> JsonObject:
    return {"by": by, "client": client}


def _seconds(value: object) -> float | None:
    """For how long somebody wants something; None where they don't say, or say nonsense."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        return None
    return min(float(value), _LONGEST_SECONDS)


def _clients(value: object) -> list[int]:
    listed = cast("list[Any]", value) if isinstance(value, list) else []
    return [client for client in listed if isinstance(client, int) and not isinstance(client, bool)]


def _is_claim(fact: object) -> TypeGuard[JsonObject]:
    """Whether this is what the server writes: anybody who may write everything can have written anything there."""
    if not isinstance(fact, dict):
        return False
    fields = cast(JsonObject, fact)
    waiting = fields.get("waiting", [])
    return (
        isinstance(fields.get("by"), str)
        and isinstance(fields.get("at"), str)
        and isinstance(fields.get("until", ""), str)
        and all(type(fields.get(key)) is int for key in ("client", "epoch"))
        and _clients(fields.get("former", [])) == fields.get("former", [])
        and isinstance(waiting, list)
        and all(_is_waiter(one) for one in cast("list[Any]", waiting))
    )


def _is_waiter(value: object) -> bool:
    one = cast(JsonObject, value) if isinstance(value, dict) else {}
    return one.keys() == {"by", "client"} and isinstance(one["by"], str) and type(one["client"]) is int
