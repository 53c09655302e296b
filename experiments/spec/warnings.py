"""Warnings: what is allowed and will probably surprise, said before anything is queued.

Each rule looks at a few parts of a run and says what was seen, the number, and what usually helps.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from experiments.activations import activation
from experiments.layers import BatchNormalization, Conv2D, Embedding, Flatten, LayerNormalization, Reshape
from experiments.messages import short
from experiments.runs import Point, RunSpec
from experiments.schedules import Schedule

MAX_WARNINGS = 50
LARGE_INPUT = 10.0
"""Inputs beyond this are called not scaled; standardised data rarely leave [-5, 5]."""
LARGE_TARGET = 100.0
"""Targets beyond this are called not scaled."""
MANY_PARAMETERS = 100
"""Trainable parameters per training sample beyond which a network is called far too large."""
CONVOLUTIONS_ON_JAX = 7
"""Measured on two cores with the network of `mnist-cnn` (bench/README.md)."""
RESHAPING = (Flatten, Reshape)
NORMALIZING = (BatchNormalization, LayerNormalization)


@dataclass(frozen=True)
class Rule:
    """One warning.

    parts: the fields of a RunSpec that decide it; it is asked once for each combination of them
    check: the warning's text for a run, or None
    """

    parts: tuple[str, ...]
    check: Callable[[RunSpec], str | None]


def warnings_of(points: Sequence[Point]) -> Iterator[str]:
    """The warnings about these runs, each once, with the level it concerns where it does not concern every run."""
    labels = cache(lambda name: Counter(point.levels.get(name) for point in points))
    for rule in RULES:
        groups: dict[tuple[int, ...], list[Point]] = {}
        for point in points:
            # The builder shares equal parts between runs, so identity tells them apart at little cost.
            groups.setdefault(tuple(id(getattr(point.spec, part)) for part in rule.parts), []).append(point)
        texts: dict[str, list[Point]] = {}
        for group in groups.values():
            text = rule.check(group[0].spec)
            if text is not None:
                texts.setdefault(text, []).extend(group)
                if len(texts) == MAX_WARNINGS:
                    break
        for text, concerned in texts.items():
            yield text + _where(concerned, len(points), labels)
    for forecast in {id(point.spec.forecast): point.spec.forecast for point in points}.values():
        yield from forecast.warnings


def _where(concerned: Sequence[Point], n_points: int, labels: Callable[[str], Counter[str | None]]) -> str:
    """` (in 4 of 8 runs: case = raw)`: the levels that only the runs concerned have. labels: of all runs, by factor."""
    if len(concerned) == n_points:
        return ""
    names = []
    for name in concerned[0].levels:
        own = Counter(point.levels[name] for point in concerned)
        if all(labels(name)[label] == count for label, count in own.items()):
            named = " or ".join(short(label, 40) for label in sorted(own)[:3])
            names.append(f"{name} = {named}{' …' * (len(own) > 3)}")
    levels = f": {', '.join(names)}" if names else ""
    return f" (in {len(concerned)} of {n_points} runs{levels})"


def _inputs_not_scaled(run: RunSpec) -> str | None:
    shape = run.data_shape
    largest = max(abs(shape.low), abs(shape.high))
    weighted = next((layer for layer in run.model.layers if not isinstance(layer, RESHAPING)), None)
    if largest <= LARGE_INPUT or run.dataset.facts.symbols or isinstance(weighted, (*NORMALIZING, Embedding)):
        return None
    return (
        f"dataset: the inputs are not scaled, they reach from {shape.low:g} to {shape.high:g}; sums and gradients of the"
        f" first layer grow with them. Divide them by {largest:g}, or subtract the mean and divide by the standard"
        " deviation"
    )


def _symbols_as_amounts(run: RunSpec) -> str | None:
    if not run.dataset.facts.symbols or run.model.rows:
        return None
    return (
        f"dataset: the inputs are whole numbers from 0 to {run.data_shape.tokens - 1} that stand for symbols; without an"
        " embedding the network takes them for amounts. Put {type: embedding, output_dim: 16} first"
    )


def _rows_without_a_token(run: RunSpec) -> str | None:
    rows, tokens = run.model.rows, run.data_shape.tokens
    if rows <= tokens:
        return None
    return (
        f"model: the embedding has {rows:,} rows, the data have {tokens:,} tokens; the rows from {tokens:,} on keep their"
        " initial values. Leave input_dim out, and there are as many rows as tokens"
    )


def _targets_out_of_reach(run: RunSpec) -> str | None:
    targets = run.dataset.facts.targets
    choice = getattr(run.model.layers[-1], "activation", None)
    if targets is None or choice is None:
        return None
    entry, (low, high) = activation(choice), targets
    if entry.low <= low and high <= entry.high:
        return None
    return (
        f"model: the targets reach from {low:.4g} to {high:.4g}, the output's {choice} only from {entry.low:g} to"
        f" {entry.high:g}; what lies beyond is never reached. Take activation: linear for the output, or scale the"
        " targets"
    )


def _targets_not_scaled(run: RunSpec) -> str | None:
    targets = run.dataset.facts.targets
    if targets is None or max(map(abs, targets)) <= LARGE_TARGET:
        return None
    low, high = targets
    return (
        f"dataset: the targets are not scaled, they reach from {low:.4g} to {high:.4g}, while a fresh network answers"
        " around 0; weights must become as large, which takes many updates at a usual rate. Divide the targets by"
        f" {max(abs(low), abs(high)):.4g}, or take a larger rate and more epochs"
    )


def _targets_below_loss(run: RunSpec) -> str | None:
    targets = run.dataset.facts.targets
    if targets is None or targets[0] >= run.loss.lowest_target:
        return None
    return (
        f"loss: {run.loss.name} wants targets from {run.loss.lowest_target:g} on, the smallest is {targets[0]:.4g}. Take"
        " another loss, or shift the targets"
    )


def _divided_by_zero(run: RunSpec) -> str | None:
    facts = run.dataset.facts
    if not run.loss.divides_by_targets or facts.targets is None:
        return None
    low, high = facts.targets
    if not facts.zero_targets and not low < 0 < high:
        return None
    where = ", ".join(f"dataset.{path}" for path in facts.zero_targets) or "dataset"
    what = "is 0" if facts.zero_targets else f"has targets from {low:.4g} to {high:.4g}, some close to 0"
    return (
        f"{where} {what}: {run.loss.name} divides by the target, and Keras takes 1e-7 for 0, so that this sample outweighs"
        " all others. Take mean_absolute_error, or leave the row out"
    )


def _test_split_off(run: RunSpec) -> str | None:
    facts = run.dataset.facts
    if not facts.test_by_default:
        return None
    return (
        f"dataset: no test data are given, so {facts.split_off['test']:,} of the rows are held out for testing and never"
        f" trained on ({run.data_shape.n_train:,} are left for training). Set x_test, or test_split (0 for none)"
    )


def _sorted_rows(run: RunSpec) -> str | None:
    facts = run.dataset.facts
    if not facts.sorted_by_class or not facts.split_off:
        return None
    parts = " and ".join(facts.split_off)
    if facts.drawn:
        return (
            f"dataset.y: the rows are sorted by class; {parts} rows are drawn from all of them, with their share of every"
            f" class ({_counts(run)}). split_seed: null takes the last rows instead"
        )
    return (
        f"dataset.y: the rows are sorted by class and split_seed is null, so {parts} rows are the last ones"
        f" ({_counts(run)}). Leave split_seed out, and every part gets its share of every class"
    )


def _counts(run: RunSpec) -> str:
    """`training 3, 3, 3 of classes 0 to 2; validation 2, 2, 2`."""
    classes = run.data_shape.classes
    counts = run.dataset.facts.class_counts
    if classes > 10:
        return "; ".join(f"{part}: {sum(own):,} rows" for part, own in counts.items())
    return f"of classes 0 to {classes - 1}: " + "; ".join(
        f"{part} {', '.join(map(str, own))}" for part, own in counts.items()
    )


def _class_without_sample(run: RunSpec) -> str | None:
    empty, classes = run.data_shape.empty_classes, run.data_shape.classes
    if empty:
        named = ", ".join(map(str, empty[:5])) + " …" * (len(empty) > 5)
        start = (
            " If your classes start at 1, subtract 1" if empty[0] == 0 else " Number the classes without gaps"
        )
        return (
            f"dataset.y: class {named} has no sample; classes are numbered from 0, so there are {classes} of them and"
            f" the output has a unit for each.{start}"
        )
    for part, counts in run.dataset.facts.class_counts.items():
        missing = [str(number) for number, count in enumerate(counts) if count == 0]
        if missing:
            what = "it is never learned" if part == "training" else "nothing is measured of it there"
            return (
                f"dataset: the {part} part has no sample of class {', '.join(missing[:5])}: {what}. More rows of it, or"
                " another split_seed"
            )
    return None


def _row_number_as_target(run: RunSpec) -> str | None:
    if not (name := run.dataset.facts.numbers_rows):
        return None
    return (
        f"dataset.target: column {name} numbers the rows, and nothing can be learned about a row's number. Name the column"
        " that is to be predicted"
    )


def _nothing_to_test(run: RunSpec) -> str | None:
    if run.data_shape.n_test or run.dataset.complete:
        return None
    return (
        f"dataset: {run.dataset.name} has no test part, so nothing is measured under test/…; train/… says how well these"
        " samples are remembered, not how well others are predicted"
    )


def _schedule_misses_training(run: RunSpec) -> str | None:
    rate = run.optimizer.learning_rate
    if not isinstance(rate, Schedule):
        return None
    an_epoch = run.training.updates_per_epoch(run.data_shape.n_train)
    updates = an_epoch * run.training.epochs
    field, steps = rate.span
    counted = (
        f"optimizer.learning_rate.{field}: {steps:,} counts updates. An epoch has {an_epoch:,} of them, the training"
        f" {updates:,}"
    )
    first, last = f"{rate.at(0):.3g}", f"{rate.at(updates - 1):.3g}"
    if steps < an_epoch:
        return (
            f"{counted}: it is over within the first epoch; the rate is {first} at first, {last} at the end"
        )
    if steps > updates:
        return (
            f"{counted}: it ends after the last one; the rate is {first} at first and still {last} at the end"
        )
    return None


def _climbs(run: RunSpec) -> str | None:
    if not getattr(run.optimizer, "ascend", False):
        return None
    return "optimizer.ascend: every update climbs the loss; leave it out to descend it"


def _far_too_large(run: RunSpec) -> str | None:
    trainable, samples = run.forecast.trainable, run.data_shape.n_train
    if trainable <= MANY_PARAMETERS * samples:
        return None
    return (
        f"model: {trainable:,} trainable parameters for {samples:,} training samples ({trainable / samples:,.0f} each):"
        " the network can learn them by heart. Fewer units, a regularizer or dropout, and compare val/… with train/…"
    )


def _one_update_an_epoch(run: RunSpec) -> str | None:
    size, samples = run.training.batch_size, run.data_shape.n_train
    if size <= samples or samples <= 4:
        return None
    return (
        f"training.batch_size: {size:,} is more than the {samples:,} training samples, so an epoch is a single update on"
        " all of them"
    )


def _convolutions_on_jax(run: RunSpec) -> str | None:
    if run.backend != "jax" or run.device == "gpu":
        return None
    if not any(isinstance(layer, Conv2D) for layer in run.model.layers):
        return None
    return (
        f"backend: on a CPU, JAX takes about {CONVOLUTIONS_ON_JAX:g} times as long for convolutions as TensorFlow."
        " backend: auto trains on TensorFlow where a worker has a CPU; device: gpu waits for a GPU"
    )


RULES = (
    Rule(("dataset", "model"), _inputs_not_scaled),
    Rule(("dataset", "model"), _symbols_as_amounts),
    Rule(("dataset", "model"), _rows_without_a_token),
    Rule(("dataset", "model"), _targets_out_of_reach),
    Rule(("dataset", "loss"), _targets_below_loss),
    Rule(("dataset", "loss"), _divided_by_zero),
    Rule(("dataset",), _targets_not_scaled),
    Rule(("dataset",), _test_split_off),
    Rule(("dataset",), _sorted_rows),
    Rule(("dataset",), _class_without_sample),
    Rule(("dataset",), _row_number_as_target),
    Rule(("dataset",), _nothing_to_test),
    Rule(("dataset", "optimizer", "training"), _schedule_misses_training),
    Rule(("optimizer",), _climbs),
    Rule(("dataset", "model"), _far_too_large),
    Rule(("dataset", "training"), _one_update_an_epoch),
    Rule(("model", "backend", "device"), _convolutions_on_jax),
)
