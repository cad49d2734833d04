"""The garbage collector of a server process."""

import subprocess
import sys

MANY = """
import gc
from cosession.server.collector import calm_collector

looked_at = []

def note(phase, info):
    if phase == "start":
        looked_at.append(sum(len(gc.get_objects(young)) for young in range(info["generation"] + 1)))

calm_collector()
gc.callbacks.append(note)
kept = [[] for _ in range(500_000)]
print(len(looked_at), max(looked_at))
"""


def test_few_objects_are_looked_at_together_while_very_many_are_made() -> None:
    """In a process of its own, because its collector stays so."""
    done = subprocess.run([sys.executable, "-c", MANY], capture_output=True, text=True, check=True)
    collections, most = map(int, done.stdout.split())
    assert 100 < collections < 500
    assert most < 30_000
