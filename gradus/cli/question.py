"""The options of `gradus ask` as values: levels and tuned fields."""

from __future__ import annotations

from experiments.spec.documents import parse_yaml
from gradus.errors import UsageError

RANGE = ".."


def levels_of(text: str) -> list[object]:
    """`sigmoid,tanh`, `0.1,0.2`, or mappings such as `{name: sgd, momentum: 0.9},{name: adam}`."""
    return [parse_yaml(part) for part in split(text)]


def split(text: str) -> list[str]:
    """Parts between commas that are not inside brackets."""
    parts, depth, start = [], 0, 0
    for position, char in enumerate(text):
        depth += (char in "{[") - (char in "}]")
        if char == "," and depth == 0:
            parts.append(text[start:position])
            start = position + 1
    return [part.strip() for part in (*parts, text[start:]) if part.strip()]


def tuned(text: str) -> tuple[str, object]:
    """`learning_rate=1e-4..1` as name and range, `momentum=0,0.9` as name and list.

    Raises:
        UsageError: it is neither.
    """
    name, equals, values = text.partition("=")
    if not equals or not name.strip() or not values.strip():
        raise UsageError(f"--tune {text!r}: expected NAME=LOW..HIGH or NAME=V1,V2")
    if RANGE not in values:
        return name.strip(), levels_of(values)
    try:
        low, high = (float(end) for end in values.split(RANGE))
    except ValueError as error:
        raise UsageError(f"--tune {text!r}: {values!r} is no range such as 1e-4..1") from error
    return name.strip(), (low, high)


def seeds_of(text: str) -> int | list[int]:
    """`3` as a number of seeds; `7,11,13` and `7..19` as the seeds themselves.

    Raises:
        UsageError: it is neither.
    """
    try:
        if RANGE in text:
            first, last = (int(end) for end in text.split(RANGE))
            if not 0 <= first <= last < first + 10_000:
                raise ValueError
            return list(range(first, last + 1))
        numbers = [int(part) for part in text.split(",") if part.strip()]
        if not numbers or min(numbers) < 0 or (numbers == [0] and "," not in text):
            raise ValueError
    except ValueError:
        raise UsageError(
            f"--seeds {text!r}: expected a number of seeds, or seeds as 7,11,13 or 7..19"
        ) from None
    return numbers if "," in text else numbers[0]
