"""The example notebook and the Python code of the docs, run by a real kernel against a real stack."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

import gradus
from gradus import Client, Comparison, Event, Experiment, History, Prediction, Run, Runs

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOK = ROOT / "examples" / "notebook.ipynb"
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
PAGES = ("client", "notebook")


def run(notebook: Any, stack: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The notebook with its outputs. The kernel works in a folder with the examples in it. Raises CellExecutionError."""
    monkeypatch.setenv("GRADUS_URL", stack.url)
    monkeypatch.setenv("IPYTHONDIR", str(folder / "ipython"))
    if stack.key:
        monkeypatch.setenv("GRADUS_API_KEY", stack.key)
    (folder / "examples").symlink_to(ROOT / "examples")
    return NotebookClient(
        notebook, timeout=240, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    ).execute()


def outputs(cell: Any) -> str:
    """All that a cell shows, as plain text and as HTML."""
    shown = []
    for output in cell.get("outputs", ()):
        data = output.get("data", {})
        shown += [output.get("text", ""), data.get("text/plain", ""), data.get("text/html", "")]
    return "\n".join(shown)


def test_the_example_notebook_runs_and_shows_what_it_says(
    service: Any, stack: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    executed = run(nbformat.read(NOTEBOOK, as_version=4), stack, tmp_path, monkeypatch)
    cells = {
        cell.source.splitlines()[-1]: outputs(cell) for cell in executed.cells if cell.cell_type == "code"
    }
    assert stack.url in cells["client.url"]
    assert "<progress" in cells["experiment.status"]
    assert "8/8" in cells["experiment.status"]
    assert "'FINISHED': 8" in cells["experiment.status"]
    assert "<table>" in cells["comparison"]
    assert "exploratory" in cells["comparison"]
    assert "sigmoid" in cells["[verdict.text for verdict in answer.verdicts]"]
    assert "(64, 16)" in cells["{place: array.shape for place, array in weights.items() if array.ndim}"]
    assert 'did you mean "relu"?' in cells["    print(error)"]


def test_the_example_notebook_is_kept_without_outputs() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in notebook.cells)


@pytest.mark.parametrize("page", PAGES)
def test_the_python_code_of_the_page_runs(
    page: str, service: Any, stack: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks = BLOCK.findall((ROOT / "docs" / f"{page}.md").read_text())
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(block) for block in blocks])
    run(notebook, stack, tmp_path, monkeypatch)


def names_of(kind: type) -> set[str]:
    """Public methods, properties and fields that the client adds to what the API answers (which `/docs` lists)."""
    ours = [base for base in kind.__mro__ if base.__module__.startswith("gradus.")]
    wire = {
        name for base in ours if base.__module__.startswith("gradus.wire") for name in base.__annotations__
    }
    own = {name for base in ours if not base.__module__.startswith("gradus.wire") for name in vars(base)}
    fields = set(getattr(kind, "model_fields", ()))
    return {name for name in (own | fields) - wire - {"of"} if not name.startswith(("_", "model_"))}


@pytest.mark.parametrize("kind", [Client, Comparison, Event, Experiment, History, Prediction, Run, Runs])
def test_the_page_has_every_name_of_the_client(kind: type) -> None:
    text = BLOCK.sub("", (ROOT / "docs" / "client.md").read_text())
    named = set(re.findall(r"\b\w+\b", " ".join(re.findall(r"`([^`]+)`", text))))
    assert set(gradus.__all__) | names_of(kind) <= named
