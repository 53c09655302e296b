"""An uploaded file as a data set: parts, scaling, classes, and rows that a trained network is asked about."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiments.datasets import Source
from experiments.datasets.reading import read_file
from experiments.datasets.table import uploads_in
from experiments.datasets.upload import Upload
from experiments.errors import DataError, SpecError
from experiments.spec import ExperimentSpec

ROWS = 60


def students(folder: Path) -> Source:
    """A file with two numbers, a text of two values, a regression's target and one of three classes."""
    lines = ["hours,age,school,points,grade"]
    for n in range(ROWS):
        lines.append(
            f"{n % 10},{20 + n % 7},{'north' if n % 2 else 'south'},{3 * (n % 10) + 100},{'cab'[n % 3]}"
        )
    (folder / "students.csv").write_text("\n".join(lines) + "\n")
    return Source(matrix=lambda sha256: folder / "matrix.npy")


def upload(folder: Path, **fields: Any) -> tuple[Upload, Source]:
    source = students(folder)
    table = read_file(folder / "students.csv", folder / "matrix.npy", "students").table
    return Upload(id="students", table=table, **fields), source


def test_the_shape_is_known_without_the_file(tmp_path: Path) -> None:
    """20 rows of each class: a fifth for testing (4), a tenth of the rest for validation (round 1.6 = 2)."""
    dataset, source = upload(tmp_path, target="grade", inputs=["hours", "school"])
    shape, data = dataset.shape(), dataset.load(source)
    assert (shape.kind, shape.classes, shape.input) == ("classification", 3, (3,))
    assert (shape.n_train, shape.n_validation, shape.n_test) == (42, 6, 12)
    assert (len(data.x_train), len(data.x_validation), len(data.x_test)) == (42, 6, 12)
    assert np.bincount(data.y_train).tolist() == [14, 14, 14]
    assert dataset.labels == ("a", "b", "c")
    assert dataset.facts.class_counts == {"training": (14,) * 3, "validation": (2,) * 3, "test": (4,) * 3}


def test_every_row_keeps_its_class(tmp_path: Path) -> None:
    dataset, source = upload(tmp_path, target="grade", scale="none", split_seed=None, validation_split=0)
    data = dataset.load(source)
    hours, labels = data.x_train[:, 0], data.y_train
    assert [("abc"[label]) for label in labels[:6]] == ["c", "a", "b", "c", "a", "b"]
    assert hours[:6].tolist() == [0, 1, 2, 3, 4, 5]
    # south is the first text of the file, north the second: one number each
    assert data.x_train[:2, 2:4].tolist() == [[1, 0], [0, 1]]


def test_scaling_uses_the_training_part_alone(tmp_path: Path) -> None:
    dataset, source = upload(tmp_path, target="points", inputs=["hours", "school"], kind="regression")
    data = dataset.load(source)
    assert data.x_train[:, 0].mean() == pytest.approx(0, abs=1e-6)
    assert data.x_train[:, 0].std() == pytest.approx(1, abs=1e-6)
    assert set(np.unique(data.x_train[:, 1:])) == {0, 1}
    assert data.y_train.mean() == pytest.approx(0, abs=1e-6)
    raw = data.y_train * data.truth["target_scale"] + data.truth["target_offset"]
    assert {round(float(points)) for points in raw[:, 0]} <= set(range(100, 128, 3))
    low, high = upload(tmp_path, target="points", scale="minmax")[0].load(source).x_train[:, 0][[0, -1]]
    assert 0 <= low <= 1
    assert 0 <= high <= 1


def test_rows_are_given_by_name_or_in_order(tmp_path: Path) -> None:
    dataset, source = upload(tmp_path, target="points", inputs=["hours", "school"], kind="regression")
    by_name = dataset.read_rows([{"school": "north", "hours": 4, "more": 1}])
    assert by_name.tolist() == dataset.read_rows([[4, "north"]]).tolist() == [[4, 0, 1]]
    inputs, targets = dataset.fitted_scales(source)
    data = dataset.load(source)
    row = inputs.applied(dataset.read_rows([[0, "south"]]))
    assert row[0] == pytest.approx(data.x_train[data.x_train[:, 1] == 1].min(axis=0))
    assert targets.undone(np.array([[0.0]]))[0, 0] == pytest.approx(data.truth["target_offset"])


@pytest.mark.parametrize(
    ("row", "path", "message"),
    [
        ([4], "inputs[0]", "1 values for 2 columns"),
        ([4, "nort"], "inputs[0].school", "did you mean north"),
        (["four", "north"], "inputs[0].hours", "found four"),
        ({"hours": 4, "scool": "north"}, "inputs[0]", "school is missing; scool"),
        (3, "inputs[0]", "3 values"),
    ],
)  # fmt: skip
def test_a_row_that_is_none_is_refused(tmp_path: Path, row: object, path: str, message: str) -> None:
    dataset, _ = upload(tmp_path, target="points", inputs=["hours", "school"])
    with pytest.raises(SpecError) as refused:
        dataset.read_rows([row] if not isinstance(row, int) else [3, 3, 3])
    problem = refused.value.problems[0]
    assert problem.path == path
    assert message.split("; ")[0] in problem.message or isinstance(row, int)


@pytest.mark.parametrize(
    ("fields", "path", "message"),
    [
        ({}, "target", "no column to predict"),
        ({"target": "point"}, "target", "did you mean points"),
        ({"target": "grade", "kind": "regression"}, "target", "holds texts"),
        ({"target": "grade", "kind": "binary"}, "kind", "3 classes"),
        ({"target": "grade", "inputs": ["grade"]}, "inputs[0]", "is the target"),
        ({"target": "grade", "inputs": ["age", "age"]}, "inputs[1]", "twice"),
        ({"target": "grade", "input_shape": [2, 2, 2]}, "input_shape", "5 numbers"),
        ({"target": "grade", "train_samples": 100}, "train_samples", "100 samples"),
    ],
)
def test_a_choice_that_does_not_fit_is_refused(
    tmp_path: Path, fields: dict[str, Any], path: str, message: str
) -> None:
    dataset, _ = upload(tmp_path, **fields)
    with pytest.raises(SpecError) as refused:
        dataset.shape()
    assert refused.value.problems[0].path == path
    assert message in refused.value.problems[0].message


def test_one_class_is_refused(tmp_path: Path) -> None:
    (tmp_path / "one.csv").write_text("a,b\n" + "".join(f"{n},same\n" for n in range(9)))
    table = read_file(tmp_path / "one.csv", tmp_path / "m.npy", "one").table
    with pytest.raises(SpecError, match="one class"):
        Upload(id="one", target="b", table=table).shape()


def test_images_of_an_npz_file_keep_their_shape(tmp_path: Path) -> None:
    images = np.arange(40 * 6, dtype=np.uint8).reshape(40, 2, 3)
    np.savez(tmp_path / "images.npz", x=images, y=np.arange(40) % 2)
    table = read_file(tmp_path / "images.npz", tmp_path / "m.npy", "images").table
    dataset = Upload(id="images", target="y", scale="none", split_seed=None, table=table)
    assert dataset.shape().input == (2, 3, 1)
    data = dataset.load(Source(matrix=lambda sha256: tmp_path / "m.npy"))
    np.testing.assert_array_equal(data.x_train[..., 0], images[: len(data.x_train)])


def test_a_spec_trains_on_it_and_says_what_is_odd(tmp_path: Path) -> None:
    dataset, _ = upload(tmp_path, target="grade")
    document = {"name": "mine", "dataset": dataset.model_dump(mode="json"), "model": {"hidden": [4]}}
    run = ExperimentSpec.parse(document).expand()[0]
    assert run.params()["dataset"] == "students"
    assert run.spec.forecast.output_shape == (3,)
    assert [path for path, _ in uploads_in({"sweep": {"dataset": [{"name": "upload", "id": "x"}]}})] == [
        "sweep.dataset[0]"
    ]


def test_without_the_service_the_message_says_so(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="only the service knows the columns"):
        Upload(id="mine", target="a").shape()
    with pytest.raises(DataError, match="with the service"):
        upload(tmp_path, target="grade")[0].load(Source())


def test_rows_sorted_by_class_are_seen(tmp_path: Path) -> None:
    (tmp_path / "sorted.csv").write_text("a,b\n" + "1,x\n2,x\n" * 20 + "3,y\n4,y\n" * 20)
    table = read_file(tmp_path / "sorted.csv", tmp_path / "m.npy", "sorted").table
    document = {
        "name": "sorted",
        "dataset": Upload(id="s", target="b", split_seed=None, table=table).model_dump(mode="json"),
        "model": {"hidden": [2]},
    }
    assert any("sorted" in warning for warning in ExperimentSpec.parse(document).warnings())


def test_a_column_that_numbers_the_rows_is_an_input_where_there_is_no_other(tmp_path: Path) -> None:
    (tmp_path / "sums.csv").write_text("year,total\n" + "".join(f"{n},{2 * n + 1}\n" for n in range(ROWS)))
    table = read_file(tmp_path / "sums.csv", tmp_path / "matrix.npy", "sums").table
    assert [column.usable for column in table.columns] == [False, True]
    dataset = Upload(id="sums", table=table, target="total", kind="regression")
    assert [column.name for column in dataset.input_columns] == ["year"]
    with pytest.raises(SpecError, match="no column beside year can be an input"):
        _ = Upload(
            id="sums", table=table.model_copy(update={"columns": table.columns[:1]}), target="year"
        ).input_columns


@pytest.mark.parametrize(("target", "warned"), [("id", True), ("weight", False)])
def test_a_row_number_as_target_is_warned_about(tmp_path: Path, target: str, warned: bool) -> None:
    rows = "".join(f"{n},{n % 7},{0.5 * (n % 7) + 0.1 * (n % 3)}\n" for n in range(1, ROWS + 1))
    (tmp_path / "bags.csv").write_text("id,size,weight\n" + rows)
    table = read_file(tmp_path / "bags.csv", tmp_path / "m.npy", "bags").table
    document = {
        "name": "bags",
        "dataset": Upload(id="s", target=target, kind="regression", table=table).model_dump(mode="json"),
        "model": {"hidden": [2]},
    }
    said = [
        text for text in ExperimentSpec.parse(document).warnings() if "column id numbers the rows" in text
    ]
    assert bool(said) == warned
