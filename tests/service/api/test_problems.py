"""The one table: every error that can reach HTTP has a status of its own choosing, never 500 by omission."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import pytest

from experiments import errors as domain
from experiments.errors import GradusError
from service import errors
from service.http import problems, refusals


def kinds(module: Any) -> Any:
    found = [one for one in vars(module).values() if isinstance(one, type) and issubclass(one, GradusError)]
    return [one for one in found if one not in (GradusError, errors.ServiceError, refusals.Refusal)]


@pytest.mark.parametrize(
    "kind", [*kinds(domain), *kinds(errors), *kinds(refusals)], ids=lambda kind: kind.__name__
)
def test_every_error_has_a_status(kind: type[GradusError]) -> None:
    status = problems.status_of(kind.__new__(kind))
    assert status != HTTPStatus.INTERNAL_SERVER_ERROR
    assert status in problems.DESCRIPTIONS


def test_the_nearest_class_decides() -> None:
    assert problems.status_of(errors.StaleVersion("a", 2, 1)) == HTTPStatus.PRECONDITION_FAILED
    assert problems.status_of(errors.IllegalTransition("a", "FINISHED", "retried")) == HTTPStatus.CONFLICT
    assert problems.status_of(errors.AmbiguousId("run", "a")) == HTTPStatus.NOT_FOUND
