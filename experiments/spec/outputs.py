"""Whether a network's output fits its loss and its data."""

from __future__ import annotations

from experiments.activations import ACTIVATIONS, ActivationChoice, activation
from experiments.datasets import DataShape
from experiments.errors import Problem, SpecError
from experiments.layers import Shape
from experiments.losses import LOSSES, Loss


def output_units(loss: Loss, shape: DataShape) -> int:
    """Units of an output layer without a size: the number of classes or of target numbers; for two classes one unit
    where the loss takes one.
    """
    if shape.kind == "binary" and not loss.two_units:
        return 1
    return shape.outputs


def check_output(loss: Loss, shape: DataShape, output: Shape, chosen: ActivationChoice, path: str) -> None:
    """Refuse an output for which the loss cannot be computed, or can only be wrong.

    Args:
        output: shape of the last layer's output, without the batch
        chosen: activation of the last layer
        path: of the last layer in the spec

    Raises:
        SpecError: with every problem.
    """
    problems: list[Problem] = []
    if shape.kind not in loss.kinds:
        fitting = sorted(name for name, entry in LOSSES.items() if shape.kind in entry.kinds)
        numbers = loss.kinds == {"regression"}
        wants = "wants numbers, the data are for" if numbers else "wants classes, the data are for"
        problems.append(Problem("loss", f"{loss.name} {wants} {shape.kind}", fitting))
    problems += _size(loss, shape, output, path)
    if len(output) == 1:
        problems += _range(loss, output, chosen, path)
    if problems:
        raise SpecError(problems)


def _size(loss: Loss, shape: DataShape, output: Shape, path: str) -> list[Problem]:
    if len(output) != 1:
        return [
            Problem(
                path,
                f"the last layer gives {output}, the data want one row of {shape.outputs}",
                "a flatten layer and a dense layer at the end, or return_sequences: false",
            )
        ]
    allowed = {shape.outputs}
    if shape.kind == "binary":
        allowed = {2} if loss.two_units else {1, 2}
    if loss.two_units and shape.kind == "regression" and shape.outputs == 1:
        return [
            Problem(
                "loss",
                f"{loss.name} compares directions; the data have targets of one number, whose direction is a "
                "sign: the gradient is 0 everywhere",
                sorted(
                    name
                    for name, other in LOSSES.items()
                    if shape.kind in other.kinds and not other.two_units
                ),
            )
        ]
    if output[0] in allowed or loss.any_units:
        return []
    what = (
        f"{shape.classes} classes{_empty(shape)}" if shape.classes else f"targets of {shape.outputs} numbers"
    )
    return [
        Problem(
            path,
            f"the last layer has {output[0]} outputs, the data have {what} (loss {loss.name})",
            " or ".join(f"{n} outputs" for n in sorted(allowed)),
        )
    ]


def _empty(shape: DataShape) -> str:
    """`, numbered from 0; class 0 never occurs` where classes have no sample."""
    if not shape.empty_classes:
        return ""
    named = ", ".join(map(str, shape.empty_classes[:5]))
    many = len(shape.empty_classes) > 1
    return f", numbered from 0; class{'es' * many} {named} never occur{'s' * (not many)}"


def _range(loss: Loss, output: Shape, chosen: ActivationChoice, path: str) -> list[Problem]:
    entry = activation(chosen)
    where = f"{path}.activation" if path.startswith("model.layers") else path
    if entry.joint and output[0] == 1:
        return [
            Problem(
                where,
                f"{chosen} over one unit is a constant whatever the weights are: nothing can be "
                f"learned (loss {loss.name})",
                "sigmoid or linear for one unit; two units or more",
            )
        ]
    probability = entry.low >= 0 and entry.high <= 1 and entry.smoothness != "jump"
    if loss.logits:
        if probability or entry.smoothness == "jump":
            return [
                Problem(
                    where,
                    f"{loss.name} with from_logits takes weighted sums, {chosen} gives probabilities",
                    "linear, or from_logits: false",
                )
            ]
        return []
    undone = {other.reads_sums_of for other in LOSSES.values()} - {None, loss.reads_sums_of}
    if loss.reads_sums_of and chosen in undone:
        return [
            Problem(
                where,
                f"{loss.name} after {chosen}: Keras takes the weighted sums from before the {chosen} and "
                f"computes the loss of a {loss.reads_sums_of}, so that what is trained is not what the network says",
                f"{loss.reads_sums_of}, or a loss for {chosen}",
            )
        ]
    if loss.wants in ("distribution", "probabilities") and not probability:
        names = sorted(
            n for n, a in ACTIVATIONS.items() if a.low >= 0 and a.high <= 1 and a.smoothness != "jump"
        )
        return [
            Problem(
                where,
                f"{loss.name} wants outputs in [0, 1], {chosen} gives [{entry.low:g}, {entry.high:g}]",
                names,
            )
        ]
    if loss.wants == "non_negative" and entry.low < 0:
        names = sorted(n for n, a in ACTIVATIONS.items() if a.low >= 0)
        return [
            Problem(
                where,
                f"{loss.name} wants outputs that are not negative, {chosen} starts at {entry.low:g}",
                names,
            )
        ]
    return []
