"""Settings of the garbage collector for a server process: each collection examines few objects."""

import gc
from typing import Final

_YOUNG: Final = 2_000
"""The number of new objects that start a collection of the youngest generation."""

_YOUNG_RUNS: Final = 10
"""The number of those collections before their survivors are examined together: 20,000 objects, some 10 ms. With 20
times 50,000 the loop was blocked for a quarter of a second, after five long sessions were read."""

_OLD_RUNS: Final = 5_000
"""The number of those before all objects are examined: after a hundred million new ones."""


def calm_collector() -> None:
    """Make the garbage collector examine long-lived objects less often, and new objects in small batches.

    With thousands of connections a full collection blocks the loop for a tenth of a second, and finds nothing:
    connections and rooms are freed one by one.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, _YOUNG_RUNS, _OLD_RUNS)
