"""A simulated client: a replica, what it wrote, what it was promised, and whom it sees."""

import asyncio
import json
from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, Any, TypeAlias

from pycrdt import Doc, Text, TransactionEvent
from simulation import awareness
from simulation.disk import APPLY
from simulation.line import Line

from cosession.auth import Participant
from cosession.document import SessionDocument
from cosession.protocol import (
    EMPTY_UPDATE,
    Awareness,
    AwarenessEntry,
    Fence,
    SyncStep1,
    SyncStep2,
    SyncUpdate,
    decode_awareness,
    decode_frame,
    decode_state_vector,
    encode_awareness,
    encode_frame,
    read_update_header,
)

if TYPE_CHECKING:
    from simulation.world import World

WORDS = ("a", "é", "👩‍🚀", "n̈", "漢")

Act: TypeAlias = Callable[[], None]


class Replica:
    """One client of one session, which connects again whenever it lost its line.

    Args:
        world: where it lives.
        name: its own.
        session: what it edits.
        participant: whose it is.
        extended: whether it asks for fences; else it is a stock client that looks at echoes.
        random: decides what it does.
    """

    def __init__(
        self, world: "World", name: str, session: str, participant: Participant, extended: bool, random: Random
    ) -> None:
        self.world = world
        self.name = name
        self.session = session
        self.participant = participant
        self.extended = extended
        self.random = random
        self.eager = random.random() < world.odds["eager"]
        self.line: Line | None = None
        self.written: set[str] = set()
        self.deleted: set[str] = set()
        self.doubtful: set[str] = set()
        self.steers: set[str] = set()
        self.cancelled = self.surely_cancelled = False
        self.refused: list[tuple[int, str]] = []
        self.start_afresh()

    def start_afresh(self) -> None:
        """Begin with an empty document and a client id of its own, as a page does when it is loaded again."""
        self.doc: Doc[Any] = Doc(client_id=self.random.randrange(2, 2**32))
        self.document = SessionDocument(self.doc)
        self.notes: Text = self.doc.get("text:notes", type=Text)
        self._taking = False
        self._watch = self.doc.observe(self._send_edit)
        self._fences: dict[bytes, tuple[int, frozenset[str]]] = {}
        self._fence = 0
        self.saved = 0
        self.answered = False
        self._sent = 0
        self.dialled = 0
        self.last_dialled = 0
        self.echoed = 0
        self._held_back: bytes | None = None
        self._latest: bytes | None = None
        self.awareness = awareness.Awareness(self.client, None if self._is_shy() else json.dumps({"mood": 0}))

    @property
    def client(self) -> int:
        """Its Yjs client id."""
        return self.doc.client_id

    @property
    def reach(self) -> int:
        """How many clocks of its own it has."""
        return decode_state_vector(self.doc.get_state()).get(self.client, 0)

    @property
    def unfenced(self) -> int:
        """How many of its fences have not come back."""
        return len(self._fences)

    @property
    def is_declined(self) -> bool:
        """Whether it was told that something of its document is not taken, and stays with that document."""
        return False

    @property
    def waits_for(self) -> str:
        """What it has yet to be told; empty when there is nothing."""
        return ""

    # --- what it does -----------------------------------------------------------------------------------------

    def acts(self) -> dict[Act, float]:
        """What it does, and how often."""
        return {
            self.write: 8,
            self.delete: 1,
            self.fence: 4,
            self.feel: 1.5,
            self.steer: 0.3,
            self.cancel: 0.1,
            self.repeat: 0.2,
            self.stutter: 0.3,
            self.ask_again: 0.3,
        }

    def connect(self) -> None:
        """Ask for a line, and sync."""
        if self.line is not None:
            return
        self.line = self.world.dial(self)
        if self.line is None:
            return
        self.dialled += 1
        self.answered, self._sent = False, 0
        self._held_back = self._latest = None
        self._fences.clear()
        self.line.say(encode_frame(SyncStep1(self.doc.get_state())))
        if self.awareness.mood is not None:
            self._tell(self.awareness.entry(self.client))

    def cut(self) -> None:
        """Lose the line, and notice."""
        if self.line is not None:
            line, self.line = self.line, None
            half_open = self.random.random() < 0.2
            self.world.half_open += half_open
            line.cut(noticed_after=20.0 if half_open else 0.0, losing=self.random.random() < 0.5)
            self.awareness.forget_others()

    def reload(self) -> None:
        """Lose the line and the document; what is not on the disk yet may be lost with it."""
        self.cut()
        durable = self.world.disk.text(self.session)
        self.doubtful |= {word for word in self.written if word not in durable}
        self.doubtful |= {word for word in self.deleted if word in durable}
        self.doubtful |= self.steers
        self.surely_cancelled = False
        self.start_afresh()

    def new_word(self) -> str:
        """A word that nobody has written."""
        word = f"<{self.name}.{len(self.written)}{self.random.choice(WORDS)}>"
        self.written.add(word)
        return word

    def write(self) -> None:
        """Put a word of its own somewhere among the others."""
        word = self.new_word()
        text = str(self.notes)
        at = text.rfind("<", 0, self.random.randrange(2 * len(text) + 1))
        if at < 0:
            at = len(text)
        with self.doc.transaction():
            self.notes.insert(len(text[:at].encode()), word)

    def say_last_words(self) -> None:
        """Write once more, and wait to be told that all is saved; on another line nobody would tell."""
        self.last_dialled = self.dialled
        self.write()
        self.fence()

    def delete(self) -> None:
        """Take one of its words away."""
        text = str(self.notes)
        mine = sorted(word for word in self.written - self.deleted if word in text)
        if mine:
            word = self.random.choice(mine)
            self.deleted.add(word)
            at = len(text[: text.index(word)].encode())
            with self.doc.transaction():
                del self.notes[at : at + len(word.encode())]

    def steer(self) -> None:
        """Ask that the run take something in."""
        if self.document.runs.get("run") is not None:
            name = f"{self.name}.s{len(self.steers)}"
            self.steers.add(name)
            self.document.requests.ask_steer("run", name, self.participant.id, "hurry up")

    def cancel(self) -> None:
        """Ask that the run be cancelled."""
        if self.document.runs.get("run") is not None:
            self.cancelled = self.surely_cancelled = True
            self.document.requests.ask_cancel("run", self.participant.id, f"{self.name} says so")

    def fence(self) -> None:
        """Ask to be told when all this is on the disk."""
        if self.extended and self.line is not None and (self.answered or self.world.early_fences):
            self._fence += 1
            payload = b"%d" % self._fence
            deleted = frozenset(self.deleted - self.doubtful) if self.answered else frozenset[str]()
            self._fences[payload] = (self._sent, deleted)
            self.line.say(encode_frame(Fence(payload)))

    def feel(self) -> None:
        """Change its presence."""
        mood = None if self._is_shy() else json.dumps({"mood": self.random.randrange(1000)})
        self._tell(self.awareness.feel(mood))

    def renew(self) -> None:
        """Say again what its presence is, as awareness does every 15 s."""
        if self.awareness.mood is not None:
            self._tell(self.awareness.feel(self.awareness.mood))

    def repeat(self) -> None:
        """Send all that it has once more."""
        if self.line is not None and self.answered:
            self.line.say(encode_frame(SyncUpdate(self.doc.get_update())))

    def stutter(self) -> None:
        """Send the last update once more."""
        if self.line is not None and self._latest is not None:
            self.line.say(self._latest)

    def ask_again(self) -> None:
        """Sync once more, as y-websocket does now and then."""
        if self.line is not None:
            self.line.say(encode_frame(SyncStep1(self.doc.get_state())))

    def pause(self) -> None:
        """Stop reading for a while, at times for long."""
        line = self.line
        if line is not None and not line.paused:
            line.pause(True)
            seconds = self.random.choice((0.2, 1.0, 3.0, 30.0))
            asyncio.get_running_loop().call_later(seconds, line.pause, False)

    # --- what it hears ----------------------------------------------------------------------------------------

    def hear(self, line: Line, frame: bytes) -> None:
        """Take in a frame from the server."""
        if line is not self.line:
            return
        match decode_frame(frame):
            case SyncStep1(vector):
                line.say(encode_frame(SyncStep2(self.doc.get_update(vector))))
                self.answered, self._sent = True, self.reach
            case SyncStep2(update):
                self._take(update)
            case SyncUpdate(update):
                self._look_at_echo(update)
                self._take(update)
            case Awareness(payload):
                news = self.awareness.hear(decode_awareness(payload))
                self._tell(*(entry for entry in news if entry.client == self.client or not self.extended))
            case Fence(payload):
                self._check_promise(payload)
            case _:
                pass

    def hung_up(self, line: Line, code: int, reason: str) -> None:
        """Learn that the line is gone."""
        if line is self.line:
            self.line = None
            self.awareness.forget_others()
            if 4400 <= code < 4500:
                self.refuse(code, reason)

    def refuse(self, code: int, reason: str) -> None:
        """Learn that the line is gone for good."""
        self.refused.append((code, reason))

    def _take(self, update: bytes) -> None:
        header = read_update_header(update)
        assert header.fits(decode_state_vector(self.doc.get_state())), f"{self.name} was sent a gap"
        self._taking = True
        APPLY(self.doc, update)
        self._taking = False

    def _send_edit(self, event: TransactionEvent) -> None:
        if self._taking or event.update == EMPTY_UPDATE or self.line is None:
            return
        if (self.answered or self.eager) and not self._loses(event.update):
            self._say_in_some_order(self.line, encode_frame(SyncUpdate(event.update)))
            self._sent = max(self._sent, *(span.end for span in read_update_header(event.update).brings), 0)

    def _say_in_some_order(self, line: Line, frame: bytes) -> None:
        """Send an update, or hold it back until the next one is sent: so it goes where other tabs deliver.

        Not of an extended client, which would be told that all is saved before it has sent all.
        """
        if self._held_back is None and not self.extended and self.random.random() < self.world.odds["late"]:
            self._held_back = frame
            return
        line.say(frame)
        self._latest = frame
        if self._held_back is not None:
            held_back, self._held_back = self._held_back, None
            line.say(held_back)

    def _is_shy(self) -> bool:
        """Whether it shows itself to nobody, as a dashboard does."""
        return self.random.random() < self.world.odds["shy"]

    def _loses(self, update: bytes) -> bool:
        """Whether an update never leaves it, by a defect of its own: the gap that it leaves is asked for.

        Not of an extended client, which would then be told that it is saved; and no deletion, which leaves no gap.
        """
        if self.extended or self.random.random() >= self.world.odds["lose"]:
            return False
        return not read_update_header(update).deletes

    def _look_at_echo(self, update: bytes) -> None:
        """Check that its own content came back only when it is on the disk.

        A client that has come back may hear what it sent on an earlier line, or what others healed, before that.
        """
        for span in read_update_header(update).brings:
            if span.client == self.client:
                self.echoed = max(self.echoed, span.end)
                if self.world.strict_echo and not self.extended and self.dialled == 1:
                    durable = self.world.disk.reach(self.session, self.client)
                    assert span.end <= durable, f"{self.name} got {span} back, and the disk has {durable}"

    def _check_promise(self, payload: bytes) -> None:
        reach, deleted = self._fences.pop(payload)
        assert payload == min([payload, *self._fences], key=int), f"a fence of {self.name} overtook another"
        self.saved = max(self.saved, reach)
        has = self.world.disk.reach(self.session, self.client)
        assert has >= reach, f"{self.name} was told that {reach} clocks are saved; the disk has {has}"
        text = self.world.disk.text(self.session) if deleted else ""
        there = {word for word in deleted if word in text}
        assert not there, f"{self.name} was told that the deletion of {there} is saved"

    def _tell(self, *entries: AwarenessEntry) -> None:
        if self.line is not None and entries:
            self.line.say(encode_frame(Awareness(encode_awareness(entries))))
