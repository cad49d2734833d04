"""Published editors, as their own documentation binds them: two people, an agent and a viewer in one document.

By default each editor runs once, with tokens, the roots that it takes by itself, and one major version of
y-websocket; `--matrix` runs every kind of access with every version.
"""

import asyncio
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import product

import pytest
from editors.scene import BOARDS, EDITORS, Access, Scene, shown_json
from people import SECRET, token
from playwright.async_api import async_playwright
from processes import Server, eventually

ROLES = {"Ann": "member", "Ben": "member", "Cy": "viewer", "bot": "agent"}
ROOTS = ("own", "schema")
PROVIDERS = (1, 2, 3)

PASTED = ("The quick brown fox jumps over the lazy dog, é ü 漢字 😀 👩🏽‍🚀. " * 60 + "\n") * 52
AGENT_WORDS = ["agent", "👋", " spricht ", "漢", "; "] * 5


@dataclass(frozen=True, slots=True)
class Case:
    """One run: which editor, and how its pages get in."""

    editor: str
    with_tokens: bool
    root: str
    provider: int

    def __str__(self) -> str:
        door = "tokens" if self.with_tokens else "open"
        return f"{self.editor}-{door}-{self.root}-roots-y-websocket-{self.provider}"


def _cases(config: pytest.Config, names: list[str]) -> list[Case]:
    if config.getoption("--matrix"):
        return [Case(*case) for case in product(names, (True, False), ROOTS, PROVIDERS)]
    return [Case(name, True, "own", PROVIDERS[i % len(PROVIDERS)]) for i, name in enumerate(names)]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give each test its runs."""
    if "case" in metafunc.fixturenames:
        names = list(EDITORS) if metafunc.function is test_people_and_an_agent_edit_together else ["excalidraw"]
        if metafunc.function is test_state_libraries_share_their_objects:
            names = ["stores"]
        metafunc.parametrize("case", _cases(metafunc.config, names), ids=str)


@asynccontextmanager
async def scene_of(case: Case, pages: str, start_server: Callable[..., Server]) -> AsyncIterator[Scene]:
    """Start a server and a browser for one run."""
    server = start_server(**({"auth_secret": SECRET} if case.with_tokens else {}))
    editor = (EDITORS | BOARDS)[case.editor]
    tokens = {who: token(who.lower(), role) for who, role in ROLES.items()} if case.with_tokens else {}
    access = Access(tokens, editor.schema_root if case.root == "schema" else None, case.provider)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        scene = Scene(browser, server, pages, case.editor, editor, access)
        yield scene
        await scene.close()
        await browser.close()


async def type_together(scene: Scene) -> None:
    """Two people and an agent write at one place at once; everything that they write is there."""
    ann, ben = scene.open_pages["Ann"], scene.open_pages["Ben"]
    if scene.editor.kind != "text":
        await scene.type(ann, "start ")
        await scene.equal(ann, ben)
    await asyncio.gather(
        scene.type(ann, "Hello from Ann 👩🏽‍🚀 é "),
        scene.type(ben, "Ben types too 😀 "),
        scene.agent_writes(AGENT_WORDS),
    )
    document = await scene.equal(ann, ben)
    # Each letter, not their order: on a busy machine ProseMirror's caret may jump when another's words are drawn.
    missing = Counter("Hello from Ann" + "Ben types too" + "agent" * 5) - Counter(document)
    assert not missing, f"{dict(missing)} is missing in {document[:300]}"
    assert document.count("👋") == 5
    assert "漢" in shown_json(await scene.json()), "the HTTP view shows the editor's document"


async def show_carets(scene: Scene) -> None:
    """A caret that moves is seen by the others."""
    ann, ben = scene.open_pages["Ann"], scene.open_pages["Ben"]
    await scene.type(ben, "x")

    async def is_seen() -> bool:
        return bool(await ann.evaluate("document.querySelectorAll(page.caret).length"))

    await eventually(is_seen, "Ben's caret on Ann's page")


async def decorate(scene: Scene) -> None:
    """Formats, tables, images and mentions arrive."""
    ann, ben = scene.open_pages["Ann"], scene.open_pages["Ben"]
    await ann.evaluate("page.decorate?.()")
    await ann.evaluate("page.focusEnd()")
    await ann.keyboard.press("Shift+Home")
    await ann.keyboard.press("Control+b")
    await scene.equal(ann, ben)


async def undo(scene: Scene) -> None:
    """Undo takes back one's own words and no other's; redo brings them back."""
    ann, ben = scene.open_pages["Ann"], scene.open_pages["Ben"]
    await asyncio.sleep(0.7)  # longer than editors gather what is typed into one step of undo
    await scene.type(ann, " UNDOME")
    before = await scene.equal(ann, ben)
    assert "UNDOME" in before

    async def step(act: Callable[..., object], wanted: bool) -> None:
        for _ in range(6):
            if ("UNDOME" in await scene.document(ann)) is wanted:
                break
            await act(ann)  # type: ignore[misc]
        document = await scene.equal(ann, ben)
        assert ("UNDOME" in document) is wanted
        assert document.count("👋") == 5, "an agent's words are not Ann's to take back"

    await step(scene.undo, False)
    await step(scene.redo, True)
    await scene.undo(ann, 30)
    await scene.equal(ann, ben)
    await scene.redo(ann, 30)
    await scene.equal(ann, ben)


async def replace_emoji(scene: Scene) -> None:
    """An emoji is replaced by another one with the same first half, as pickers and find-and-replace do."""
    ann, ben = scene.open_pages["Ann"], scene.open_pages["Ben"]
    await scene.type(ann, "Z😀Z")
    await scene.equal(ann, ben)
    await ann.evaluate("page.focusEnd()")
    await ann.keyboard.press("ArrowLeft")
    await ann.keyboard.press("Shift+ArrowLeft")
    await ann.keyboard.insert_text("😁")
    document = await scene.equal(ann, ben)
    if scene.name != "lexical":  # it replaces half of a pair, which every Yjs shows as two replacement characters
        assert "Z😁Z" in document
    await scene.type(ann, " after")
    assert " after" in await scene.equal(ann, ben)


async def paste(scene: Scene) -> None:
    """200 KB in one go arrive."""
    ann, ben = scene.open_pages["Ann"], scene.open_pages["Ben"]
    await scene.paste(ann, PASTED)

    async def has_arrived() -> bool:
        return len(await scene.document(ben)) > 180_000

    await eventually(has_arrived, "200 KB on the other page", seconds=60)
    await scene.equal(ann, ben)


async def reload(scene: Scene) -> None:
    """A reload changes nothing."""
    ann, ben = scene.open_pages["Ann"], scene.open_pages["Ben"]
    before = await scene.document(ann)
    await ben.reload()
    await scene.ready(ben)
    assert await scene.equal(ann, ben) == before


async def restart(scene: Scene) -> None:
    """The server is killed and started again; what is typed meanwhile arrives."""
    ann, ben = scene.open_pages["Ann"], scene.open_pages["Ben"]
    await asyncio.to_thread(scene.server.kill)
    await scene.type(ann, " while it was gone ")
    await asyncio.to_thread(scene.server.start)
    assert "while it was gone" in await scene.equal(ann, ben)


async def go_offline(scene: Scene) -> None:
    """Two people type without hearing of each other, and end equal."""
    ann, ben = scene.open_pages["Ann"], scene.open_pages["Ben"]
    await ben.evaluate("page.provider.disconnect()")
    await scene.type(ben, " offline Ben ")
    await scene.type(ann, " online Ann ")
    await ben.evaluate("page.provider.connect()")
    document = await scene.equal(ann, ben)
    assert "offline Ben" in document
    assert "online Ann" in document


async def use_local_copy(scene: Scene) -> None:
    """What is typed without a network outlives its page in y-indexeddb."""
    ann = scene.open_pages["Ann"]
    context = await scene.browser.new_context()
    ben = await scene.open("Ben", context, database=scene.room)
    await scene.equal(ann, ben)
    await ben.close()
    ben = await scene.open("Ben", context, database=scene.room, offline="1")
    await scene.equal(ann, ben)  # ProseMirror loses letters that are typed while it is given a document
    await scene.type(ben, " from IndexedDB ")

    async def is_kept() -> bool:
        return bool(await ben.evaluate(_COPY_HAS, scene.room))

    await eventually(is_kept, "the copy has the words")
    await ben.close()
    ben = await scene.open("Ben", context, database=scene.room)

    async def is_here() -> bool:  # the page may sync before it has read its copy
        return "from IndexedDB" in await scene.document(ann)

    await eventually(is_here, "what the copy kept is on Ann's page")
    await scene.equal(ann, ben)


_COPY_HAS = """
(name) => new Promise((resolve) => {
  const opening = indexedDB.open(name);
  opening.onsuccess = () => {
    const reading = opening.result.transaction("updates").objectStore("updates").getAll();
    reading.onsuccess = () => {
      opening.result.close();
      const text = reading.result.map((update) => new TextDecoder().decode(update)).join("");
      resolve(text.includes("IndexedDB") || "from IndexedDB".split("").every((letter) => text.includes(letter)));
    };
  };
})
"""


async def come_late(scene: Scene) -> None:
    """A viewer sees everything; what a viewer types reaches no other page and costs the viewer nothing."""
    ann, ben = scene.open_pages["Ann"], scene.open_pages["Ben"]
    cy = await scene.open("Cy")
    before = await scene.equal(ann, cy)
    if scene.access.tokens:
        await scene.type(cy, "forbidden")
        await scene.type(ann, " seen by Cy ")

        async def sees() -> bool:
            return "seen by Cy" in await scene.document(cy)

        await eventually(sees, "the viewer goes on reading")
        document = await scene.equal(ann, ben)
        assert "forbidden" not in document
        assert len(document) >= len(before)


STEPS = (
    type_together,
    show_carets,
    decorate,
    undo,
    replace_emoji,
    paste,
    reload,
    restart,
    go_offline,
    use_local_copy,
    come_late,
)


@pytest.mark.anyio
async def test_people_and_an_agent_edit_together(case: Case, pages: str, start_server: Callable[..., Server]) -> None:
    async with scene_of(case, pages, start_server) as scene:
        await scene.open("Ann", first=True)
        await scene.open("Ben")
        for step in STEPS:
            try:
                await step(scene)
            except Exception as error:
                error.add_note(f"in {step.__name__} of {case}")
                raise
        closes = await scene.open_pages["Ann"].evaluate("page.closes.filter(([code]) => code >= 4000)")
        assert closes == []


@pytest.mark.anyio
async def test_a_whiteboard_holds_drawings_selections_and_pictures(
    case: Case, pages: str, start_server: Callable[..., Server]
) -> None:
    async with scene_of(case, pages, start_server) as scene:
        ann = await scene.open("Ann", first=True)
        ben = await scene.open("Ben")
        await ann.evaluate("page.draw(900, 'né 😀')")
        await ben.evaluate("page.draw(3, 'Ben')")
        await scene.equal(ann, ben)
        await ann.evaluate("page.selectAll()")  # tells 900 ids in presence
        await ann.evaluate("page.insertImage(3_000_000)")
        await scene.equal(ann, ben)
        await ann.evaluate("page.undo()")
        await scene.equal(ann, ben)
        await ann.evaluate("page.redo()")
        await scene.equal(ann, ben)
        await asyncio.to_thread(scene.server.kill)
        await ann.evaluate("page.draw(1, 'while it was gone')")
        await asyncio.to_thread(scene.server.start)
        assert "while it was gone" in await scene.equal(ann, ben)
        cy = await scene.open("Cy")
        await scene.equal(ann, cy)
        assert await ann.evaluate("page.closes.filter(([code]) => code >= 4000)") == []


@pytest.mark.anyio
async def test_state_libraries_share_their_objects(
    case: Case, pages: str, start_server: Callable[..., Server]
) -> None:
    async with scene_of(case, pages, start_server) as scene:
        ann = await scene.open("Ann", first=True)
        ben = await scene.open("Ben")
        await scene.equal(ann, ben)
        await ann.evaluate("page.addTodo('buy tickets')")
        await ben.evaluate("page.addTodo('pack é 😀')")
        await ben.evaluate("page.addName('Ben')")
        await ann.evaluate("page.set('trip', { days: 3, cities: ['Lyon'] })")
        await scene.equal(ann, ben)
        await ben.evaluate("page.toggle(0)")
        await ben.evaluate("page.set('dark', true)")
        await scene.equal(ann, ben)
        await asyncio.to_thread(scene.server.kill)
        await ann.evaluate("page.addName('while it was gone')")
        await asyncio.to_thread(scene.server.start)
        assert "while it was gone" in await scene.equal(ann, ben)
        cy = await scene.open("Cy")
        await scene.equal(ann, cy)
