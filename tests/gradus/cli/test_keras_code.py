"""`gradus import-keras` and `gradus export-keras`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

PROGRAMS = Path(__file__).resolve().parents[3] / "examples/keras"


def test_import_keras_prints_a_spec_and_its_notes(gradus: Any, tmp_path: Path) -> None:
    done = gradus("import-keras", PROGRAMS / "regression.py")
    assert done.status == 0
    assert "line 8: slip: import matplotlib.pyplot as plt" in done.err
    spec = tmp_path / "regression.yaml"
    spec.write_text(done.out)
    validated = gradus("validate", spec, "--json").json()
    assert (validated["name"], validated["networks"][0]["parameters"]) == ("regression", 2)


def test_import_keras_says_what_is_missing(gradus: Any, tmp_path: Path) -> None:
    program = tmp_path / "a.py"
    program.write_text(
        "from keras import *\nm = Sequential([Dense(1)])\nm.compile('sgd', 'mse')\nm.fit(X, y)\n"
    )
    done = gradus("import-keras", program, "--name", "own")
    assert done.status == 1
    assert "line 4: left out: the data that it trains on" in done.err
    assert "the spec cannot be run yet: dataset" in done.err
    assert done.out.startswith("name: own\n")
    assert gradus("import-keras", tmp_path / "missing.py").status == 2
    assert gradus("import-keras", program, "--json").json()["errors"][0]["path"] == "dataset"


@pytest.mark.parametrize("run", [0, 1])
def test_export_keras_prints_a_program(gradus: Any, tmp_path: Path, run: int) -> None:
    spec = tmp_path / "spec.yaml"
    spec.write_text(
        "name: s\ndataset: {name: digits}\nmodel: {hidden: [4]}\nsweep: {activation: [relu, tanh]}\n"
    )
    program = gradus("export-keras", spec, "--run", run, "--set", "training.epochs=3")
    compile(program.out, "exported.py", "exec")
    assert f"activation='{('relu', 'tanh')[run]}'" in program.out
    assert "SEED, EPOCHS, BATCH_SIZE = 0, 3, 32" in program.out
    assert gradus("export-keras", spec, "--run", 2).status == 2
