"""What a data set looks like: some of its samples, as points or as images."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from experiments.datasets import DATASETS, Dataset, Source
from experiments.errors import GradusError
from service.report import charts
from service.words import Words

POINTS, IMAGES, COLUMNS, SEQUENCES = 300, 20, 10, 8
Pixels = npt.NDArray[np.uint8]


def picture(given: object, data_dir: Path | None, say: Words) -> tuple[str, str]:
    """The picture of a data set and a sentence.

    Args:
        given: the section `dataset` of a spec: a name, or a mapping with one.
        data_dir: the folder in which mnist.npz may lie.

    Returns:
        Markup and text, both empty where there is none.
    """
    fields: Mapping[str, Any] = given if isinstance(given, Mapping) else {"name": given}
    kind = DATASETS.get(str(fields.get("name")))
    try:
        return drawn(kind.model_validate(fields), data_dir, say) if kind is not None else ("", "")
    except (ValidationError, GradusError):  # the field says what is wrong
        return "", ""


def drawn(dataset: Dataset, data_dir: Path | None, say: Words) -> tuple[str, str]:
    """The same of a data set."""
    image = len(dataset.shape().input) == 3
    glimpse = dataset.glimpse(Source(data_dir), IMAGES if image else POINTS)
    if glimpse is None:
        names = ", ".join(file.name for file in dataset.files)
        return "", say("data_picture.away", names=names) if names else ""
    x, y = glimpse
    title = say("data_picture.title", name=dataset.title)
    if image:
        text = say("data_picture.images", n=len(x))
        return _img(sheet(_bytes(x)), title), text
    classes = y.ndim == 1
    if dataset.facts.symbols and classes:
        return _sequences(x[:SEQUENCES], y[:SEQUENCES], title), say("data_picture.tokens", n=SEQUENCES)
    if x.shape[1:] == (2,) and classes:
        text = say("data_picture.plane", n=len(x))
        points = [(float(a), float(b), int(of)) for (a, b), of in zip(x, y, strict=True)]
        return charts.scatter(points, title=title, text=text, x_label="x₁", y_label="x₂"), text
    if x.shape[1:] == (1,) and not classes and y.shape[1:] == (1,):
        text = say("data_picture.curve", n=len(x))
        points = [(float(a), float(b), 0) for (a,), (b,) in zip(x, y, strict=True)]
        return charts.scatter(points, title=title, text=text, x_label="x", y_label="y"), text
    if x.ndim == 2 and not classes and y.shape[1:] == (1,):
        number = _strongest(x, y[:, 0])
        text = say("data_picture.strongest", n=len(x), number=number + 1, of=x.shape[1])
        points = [(float(a), float(b), 0) for a, (b,) in zip(x[:, number], y, strict=True)]
        x_label = say("figure.input", n=number + 1)
        return charts.scatter(points, title=title, text=text, x_label=x_label, y_label="y"), text
    return "", ""


def _strongest(x: npt.NDArray[Any], y: npt.NDArray[Any]) -> int:
    """The number of the input whose correlation with the target is the largest, by its size."""
    across, up = x - x.mean(0), y - y.mean()
    spread = np.sqrt((across**2).sum(0) * (up**2).sum())
    return int(np.argmax(np.abs(up @ across) / np.where(spread > 0, spread, 1.0)))


def _sequences(x: npt.NDArray[Any], y: npt.NDArray[Any], title: str) -> str:
    """A line of tokens for each sample, and its class. x: (samples, steps) whole numbers; y: (samples,)"""
    width = len(str(int(x.max())))
    lines = [
        f"{' '.join(f'{int(token):>{width}}' for token in row)} → {int(label)}"
        for row, label in zip(x, y, strict=True)
    ]
    return f'<pre tabindex="0" aria-label="{escape(title)}">' + "\n".join(lines) + "</pre>"


def _bytes(images: npt.NDArray[Any]) -> Pixels:
    """Images (n, height, width, channels) as bytes, from the smallest value to the largest."""
    low, high = float(images.min()), float(images.max())
    return np.round(255 * (images - low) / ((high - low) or 1.0)).astype(np.uint8)


def sheet(images: Pixels) -> Pixels:
    """Images beside each other, ten in a row with a line between them: (rows, columns, 1 or 3)."""
    count, height, width, channels = images.shape
    rows = -(-count // COLUMNS)
    across = min(count, COLUMNS)
    whole = np.zeros((rows * (height + 1) - 1, across * (width + 1) - 1, 3 if channels == 3 else 1), np.uint8)
    for index, image in enumerate(images):
        top, left = (index // COLUMNS) * (height + 1), (index % COLUMNS) * (width + 1)
        whole[top : top + height, left : left + width] = image[..., : whole.shape[2]]
    return whole


def png(pixels: Pixels) -> bytes:
    """A PNG file, grey or in colour (W3C, Portable Network Graphics, third edition, section 5)."""
    height, width, channels = pixels.shape

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    header = struct.pack(">2I5B", width, height, 8, 2 if channels == 3 else 0, 0, 0, 0)
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)  # 0: the row is not filtered
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def _img(pixels: Pixels, title: str) -> str:
    content = base64.b64encode(png(pixels)).decode()
    height, width, _ = pixels.shape
    return f'<img class="samples" src="data:image/png;base64,{content}" alt="{escape(title)}" width="{width}" height="{height}">'
