"""The garbage collector of a server process, which looks at few objects at once."""

import gc
from typing import Final

_YOUNG: Final = 2_000
"""New objects that are looked at together."""

_YOUNG_RUNS: Final = 10
"""So many of those collections, then what outlived them is looked at together: 20,000 objects, some 10 ms. With 20
times 50,000 the loop was held for a quarter of a second, after five long sessions were read."""

_OLD_RUNS: Final = 5_000
"""So many of those, then all objects are looked at: after a hundred million new ones."""


def calm_collector() -> None:
    """Let the garbage collector look at what lives long less often, and at what is new in small lots.

    With thousands of connections a full collection holds the loop for a tenth of a second, and finds nothing:
    connections and rooms are let go of one by one.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, _YOUNG_RUNS, _OLD_RUNS)
