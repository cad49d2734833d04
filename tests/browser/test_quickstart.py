"""The quickstart, as its reader has it at the end: packed packages, a Vite application, an agent, two windows."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, expect
from processes import ROOT, Server, node_program

CLIENT = ROOT / "src" / "cosession-js"
PAGE = ROOT / "tests" / "package" / "page"
GUIDE = (ROOT / "src" / "docs" / "pages" / "quickstart.md").read_text()
ADDRESS = "http://127.0.0.1:8765"


def block(title: str) -> str:
    """The program of the quickstart with this title."""
    found = re.search(rf'^```\w+ title="{re.escape(title)}"\n(.*?)^```$', GUIDE, re.MULTILINE | re.DOTALL)
    assert found is not None, title
    return found[1]


def run(*command: str | Path, cwd: Path) -> str:
    """Run a command of Node's, and return what it prints."""
    path = f"{Path(node_program()).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, env={**os.environ, "PATH": path})
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packed client."""
    folder = tmp_path_factory.mktemp("package")
    run("npm", "pack", "--silent", "--pack-destination", folder, cwd=CLIENT)
    (archive,) = folder.glob("cosession-client-*.tgz")
    return archive


@pytest.fixture
def project(package: Path, tmp_path: Path) -> Path:
    """A new Vite application with the packed client installed."""
    folder = tmp_path / "page"
    shutil.copytree(PAGE, folder, ignore=shutil.ignore_patterns("node_modules"))
    run("npm", "ci", "--ignore-scripts", "--silent", cwd=folder)
    run("npm", "install", "--ignore-scripts", "--silent", "--no-save", package, cwd=folder)
    return folder


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Callable[[Server], None]]:
    """Starts the agent of the quickstart."""
    started: list[subprocess.Popen[bytes]] = []

    def start(server: Server) -> None:
        (tmp_path / "agent.py").write_text(block("agent.py").replace(ADDRESS, server.url))
        started.append(subprocess.Popen([sys.executable, tmp_path / "agent.py"]))

    yield start
    for process in started:
        process.terminate()
        process.wait()


def test_the_page_of_the_quickstart_works_in_two_windows(
    browser: Browser,
    project: Path,
    start_server: Callable[..., Server],
    agent: Callable[[Server], None],
    tmp_path: Path,
) -> None:
    (project / "dist").mkdir()
    server = start_server(static=project / "dist", allowed_origins="http://localhost:5173")
    (project / "src" / "App.tsx").write_text(block("App.tsx").replace(ADDRESS, server.url))
    run("npx", "tsc", cwd=project)
    run("npx", "vite", "build", cwd=project)
    agent(server)
    httpx.post(f"{server.url}/sessions", json={"id": "trip", "policy": {"agents": ["echo"]}}).raise_for_status()
    said: list[str] = []
    contexts = [browser.new_context() for _ in range(2)]
    one, two = (context.new_page() for context in contexts)
    for page in (one, two):
        page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(server.url)
    one.fill("input[name=text]", "where to?")
    one.press("input[name=text]", "Enter")
    expect(two.locator("li").last).to_have_text(re.compile("You said: where to"))
    one.reload()
    expect(one.locator("li").last).to_have_text(re.compile("You said: where to"))
    expect(one.locator("small")).to_have_text("online")
    assert said == []
    for context in contexts:
        context.close()


def test_the_packed_client_is_loaded_by_node(project: Path) -> None:
    script = "const {connect, Y} = await import('@cosession/client'); console.log(typeof connect, typeof Y.Doc)"
    assert run(node_program(), "--input-type=module", "-e", script, cwd=project).split() == ["function", "function"]


def test_the_package_has_types_and_no_tests(package: Path) -> None:
    names = run("tar", "-tzf", package, cwd=ROOT).split()
    assert {"package/dist/index.js", "package/dist/index.d.ts", "package/dist/react.d.ts"} <= set(names)
    assert not [name for name in names if "test" in name or (name.endswith(".ts") and not name.endswith(".d.ts"))]
