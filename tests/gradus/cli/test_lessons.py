"""`gradus lessons`, without a service."""

from __future__ import annotations

from typing import Any

import pytest

from experiments.course import lessons


@pytest.fixture(autouse=True)
def _away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADUS_URL", "http://127.0.0.1:9")


def test_the_course_is_listed_without_the_service(gradus: Any) -> None:
    listed = gradus("lessons", "--json").json()
    assert [row["name"] for row in listed] == list(lessons())


def test_a_lesson_on_paper_needs_no_service(gradus: Any) -> None:
    done = gradus("lessons", "29", "--run")
    assert done.status == 0
    assert "refuted: It is 4." in done.out
    assert "应为 4" in gradus("lessons", "29-output-size-as-printed", "--lang", "zh").out


def test_a_lesson_that_trains_shows_its_spec_and_needs_the_service_to_run(gradus: Any) -> None:
    assert "name: perceptron-and" in gradus("lessons", "1").out
    assert gradus("lessons", "1", "--run").status == 3
    assert gradus("lessons", "99").status == 2
    assert gradus("lessons", "--run").status == 2
