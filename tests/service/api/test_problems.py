"""The one table: every error that can reach HTTP has a status of its own, never 500 by omission."""

from __future__ import annotations

from http import HTTPStatus
from types import ModuleType

import pytest

from experiments import errors as domain
from experiments.errors import GradusError
from service import errors
from service.http import problems


def kinds(module: ModuleType) -> list[type[GradusError]]:
    """The errors of a module, without the roots that are never raised themselves."""
    roots = (GradusError, errors.ServiceError, problems.Refusal)
    classes = [kind for kind in vars(module).values() if isinstance(kind, type)]
    return [kind for kind in classes if issubclass(kind, GradusError) and kind not in roots]


@pytest.mark.parametrize(
    "kind",
    sorted({*kinds(domain), *kinds(errors), *kinds(problems)}, key=str),
    ids=lambda kind: kind.__name__,
)
def test_every_error_has_a_status(kind: type[GradusError]) -> None:
    status = problems.status_of(kind.__new__(kind))
    assert status != HTTPStatus.INTERNAL_SERVER_ERROR
    assert status in problems.DESCRIPTIONS


def test_the_nearest_class_decides() -> None:
    assert problems.status_of(errors.StaleVersion("a", 2, 1)) == HTTPStatus.PRECONDITION_FAILED
    assert problems.status_of(errors.IllegalTransition("a", "FINISHED", "retried")) == HTTPStatus.CONFLICT
    assert problems.status_of(errors.AmbiguousId("run", "a")) == HTTPStatus.NOT_FOUND
