"""The answer to which level is better, as the client holds it and shows it."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gradus.tables import as_frame, html_table, rich_table, text_table
from gradus.text import interval, number
from gradus.wire_comparison import ComparisonOut, EffectOut, LevelOut, VerdictOut

Table = tuple[str, tuple[str, ...], list[tuple[object, ...]]]


class Comparison(ComparisonOut):
    """Estimates per level, differences per pair of levels and, for the question that the spec fixed, verdicts.

    `print(comparison)` shows tables and sentences; a notebook shows the same as HTML.
    """

    def to_json(self) -> dict[str, Any]:
        """The comparison as the API gives it."""
        return self.model_dump(mode="json")

    @property
    def sentences(self) -> tuple[str, ...]:
        """What stands below the tables: where the question is, warnings, and what the answer holds for."""
        return (self.plan.standing if self.plan else self.answer, *self.warnings, self.scope)

    def tables(self) -> Iterator[Table]:
        """Title, columns and rows of every table."""
        title = f"{self.factor} by {self.metric} ({self.kind})"
        estimates = (self.factor, "mean", "95 % interval", "sd over seeds", "seeds", "diverged")
        yield title, estimates, [_estimate_row(level) for level in self.levels]
        facts = (self.factor, "compared at", "gradient check", "diagnoses")
        yield "", facts, [_facts_row(level) for level in self.levels]
        if self.best is not None:
            standing = [(level.level, number(level.behind)) for level in self.best.levels]
            yield (
                self.best.text,
                ("may be the best", "behind the best by at most"),
                list[tuple[object, ...]](standing),
            )
        pairs = self.verdicts or self.effects
        if pairs:
            columns = ("a", "b", "a − b", "interval", "in favour of", "seeds", "a won", "verdict")
            yield "", columns, [_pair_row(pair) for pair in pairs]

        if self.importance:
            shares = [(" with ".join(part.factors), f"{part.share:.1%}") for part in self.importance[:10]]
            estimated = " (estimated: the runs fill no grid)" if self.importance[0].estimated else ""
            yield (
                f"What matters for {self.metric}{estimated}",
                ("factor", "share of variance"),
                list[tuple[object, ...]](shares),
            )

    def frame(self) -> Any:
        """A row per level: its estimate and counts. A DataFrame where pandas is installed, else a list of dicts."""
        return as_frame([level.model_dump(exclude={"by_seed"}) for level in self.levels])

    def __str__(self) -> str:
        return "\n\n".join([*(text_table(*table) for table in self.tables()), "\n".join(self.sentences)])

    def __rich__(self) -> Any:
        from rich.console import Group
        from rich.text import Text

        return Group(*(rich_table(*table) for table in self.tables()), *map(Text, self.sentences))

    def _repr_html_(self) -> str:
        sentences = "".join(f"<p>{html.escape(sentence)}</p>" for sentence in self.sentences)
        return "".join(html_table(*table) for table in self.tables()) + sentences


def _estimate_row(level: LevelOut) -> tuple[object, ...]:
    diverged = f"{level.diverged} of {level.runs}"
    spread = interval(level.low, level.high)
    return level.level, number(level.mean), spread, number(level.sd), level.seeds, diverged


def _facts_row(level: LevelOut) -> tuple[object, ...]:
    return (
        level.level,
        _settings(level.tuned) or "as in the spec",
        _counted(level.certificates) or "none yet",
        _counted(level.diagnoses) or "none",
    )


def _pair_row(pair: VerdictOut | EffectOut) -> tuple[object, ...]:
    says = pair.text if isinstance(pair, VerdictOut) else pair.note or "no verdict: exploratory"
    spread = interval(pair.low, pair.high)
    return pair.a, pair.b, number(pair.effect), spread, pair.favours or "", pair.seeds, number(pair.won), says


def _counted(names: Mapping[str, int]) -> str:
    return ", ".join(f"{name} ({count})" for name, count in names.items())


def _settings(tuned: Sequence[Mapping[str, str]]) -> str:
    """What a level is compared at, one setting after another."""
    return "; ".join(", ".join(f"{name} {value}" for name, value in setting.items()) for setting in tuned)
