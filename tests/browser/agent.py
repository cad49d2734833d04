"""An agent whose every word the test decides: a process with the SDK, told line by line what to write.

    python agent.py URL SESSION

In: `words N` writes N more words, `says TEXT` a percent-encoded text, `end` finishes the answer, `fail` breaks off
with an error.
Out, one JSON object a line: {"joined": true}, {"prompt": text}, {"wrote": count}, {"steers": [text]},
{"ended": "complete" | "cancelled" | "error"}.
"""

import asyncio
import json
import os
import sys
from urllib.parse import unquote

import structlog

from cosession.client import AgentRun, Session, connect
from cosession.document import Message


def say(**fields: object) -> None:
    """Tell the test."""
    print(json.dumps(fields), flush=True)


async def orders() -> asyncio.StreamReader:
    """Standard input, to be read without holding up the loop."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    return reader


async def obey(run: AgentRun, reader: asyncio.StreamReader) -> None:
    """Write what the test says, until it says that it is enough."""
    written = 0
    while line := (await reader.readline()).decode():
        order, _, count = line.strip().partition(" ")
        if order == "end":
            return
        if order == "fail":
            raise RuntimeError("the model has broken")
        if order == "words":
            for number in range(written, written + int(count)):
                run.text(f"w{number}🐙 ")
            written += int(count)
            say(wrote=written)
        if order == "says":
            run.text(unquote(count))
            say(wrote=written)
        steers = [steer.text for steer in run.steers()]
        if steers:
            say(steers=steers)


async def answer(session: Session, prompt: Message, reader: asyncio.StreamReader) -> None:
    """Answer one prompt."""
    say(prompt=prompt.text)
    record = None
    try:
        async with session.run(reply_to=prompt) as run:
            record = run.id
            await obey(run, reader)
    except RuntimeError as error:
        say(error=str(error))
    found = session.runs.get(record) if record else None
    say(ended=found.status if found else None)


async def main(url: str, name: str) -> None:
    """Join, and answer whatever is asked."""
    reader = await orders()
    token = os.environ.get("COSESSION_TOKEN")
    async with connect(url, session=name, participant="scripted", name="Scripted agent", token=token) as session:
        say(joined=True)
        async for prompt in session.prompts():
            await answer(session, prompt, reader)


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))  # standard output is for the test
    asyncio.run(main(sys.argv[1], sys.argv[2]))
