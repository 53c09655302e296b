"""Files of one's own from Python and by the command."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from gradus import Client, Conflict, Dataset, NotFound, UsageError
from gradus.cli.inputs import read_inputs
from gradus.cli.main import app
from tests.service.api.conftest import Served
from tests.service.own_files import CSV, known


@pytest.fixture
def pets(api: Served, tmp_path: Path) -> Path:
    """The file, which the service knows already."""
    known(api.store, api.settings.datasets)
    (tmp_path / "animals.csv").write_bytes(CSV)
    return tmp_path / "animals.csv"


def test_a_file_is_uploaded_listed_named_in_a_spec_and_removed(client: Client, pets: Path) -> None:
    dataset = client.upload(pets, target="kind")
    assert isinstance(dataset, Dataset)
    assert (dataset.name, dataset.rows, dataset.kind) == ("animals", 40, "binary")
    assert dataset.spec == {"name": "upload", "id": "animals", "target": "kind"}
    assert [column.name for column in dataset.columns] == ["size", "kind"]
    assert [listed.id for listed in client.datasets()] == [client.dataset("animals").id] == [dataset.id]
    experiment = client.submit({"name": "pets", "dataset": dataset.spec, "model": {"hidden": [2]}})
    run = experiment.runs()[0]
    assert (run.params["dataset"], run.params["n_params"]) == ("animals", 2 * 1 + 2 + 2 + 1)
    with pytest.raises(Conflict, match="'pets'"):
        dataset.delete()
    with pytest.raises(NotFound):
        client.dataset("nobody")
    with pytest.raises(UsageError, match="cannot be read"):
        client.upload("nowhere.csv")


def test_the_command(pets: Path, api: Served) -> None:
    def gradus(*arguments: str) -> str:
        done = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.output

    shown = gradus("data", "upload", str(pets), "--target", "kind")
    assert "dataset: {name: upload, id: animals, target: kind}" in shown
    assert json.loads(gradus("data", "list", "--json"))[0]["name"] == "animals"
    assert "cat, dog" in gradus("data", "show", "animals")
    spec = {
        "name": "pets",
        "dataset": {"name": "upload", "id": "animals", "target": "kind"},
        "model": {"hidden": [2]},
    }
    for level in (spec, {**spec, "dataset": "digits", "sweep": {"dataset": [spec["dataset"]]}}):
        (pets.parent / "pets.json").write_text(json.dumps(level))
        shown = gradus("validate", str(pets.parent / "pets.json"))
        assert "animals → 1-2-1" in shown, "the service knows its columns"


def test_rows_of_a_csv_keep_their_names(tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("size;kind\n1,5;cat\n2;dog\n")
    assert read_inputs(tmp_path / "new.csv", named=True) == [
        {"size": 1.5, "kind": "cat"},
        {"size": 2.0, "kind": "dog"},
    ]


def test_predictions_have_labels(client: Client, api: Served, answering: object) -> None:
    run = api.submit()
    first = client.experiment(run.id).runs()[0]
    api.finish(first.id)
    with answering({"outputs": [[0.2]], "classes": [0], "labels": ["cat"]}):  # type: ignore[operator]
        prediction = client.run(first.id).predict(np.zeros((1, 8, 8)))
    assert prediction.labels == ("cat",)
