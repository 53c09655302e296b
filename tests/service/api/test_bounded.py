"""Work that is ended when it has used its time."""

from __future__ import annotations

import os

import pytest

from experiments.errors import Problem, SpecError
from service.http.bounded import within
from tests.endless import Costly, leave, refuse, spin, spin_in_c


@pytest.mark.parametrize("work", [spin, spin_in_c, Costly])
def test_work_without_end_is_ended_and_the_next_is_done(work: type[object]) -> None:
    with pytest.raises(SpecError, match=r"more than 0.2 s of CPU \(GRADUS_SPEC_SECONDS\)"):
        within(0.2, work)
    assert within(5.0, sum, [1, 2]) == 3


def test_a_process_that_ends_by_itself_is_replaced() -> None:
    with pytest.raises(SpecError, match="reading this"):
        within(5.0, leave)
    assert within(5.0, sum, [1, 2]) == 3


def test_a_refusal_arrives_with_every_problem() -> None:
    with pytest.raises(SpecError) as refused:
        within(5.0, refuse)
    assert refused.value.problems == (
        Problem("model.hidden", "is empty", ["one", "two"]),
        Problem("", "and more"),
    )
    assert str(refused.value) == "model.hidden: is empty (allowed: one, two)\nand more"


def test_the_work_is_done_in_another_process() -> None:
    assert within(5.0, os.getpid) != os.getpid()
