"""Whatever participants of any role do, in a room: nobody changes what is not theirs, and all see the same.

COSESSION_SOCIETIES=20000 python -m pytest tests/admission/test_society.py     many more than usual
"""

import os
from typing import Any

import pytest
from admission.society import LYING, ROLES, TYPING, Society
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

SOCIETIES = int(os.environ.get("COSESSION_SOCIETIES", "50"))

steps = st.lists(st.integers(0, 2**48), min_size=20, max_size=40)


@pytest.mark.parametrize(
    ("acts", "people"), [(LYING, tuple(ROLES)), (TYPING, ("eve", "bot"))], ids=["lying", "typing"]
)
@settings(max_examples=SOCIETIES, deadline=None, suppress_health_check=list(HealthCheck))
@example(seeds=[*[0] * 4, 372633, *[0] * 7, 108, *[0] * 9, 7385])  # its last answer is refused as well
@given(seeds=steps)
def test_nobody_changes_what_is_not_theirs_and_all_see_the_same(
    acts: dict[Any, float], people: tuple[str, ...], seeds: list[int]
) -> None:
    society = Society(people=people)
    for seed in seeds:
        society.step(seed, acts)
    society.check()


def test_enough_is_admitted_and_enough_is_refused_to_mean_something() -> None:
    for acts in (LYING, TYPING):
        society = Society()
        for seed in range(200):
            society.step(seed, acts)
        society.check()
        assert society.admitted > 30
        assert society.refused > 12
