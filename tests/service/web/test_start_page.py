"""The start page over HTTP, without a browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from service import operations
from service.store import queries
from tests.service.scored_runs import World


@pytest.fixture
def client(serve: Any) -> Iterator[Any]:
    with httpx.Client(base_url=serve(), trust_env=False) as made:
        yield made


def test_it_lists_experiments_with_progress_and_answer(world: World, client: httpx.Client) -> None:
    world.ask(world.QUESTION)
    world.submit(world.QUESTION.replace("name: activations", "name: waiting"))
    page = client.get("/")
    assert page.status_code == 200
    assert "relu better than sigmoid" in page.text
    assert "no answer yet (tune: 0 of 24 runs)" in page.text
    assert "0 of 24 runs" in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "unsafe" not in page.headers["content-security-policy"]
    assert " style=" not in page.text
    assert "onclick" not in page.text


@pytest.mark.parametrize("kind", ["css", "js", "svg"])
def test_its_files(client: httpx.Client, kind: str) -> None:
    assert client.get(f"/start/start.{kind}").status_code == 200
    assert client.get(f"/start/other.{kind}").status_code == 404


def test_a_spec_is_checked_and_submitted(world: World, client: httpx.Client) -> None:
    checked = client.post("/start/preview", data={"spec": world.QUESTION})
    assert "24 runs in the first stage (tune)" in checked.text
    made = client.post("/start/submit", data={"spec": world.QUESTION})
    assert made.status_code == 303
    (experiment,), _ = queries.list_experiments(world.store)
    assert made.headers["location"] == f"/#{experiment.id}"


def test_a_form_that_is_sent_twice_makes_one_experiment(world: World, client: httpx.Client) -> None:
    """Each page that is shown has a form of its own; the same text sent from another page is another experiment."""
    shown = [re.search(r'name="form" value="(\w+)"', client.get("/").text) for _ in range(2)]
    forms = [match[1] for match in shown if match]
    sent = [
        client.post("/start/submit", data={"spec": world.QUESTION, "form": form})
        for form in (*forms, forms[0])
    ]
    addresses = [answer.headers["location"] for answer in sent]
    assert addresses[0] == addresses[2] != addresses[1]
    edited = world.QUESTION.replace("name: activations", "name: edited")
    other = client.post("/start/submit", data={"spec": edited, "form": forms[0]})
    assert other.headers["location"] not in addresses
    experiments, _ = queries.list_experiments(world.store)
    assert len(experiments) == 3


@pytest.mark.parametrize(
    ("model", "memory"),
    [("dataset: {name: xor}\nmodel: {hidden: [2]}", "less than 0.1 MB"),
     ("dataset: {name: mnist}\nmodel: {hidden: [512]}", r"about [1-9]\d*\.\d MB")],
)  # fmt: skip
def test_memory_is_never_nothing(client: httpx.Client, model: Any, memory: Any) -> None:
    checked = client.post("/start/preview", data={"spec": f"name: m\n{model}"})
    assert re.search(memory, checked.text)


def test_what_is_wrong_with_a_spec_is_said(client: httpx.Client) -> None:
    answer = client.post(
        "/start/submit", data={"spec": "name: x\ndataset: {name: mnits}\nmodel: {hidden: [3]}"}
    )
    assert answer.status_code == 422
    assert "mnist" in answer.text
    assert "<code>dataset" in answer.text


def test_names_are_escaped(world: World, client: httpx.Client) -> None:
    world.submit(world.QUESTION.replace("name: activations", "name: '<img src=x onerror=alert(1)>'"))
    assert "<img src=x" not in client.get("/").text


def test_another_site_cannot_submit(world: World, client: httpx.Client) -> None:
    answer = client.post(
        "/start/submit", data={"spec": world.QUESTION}, headers={"Origin": "http://evil.example"}
    )
    assert answer.status_code == 403


def test_a_key_is_asked_for_once(world: World, serve: Any) -> None:
    client = httpx.Client(base_url=serve(auth_required=True), trust_env=False)
    world.submit(world.QUESTION)
    assert "asks for a key" in client.get("/").text
    assert "activations" not in client.get("/").text
    assert client.get("/start/experiments").status_code == 401
    assert client.post("/start/submit", data={"spec": world.QUESTION}).status_code == 401
    _, secret = operations.create_key(world.store, owner="ada", scopes=["read"])
    client.post("/start/key", data={"key": secret})
    assert "activations" in client.get("/").text
    assert client.post("/start/submit", data={"spec": world.QUESTION}).status_code == 403
    client.close()
