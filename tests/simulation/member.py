"""A simulated client of a participant who may not do everything, and lies now and then.

One that understands notices does as the client libraries do: after a refusal it begins with a fresh document, and
once that is in sync tells what only the old one has. So every word is in the session, or its writer was told that it
is lost. A stock Yjs client is told as well, and stays with its document until its page is loaded again.
"""

import asyncio
import json
from dataclasses import dataclass, replace
from random import Random
from typing import TYPE_CHECKING, Any

from pycrdt import Doc
from simulation.disk import words_of
from simulation.lies import AT, LIE, Liar, tell_some_lie
from simulation.line import Line
from simulation.questions import Question, agree, edit_value, vote
from simulation.replica import Act, Replica

from cosession.auth import Participant
from cosession.client.unsaved_text import unsaved
from cosession.document import SessionDocument, later
from cosession.protocol import (
    PermissionDenied,
    SyncStep2,
    decode_frame,
    decode_state_vector,
)

if TYPE_CHECKING:
    from simulation.restricted import RestrictedWorld

ROLES = ("member", "member", "member", "agent", "agent", "viewer", "operator", "admin")
"""The roles of those who meet in a world, each as often as it is here."""

VOTERS = ("member", "member", "agent", "agent", "viewer")
"""The roles of those who meet to vote."""

_AFTER_A_LOSS = (4403, 4409)
"""How a server refuses who brings it what it lost: others' words, or words under a client id that others brought."""

_ROBBED = "Another participant writes under this Yjs client id"
"""Why, where a crash made the server forget an id and another participant brought the words under it first."""

_AFTER_A_LIE = (4400, *_AFTER_A_LOSS)


@dataclass(frozen=True, slots=True)
class _Parted:
    """A document that was given up.

    Attributes:
        doc: the document.
        words: what its page has written, in it and in those that it gave up before.
        clients: the client ids under which it did.
        saved: up to which clock of the document's own client id.
        shown: what it showed of what was written, where another participant had taken its client id after a crash:
            what that one deleted or was refused under the id had vanished from it. None: all was its own.
    """

    doc: Doc[Any]
    words: frozenset[str]
    clients: tuple[int, ...]
    saved: int
    shown: str | None


class Member(Replica):
    """One client of a participant with a role.

    Attributes:
        said: the words of each of its messages, in order.
        refusals: how often it was closed, or told that something was not taken.
        told: the words that it was told are lost.
    """

    def __init__(
        self,
        world: "RestrictedWorld",
        name: str,
        session: str,
        participant: Participant,
        extended: bool,
        random: Random,
    ) -> None:
        self._parted: list[_Parted] = []
        self.said: dict[str, list[str]] = {}
        self.refusals = 0
        self.told: set[str] = set()
        self._words: set[str] = set()
        self._asked = 0
        self._clients: list[int] = []
        self.society = world
        super().__init__(world, name, session, participant, extended, random)

    @property
    def waits_for(self) -> str:
        """What it has yet to be told."""
        return "what it lost" if self._parted else ""

    @property
    def is_declined(self) -> bool:
        """Whether it was told that something of its document is not taken, and stays with that document.

        Of a lie it may have been told on a line that was lost since.
        """
        return self._is_declined or (self._lies and not self.extended and self.dialled > self._lied_on)

    @property
    def lies(self) -> bool:
        """Whether the document shows a lie."""
        return LIE in json.dumps(self.document.to_json())

    def start_afresh(self) -> None:
        """Begin with an empty document."""
        self._lies = self._is_declined = False
        self._lied_on = 0
        self._message: str | None = None
        super().start_afresh()
        self._clients.append(self.client)

    def acts(self) -> dict[Act, float]:
        """What it does, and how often: what it may, and at times what it may not."""
        may = self.participant.capabilities
        acts = {self.fence: 4, self.feel: 1.5, self.repeat: 0.2, self.stutter: 0.3, self.ask_again: 0.3}
        if may.may_text("notes"):
            acts |= {self.write: 5, self.delete: 1, self.set_something: 0.5}
        if may.may("prompt") or may.may("run"):
            acts |= {self.say: 2, self.type_on: 4, self.take_back: 0.2}
        if may.may("cancel-own"):
            acts[self.cancel] = 0.1
        if may.may("steer"):
            acts[self.steer] = 0.3
        if may.may("run"):
            acts[self.work] = 0.5
        if self.world.odds["vote"] and may.may("run"):
            acts[self.ask] = 4
        if self.world.odds["vote"] and may.may("approve"):
            acts |= {self.vote: 10, self.edit_value: 0.5}
        if not may.writes_everything:
            acts[self.lie] = self.world.odds["lie"]
        return acts

    def new_word(self) -> str:
        """A word that nobody has written."""
        word = super().new_word()
        self._words.add(word)
        return word

    def write(self) -> None:
        """Put a word of its own among the others, if it may."""
        if self.participant.capabilities.may_text("notes"):
            super().write()

    def say(self) -> None:
        """Send a message."""
        role = "user" if self.participant.capabilities.may("prompt") else "assistant"
        word, self._message = self.new_word(), f"{self.name}.m{len(self.said)}"
        self.said[self._message] = [word]
        parts = [{"type": "text", "text": word, "state": "streaming"}]
        self.document.messages.append(role, parts, id=self._message, author=self.participant.id, created_at=AT)

    def type_on(self) -> None:
        """Go on with the message, as a model does that streams."""
        message = self.document.messages.get(self._message) if self._message else None
        text = message.parts[0].text if message is not None else None
        if text is not None and self._message is not None:
            word = self.new_word()
            self.said[self._message].append(word)
            text.append(word)

    def take_back(self) -> None:
        """Take one's message out of the list."""
        ids = [message.id for message in self.document.messages]
        if self._message in ids:
            self.deleted |= set(self.said[self._message])
            del self.document.messages.shared[ids.index(self._message)]
            self._message = None

    def set_something(self) -> None:
        """Keep a selection, or count."""
        if self.random.random() < 0.5:
            self.document.selections.set(self.participant.id, self.name, self.random.randrange(9))
        else:
            self.document.counters.add("likes", self.participant.id, device=self.name)

    def work(self) -> None:
        """Work as an agent: begin a run, or tell how far it is."""
        name = f"{self.name}.run.{self.client}"
        run = self.document.runs.get(name)
        if run is None:
            self.document.runs.start(name, agent=self.participant.id, started_at=AT)
        else:
            run.set_progress("on the way", self.random.randrange(9))

    def ask(self) -> None:
        """Ask people something, in a run of its own."""
        self._asked += 1
        name = f"{self.name}.run.{self.client}.{self._asked}"
        if (question := Question.of(name)) is not None:
            if self.random.random() < 0.6:
                question = replace(question, seconds=None)  # nobody waits for the answer
            self.document.runs.start(name, agent=self.participant.id, started_at=AT)
            question.ask(self.document, name, later(AT, asyncio.get_running_loop().time()))

    def vote(self) -> None:
        """Answer a question, or try to."""
        if (cast := vote(self.document, self.participant.id, self.random)) is not None:
            self.society.ballots.note(self.session, self.participant.id, *cast)

    def say_last_words(self) -> None:
        """Write once more, and answer all that is asked."""
        super().say_last_words()
        if self.world.odds["vote"] and self.participant.capabilities.may("approve"):
            for cast in agree(self.document, self.participant.id):
                self.society.ballots.note(self.session, self.participant.id, *cast)

    def edit_value(self) -> None:
        """Change what is to be approved."""
        edit_value(self.document, self.random)

    def cancel(self) -> None:
        """Ask that the run be cancelled, which is not one's own."""
        if self.participant.capabilities.may("cancel-any"):
            super().cancel()
        elif self.document.runs.get("run") is not None:
            self.document.requests.ask_cancel("run", self.participant.id, f"{self.name} says so")

    def lie(self) -> None:
        """Write what it may not."""
        others = sorted({replica.participant.id for replica in self.world.replicas} - {self.participant.id})
        other = self.random.choice([*others, "bot"])
        if tell_some_lie(Liar(self.document, self.participant, other, self.random)):
            self._lies, self._lied_on = True, self.dialled + (self.line is None)

    def reload(self) -> None:
        """Lose the line and the document, and what nobody told of yet."""
        self._parted.clear()
        self._words.clear()
        self._clients.clear()
        super().reload()

    def refuse(self, code: int, reason: str) -> None:
        """Begin anew after a refusal that is no mistake of the server's; a stock client is never refused."""
        lost_something = self.world.crashes > 0
        reasons = _AFTER_A_LIE if self._lies else _AFTER_A_LOSS if lost_something else ()
        if code not in reasons or not self.extended:
            super().refuse(code, reason)
            return
        self.refusals += 1
        shown = words_of(self.document) if self.world.crashes and reason.startswith(_ROBBED) else None
        self._parted.append(_Parted(self.doc, frozenset(self._words), tuple(self._clients), self.saved, shown))
        self.doubtful |= self.deleted | self.steers
        self.surely_cancelled = False
        self.start_afresh()

    def hear(self, line: Line, frame: bytes) -> None:
        """Take in a frame; the whole session tells what a document that was given up has besides."""
        super().hear(line, frame)
        if line is not self.line:
            return
        heard = decode_frame(frame)
        if isinstance(heard, PermissionDenied):
            assert not self.extended, f"{self.name} understands notices, and was told {heard.reason!r} without one"
            assert self._lies or self.world.crashes, f"{self.name} did not lie, and was told {heard.reason!r}"
            self._is_declined = True
            self.refusals += 1
        if self._parted and isinstance(heard, SyncStep2):
            for parted in self._parted:
                self._tell_lost(parted)
            self._parted.clear()

    def load_again(self) -> None:
        """Load the page again after it was told that something was not taken; see that it knows what is lost.

        What it wrote is in the session, or it has vanished, or it is under clocks that the session has not.
        """
        assert self.is_declined, f"{self.name} was told nothing"
        room = words_of(self.world.disk.replica(self.session))
        has = decode_state_vector(self.world.disk.replica(self.session).doc.get_state())
        shown, behind = words_of(self.document), "".join(unsaved(self.document, self._clients, has)[1])
        in_messages = {word for words in self.said.values() for word in words}
        for word in self._words - self.deleted - self.doubtful:
            if word in room:
                continue
            assert word in behind or word not in shown, f"{self.name} shows {word}, which nobody else has"
            assert self.world.crashes or word in in_messages, f"{word} was lost, and its writer lied about others"
            self.told.add(word)
        self.doubtful |= self.told | self.deleted | self.steers
        self.surely_cancelled = False
        self.cut()
        self.start_afresh()

    def _tell_lost(self, parted: _Parted) -> None:
        has = decode_state_vector(self.doc.get_state())
        saved = has.get(parted.doc.client_id, 0)
        assert saved >= parted.saved, (
            f"{self.name} was told that {parted.saved} clocks are saved, and {saved} came back"
        )
        old, reach = SessionDocument(parted.doc), {parted.doc.client_id: parted.saved}
        lost = "".join(unsaved(old, parted.clients, has, self.document, reach)[1])
        there = words_of(self.document)
        for word in parted.words - self.deleted - self.told:
            if parted.shown is not None and word not in parted.shown and word not in there:
                self.told.add(word)
                continue
            assert (word in lost) != (word in there), (
                f"{self.name} was refused; of {word} it was told {word in lost}, and it is there: {word in there}"
            )
            if word in lost:
                self.told.add(word)
        self.doubtful |= self.told
