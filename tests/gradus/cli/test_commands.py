"""Every command against a real API: what it does, prints, and how it ends."""

from __future__ import annotations

import csv
import importlib.metadata
import io
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from gradus.text import ago, quantity
from service import operations
from service.store import queries
from tests.present import present
from tests.service.api.conftest import SPEC, Served


def test_submit_prints_where_it_is(gradus: Any, api: Served, spec_file: Path) -> None:
    done = gradus("submit", spec_file, "--set", "training.epochs=2")
    assert done.status == 0
    (experiment,), _ = queries.list_experiments(api.store)
    assert experiment.id in done.out
    assert queries.all_runs(api.store, experiment.id)[0].params["epochs"] == 2


def test_submit_and_wait_ends_like_its_runs(gradus: Any, api: Served, spec_file: Path) -> None:
    def work() -> None:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            experiments, _ = queries.list_experiments(api.store)
            if experiments:
                runs = queries.all_runs(api.store, experiments[0].id)
                api.finish(runs[0].id, status="FAILED", reason="test")
                for run in runs[1:]:
                    api.finish(run.id, metrics=[("test/accuracy", 1, 0.5)])
                return
            time.sleep(0.05)

    worker = threading.Thread(target=work)
    worker.start()
    done = gradus("submit", spec_file, "--wait")
    worker.join()
    assert done.status == 1
    assert "3 FINISHED" in done.out
    assert "1 of 4 runs did not finish" in done.err
    assert done.err.rstrip().endswith("--filter status=FAILED")


def test_watch_lists_what_did_not_finish_by_its_own_status(gradus: Any, api: Served) -> None:
    experiment = api.submit()
    first, *others = queries.all_runs(api.store, experiment.id)
    for run in others:
        api.finish(run.id)
    gradus("cancel", first.id)
    done = gradus("watch", experiment.id)
    assert done.status == 1
    advice = done.err.strip().partition("did not finish: gradus ")[2]
    assert advice == f"runs {experiment.id[:8]} --filter status=KILLED"
    assert gradus(*advice.split(), "--json").json()[0]["id"] == first.id


def test_a_failed_gradient_check_does_not_end_quietly(gradus: Any, api: Served) -> None:
    """Every run is FINISHED, one with a failed certificate: its list, its page and the exit status say so."""
    experiment = api.submit()
    wrong, *others = queries.all_runs(api.store, experiment.id)
    tags = {"gradus.certificate": "failed", "gradus.certificate.reason": "1-dense/bias is off"}
    api.finish(wrong.id, tags=tags)
    for run in others:
        api.finish(run.id, tags={"gradus.certificate": "certified"})
    done = gradus("watch", experiment.id)
    assert done.status == 1
    assert "1 of 4 runs failed their gradient check" in done.err
    assert "1-dense/bias is off" in done.err
    assert gradus("watch", wrong.id).status == 1
    assert gradus("watch", others[0].id).status == 0
    explanations = [run["explanation"] for run in gradus("runs", experiment.id, "--json").json()]
    assert [text.startswith("The gradient check failed") for text in explanations] == [True] + [False] * 3


@pytest.mark.parametrize("command", ["submit", "validate"])
def test_a_bad_spec_is_used_wrongly(gradus: Any, api: Served, tmp_path: Path, command: Any) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(json.dumps({**SPEC, "model": {"hidden": [8], "activation": "relo"}}))
    done = gradus(command, path)
    assert done.status == 2
    assert 'did you mean "relu"?' in done.err
    assert "model.activation" in done.err
    assert gradus(command, tmp_path / "none.yaml").status == 2


def test_lists_and_details(gradus: Any, api: Served) -> None:
    experiment = api.submit()
    run = queries.all_runs(api.store, experiment.id)[0]
    api.finish(run.id, metrics=[("test/accuracy", 1, 0.75)])
    assert experiment.id[:8] in gradus("status").out
    assert gradus("status", "--json").json()[0]["id"] == experiment.id
    assert "3 SCHEDULED" in gradus("status", experiment.id[:7]).out
    assert "0.75" in gradus("status", run.id[:7]).out
    assert gradus("status", run.id, "--json").json()["id"] == run.id
    assert len(gradus("runs", experiment.id, "--json").json()) == 4
    assert len(gradus("runs", experiment.id, "--json", "--filter", "status=FINISHED").json()) == 1
    rows = list(csv.DictReader(io.StringIO(gradus("runs", experiment.id, "--csv").out)))
    assert [row["params.activation"] for row in rows] == ["relu", "relu", "tanh", "tanh"]
    assert rows[0]["metrics.test/accuracy"] == "0.75"
    assert {row["stage"] for row in rows} == {"grid"}
    table = gradus("runs", experiment.id).out
    assert "FINISHED" in table
    assert "tanh" in table


def test_cancel_retry_rm_open(gradus: Any, api: Served) -> None:
    experiment = api.submit()
    run = queries.all_runs(api.store, experiment.id)[0]
    assert "KILLED" in gradus("cancel", run.id[:8]).out
    assert "4 KILLED" in gradus("cancel", experiment.id).out
    assert "4 SCHEDULED" in gradus("retry", experiment.id).out
    assert f"{api.url}/v1/experiments/{experiment.id}/report" in gradus("open", experiment.id).out
    assert gradus("rm", run.id).status == 2
    assert gradus("rm", experiment.id, "--yes").status == 0
    assert gradus("status", experiment.id).status == 2


def test_compare_explores_without_a_question(gradus: Any, api: Served) -> None:
    experiment = api.submit()
    for run in queries.all_runs(api.store, experiment.id):
        value = 0.9 if run.levels["activation"] == "relu" else 0.5 + 0.01 * int(run.levels["seed"])
        api.finish(run.id, metrics=[("test/accuracy", 1, value)])
    comparison = gradus("compare", experiment.id, "--factor", "activation", "--json").json()
    assert comparison["verdicts"] == []
    assert comparison["effects"][0]["effect"] == pytest.approx(0.395)
    assert "exploratory" in gradus("compare", experiment.id, "--factor", "activation").out


@pytest.mark.parametrize(
    ("fields", "note"),
    [
        ({"sweep": {"seeds": 3}}, "note: sweep of base.yaml left out"),
        (
            {"sweep": {"seeds": 3}, "compare": {"factor": "activation"}},
            "note: sweep and compare of base.yaml left",
        ),
        ({"sweep": None}, None),
    ],
)
def test_ask_says_what_of_its_base_it_leaves_out(
    gradus: Any, api: Served, tmp_path: Path, fields: Any, note: Any
) -> None:
    (tmp_path / "base.yaml").write_text(json.dumps({**SPEC, **fields}))
    question = ("--factor", "activation", "--levels", "relu,tanh", "--looks", "2,3", "--no-wait")
    done = gradus("ask", "--base", "base.yaml", *question)
    assert done.status == 0, done.err
    assert done.err.startswith(note) if note else done.err == ""


def test_extend_adds_seeds(gradus: Any, api: Served) -> None:
    experiment = api.submit()
    for run in queries.all_runs(api.store, experiment.id):
        api.finish(run.id)
    done = gradus("extend", experiment.id, "--seeds", 2)
    assert done.status == 0, done.err
    assert "4 SCHEDULED" in done.out
    assert gradus("extend", experiment.id).status == 1


def test_watch_a_run(gradus: Any, api: Served) -> None:
    run = queries.all_runs(api.store, api.submit().id)[0]
    api.finish(run.id, metrics=[("train/loss", 1, 0.5)])
    done = gradus("watch", run.id)
    assert done.status == 0
    assert "FINISHED" in done.out
    assert "train/loss 0.5" in done.out


def test_predict_and_plot_are_worked_by_a_worker(gradus: Any, api: Served, tmp_path: Path) -> None:
    run = queries.all_runs(api.store, api.submit().id)[0]
    api.finish(run.id)

    def work(result: Any) -> None:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            for request in operations.take_due_requests(api.store, resend_seconds=60):
                mine = operations.claim_request(api.store, request.id, worker="w", lease_seconds=60)
                operations.finish_request(api.store, present(mine).id, present(mine).attempt, result=result)
                return
            time.sleep(0.05)

    wrong, inputs = tmp_path / "x.csv", tmp_path / "x.json"
    wrong.write_text("a,b\n1,2\n3,4\n")
    refused = gradus("predict", run.id, wrong)
    assert refused.status == 2
    assert (
        "body.inputs[0]: found the shape (2,) (allowed: the shape (8, 8, 1) or (8, 8) or (64,))"
        in refused.err
    )
    inputs.write_text(str([[[0] * 8] * 8] * 2))
    answer = {"outputs": [[0.1], [0.9]], "classes": [0, 1], "warnings": ["2 of 4 input numbers lie outside"]}
    worker = threading.Thread(target=work, args=(answer,))
    worker.start()
    done = gradus("predict", run.id, inputs)
    worker.join()
    assert done.lines == ["0: class 0   0.1", "1: class 1   0.9"]
    assert done.err.strip() == "warning: 2 of 4 input numbers lie outside"

    pictures = {"plots": {"plots/../../evil.png": "aGVsbG8=", "plots/loss.png": "aGVsbG8="}}
    worker = threading.Thread(target=work, args=(pictures,))
    worker.start()
    done = gradus("plot", run.id, "--out", tmp_path / "p")
    worker.join()
    assert done.status == 0
    assert sorted(path.name for path in (tmp_path / "p").iterdir()) == ["evil.png", "loss.png"]

    worker = threading.Thread(target=work, args=(pictures,))
    worker.start()
    done = gradus("plot", run.id, "--out", inputs)
    worker.join()
    assert done.status == 2
    assert f"{inputs}/evil.png cannot be written: File exists; choose another folder with --out" in done.err


def test_keys_on_the_database_and_over_the_api(
    gradus: Any, api: Served, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GRADUS_HOME", str(tmp_path / "home"))
    secret = gradus("keys", "create", "--local", "--owner", "root", "--scope", "admin").out.strip()
    assert secret.startswith("gradus_")
    made = gradus("keys", "create", "--owner", "ann", "--json").json()
    assert made["scopes"] == ["read", "write"]
    assert {key["owner"] for key in gradus("keys", "list", "--json").json()} == {"root", "ann"}
    assert gradus("keys", "revoke", made["id"]).status == 0
    of_class = [line.split("\t") for line in gradus("keys", "create", "--class", "nn", "--count", 12).lines]
    assert [owner for owner, _ in of_class] == [f"nn-{n:02d}" for n in range(1, 13)]
    assert len({key for _, key in of_class}) == 12
    on_database = gradus("keys", "create", "--local", "--class", "b", "--count", 2, "--json").json()
    assert [key["owner"] for key in on_database] == ["b-1", "b-2"]
    assert gradus("keys", "create", "--class", "nn", "--owner", "ann").status == 2
    monkeypatch.setenv("GRADUS_API_KEY", made["key"])
    assert gradus("status").status == 2


def test_doctor_masks_secrets_and_names_remedies(
    gradus: Any, api: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADUS_BROKER_URL", "redis://:hunter2@127.0.0.1:1/0")
    monkeypatch.setenv("GRADUS_MLFLOW_URL", "http://ann:hunt@hunter2@127.0.0.1:1")
    monkeypatch.setenv("GRADUS_URL", api.url.replace("://", "://ann:hunter2@"))
    done = gradus("doctor", "--json")
    assert "hunter2" not in done.out
    findings = {finding["what"]: finding for finding in done.json()["findings"]}
    assert findings["database"]["ok"]
    assert not findings["broker"]["ok"]
    assert findings["broker"]["remedy"]
    assert done.status == 1
    assert "hunter2" not in gradus("doctor").out


def test_a_service_that_is_away_is_status_3(
    gradus: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, spec_file: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GRADUS_URL", "http://127.0.0.1:9")
    for arguments in (("status",), ("submit", spec_file), ("doctor",), ("watch", "abc")):
        done = gradus(*arguments)
        assert done.status == 3, arguments
    assert "gradus up" in gradus("status").err


@pytest.mark.parametrize("arguments", [("nothing",), ("submit",), ("status", "--limit", "0"), ("runs",)])
def test_wrong_use_is_status_2(gradus: Any, arguments: Any) -> None:
    assert gradus(*arguments).status == 2


@pytest.mark.parametrize(
    "command",
    ["status", "watch", "runs", "plot", "compare", "extend", "cancel", "retry", "rm", "open", "keys revoke"],
)
@pytest.mark.parametrize("id", ["?x", "#", "?", "a/b", "", "..", "a b", "é"])
def test_what_is_no_id_is_used_wrongly(
    gradus: Any, monkeypatch: pytest.MonkeyPatch, command: Any, id: Any
) -> None:
    monkeypatch.setenv("GRADUS_URL", "http://127.0.0.1:9")
    done = gradus(*command.split(), id)
    assert done.status == 2
    assert f"{id!r} is not an id (allowed: letters and digits" in done.err


def test_a_filter_is_a_field_of_a_run(gradus: Any, api: Served) -> None:
    id = api.submit().id
    for name in ("limit", "cursor", "most", "path", "params", "self"):
        done = gradus("runs", id, "--filter", f"{name}=1")
        assert (done.status, name in done.err) == (2, True), name


def test_catalog_and_validate_need_no_server(
    gradus: Any, monkeypatch: pytest.MonkeyPatch, spec_file: Path
) -> None:
    monkeypatch.setenv("GRADUS_URL", "http://127.0.0.1:9")
    assert "relu" in gradus("catalog", "activations").out
    assert gradus("catalog", "--json").json()["optimizers"]
    shown = gradus("validate", spec_file)
    assert "0-flatten" in shown.out
    assert "4 runs" in shown.out
    assert gradus("validate", spec_file, "--json").json()["n_runs"] == 4


def test_the_command_loads_nothing_heavy() -> None:
    code = "import sys, gradus.cli.main; print('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    heavy = {"tensorflow", "keras", "mlflow", "numpy", "fastapi", "sqlalchemy", "httpx", "rich", "pydantic"}
    assert not loaded & heavy


def test_validate_never_loads_tensorflow(spec_file: Path) -> None:
    code = (
        "import sys, gradus.cli.main as m\n"
        f"sys.argv = ['gradus', 'validate', {str(spec_file)!r}]\n"
        "try: m.run()\nexcept SystemExit as e: assert not e.code\n"
        "assert not {'tensorflow', 'keras', 'mlflow', 'fastapi'} & set(sys.modules)"
    )
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GRADUS_")}
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, env=kept)


def test_numbers_for_people() -> None:
    assert quantity(1_234_567, "B") == "1.23 MB"
    assert quantity(12) == "12"
    assert ago(None) == ""


def test_the_version_is_that_of_the_package(gradus: Any) -> None:
    done = gradus("--version")
    assert (done.status, done.out) == (0, f"gradus {importlib.metadata.version('gradus')}\n")
