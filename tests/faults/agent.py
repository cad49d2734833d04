"""An agent as a process of its own, which tests kill and freeze: it answers prompts, or holds a claim.

    python tests/faults/agent.py URL run|ask|agree|call|claim

Writes a line to standard output at what the tests wait for: what it does, and what its replica sees.
"""

import asyncio
import sys

from cosession.client import AgentRun, Session, connect
from cosession.errors import ClaimLost

WORD_SECONDS = 0.01


def say(*words: object) -> None:
    print(*words, flush=True)


def look(session: Session) -> None:
    """Say which decisions and whose claim the replica shows."""
    for approval in session.approvals.to_json().values():
        if "decision" in approval:
            say("sees", approval["decision"]["decision"])
    holder = session.claims.get("inbox") or {}
    if holder.get("client") == session.document.doc.client_id:
        say("sees its claim")


async def hold(session: Session) -> None:
    """Hold a claim until it is lost."""
    async with session.claim("inbox", wait=True) as claim:
        say("holds", claim.epoch)
        try:
            while True:
                claim.check()
                await asyncio.sleep(WORD_SECONDS)
        except ClaimLost:
            say("lost")


async def work(session: Session, run: AgentRun, what: str) -> None:
    """Stream until people say that it is enough, or ask them, or call a tool of theirs."""
    run.text(f"[{run.epoch}]")
    match what:
        case "run":
            number = 0
            while not session.state.get("enough"):
                run.text(f" {number}")
                number += 1
                await asyncio.sleep(WORD_SECONDS)
        case "ask":
            decision = await run.ask("Book it?", value={"limit": 200})
            run.text(f" {decision.status} {decision.value}")
        case "agree":
            decision = await run.ask("Book it?", quorum=2)
            run.text(f" {decision.status} by {' and '.join(decision.by)}")
        case _:
            row = await run.call("selected_row", seconds=60)
            say("uses", row)
            run.text(f" {row}")


async def main(url: str, what: str) -> None:
    """Join, and work until the process is ended."""
    async with connect(url, session="trip", participant="planner") as session:
        session.on("refused", lambda refusal: say("refused", refusal.code))
        with session.document.observe(lambda _: look(session), "approvals", "claims"):
            if what == "claim":
                await hold(session)
            async for prompt in session.prompts():
                async with session.run(reply_to=prompt) as run:
                    say("begun", run.epoch)
                    await work(session, run, what)
                say("over")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
