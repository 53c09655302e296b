"""`gradus validate`, a dry run and a submission never disagree, whatever the spec."""

from __future__ import annotations

import json
import random
from typing import Any

import httpx
import pytest

from experiments.errors import SpecError
from experiments.spec import ExperimentSpec
from experiments.spec.documents import parse_yaml
from experiments.spec.preview import preview
from tests.experiments.spec.test_fuzz_spec import EXAMPLES, mutated
from tests.service.api.conftest import Served

TOLD = ("path", "message", "allowed")


def said(document: Any, api: Served) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
    """(the problems that `validate` names, its preview where there is none)."""
    try:
        return [], preview(ExperimentSpec.parse(document, api.settings.limits()))
    except SpecError as error:
        return [{name: getattr(problem, name) for name in TOLD} for problem in error.problems], None


def documents(count: int, seed: int) -> list[Any]:
    """Examples with a few places changed, half of them only by values of other examples, so that many are accepted."""
    draw = random.Random(seed)
    originals: list[Any] = [parse_yaml(path.read_text()) for path in EXAMPLES if "mnist" not in path.stem]
    pool = [value for document in originals for value in document.values()]
    changed = [mutated(draw, draw.choice(originals), pool) for _ in range(count // 2)]
    return [
        *changed,
        *(draw.choice(originals) | {"name": f"n{i}", "seed": i} for i in range(count - count // 2)),
    ]


def agree(client: httpx.Client, api: Served, count: int, seed: int) -> int:
    accepted = 0
    for made in documents(count, seed):
        try:
            document = json.loads(json.dumps(made, allow_nan=False, ensure_ascii=False).encode())
        except (ValueError, TypeError):  # no JSON, or none that can be sent
            continue
        dry, kept = (client.post(f"/v1/experiments{query}", json=document) for query in ("?dry_run=true", ""))
        problems, shown = said(document, api)
        assert (dry.status_code, kept.status_code) in {(200, 201), (422, 422), (400, 400)}, document
        if kept.status_code != 201:
            assert dry.json()["errors"] == kept.json()["errors"]
            assert shown is None, document
            assert [{name: error.get(name) for name in TOLD} for error in kept.json()["errors"]] == [
                {**problem, "allowed": kept_allowed(problem["allowed"])} for problem in problems
            ]
            continue
        accepted += 1
        assert shown is not None, problems
        answer = dry.json()
        assert answer["n_runs"] == shown["n_runs"]
        assert answer["warnings"] == shown["warnings"] == kept.json()["warnings"]
        if kept.json()["stage"] == "grid":
            assert kept.json()["n_runs"] == answer["n_runs"]
    return accepted


def kept_allowed(allowed: Any) -> Any:
    """As JSON gives it back."""
    return list(allowed) if isinstance(allowed, tuple) else allowed


def test_they_agree_on_documents_of_every_kind(client: httpx.Client, api: Served) -> None:
    assert agree(client, api, 40, seed=1) >= 10


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_they_agree_on_2000_documents(client: httpx.Client, api: Served) -> None:
    assert agree(client, api, 2000, seed=2) >= 200
