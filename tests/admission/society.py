"""A room in which people of all roles do what they may, and what they may not; one number decides each step.

After every step the oracle compares the session with what it was. Half of them are stock Yjs clients, which go on
with their document when something is refused; the others start from a fresh one.
"""

from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from admission.forge import Item, forge, nothing, shared, string, value
from admission.oracle import everything, trespasses
from admission.scene import AT, say, session, updates_of
from pycrdt import Array, Doc, Map, Text, UndoManager, XmlElement, XmlFragment

from cosession.auth import Capabilities, Participant
from cosession.document import SessionDocument
from cosession.document.session import ROOTS
from cosession.errors import CosessionError, RoomBroken
from cosession.protocol import (
    Awareness,
    AwarenessEntry,
    SyncStep2,
    SyncUpdate,
    decode_state_vector,
    encode_awareness,
    encode_frame,
)
from cosession.protocol.structs import read_structs
from cosession.protocol.update_format import ANY, GC, TYPE
from cosession.room.effects import Append, Broadcast, Decline, Effect, Refuse
from cosession.room.room import Peer, Room
from cosession.settings import Settings

ROLES = {"vi": "viewer", "eve": "member", "bob": "member", "bot": "agent", "imp": "agent", "op": "operator"}
WATCHER = 0

STATE = session().doc.get_update()
STRUCTS = [struct for struct in read_structs(STATE) if struct.kind != GC]
IDS = [
    (struct.client, struct.clock + offset)
    for struct in STRUCTS
    for offset in sorted({0, struct.length // 2, struct.length - 1})
]
TYPES = [(struct.client, struct.clock) for struct in STRUCTS if struct.kind == TYPE]
KEYS = (
    *("id", "role", "stamp", "author", "status", "agent", "cancel", "text", "parts", "metadata", "title", "schema"),
    *("decision", "type", "data", "r-bot", "r-1", "eve/x", "bob/row", "eve", "imp", "likes/eve", "likes/bob"),
    *("vote/p-bot/bob", "vote/p-bot/eve", "steer/r-bot/2/eve", "cancel/r-bot/imp", "run", "steers", "edited_at"),
)
VALUES = ("eve", "bob", "bot", "imp", "user", "assistant", "m-bob", "m-new", "x", "r-bot", "done", "lost", 3, True)


class Member:
    """One connection, with a replica that writes what it likes."""

    def __init__(self, society: "Society", who: str, number: int, random: Random) -> None:
        self.society = society
        self.who = who
        self.connection = number
        self.document = SessionDocument(client_id=random.randrange(2, 2**32))
        self.undo = UndoManager(scopes=[self.document.text("notes").shared], capture_timeout_millis=0)
        self.written: list[str] = []
        self.last: bytes | None = None

    def catch_up(self) -> None:
        """Take what the room has."""
        self.document.doc.apply_update(self.society.room.diff(self.document.doc.get_state()))


class Society:
    """The room, its log, somebody who watches, and everybody else.

    Args:
        settings: the room's.
        people: who is there.
    """

    def __init__(self, settings: Settings | None = None, people: Sequence[str] = tuple(ROLES)) -> None:
        self.people = people
        self.room = Room(settings or Settings(), [STATE], 1, {1: "server"})
        self.log: list[bytes] = [STATE]
        self.watching = SessionDocument(Doc())
        self.watching.doc.apply_update(STATE)
        self.roles = dict(ROLES)
        self.owners: dict[str, str] = {}
        self.admitted = self.refused = self._connections = self._names = 0
        self.members: dict[str, Member] = {}
        self._do(self.room.begin(AT))
        self._do(self.room.join(WATCHER, Peer(Participant("ada", "Ada"), extended=True), AT))
        self.room.synced.add(WATCHER)
        # What waits from before is decided by the first request: it must not look like that one's doing.
        self._do(self.room.edit(lambda document: document.requests.put("none", "x", participant="server"), AT))

    def step(self, seed: int, acts: "dict[Callable[[Society, Member, Random], bytes | None], float]") -> None:
        """Let somebody do something, and look at what comes of it.

        Args:
            seed: decides who and what.
            acts: what may be done, each with its weight.
        """
        random = Random(seed)
        member = self._member(random.choice(self.people), random)
        [act] = random.choices(list(acts), list(acts.values()))
        update = act(self, member, random)
        if update is None:
            return
        offered = random.random() < 0.15
        frame = SyncStep2(update) if offered else SyncUpdate(update)
        before, version = everything(self.room.document), self.room.version
        effects: list[Effect] = []
        try:
            effects += self.room.receive(member.connection, encode_frame(frame), AT)
            while self.room.peers[member.connection].ending and not (effects and isinstance(effects[-1], Refuse)):
                rest = member.document.doc.get_update(self.room.document.doc.get_state())
                effects += self.room.receive(member.connection, encode_frame(SyncStep2(rest)), AT)
        except RoomBroken:
            raise
        except CosessionError as error:
            effects.append(Refuse(member.connection, error))
        self._do(effects)
        after = everything(self.room.document)
        role = self.roles[member.who]
        wrong = trespasses(before, after, member.who, role, offered=offered)
        assert not wrong, f"{member.who}, {role}, could {act.__name__}: {wrong}"
        self._remember(after, member.who, is_trusted=offered and role == "operator")
        self.admitted += self.room.version > version
        self.refused += any(isinstance(effect, Refuse | Decline) for effect in effects)
        if any(isinstance(effect, Refuse) for effect in effects):
            self._do(self.room.leave(member.connection, AT))
            del self.members[member.who]
        member.last = update

    def name(self, of: str) -> str:
        """An id that nothing has."""
        self._names += 1
        return f"{of}-{self._names}"

    def regrant(self, member: Member, role: str) -> None:
        """Give somebody another role by a new token."""
        self.roles[member.who] = role
        self._do(self.room.regrant(member.connection, self._participant(member.who), AT))

    def check(self) -> None:
        """Check that the room, its log and whoever watches have the same session."""
        live = self.room.document
        replayed = SessionDocument(Doc())
        for update in self.log:
            replayed.doc.apply_update(update)
        for other in (replayed, self.watching):
            assert everything(other) == everything(live)
            assert decode_state_vector(other.doc.get_state()) == decode_state_vector(live.doc.get_state())

    def by_server(self, change: Callable[[SessionDocument], object]) -> None:
        """Change the session by the server's own hand."""
        self._do(self.room.edit(change, AT))

    def by_watcher(self, change: Callable[[SessionDocument], object]) -> None:
        """Change the session as somebody whose writing isn't judged."""
        for update in updates_of(self.watching, change):
            self._do(self.room.receive(WATCHER, encode_frame(SyncUpdate(update)), AT))

    def _member(self, who: str, random: Random) -> Member:
        if who not in self.members:
            self._connections += 1
            member = self.members[who] = Member(self, who, self._connections, random)
            peer = Peer(self._participant(who), extended=random.random() < 0.5)
            self._do(self.room.join(member.connection, peer, AT))
            said = encode_awareness([AwarenessEntry(member.document.doc.client_id, 1, "{}")])
            self._do(self.room.receive(member.connection, encode_frame(Awareness(said)), AT))
            member.catch_up()
        if random.random() < 0.7:
            self.members[who].catch_up()
        return self.members[who]

    def _participant(self, who: str) -> Participant:
        return Participant(who, who, capabilities=Capabilities.of(self.roles[who]))

    def _do(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Append():
                    self.log.append(effect.update)
                case Broadcast(update, besides) if besides != WATCHER:
                    self.watching.doc.apply_update(update.update)
                case _:
                    pass

    def _remember(self, after: dict[str, Any], who: str, *, is_trusted: bool) -> None:
        """Check that no id that was somebody's became another's, also when it was gone meanwhile."""
        for message in after["messages"]:
            owner = self.owners.setdefault(message["id"], message["stamp"]["by"])
            assert owner == message["stamp"]["by"] or is_trusted, f"{who} took the id {message['id']} of {owner}"


# --- what they do ---------------------------------------------------------------------------------------------------


def _sent(member: Member, change: Callable[[SessionDocument], object]) -> bytes | None:
    updates = updates_of(member.document, change)
    return updates[0] if updates else None


def speak(society: Society, member: Member, _: Random) -> bytes | None:
    """Say something, as one's own role says it."""
    role = "user" if society.roles[member.who] != "agent" else "assistant"
    name = society.name(f"m-{member.who}")
    member.written.append(name)
    return _sent(member, lambda document: say(document, name, member.who, "hey 🦊", role))


def type_on(_: Society, member: Member, random: Random) -> bytes | None:
    """Go on with one's last message, or with the shared notes."""
    message = member.document.messages.get(member.written[-1]) if member.written else None
    text = message.parts[0].text.shared if message and message.parts and message.parts[0].text else None
    if text is None or random.random() < 0.4:
        text = member.document.text("notes").shared
    at = len(text) if random.random() < 0.8 else 0
    return _sent(member, lambda _: text.insert(at, random.choice(("a", "bc ", "🦊"))))


def rub_out(_: Society, member: Member, random: Random) -> bytes | None:
    """Delete some characters of the shared notes."""
    text = member.document.text("notes").shared
    written = str(text)
    start = random.randrange(len(written) + 1)
    end = min(len(written), start + random.randrange(1, 6))
    if start == end:
        return None
    first, last = len(written[:start].encode()), len(written[:end].encode())
    return _sent(member, lambda _: text.__delitem__(slice(first, last)))


def undo(_: Society, member: Member, random: Random) -> bytes | None:
    """Undo or redo what one did to the notes."""
    turn = member.undo.undo if random.random() < 0.7 else member.undo.redo
    before = member.document.doc.get_state()
    return member.document.doc.get_update(before) if turn() else None


def manage(society: Society, member: Member, random: Random) -> bytes | None:
    """Do one of the things that the schema has a view for, perhaps to what is another's."""
    who = member.who

    def change(document: SessionDocument) -> None:
        match random.randrange(8):
            case 0:
                document.selections.set(who, "row", random.randrange(9))
            case 1:
                document.counters.add("likes", who)
            case 2:
                document.requests.ask_steer("r-bot", society.name("s"), who, "faster")
            case 3:
                document.requests.ask_cancel(random.choice(sorted(document.runs.shared.keys()) or ["r-bot"]), who)
            case 4:
                document.requests.ask_vote("p-bot", who, "approve")
            case 5:
                document.state.set("hotel", random.choice(("Adlon", "Ritz")))
            case 6:
                document.queue.append("next", id=society.name("q"), author=who, created_at=AT)
            case _:
                asked = random.choice([*(message.id for message in document.messages), None]) or None
                document.runs.start(society.name("r"), agent=who, started_at=AT, reply_to=asked)

    return _sent(member, change)


def vandalise(_: Society, member: Member, random: Random) -> bytes | None:
    """Write anything anywhere, by the library's own means."""

    def change(document: SessionDocument) -> None:
        for _ in range(random.choice((1, 1, 1, 2, 3))):
            lists = [document.messages.shared, document.queue.shared, document.runs.shared]
            _scribble(random.choice(lists if random.random() < 0.3 else _types(document)), random)

    return _sent(member, change)


def fabricate(society: Society, member: Member, random: Random) -> bytes | None:
    """Put an update together that no library makes."""
    vector = decode_state_vector(society.room.document.doc.get_state())
    client = member.document.doc.client_id if random.random() < 0.8 else random.choice(sorted(vector))
    clock = vector.get(client, 0)
    items = [_forged(random, client, clock) for _ in range(random.randrange(5))]
    deletes: tuple[tuple[int, int, int], ...] = ()
    if random.random() < 0.4 or not items:
        deletes = ((*random.choice(IDS), random.randrange(1, 30)),)
    return forge(client, clock, *items, deletes=deletes)


def mutate(society: Society, member: Member, random: Random) -> bytes | None:
    """Send an update of which some bytes were changed."""
    update = random.choice((speak, type_on, rub_out, manage, vandalise))(society, member, random)
    if update is None:
        return None
    mutated = bytearray(update)
    for _ in range(random.randrange(1, 4)):
        mutated[random.randrange(len(mutated))] = random.choice((0, 1, 0x7F, 0x80, 0xFF, random.randrange(256)))
    return bytes(mutated)


def repeat(_: Society, member: Member, random: Random) -> bytes | None:
    """Send the last update again, or all that one has."""
    return member.last if random.random() < 0.5 else member.document.doc.get_update()


def be_overtaken(society: Society, _: Member, random: Random) -> None:
    """Somebody whose writing isn't judged, or the server itself, changes something meanwhile."""

    def change(document: SessionDocument) -> None:
        text = document.text("notes").shared
        match random.randrange(4):
            case 0:
                text.insert(0, "ada: ")
            case 1:
                text.clear()
            case 2:
                document.state.set("by", random.randrange(9))
            case _:
                say(document, society.name("m-ada"), "ada")

    if random.random() < 0.8:
        society.by_watcher(change)
    else:
        society.by_server(lambda document: document.state.set("server", random.randrange(9)))


def take_another_role(society: Society, member: Member, random: Random) -> None:
    """A new token on the open connection says less, or more, or the same."""
    society.regrant(member, random.choice((ROLES[member.who], ROLES[member.who], "viewer", "member")))


def _types(document: SessionDocument) -> list[Any]:
    """All shared types that can be reached."""
    found: list[Any] = [document.text("notes").shared, document.xml("page")]
    left: list[Any] = [document.doc.get(name, type=kind) for name, kind in ROOTS.items()]
    while left:
        one = left.pop()
        found.append(one)
        inner = one.values() if isinstance(one, Map) else one if isinstance(one, Array) else ()
        left += [item for item in inner if isinstance(item, Map | Array | Text)]
    return found


def _scribble(one: Any, random: Random) -> None:
    match one:
        case Map():
            keys = list(one.keys())
            if keys and random.random() < 0.3:
                del one[random.choice(keys)]
            else:
                one[random.choice([*keys, *KEYS])] = _anything(random)
        case Array():
            if len(one) and random.random() < 0.3:
                del one[random.randrange(len(one))]
            else:
                one.insert(random.randrange(len(one) + 1), _anything(random))
        case Text():
            if len(one) and random.random() < 0.3:
                one.clear()
            else:
                one.insert(0, "lie")
        case XmlFragment():
            one.children.append(XmlElement("p"))
        case _:
            pass


def _anything(random: Random) -> Any:
    match random.randrange(6):
        case 0:
            names, roles = ("eve", "bot", "imp", "op", "bob"), ("user", "assistant")
            record: dict[str, Any] = {
                "id": random.choice(("m-new", "m-bob", "r-new")),
                "role": random.choice(roles),
                "metadata": Map({"author": random.choice(names)}),
                "parts": Array([Map({"type": random.choice(("text", "tool-x")), "text": Text("hm")})]),
                "agent": random.choice(names),
                "author": random.choice(names),
            }
            if random.random() < 0.5:
                del record["agent"], record["author"]
            return Map({key: record[key] for key in random.sample(list(record), random.randrange(1, len(record)))})
        case 1:
            return Map({random.choice(KEYS): random.choice(VALUES), random.choice(KEYS): random.choice(VALUES)})
        case 2:
            return Text("x") if random.random() < 0.5 else Array(["x"])
        case 3:
            return {"by": random.choice(("eve", "bob")), "at": AT, "seq": 1, "id": "x", "author": "eve"}
        case _:
            return random.choice(VALUES)


def _forged(random: Random, client: int, clock: int) -> Item:
    def near() -> tuple[int, int]:
        return random.choice(IDS) if random.random() < 0.7 else (client, max(0, clock + random.randrange(-8, 6)))

    def parent() -> str | tuple[int, int]:
        names = (*ROOTS, "text:notes", "xml:page", "config")
        return random.choice((random.choice(names), random.choice(TYPES), near()))

    where: dict[str, Any] = random.choice(
        (
            {"left": near()},
            {"right": near()},
            {"left": near(), "right": near()},
            {"parent": parent(), "key": random.choice(KEYS)},
            {"parent": parent()},
        )
    )
    match random.randrange(5):
        case 0:
            return string(random.choice(("x", "long text")), **where)
        case 1:
            return shared(random.randrange(3), **where)
        case 2:
            return nothing(random.randrange(1, 4), **where)
        case 3:
            return Item(ANY, b"\x01\x76\x01\x02by\x77\x03eve", **where)
        case _:
            return value(random.choice([one for one in VALUES if isinstance(one, str)]), **where)


LYING: dict[Any, float] = {
    speak: 2, type_on: 3, rub_out: 1, undo: 0.5, manage: 3, vandalise: 6, fabricate: 5, mutate: 3, repeat: 1,
    be_overtaken: 1,
}  # fmt: skip
"""Mostly lies, between what keeps the session going."""

TYPING: dict[Any, float] = {
    speak: 1, type_on: 12, rub_out: 2, undo: 2, manage: 0.5, fabricate: 0.5, mutate: 1, repeat: 0.5, be_overtaken: 2,
    take_another_role: 1,
}  # fmt: skip
"""Mostly tokens, so that the short way for them is taken, and all that may come between two."""
