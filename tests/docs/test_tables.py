"""What the documentation says in tables is what the code does, and its examples run."""

import asyncio
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from processes import ROOT, Server, eventually
from starlette.routing import Route

import cosession
from cosession import errors
from cosession.server import create_app
from cosession.settings import Settings

README = (ROOT / "README.md").read_text()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def rows(text: str, heading: str) -> list[list[str]]:
    """The cells of the table under a heading row that begins so."""
    table = text[text.index(f"| {heading} |") :].split("\n\n")[0]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table.splitlines()[2:]]


def subclasses(kind: type[errors.CosessionError]) -> Iterator[type[errors.CosessionError]]:
    yield kind
    for sub in kind.__subclasses__():
        yield from subclasses(sub)


def test_the_table_of_errors_is_the_tree_of_errors() -> None:
    text = (ROOT / "src/docs/pages/reference/errors.md").read_text()
    told = {(code.strip("`"), int(close), int(status)) for code, close, status, _ in rows(text, "code")}
    ours = [kind for kind in subclasses(errors.CosessionError) if kind.__module__ == "cosession.errors"]
    assert told == {(kind.code, kind.close_code, kind.status) for kind in ours}


def test_the_table_of_public_errors_has_each_that_the_package_exports() -> None:
    text = (ROOT / "src/cosession/client/README.md").read_text()
    told = {name.strip("`"): retryable == "yes" for name, _, retryable in rows(text, "error")}
    exported = {name: getattr(cosession, name) for name in cosession.__all__}
    kinds = {name: kind for name, kind in exported.items() if isinstance(kind, type)}
    public = {name: kind for name, kind in kinds.items() if issubclass(kind, errors.CosessionError)}
    assert told == {name: kind.retryable for name, kind in public.items() if name != "CosessionError"}


def test_an_error_of_the_server_belongs_to_a_public_family() -> None:
    families = set(cosession.__all__) - {"CosessionError"}
    own = {errors.BadKey, errors.CannotSign, errors.CannotListen}  # an operator sees these, a client doesn't
    for kind in subclasses(errors.CosessionError):
        if kind.__module__ == "cosession.errors" and kind not in own:
            assert kind is errors.CosessionError or any(base.__name__ in families for base in kind.__mro__), kind


def test_the_table_of_routes_has_every_route() -> None:
    page = (ROOT / "src/docs/pages/reference/http.md").read_text()
    table = "".join("".join(cells) for cells in rows(page, "route"))
    for route in create_app(None, None, None, Settings()).routes:  # type: ignore[arg-type]
        if isinstance(route, Route):
            path = re.sub(r"{(session|revocation)(:path)?}", "{id}", route.path).replace(":path}", "}")
            assert f"{path}`" in table or path.startswith(("/sync/", "/work/", "/hocuspocus")), route.path


def test_every_promise_names_a_test_that_is_there() -> None:
    for promise, test in rows(README, "promise"):
        assert list(ROOT.glob(test.strip("`"))), promise


def test_every_threat_names_a_test_that_is_there() -> None:
    text = (ROOT / "src/cosession/auth/THREATS.md").read_text()
    threats = [line.strip("|").split(" | ") for line in text.splitlines() if "::" in line]
    assert len(threats) > 30
    for threat, _, shown_by in threats:
        path, _, test = shown_by.strip().strip("`").partition("::")
        assert f"def {test}(" in (ROOT / "tests" / path).read_text(), threat


def test_every_link_of_the_threats_is_there() -> None:
    page = ROOT / "src/cosession/auth/THREATS.md"
    for target in re.findall(r"\]\((?!http)([^)]+)\)", page.read_text()):
        assert (page.parent / target).exists(), target


def test_every_link_and_picture_of_the_readme_is_there() -> None:
    for target in re.findall(r"\]\((?!http)([^)]+)\)", README):
        assert (ROOT / target).exists(), target


@pytest.mark.anyio
async def test_the_agent_of_the_readme_answers(server: Server, tmp_path: Path) -> None:
    code = re.findall(r"```python\n(.*?)```", README, re.DOTALL)[0].replace("http://127.0.0.1:8765", server.url)
    (tmp_path / "agent.py").write_text(code)
    async with httpx.AsyncClient(base_url=server.url) as http:
        agent = await asyncio.create_subprocess_exec(sys.executable, tmp_path / "agent.py")
        try:

            async def made() -> bool:
                return (await http.get("/sessions/trip")).is_success

            await eventually(made, "the session")
            await http.post("/sessions/trip/messages", json={"text": "good morning"})

            async def answered() -> bool:
                messages = (await http.get("/sessions/trip")).json()["document"]["messages"]
                last = messages[-1]
                return (last["role"], last["metadata"]["status"]) == ("assistant", "complete") and (
                    last["parts"][0]["text"].strip() == "You said: good morning"
                )

            await eventually(answered, "the agent's answer")
        finally:
            agent.kill()
            await agent.wait()
