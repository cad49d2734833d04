"""A session with something of everybody, an admission, and clients that write what they like."""

from collections.abc import Callable

from pycrdt import Doc, Text, TransactionEvent, XmlElement

from cosession.admission import Admission, AdmissionLimits, Admitted
from cosession.auth import Capabilities, Participant
from cosession.document import SessionDocument
from cosession.protocol import read_update_header

AT = "2026-01-01T00:00:00.000Z"
LIMITS = AdmissionLimits(max_document_bytes=10_000_000, max_depth=32)


def participant(name: str, *capabilities: str, role: str | None = None) -> Participant:
    """Somebody with a role, or with these capabilities only."""
    granted = Capabilities.of(role) if role else Capabilities.parse(capabilities)
    return Participant(name, name, capabilities=granted)


def session() -> SessionDocument:
    """A session of ada, bob and the agent bot, as the server has it; the same bytes every time."""
    document = SessionDocument(Doc(client_id=1))
    with document.transaction():
        document.initialise(created_at=AT, title="Trip")
        for who, kind in (("ada", "human"), ("bob", "human"), ("eve", "human"), ("bot", "agent")):
            document.participants.set(who, name=who, kind=kind)
        document.agents.declare("bot", name="Bot")
        for name, author in (("m-ada", "ada"), ("m-bob", "bob"), ("m-eve", "eve")):
            say(document, name, author)
            document.messages.get(name).set_stamp(by=author, at=AT, seq=1)
        document.runs.start("r-bot", agent="bot", started_at=AT, reply_to="m-ada")
        document.messages.append(
            "assistant",
            [{"type": "text", "text": "well", "state": "streaming"}],
            id="m-bot", author="bot", created_at=AT, run="r-bot", status="streaming",
        ).set_stamp(by="bot", at=AT, seq=2)  # fmt: skip
        document.approvals.ask("p-bot", question="Book?", created_at=AT, run="r-bot", value={"limit": 200})
        document.surfaces.create("s-bot", catalog_id="basic", components=[{"id": "root"}], data={"nights": 2})
        document.surfaces.shared["s-bot"]["agent"] = "bot"
        document.state.set("trip", {"hotel": {"name": "Ritz"}, "flight": {"from": "HAM"}})
        document.selections.set("bob", "row", 3)
        document.counters.add("likes", "bob")
        document.claims.grant("door", by="bob", client=1, epoch=1, at=AT)
        document.requests.ask_steer("r-bot", "1", "bob", "faster")
        for who in ("bob", "eve"):
            document.queue.append(f"{who} waits", id=f"q-{who}", author=who, created_at=AT)
        document.text("notes").append("dear notes")
        document.xml("page").children.append(XmlElement("p"))
    return document


def say(
    document: SessionDocument, name: str, author: str, text: str = "hello", role: str = "user", **more: str
) -> None:
    """Append a whole message."""
    part = {"type": "text", "text": text, "state": "done"}
    document.messages.append(role, [part], id=name, author=author, created_at=AT, **more)


def stamp(document: SessionDocument, known: set[str], author: str) -> None:
    """Stamp the messages that came and have no stamp yet."""
    for message in document.messages:
        if message.id not in known and message.stamp is None:
            message.set_stamp(by=author, at=AT, seq=1)


def text_of(document: SessionDocument, name: str) -> Text:
    """The Text of a message's first part."""
    message = document.messages.get(name)
    assert message is not None
    text = message.parts[0].text
    assert text is not None
    return text.shared


class Scene:
    """A live document with its admission, as a room has them."""

    def __init__(self, document: SessionDocument | None = None, limits: AdmissionLimits = LIMITS) -> None:
        self.document = document or session()
        self.admission = Admission(self.document, limits)

    def client(self, who: Participant) -> "Client":
        """A client that has all that the session holds."""
        return Client(self, who)

    def receive(self, update: bytes, who: Participant, is_own: Callable[[int], bool] | None = None) -> Admitted:
        """Judge an update, then apply it and stamp its messages, as a room does."""
        admitted = self.admission.judge(update, read_update_header(update), who, is_own)
        known = {message.id for message in self.document.messages}
        self.document.doc.apply_update(admitted.update)
        if {message.id for message in self.document.messages} - known:
            self.by_server(lambda document: stamp(document, known, who.id))
        return admitted

    def known(self) -> object:
        """All that admission knows of the document."""
        index = self.admission._caught_up()
        return (
            {client: (clocks.end, clocks._starts[:], clocks._values[:]) for client, clocks in index.clients.items()},
            {one.id: (one.owner, one.stamp) for one in index.containers.values()},
            {name: (root.taken or {}).copy() for name, root in index.roots.items()},
            {client: (ranges.starts[:], ranges.ends[:]) for client, ranges in index.deleted._clients.items()},
        )

    def by_server(self, change: Callable[[SessionDocument], object]) -> None:
        """Change the document by the server's own hand."""
        for update in updates_of(self.document, change):
            self.admission.applied(update, read_update_header(update))


class Client:
    """A Yjs client that writes what it likes into a replica of its own."""

    def __init__(self, scene: Scene, who: Participant) -> None:
        self.scene = scene
        self.who = who
        self.document = SessionDocument(Doc())
        self.sync()

    def sync(self) -> None:
        """Get what the session has."""
        self.document.doc.apply_update(self.scene.document.doc.get_update())

    def write(self, change: Callable[[SessionDocument], object]) -> Admitted:
        """Change the replica in one transaction, and send that."""
        (update,) = updates_of(self.document, change)
        return self.scene.receive(update, self.who)


def updates_of(document: SessionDocument, change: Callable[[SessionDocument], object]) -> list[bytes]:
    """Change a document in one transaction; the update that it made, if it made one."""
    updates: list[bytes] = []

    def note(event: TransactionEvent) -> None:
        if event.update != b"\0\0":
            updates.append(event.update)

    subscription = document.doc.observe(note)
    try:
        with document.transaction():
            change(document)
    finally:
        document.doc.unobserve(subscription)
    return updates
