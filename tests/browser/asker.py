"""An agent that asks a page for what is selected, then people whether to book it."""

import asyncio
import sys

from cosession.client import connect


async def main(url: str, session_id: str) -> None:
    async with connect(url, session=session_id, participant="bot", name="Bot") as session:
        async for prompt in session.prompts():
            async with session.run(reply_to=prompt) as run:
                selected = await run.call("selected", {"list": "hotels"}, seconds=60)
                decision = await run.ask("Book it?", value={"limit": 200, "row": selected["row"]})
                run.text(f"{decision.status}: {decision.value['limit']} for row {decision.value['row']}")


asyncio.run(main(*sys.argv[1:]))
