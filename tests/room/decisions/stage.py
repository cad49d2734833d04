"""A room with actors: clients that write, come and go, while timers ring by hand and restarts are calls."""

from collections.abc import Callable
from itertools import count
from typing import Any

from pycrdt import TransactionEvent
from room.scene import AT, Scene

from cosession.auth import Capabilities, Participant
from cosession.auth.capabilities import EVERYTHING
from cosession.document import Run, SessionDocument
from cosession.document.values import JsonObject
from cosession.errors import CosessionError
from cosession.protocol import (
    EMPTY_UPDATE,
    Awareness,
    AwarenessEntry,
    Frame,
    SyncStep1,
    SyncStep2,
    SyncUpdate,
    encode_awareness,
    encode_frame,
)
from cosession.protocol.awareness import GONE
from cosession.room.effects import Decline, Effect, Refuse, Remind, Waiting
from cosession.room.peer import Peer
from cosession.settings import Settings

GRACE = 15.0


class Stage(Scene):
    """A room that was loaded, with its timers.

    Attributes:
        at: the server's time.
        timers: what will ring, and after how many seconds.
        told: of which agents the room said last that work waits.
        refusals: why something was not taken, the last thing of each connection.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        updates: list[bytes] | None = None,
        version: int = 0,
        at: str = AT,
    ) -> None:
        self.settings = settings or Settings(lease_grace_seconds=GRACE, max_attempts=3)
        self.at = at
        self.timers: dict[str, float] = {}
        self.told = Waiting(frozenset(), frozenset())
        self.refusals: dict[int, CosessionError] = {}
        self.actors: list[Actor] = []
        self._connections = count(1)
        super().__init__(self.settings, updates, version)
        self.do(self.room.begin(self.at))

    @property
    def document(self) -> SessionDocument:
        return self.room.document

    def do(self, effects: list[Effect]) -> None:
        super().do(effects)
        for effect in effects:
            match effect:
                case Remind(what, seconds):
                    self.timers.pop(what, None)
                    if seconds is not None:
                        self.timers[what] = seconds
                case Waiting():
                    self.told = effect
                case Refuse(connection, error) | Decline(connection, error):
                    self.refusals[connection] = error
                case _:
                    pass
        for actor in self.actors:
            actor.hear()

    def receive(self, connection: int, frame: Frame) -> None:
        self.do(self.room.receive(connection, encode_frame(frame), self.at))

    def ring(self, what: str) -> None:
        """Let a timer ring."""
        del self.timers[what]
        self.do(self.room.remind(what, self.at))

    def restart(self, rows: int | None = None, at: str = AT) -> "Stage":
        """The room that is loaded from the log, or from so many rows of it; nobody is there yet."""
        kept = self.rows[:rows]
        again = Stage(self.settings, [row.update for row in kept], kept[-1].version if kept else 0, at)
        again.rows = [*kept, *again.rows]
        return again

    def actor(
        self,
        who: str = "ada",
        kind: str = "human",
        *,
        client: int | None = None,
        may: Capabilities = EVERYTHING,
        extended: bool = False,
    ) -> "Actor":
        """Somebody who is here, and shows it."""
        actor = Actor(self, Participant(who, who, kind, may), client, extended=extended)
        actor.come()
        return actor

    def run(self, id_: str = "r1") -> Run:
        run = self.document.runs.get(id_)
        assert run is not None
        return run

    def claim(self, key: str) -> JsonObject | None:
        return self.document.claims.get(key)

    def next_connection(self) -> int:
        return next(self._connections)


class Actor:
    """One client: a replica that shows itself."""

    def __init__(self, stage: Stage, who: Participant, client: int | None = None, *, extended: bool = False) -> None:
        self.stage = stage
        self.extended = extended
        self.who = who
        self.document = SessionDocument(client_id=client)
        self.connection = 0
        self._clock = 0
        self._unsent: list[bytes] = []
        self._hearing = False
        self._watch = self.document.doc.observe(self._note)

    @property
    def client(self) -> int:
        return self.document.doc.client_id

    @property
    def refusal(self) -> CosessionError | None:
        """Why the last thing that was not taken of its connection wasn't."""
        return self.stage.refusals.get(self.connection)

    def come(self, stage: Stage | None = None, *, shows: bool = True) -> None:
        """Connect, sync and show oneself; also to the room that was loaded after a crash."""
        self.stage = stage or self.stage
        self.connection = self.stage.next_connection()
        room = self.stage.room
        self.stage.do(room.join(self.connection, Peer(self.who, self.extended), self.stage.at))
        self.stage.receive(self.connection, SyncStep1(self.document.doc.get_state()))
        if shows:
            self.show()
        missing = self.document.doc.get_update(room.document.doc.get_state())
        self._unsent.clear()
        self.stage.receive(self.connection, SyncStep2(missing))
        self.stage.actors.append(self)
        self.hear()

    def show(self, state: str = "{}") -> None:
        self._clock += 1
        entry = AwarenessEntry(self.client, self._clock, state)
        self.stage.receive(self.connection, Awareness(encode_awareness([entry])))

    def say_goodbye(self) -> None:
        self.show(GONE)

    def leave(self) -> None:
        """Lose the connection."""
        self.stage.actors.remove(self)
        self.stage.do(self.stage.room.leave(self.connection, self.stage.at))

    def write(self, change: Callable[[SessionDocument], Any]) -> Any:
        """Write something, and send it if one is connected."""
        with self.document.transaction():
            result = change(self.document)
        if self in self.stage.actors:
            self.send()
        return result

    def send(self) -> None:
        updates, self._unsent = self._unsent, []
        for update in updates:
            self.stage.receive(self.connection, SyncUpdate(update))

    def hear(self) -> None:
        """Take in what the room has."""
        self._hearing = True
        self.document.doc.apply_update(self.stage.room.diff(self.document.doc.get_state()))
        self._hearing = False

    # --- what agents do ---------------------------------------------------------------------------------------

    def begin(
        self, id_: str = "r1", *, status: str = "running", reply_to: str | None = None, words: str = ""
    ) -> None:
        """Begin a run, and its message if there are words."""

        def start(document: SessionDocument) -> None:
            run = document.runs.start(
                id_, agent=self.who.id, started_at=AT, status=status, reply_to=reply_to, client=self.client
            )
            document.agents.declare(self.who.id, name=self.who.id).set(status="working", run=id_, task="it")
            if words:
                part = {"type": "text", "text": words, "state": "streaming"}
                document.messages.append(
                    "assistant",
                    [part],
                    id=f"{id_}.m",
                    author=self.who.id,
                    created_at=AT,
                    status="streaming",
                    run=id_,
                )
                run.add_message(f"{id_}.m")

        self.write(start)

    def become(self, status: str, id_: str = "r1") -> None:
        """Say how far a run is."""
        self.write(lambda document: _there(document.runs.get(id_)).set_status(status))

    def grow(self, words: str, id_: str = "r1") -> None:
        """Go on with the words of a run."""

        def go_on(document: SessionDocument) -> None:
            text = _there(document.messages.get(f"{id_}.m")).parts[0].text
            assert text is not None
            text.append(words)

        self.write(go_on)

    # --- what everybody asks ----------------------------------------------------------------------------------

    def claim(self, key: str, **wish: Any) -> None:
        self.write(lambda document: document.requests.ask_claim(key, self.client, self.who.id, **wish))

    def release(self, key: str) -> None:
        self.write(lambda document: document.requests.ask_release(key, self.client, self.who.id))

    def adopt(self, id_: str = "r1") -> None:
        self.write(lambda document: document.requests.ask_adopt(id_, self.client, self.who.id))

    def cancel(self, subject: str = "r1", reason: str = "") -> None:
        self.write(lambda document: document.requests.ask_cancel(subject, self.who.id, reason))

    def prompt(self, id_: str = "m1", text: str = "hi", **more: Any) -> None:
        part = {"type": "text", "text": text}
        self.write(
            lambda document: document.messages.append(
                more.pop("role", "user"), [part], id=id_, author=self.who.id, created_at=AT, **more
            )
        )

    def _note(self, event: TransactionEvent) -> None:
        if not self._hearing and event.update != EMPTY_UPDATE:
            self._unsent.append(event.update)


class Absent(AssertionError):
    """What somebody wants to write on isn't there."""


def _there(record: Any) -> Any:
    if record is None:
        raise Absent
    return record
