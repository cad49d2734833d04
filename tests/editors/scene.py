"""A scene for one editor: a server, pages of people in Chromium, and an agent with pycrdt's own provider."""

import asyncio
import contextlib
import json
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import httpx
from playwright.async_api import Browser, BrowserContext, Error, Page
from processes import Server, eventually
from pycrdt import Doc, Provider, Text, XmlElement, XmlFragment, XmlText
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

COLORS = {"Ann": "#b3004b", "Ben": "#1b6b3a", "Cy": "#3a1b6b"}


@dataclass(frozen=True, slots=True)
class Editor:
    """An editor, and how it uses a document.

    Attributes:
        root: the root that its binding takes where nobody names one.
        schema_root: a root of the session's schema that can hold its document.
        kind: how its document is built: plain `text`, `xml` elements, or a text that holds shared types (`nested`).
        redo: the keys that redo.
    """

    root: str
    schema_root: str
    kind: str
    redo: str = "Control+y"


EDITORS = {
    "codemirror": Editor("codemirror", "text:code", "text"),
    "monaco": Editor("monaco", "text:monaco", "text"),
    "quill": Editor("quill", "text:quill", "text"),
    "prosemirror": Editor("prosemirror", "xml:prosemirror", "xml"),
    "tiptap": Editor("default", "xml:tiptap", "xml", redo="Control+Shift+z"),
    "blocknote": Editor("document-store", "xml:blocknote", "xml"),
    "lexical": Editor("root", "text:lexical", "nested"),
    "slate": Editor("content", "text:slate", "nested"),
}
BOARDS = {"excalidraw": Editor("elements", "state", ""), "stores": Editor("todos", "state", "")}


@dataclass(frozen=True, slots=True)
class Access:
    """How the pages of one run get in.

    Attributes:
        tokens: of each participant, by name; empty on a server that asks for none.
        root: the root that the pages are told to use; None leaves it to the editor.
        provider: the major version of y-websocket.
    """

    tokens: Mapping[str, str]
    root: str | None
    provider: int


class Channel:
    """A socket as pycrdt's provider wants one."""

    def __init__(self, socket: ClientConnection, path: str) -> None:
        self._socket = socket
        self.path = path

    def __aiter__(self) -> "Channel":
        return self

    async def __anext__(self) -> bytes:
        try:
            return await self.recv()
        except ConnectionClosed:
            raise StopAsyncIteration from None

    async def send(self, message: bytes) -> None:
        """Send a frame; a closed socket takes none."""
        with contextlib.suppress(ConnectionClosed):
            await self._socket.send(message)

    async def recv(self) -> bytes:
        """Wait for a frame."""
        message = await self._socket.recv()
        assert isinstance(message, bytes), f"a text frame came: {message}"
        return message


@dataclass
class Scene:
    """One room with its pages.

    Attributes:
        browser: Chromium.
        server: the server.
        site: the address of the bundled pages.
        name: which page.
        editor: the editor.
        access: how one gets in.
        room: the session.
        open_pages: the pages by participant.
    """

    browser: Browser
    server: Server
    site: str
    name: str
    editor: Editor
    access: Access
    room: str = field(default_factory=lambda: f"editors-{uuid.uuid4().hex[:8]}")
    open_pages: dict[str, Page] = field(default_factory=dict)

    @property
    def root(self) -> str:
        """The root that holds the editor's document."""
        return self.access.root or self.editor.root

    async def open(
        self, who: str, context: BrowserContext | None = None, *, first: bool = False, **query: str
    ) -> Page:
        """Open a page of a participant, and wait until its editor is ready."""
        context = context or await self.browser.new_context(viewport={"width": 1000, "height": 700})
        page = await context.new_page()
        query |= {
            "server": f"ws{self.server.url[4:]}/sync",
            "room": self.room,
            "name": who,
            "color": COLORS[who],
            "provider": str(self.access.provider),
        }
        if first:
            query["first"] = "1"
        if self.access.root:
            query["root"] = self.access.root
        if self.access.tokens:
            query["token"] = self.access.tokens[who]
        await page.goto(f"{self.site}/{self.name}.html?{urlencode(query)}")
        await self.ready(page)
        self.open_pages[who] = page
        return page

    async def ready(self, page: Page) -> None:
        """Wait until a page's editor is ready."""

        async def is_ready() -> bool:
            return bool(await page.evaluate("Boolean(window.page?.isReady)"))

        try:
            await eventually(is_ready, "the editor is ready")
        except AssertionError as error:
            said = await page.evaluate("window.page && { errors: page.errors, closes: page.closes }")
            raise AssertionError(f"{error}: {said}") from None

    async def document(self, page: Page) -> str:
        """The document as Yjs tells it in a page."""
        return str(await page.evaluate("page.document()"))

    async def equal(self, *pages: Page, shown: bool = True) -> str:
        """Wait until pages have the same document, and show the same; return the document."""

        async def values(script: str) -> list[str]:
            return [str(await page.evaluate(script)) for page in pages]

        async def are_equal() -> bool:
            documents = await values("page.document()")
            if any(document != documents[0] for document in documents):
                return False
            looks = await values(_SHOWN) if shown else [""]
            return all(look == looks[0] for look in looks)

        try:
            await eventually(are_equal, "the pages are equal", seconds=60)
        except AssertionError:
            documents, looks = await values("page.document()"), await values(_SHOWN)
            told = documents if len(set(documents)) > 1 else looks
            raise AssertionError(
                f"The documents are {'equal' if told is looks else 'different'}, and pages show: {_around(told)}; "
                f"closed: {await values('page.closes')}"
            ) from None
        return await self.document(pages[0])

    async def type(self, page: Page, text: str) -> None:
        """Type at the end."""
        await page.evaluate("page.focusEnd()")
        await page.keyboard.type(text, delay=10)

    async def paste(self, page: Page, text: str) -> None:
        """Paste plain text at the end."""
        await page.evaluate("page.focusEnd()")
        await page.evaluate(_PASTE, text)

    async def undo(self, page: Page, times: int = 1) -> None:
        """Undo, as a person does, or by the binding's manager where the editor has no key for it."""
        for _ in range(times):
            if not await page.evaluate("page.undo?.() ?? Boolean(page.undo)"):
                await page.keyboard.press("Control+z")

    async def redo(self, page: Page, times: int = 1) -> None:
        """Redo likewise."""
        for _ in range(times):
            if not await page.evaluate("page.redo?.() ?? Boolean(page.redo)"):
                await page.keyboard.press(self.editor.redo)

    @contextlib.asynccontextmanager
    async def replica(self, who: str) -> AsyncIterator[Doc[Any]]:
        """A document of pycrdt, kept in step by its own provider."""
        token = self.access.tokens.get(who)
        url = self.server.ws_url(self.room, **({"token": token} if token else {}))
        async with connect(url, max_size=None) as socket:
            doc: Doc[Any] = Doc()
            async with Provider(doc, Channel(socket, self.room)):
                yield doc

    async def agent_writes(self, words: list[str]) -> None:
        """Have an agent append words to the editor's document, and wait until the server has them all."""
        write = _WRITERS[self.editor.kind]
        async with self.replica("bot") as doc:
            wrote = 0

            def try_to_write() -> bool:
                return write(doc, self.root, words[wrote])

            while wrote < len(words):
                await eventually(try_to_write, "there is a place for the agent's words")
                wrote += 1
                await asyncio.sleep(0)

            async with self.replica("bot") as other:
                await eventually(lambda: _has(other, doc), "the server has the agent's words")

    async def json(self) -> Any:
        """The session as the server tells it over HTTP."""
        token = self.access.tokens.get("Ann")
        headers = {"authorization": f"Bearer {token}"} if token else {}
        async with httpx.AsyncClient(base_url=self.server.url, headers=headers) as client:
            answer = await client.get(f"/sessions/{self.room}")
            answer.raise_for_status()
            return answer.json()

    async def close(self) -> None:
        """Close every page."""
        for page in self.open_pages.values():
            with contextlib.suppress(Error):
                await page.context.close()


_SHOWN = """
(() => {
  const ordered = (value) =>
    typeof value === "string" ? value.toWellFormed()
    : Array.isArray(value) ? value.map(ordered)
    : value && typeof value === "object"
      ? Object.fromEntries(Object.keys(value).sort().map((key) => [key, ordered(value[key])]))
      : value;
  const text = page.shown();
  if (text.startsWith("<")) { // without others' carets
    const html = document.createElement("div");
    html.innerHTML = text;
    for (const caret of html.querySelectorAll("[class*=collaboration-c]")) caret.remove();
    return html.innerHTML;
  }
  try { return JSON.stringify(ordered(JSON.parse(text))); } catch { return text; }
})()
"""

_PASTE = """
(text) => {
  const clipboardData = new DataTransfer();
  clipboardData.setData("text/plain", text);
  const editable = "[contenteditable], textarea, .native-edit-context";
  const active = document.activeElement;
  const focused = active.matches(editable) ? active : document.querySelector(page.input);
  focused.dispatchEvent(new ClipboardEvent("paste", { clipboardData, bubbles: true, cancelable: true }));
}
"""


def _around(texts: list[str]) -> list[str]:
    """What is around the first place at which texts differ."""
    at = next((i for i, letters in enumerate(zip(*texts, strict=False)) if len(set(letters)) > 1), 0)
    return [text[max(0, at - 40) : at + 80] for text in texts]


def _has(replica: Doc[Any], doc: Doc[Any]) -> bool:
    """Whether a replica lacks no struct of a document."""
    return doc.get_update(replica.get_state()).startswith(b"\x00")


def _append(text: Any, word: str) -> bool:
    """Append to a text, at once behind all that it holds."""
    text.insert(len(text), word)
    return True


def _write_text(doc: Doc[Any], root: str, word: str) -> bool:
    return _append(doc.get(root, type=Text), word)


def _last_text(node: Any) -> XmlText | None:
    """The last text below a node, or a new one in its last paragraph."""
    for child in reversed(list(node.children)):
        if isinstance(child, XmlText):
            return child
        if isinstance(child, XmlElement):
            found = _last_text(child)
            if found is not None:
                return found
            if child.tag in ("paragraph", "heading"):
                return child.children.append(XmlText(""))
    return None


def _write_xml(doc: Doc[Any], root: str, word: str) -> bool:
    text = _last_text(doc.get(root, type=XmlFragment))
    return text is not None and _append(text, word)


def _write_nested(doc: Doc[Any], root: str, word: str) -> bool:
    blocks = [part for part, _ in doc.get(root, type=Text).diff() if not isinstance(part, str)]
    return bool(blocks) and _append(blocks[-1], word)


_WRITERS: dict[str, Callable[[Doc[Any], str, str], bool]] = {
    "text": _write_text,
    "xml": _write_xml,
    "nested": _write_nested,
}


def shown_json(value: Any) -> str:
    """JSON as one string, in which words can be looked for."""
    return json.dumps(value, ensure_ascii=False)
