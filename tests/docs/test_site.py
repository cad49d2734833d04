"""The documentation: its tables are as the code is, its pages are all linked, and its Python examples run."""

import ast
import asyncio
import contextlib
import importlib.util
import re
import subprocess
import sys
import tomllib
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import httpx
import pytest
from processes import ROOT, Server, eventually

from cosession import AgentRun, Session, Worker, connect

DOCS = ROOT / "src" / "docs"
PAGES = DOCS / "pages"
BLOCK = re.compile(r"^```python([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def module(name: str) -> ModuleType:
    """Import a script of the documentation."""
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def blocks(*, whole: bool) -> Iterator[Any]:
    """Yield the Python examples: whole programs, which have a title, or pieces, which are run in a session."""
    for page in sorted(PAGES.rglob("*.md")):
        if "reference" in page.parts:
            continue
        for index, found in enumerate(BLOCK.finditer(page.read_text()), 1):
            if ("title=" in found[1]) == whole:
                yield pytest.param(found[2], id=f"{page.relative_to(PAGES)}-{index}")


def test_tables_are_as_the_code_is() -> None:
    tables = module("tables")
    for page in PAGES.rglob("*.md"):
        assert tables.written(page.read_text()) == page.read_text(), f"run python src/docs/tables.py: {page.name}"


def test_every_page_is_in_the_navigation() -> None:
    build = module("build")
    named = [page for _, page in build._pages(tomllib.loads((DOCS / "zensical.toml").read_text())["project"]["nav"])]
    assert sorted(named) == sorted(str(page.relative_to(PAGES)) for page in PAGES.rglob("*.md"))


@pytest.mark.parametrize("code", list(blocks(whole=True)))
def test_programs_of_the_documentation_compile(code: str) -> None:
    compile(code, "example", "exec")


@contextlib.asynccontextmanager
async def running(server: Server) -> AsyncIterator[tuple[Session, Session, AgentRun]]:
    """A person and an agent in one session, and a run of the agent."""
    async with (
        connect(server.url, "trip", participant="ann", kind="human") as session,
        connect(server.url, "trip", participant="bot") as agent,
    ):
        prompt = await session.send("Hello")
        await session.wait_saved()
        await eventually(lambda: agent.messages.get(prompt.id), "the prompt")
        async with agent.run(reply_to=prompt.id) as run:
            run.text("Hello, ")
            await eventually(lambda: session.runs.get(run.id), "the run")
            yield session, agent, run


class Store:
    """A store of checkpoints, as a user writes it."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    async def load(self, run: str) -> Any:
        """Return the checkpoint of a run."""
        return self.values.get(run)

    async def save(self, run: str, value: Any) -> None:
        """Save the checkpoint of a run."""
        self.values[run] = value


async def agree(session: Session) -> None:
    """Vote for everything, as a person would."""
    async for _ in session.watch("approvals"):
        for id_, approval in session.approvals.to_json().items():
            if approval.get("decision") is None:
                session.vote(id_, "approved", approval.get("value"))


@pytest.mark.anyio
@pytest.mark.parametrize("code", list(blocks(whole=False)))
async def test_pieces_of_the_documentation_run(code: str, server: Server) -> None:
    compiled: CodeType = compile(code, "example", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    async with running(server) as (session, _, run), asyncio.TaskGroup() as tasks:
        voter = tasks.create_task(agree(session))
        result = eval(compiled, {"session": session, "run": run, "Worker": Worker, "store": Store()})
        if result is not None:
            await result
        voter.cancel()


@pytest.mark.anyio
async def test_the_agent_of_the_quickstart_answers(start_server: Callable[..., Server], tmp_path: Path) -> None:
    server = start_server()
    code = next(found[2] for found in BLOCK.finditer((PAGES / "quickstart.md").read_text()) if "agent.py" in found[1])
    (tmp_path / "agent.py").write_text(code.replace("http://127.0.0.1:8765", server.url))
    async with httpx.AsyncClient(base_url=server.url) as http:
        await http.post("/sessions", json={"id": "trip", "title": "Our trip", "policy": {"agents": ["echo"]}})
        agent = await asyncio.create_subprocess_exec(sys.executable, tmp_path / "agent.py")
        try:
            await http.post("/sessions/trip/messages", json={"text": "good morning"})

            async def answered() -> bool:
                last = (await http.get("/sessions/trip")).json()["document"]["messages"][-1]
                return last["metadata"]["status"] == "complete" and (
                    last["parts"][0]["text"].strip() == "You said: good morning"
                )

            await eventually(answered, "the agent's answer")
        finally:
            agent.terminate()
            await agent.wait()


def test_the_test_of_the_guide_passes(tmp_path: Path) -> None:
    code = next(
        found[2] for found in BLOCK.finditer((PAGES / "guides/testing.md").read_text()) if "test_" in found[1]
    )
    (tmp_path / "test_agent.py").write_text(code)
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "-c",
            "/dev/null",
            tmp_path / "test_agent.py",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
