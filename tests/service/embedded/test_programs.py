"""What a stack consists of: a worker that only answers, where there are workers at all, with a backend that they have."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.embedded.programs import programs
from service.settings import load_settings


@pytest.mark.parametrize(
    ("backends", "backend"),
    [([], None), (["jax"], "jax"), (["jax", "tensorflow"], "tensorflow"), (["tensorflow"], "tensorflow")],
)
def test_a_worker_answers_what_people_ask(tmp_path: Path, backends: list[str], backend: str | None) -> None:
    made = programs(
        load_settings(home=tmp_path),
        backends=backends,
        api_port=1,
        mlflow_port=2,
        broker_port=3,
        password="x",
    )
    answering = {program.name: program.env for program in made if program.name == "answers"}
    assert [environment["GRADUS_BACKEND"] for environment in answering.values()] == (
        [backend] if backend else []
    )
    assert all(environment["GRADUS_ONLY_REQUESTS"] == "true" for environment in answering.values())
    assert sum(program.name.startswith("worker-") for program in made) == len(backends)
