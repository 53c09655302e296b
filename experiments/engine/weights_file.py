"""Keras `.weights.h5` files of many lanes of one program, without a Keras model per lane.

Keras writes one file as a template, once per program. In it every weight is one contiguous block of bytes, so
a lane's file is the template with other numbers in those blocks: microseconds, not tens of milliseconds.
`model.load_weights` reads it like any other.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Block:
    """Where a variable's numbers lie: its index among the values, offset and length in bytes, dtype."""

    variable: int
    offset: int
    length: int
    dtype: np.dtype[Any]


@dataclass(frozen=True)
class Template:
    content: bytes
    blocks: tuple[Block, ...]

    def filled(self, values: Sequence[npt.NDArray[Any]]) -> bytes:
        """The file for these values, in the order that `template` was given."""
        content = bytearray(self.content)
        for block in self.blocks:
            data = np.ascontiguousarray(values[block.variable], block.dtype).tobytes()
            assert len(data) == block.length
            content[block.offset : block.offset + block.length] = data
        return bytes(content)


def template(model: keras.Model, indices: Sequence[int | None]) -> Template:
    """The template of a model. Overwrites the model's weights (to find each one's block).

    Args:
        indices: for each of `model.variables` its index among the values that fill the template; None: it has none and
            is written as 0.
    """
    for index, variable in zip(indices, model.variables, strict=True):
        variable.assign(np.full(variable.shape, 0 if index is None else index + 1, variable.dtype))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.weights.h5"
        model.save_weights(path)
        blocks: list[Block] = []
        with h5py.File(path, "r") as file:
            file.visititems(
                lambda _, item: blocks.append(_block(item)) if isinstance(item, h5py.Dataset) else None
            )
        content = path.read_bytes()
    filled = [block for block in blocks if block.variable >= 0]
    missing = {index for index in indices if index is not None} - {block.variable for block in filled}
    assert not missing, f"weights {sorted(missing)} are not in the file that Keras wrote"
    return Template(content, tuple(filled))


def _block(dataset: h5py.Dataset) -> Block:
    offset = dataset.id.get_offset()
    assert offset is not None, "Keras writes weights as contiguous blocks"
    return Block(int(np.asarray(dataset).flat[0]) - 1, offset, dataset.id.get_storage_size(), dataset.dtype)
