"""Claims: exclusive locks by key, each held by one Yjs client at a time, granted in order of arrival.

The epoch of a grant is the version of the update that grants it: it only grows, over releases and restarts. No two
clients act on one epoch, because a client acts on a grant only when its fence has come back. A claim passes to the
next in line when its holder releases it, is gone for longer than a grace, or has used up its time.
"""

from typing import Any, TypeGuard, cast

from cosession.document import JsonObject, RequestRecord
from cosession.document.times import later, seconds_until
from cosession.document.values import checked_id
from cosession.errors import ClaimHeld, NotAllowed

from ..effects import Remind
from .context import DecisionContext, decidable

PROMPT = "prompt/"
"""The prefix of the keys of claimed prompts: `prompt/MESSAGE`, or `prompt/MESSAGE/AGENT`."""

_LONGEST_SECONDS = 366 * 86400.0
_LONGEST_LINE = 64
"""How many clients may wait for one claim: all of them are notified whenever the line moves."""

_TRUSTED_SECONDS = 3600.0
"""The time up to which a timer is trusted; for longer ones the clock is compared: the machine may have slept."""


def begin(case: DecisionContext) -> None:
    """Resume the claims at load: each holder has a grace to come back."""
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
    """Grant a free claim, extend its holder's time, or let a client wait for it.

    Raises:
        NotAllowed: it is for a Yjs client of another participant.
        ClaimHeld: another client holds it and this one doesn't wait, too many wait, or it is a prompt that this
            participant may not answer now.
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
    """Release a claim, or stop waiting for it; a claim of another client stays as it is."""
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
    """Grant a claim to a client, also if another held it.

    Args:
        case: the case.
        key: the key of the claim.
        by: the participant of the client.
        client: the Yjs client.
        seconds: the time for which it is granted at most; None: without limit.
        waiting: the line of waiting clients, {by, client} each.
        former: the clients that lost the claim while they were gone.
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
    """Remove a claim, so that no client holds it any more."""
    case.memory.granted.pop(key, None)
    case.document.claims.release(key)
    case.effects += [*case.memory.leases.end(f"claim/{key}"), Remind(f"until/{key}", None)]


def lapse(case: DecisionContext, key: str) -> None:
    """Pass a claim on if its holder's lease is over."""
    fact = case.memory.granted.get(key)
    if fact is None or not case.memory.leases.is_over(f"claim/{key}"):
        return
    former = list(fact.get("former", []))
    if key.startswith(PROMPT) and fact["client"] not in former:
        former.append(fact["client"])
        case.memory.fenced.add((fact["client"], fact["by"]))
    _pass_on(case, key, fact, former[-_LONGEST_LINE:])


def expire(case: DecisionContext, key: str) -> None:
    """Pass a claim on if its time is over."""
    fact = case.memory.granted.get(key)
    if fact is None or "until" not in fact:
        return
    left = seconds_until(case.at, fact["until"])
    if left > 0 and seconds_until(fact["at"], fact["until"]) > _TRUSTED_SECONDS:
        case.effects.append(Remind(f"until/{key}", left))
    else:
        _pass_on(case, key, fact, list(fact.get("former", [])))


def restore(case: DecisionContext) -> None:
    """Restore claims that a client changed: only the server writes them.

    A free claim that a replica brings back after a crash undid the grant is granted anew: no client has acted on it.
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
    """Grant a claim to the next waiting client that is present, or remove it if there is none."""
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
    fact = case.document.claims.grant(key, **fact)  # as the document holds it: without empty fields
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
    """Return the key of the claim in a request, and the client that asks.

    Raises:
        BadRequest: the request doesn't name a key and a Yjs client.
        BadDocument: the key isn't valid.
    """
    key, client = request.about("key", "client")
    return checked_id(key, "What is claimed"), _asks(request.participant, int(client))


def _asks(by: str, client: int) -> JsonObject:
    return {"by": by, "client": client}


def _seconds(value: object) -> float | None:
    """Return the requested time in seconds; None where it is missing or not valid."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        return None
    return min(float(value), _LONGEST_SECONDS)


def _clients(value: object) -> list[int]:
    listed = cast("list[Any]", value) if isinstance(value, list) else []
    return [client for client in listed if isinstance(client, int) and not isinstance(client, bool)]


def _is_claim(fact: object) -> TypeGuard[JsonObject]:
    """Return whether this is a claim as the server writes it: a client with full write access may write anything."""
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
