"""Data sets: a file per kind, each with its spec, loader, shapes, ranges, checksum and licence. No Keras."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from experiments.datasets.base import Data, Dataset, DataShape
from experiments.datasets.bundled import Diabetes, Digits
from experiments.datasets.curves import Linear, Polynomial, Sine
from experiments.datasets.files import RemoteFile, Source
from experiments.datasets.gates import And, Or, Xor
from experiments.datasets.housing import CaliforniaHousing
from experiments.datasets.inline import Inline
from experiments.datasets.mnist import Mnist
from experiments.datasets.pictures import Cifar10, FashionMnist
from experiments.datasets.planes import Blobs, Checkerboard, Circles, Moons, Spiral
from experiments.datasets.recall import Recall
from experiments.datasets.stripes import Stripes
from experiments.datasets.upload import Upload
from experiments.fields import named

DatasetSpec = Annotated[
    Mnist | FashionMnist | Cifar10 | Digits | Linear | Sine | Polynomial | Diabetes | CaliforniaHousing | And | Or | Xor | Moons | Circles | Spiral | Blobs
    | Checkerboard | Stripes | Recall | Inline | Upload,
    Field(discriminator="name"),
    BeforeValidator(named),
]  # fmt: skip

DATASETS: dict[str, type[Dataset]] = {
    str(entry.model_fields["name"].default): entry
    for entry in (
        Mnist, FashionMnist, Cifar10, Digits, Linear, Sine, Polynomial, Diabetes, CaliforniaHousing, And, Or, Xor, Moons, Circles, Spiral, Blobs,
        Checkerboard, Stripes, Recall, Inline, Upload,
    )
}  # fmt: skip

__all__ = ["DATASETS", "Data", "DataShape", "Dataset", "DatasetSpec", "RemoteFile", "Source"]
