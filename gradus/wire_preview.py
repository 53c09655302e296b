"""What a dry run answers, and the catalog, as types: for the OpenAPI document and for whoever reads the answers."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from gradus.wire import Open


class LayerOut(Open):
    """A layer, before anything is built."""

    name: str
    type: str
    inputs: list[str] = Field(
        default=[], description="the layers that it reads, where that is not the one before it alone"
    )
    output_shape: list[int]
    parameters: int
    frozen: int = Field(description="of the parameters: those that training does not change")
    flops: int = Field(description="of one forward pass of one sample")
    memory_bytes: int
    formula: str = Field(description="of the number of parameters")
    warnings: list[str]


class NetworkOut(Open):
    """One of the networks of a spec."""

    architecture: str
    dataset: str
    runs: int
    input_shape: list[int]
    layers: list[LayerOut]
    parameters: int
    trainable: int
    flops: int
    memory_bytes: int = Field(description="of training with one batch")
    training_flops: float = Field(description="of a whole run")
    expected_initial_loss: float | None
    warnings: list[str]


class TrainingOut(Open):
    """A kind of training: its updates, and the learning rate at the first and at the last."""

    samples: int
    batch_size: int
    epochs: int
    updates_per_epoch: int
    updates: int
    schedule: str | None
    first_rate: float
    last_rate: float
    runs: int


class PreviewRun(Open):
    """A run that would be queued."""

    levels: dict[str, str]
    params: dict[str, str | int | float]


class PreviewOut(Open):
    """What submitting a spec would do."""

    name: str
    n_runs: int
    factors: dict[str, list[str]] = Field(description="factor -> labels of its levels")
    seeds: list[int]
    question: dict[str, Any] | None
    n_networks: int
    networks: list[NetworkOut] = Field(description="the first 50")
    programs: int = Field(description="what is compiled")
    training_flops: float
    memory_bytes: int
    training: list[TrainingOut]
    warnings: list[str]
    runs: list[PreviewRun] = Field(description="the first 1,000")


class EntryOut(Open):
    """Something that a spec can choose."""

    name: str
    keras_name: str | None
    formula: str
    reference: str
    json_schema: dict[str, Any] = Field(alias="schema", description="of what may be said about it")


class CatalogOut(Open):
    """What a spec can choose from."""

    activations: list[EntryOut]
    optimizers: list[EntryOut]
    layers: list[EntryOut]
    losses: list[EntryOut]
    metrics: list[EntryOut]
    datasets: list[EntryOut]
    initializers: list[EntryOut]
    regularizers: list[EntryOut]
    schedules: list[EntryOut]
