"""What a stack consists of: a worker that only answers, where there are workers at all, with a backend that they have."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.embedded.home import sqlite_url
from service.embedded.programs import api_url, programs
from service.settings import load_settings
from service.store.migrate import upgrade


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The folder of a stack whose database is migrated."""
    upgrade(sqlite_url(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("backends", "backend"),
    [([], None), (["jax"], "jax"), (["jax", "tensorflow"], "tensorflow"), (["tensorflow"], "tensorflow")],
)
def test_a_worker_answers_what_people_ask(home: Path, backends: list[str], backend: str | None) -> None:
    made = programs(
        load_settings(home=home),
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


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8642"), ("0.0.0.0", "http://127.0.0.1:8642"),
        ("192.0.2.7", "http://192.0.2.7:8642"), ("::1", "http://[::1]:8642"),
    ],
)  # fmt: skip
def test_the_address_by_which_this_machine_reaches_the_api(host: str, url: str) -> None:
    assert api_url(host, 8642) == url


@pytest.mark.parametrize(("host", "asked"), [("127.0.0.1", None), ("0.0.0.0", "true")])
def test_beyond_this_machine_the_api_asks_for_keys(home: Path, host: str, asked: str | None) -> None:
    made = programs(
        load_settings(home=home),
        backends=[],
        api_port=1,
        mlflow_port=2,
        broker_port=3,
        password="x",
        host=host,
    )
    (api,) = [program for program in made if program.name == "api"]
    assert (api.env["GRADUS_API_HOST"], api.env.get("GRADUS_AUTH_REQUIRED")) == (host, asked)
