"""What was written bit by bit is replayed and thinned in little memory, however long it has become."""

import resource
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import pytest
from pycrdt import Array, Doc, Text, TransactionEvent

from cosession.room.room import Room
from cosession.runtime.thinning import thin
from cosession.settings import Settings
from cosession.storage import LoggedUpdate

MOST = 100 * 2**20
"""Bytes; it took twenty times as much when all rows were applied in one transaction."""


def rows(kind: str, count: int) -> list[LoggedUpdate]:
    """A log of values that were pushed one by one, or of words that were typed so."""
    doc: Doc[Any] = Doc()
    updates: list[bytes] = []

    def note(event: TransactionEvent) -> None:
        updates.append(event.update)

    subscription = doc.observe(note)
    for number in range(count):
        if kind == "list":
            doc.get("items", type=Array).append(number)
        else:
            text = doc.get("text:notes", type=Text)
            text += "sixteen letters "
    doc.unobserve(subscription)
    return [
        LoggedUpdate("s", number, "2026-01-01T00:00:00.000Z", "ada", doc.client_id, update)
        for number, update in enumerate(updates, 1)
    ]


def replay(log: list[LoggedUpdate]) -> object:
    return Room(Settings(), [row.update for row in log], len(log))


def thinned(log: list[LoggedUpdate]) -> object:
    return thin([], log, grain_seconds=60)


def grown(act: str, kind: str) -> int:
    """The bytes by which the peak of a process grows."""
    log = rows(kind, 10_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    kept = {"replay": replay, "thin": thinned}[act](log)
    del kept
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * (1 if sys.platform == "darwin" else 1024)


@pytest.mark.parametrize("kind", ["list", "text"])
@pytest.mark.parametrize("act", ["replay", "thin"])
def test_ten_thousand_rows_written_in_a_row_take_little_memory(act: str, kind: str) -> None:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as processes:
        assert processes.submit(grown, act, kind).result() < MOST
