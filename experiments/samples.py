"""Checks samples that a person asks a trained network about against the shape of its data set. No Keras."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt

from experiments.errors import Problem, SpecError
from experiments.fields import LARGEST
from experiments.messages import short

Shape = tuple[int, ...]
MOST_PROBLEMS = 20
NUMBERS = f"numbers from {-LARGEST:g} to {LARGEST:g}"


def samples(inputs: Sequence[object], shape: Shape, rows: int = 0) -> npt.NDArray[np.float32]:
    """Nested lists of numbers as an array.

    Args:
        inputs: in the data set's own units. Grey pictures may leave the channel out. A sample may be one row of its
            numbers, as in a line of a CSV file. A single sample may leave out the list around it.
        shape: one sample's shape
        rows: of the embedding that reads the samples, so that they are whole numbers below it; 0: there is none

    Returns:
        (samples, *shape), float32

    Raises:
        SpecError: an entry is no finite number or no token, or a sample has another shape; by path: `inputs[3]`.
    """
    grey = len(shape) == 3 and shape[-1] == 1
    shapes = tuple(dict.fromkeys((shape, *([shape[:2]] if grey else ()), (math.prod(shape),))))
    try:
        given = _shape(inputs)
    except SpecError:
        given = ()
    if given not in shapes and given[1:] not in shapes:
        raise SpecError(_problems(inputs, shapes))
    read = np.asarray(inputs, np.float32).reshape(-1, *shape)
    if rows:
        _check_tokens(read, rows)
    return read


def _check_tokens(read: npt.NDArray[np.float32], rows: int) -> None:
    """Raises SpecError where a number is no row of an embedding."""
    strange = (read != np.floor(read)) | (read < 0) | (read >= rows)
    problems = [
        Problem(f"inputs[{index}]", f"found {sample[wrong][0]:g}", f"whole numbers from 0 to {rows - 1}")
        for index, (sample, wrong) in enumerate(zip(read, strange, strict=True))
        if wrong.any()
    ]
    if problems:
        raise SpecError(problems[:MOST_PROBLEMS])


def _problems(inputs: Sequence[object], shapes: Collection[Shape]) -> list[Problem]:
    """What is wrong with each sample, up to twenty."""
    allowed = "the shape " + " or ".join(map(str, shapes))
    problems: list[Problem] = []
    for index, sample in enumerate(inputs):
        path = f"inputs[{index}]"
        try:
            given = _shape(sample)
        except SpecError as error:
            problems += error.under(path).problems
        else:
            if given not in shapes:
                what = f"found the shape {given}" if given else f"found the number {short(sample)}"
                problems.append(Problem(path, what, allowed))
        if len(problems) == MOST_PROBLEMS:
            break
    return problems or [Problem("inputs", "some samples have a channel, others leave it out", allowed)]


def _shape(value: object) -> Shape:
    """The shape of nested lists, () for a number. Raises SpecError where there is none."""
    if isinstance(value, list | tuple):
        shapes = set()
        for index, inner in enumerate(value):
            try:
                shapes.add(_shape(inner))
            except SpecError as error:
                raise error.under(f"[{index}]") from None
        if len(shapes) > 1:
            raise SpecError.one("", "its lists differ in length or depth", "lists of one shape")
        return (len(value), *(shapes.pop() if shapes else ()))
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= LARGEST:
        raise SpecError.one("", f"found {short(value)}", NUMBERS)
    return ()
