"""What a user gets: the wheel, in an environment of its own, serves the demo whole."""

import os
import re
import selectors
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from processes import PATIENCE_SECONDS, ROOT, eventually

from cosession.client import connect

BUILD_SECONDS = 180.0
"""Making an environment, and building the wheel with a build tool that pip fetches."""


@pytest.fixture
def anyio_backend() -> str:
    """The Python SDK runs on asyncio."""
    return "asyncio"


def run(*command: str | Path) -> str:
    """Run a command, and return what it says."""
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=BUILD_SECONDS)
    assert done.returncode == 0, f"{command} failed:\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The commands of a fresh environment with the wheel in it; dependencies are those of these tests."""
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "venv", folder / "venv")
    python = folder / "venv" / "bin" / "python"
    pip = (python, "-m", "pip", "--disable-pip-version-check")
    run(*pip, "wheel", "--no-deps", "-w", folder, ROOT)
    (wheel,) = folder.glob("cosession-*.whl")
    run(*pip, "install", "--no-deps", wheel)
    library = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
    # Found after the wheel, and without the links to the source that these tests may run from.
    (Path(library) / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "venv" / "bin"


@pytest.fixture
def demo(installed: Path, tmp_path: Path) -> Iterator[str]:
    """The address of `cosession demo`, run from the wheel in an empty folder."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("COSESSION_", "PYTHON"))}
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [installed / "cosession", "demo", "--port", "0", "--no-open", "--model", "scripted"],
            cwd=tmp_path,
            env={**environment, "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    try:
        assert process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            said = process.stdout.readline() if selector.select(PATIENCE_SECONDS) else ""
        address = re.search(r"http://\S+", said)
        assert address, f"It said {said!r}, and {(tmp_path / 'log').read_text()}"
        yield address[0].rstrip("/")
        process.terminate()
        process.wait(PATIENCE_SECONDS)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def test_the_wheel_carries_its_own_copy_of_everything(installed: Path) -> None:
    where = run(installed / "python", "-c", "import cosession; print(cosession.__file__)")
    assert Path(where.strip()).is_relative_to(installed.parent)
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*", run(installed / "cosession", "--version").split()[-1])


def test_the_demo_of_the_wheel_serves_its_pages_and_the_client(demo: str) -> None:
    with httpx.Client(base_url=demo) as http:
        page = http.get("/")
        assert page.status_code == 200
        client = http.get("/client/cosession.js")
        assert client.status_code == 200
        assert "javascript" in client.headers["content-type"]
        for name in sorted(path.relative_to(ROOT / "demo/chat").as_posix() for path in chat_files()):
            answer = http.get(f"/{name}")
            assert answer.status_code == 200, name
            assert answer.content == (ROOT / "demo/chat" / name).read_bytes(), name


def test_the_wheel_serves_the_documentation_and_carries_no_tests(demo: str, installed: Path) -> None:
    with httpx.Client(base_url=demo, follow_redirects=True) as http:
        assert "<h1" in http.get("/docs").text
        assert "# Quickstart" in http.get("/docs/quickstart.md").text
    files = run(installed / "python", "-m", "pip", "show", "--files", "cosession")
    assert not re.search(r"(^|/)(tests?|conftest)[./]", files, re.MULTILINE)


def chat_files() -> Iterator[Path]:
    """What the browser loads of the demo."""
    for suffix in ("html", "css", "js", "svg"):
        yield from (ROOT / "demo/chat").rglob(f"*.{suffix}")


@pytest.mark.anyio
async def test_the_agent_of_the_wheel_answers(demo: str) -> None:
    async with connect(demo, session="trip", participant="ann", kind="human") as session:
        await session.send("Is anybody here?")

        def answer() -> str:
            return "".join(message.text for message in session.messages if message.role == "assistant")

        await eventually(lambda: "> Is anybody here?" in answer(), "the scripted agent's answer")
