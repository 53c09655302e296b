"""Architectures as pattern strings: `INPUT-[CONV*1-POOL]*2-FC*2-OUTPUT`.

    pattern  = "INPUT" "-" sequence "-" "OUTPUT"
    sequence = item { "-" item }            ("->" is read as "-")
    item     = ( element | "[" sequence "]" | composite ) { "*" count | "?" }
    element  = CONV | SEPCONV | DWCONV | DECONV | POOL | GAP | GMP | FC | RELU | ACT | PRELU | DROP | BN | LN | PAD | FLATTEN
              | EMBED | ATTN
    composite = "RES" "[" sequence "]" | "INCEPTION" "[" sequence { "," sequence } "]"

`*n` repeats, brackets nest, `?` marks what `model.optional: false` leaves out. The last FC is the output layer. RES is the
sum of a sequence and of its input, INCEPTION the outputs of several sequences side by side. SEPCONV, DWCONV and DECONV are
separable, depthwise and transposed convolutions with the settings of `conv`, GAP and GMP pools over the whole image, or
over all steps. EMBED is an
embedding of tokens, ATTN a multi-head attention.
Notation after CS231n, "Convolutional Networks: layer patterns".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from experiments.errors import SpecError
from experiments.layers import (
    LAYERS,
    ActivationLayer,
    BatchNormalization,
    Branches,
    Conv2D,
    Conv2DTranspose,
    Dense,
    DepthwiseConv2D,
    Dropout,
    Embedding,
    Flatten,
    GlobalAveragePool1D,
    GlobalAveragePool2D,
    GlobalMaxPool1D,
    GlobalMaxPool2D,
    Layer,
    LayerNormalization,
    MultiHeadAttention,
    PReLU,
    Residual,
    SeparableConv2D,
    ZeroPadding2D,
)
from experiments.layers.depthwise import Depthwise
from experiments.messages import unknown
from experiments.networks import MAX_LAYERS, ModelChoice

PATH = "model.pattern"
Rows = tuple[tuple[Layer, ...], ...]
MAX_COUNT = 1000
MAX_NESTING = 30
_TOKEN = re.compile(r"\s*(?:(?P<word>[A-Za-z]+)|(?P<count>[0-9]+)|(?P<sign>->|[-\[\]()*?,]))")


@dataclass(frozen=True)
class Token:
    text: str
    position: int
    """Of its first character, counted from 1."""
    rows: tuple[tuple[Token, ...], ...] = ()
    """What a composite holds."""
    size: int = 1
    """Layers, those that a composite holds among them."""


def elements(pattern: str, *, optional: bool = True) -> list[Token]:
    """The elements in order, repetitions written out, INPUT and OUTPUT included.

    Args:
        optional: whether the parts marked `?` are built

    Raises:
        SpecError: with the position of the character.
    """
    reader = _Reader(_tokens(pattern), len(pattern) + 1, optional)
    return reader.pattern()


def _tokens(pattern: str) -> list[Token]:
    tokens, at = [], 0
    while at < len(pattern.rstrip()):
        match = _TOKEN.match(pattern, at)
        if match is None:
            start = at + len(pattern[at:]) - len(pattern[at:].lstrip())
            raise _refuse(
                start + 1, f'"{pattern[start]}" is no part of the notation', "names, - * ? [ ] , and counts"
            )
        group = str(match.lastgroup)
        text = match.group(group)
        tokens.append(Token("-" if text == "->" else text, match.start(group) + 1))
        at = match.end()
    return tokens


def _refuse(position: int, message: str, allowed: str | list[str]) -> SpecError:
    return SpecError.one(PATH, f"at position {position}: {message}", allowed)


class _Reader:
    """Recursive descent over the tokens."""

    def __init__(self, tokens: list[Token], end: int, optional: bool) -> None:
        self.tokens, self.at, self.end, self.optional = tokens, 0, Token("the end", end), optional

    @property
    def next(self) -> Token:
        return self.tokens[self.at] if self.at < len(self.tokens) else self.end

    def pattern(self) -> list[Token]:
        if self.next.text.upper() != "INPUT":
            raise _refuse(self.next.position, f"a pattern starts with INPUT, found {self.next.text}", "INPUT")
        tokens = self.sequence(0)
        if self.next is not self.end:
            raise _refuse(
                self.next.position, f"found {self.next.text} where the pattern should end", "- or the end"
            )
        if tokens[-1].text != "OUTPUT":
            raise _refuse(self.end.position, f"a pattern ends with OUTPUT, not {tokens[-1].text}", "OUTPUT")
        _refuse_ends(tokens[1:-1])
        return tokens

    def sequence(self, depth: int) -> list[Token]:
        tokens = self.item(depth)
        while self.next.text == "-":
            self.at += 1
            tokens += self.item(depth)
            self.bounded(tokens)
        return tokens

    def item(self, depth: int) -> list[Token]:
        token = self.next
        self.at += 1
        if token.text in "[(" and token is not self.end:
            if depth >= MAX_NESTING:
                raise _refuse(token.position, "nested too deeply", f"at most {MAX_NESTING} levels")
            tokens = self.sequence(depth + 1)
            closing = {"[": "]", "(": ")"}[token.text]
            if self.next.text != closing:
                raise _refuse(
                    self.next.position,
                    f"found {self.next.text}; the {token.text} of position {token.position} is not closed",
                    closing,
                )
            self.at += 1
        elif token.text.upper() in COMPOSITES:
            tokens = [self.composite(token, depth)]
        elif token.text.upper() in NAMES:
            tokens = [Token(token.text.upper(), token.position)]
        else:
            what = unknown("element", token.text, NAMES) if token.text.isalpha() else f"found {token.text}"
            raise _refuse(token.position, what, [*NAMES, "["])
        return self.suffixes(tokens)

    def composite(self, token: Token, depth: int) -> Token:
        """The brackets of RES or INCEPTION, and what is in them."""
        name = token.text.upper()
        if self.next.text != "[":
            raise _refuse(self.next.position, f"found {self.next.text} after {name}", EXAMPLES[name])
        if depth >= MAX_NESTING:
            raise _refuse(token.position, "nested too deeply", f"at most {MAX_NESTING} levels")
        opened, rows = self.next, list[tuple[Token, ...]]()
        while self.next.text == "[" or self.next.text == ",":
            if len(rows) == 1 and name == "RES":
                raise _refuse(self.next.position, "RES holds one sequence", EXAMPLES[name])
            self.at += 1
            rows.append(tuple(self.sequence(depth + 1)))
        if self.next.text != "]":
            message = f"found {self.next.text}; the [ of position {opened.position} is not closed"
            raise _refuse(self.next.position, message, "]")
        if len(rows) < 2 and name == "INCEPTION":
            raise _refuse(self.next.position, "INCEPTION holds two sequences or more", EXAMPLES[name])
        self.at += 1
        return Token(name, token.position, tuple(rows), 1 + sum(part.size for row in rows for part in row))

    def suffixes(self, tokens: list[Token]) -> list[Token]:
        while self.next.text in ("*", "?"):
            sign = self.next
            self.at += 1
            if sign.text == "?":
                tokens = tokens if self.optional else []
                continue
            count = self.next
            if not count.text.isdigit() or len(count.text) > 6 or not 1 <= int(count.text) <= MAX_COUNT:
                raise _refuse(count.position, f"found {count.text} after *", f"a count from 1 to {MAX_COUNT}")
            self.at += 1
            self.bounded(tokens, int(count.text))
            tokens = tokens * int(count.text)
        return tokens

    def bounded(self, tokens: list[Token], times: int = 1) -> None:
        if times * sum(token.size for token in tokens) > MAX_LAYERS:
            raise _refuse(
                self.next.position, f"more than {MAX_LAYERS} layers", f"at most {MAX_LAYERS} layers"
            )


def _refuse_ends(tokens: Sequence[Token]) -> None:
    """Raises SpecError for INPUT or OUTPUT among the tokens, or within them."""
    for token in tokens:
        if token.text in ("INPUT", "OUTPUT"):
            raise _refuse(
                token.position,
                f"{token.text} stands inside the pattern",
                "INPUT only at the start, OUTPUT only at the end",
            )
        for row in token.rows:
            _refuse_ends(row)


class _Supply:
    """One setting of a block: a single value for all, or a list consumed in order."""

    def __init__(self, path: str, value: object, element: str) -> None:
        self.path, self.value, self.element, self.used = path, value, element, 0

    def take(self) -> object:
        if not isinstance(self.value, tuple):
            return self.value
        if self.used >= len(self.value):
            raise SpecError.one(
                self.path,
                f"the pattern has more {self.element} than the {len(self.value)} values given here",
                f"one value per {self.element}, or a single value for all",
            )
        self.used += 1
        return self.value[self.used - 1]

    def done(self) -> None:
        if isinstance(self.value, tuple) and self.used < len(self.value):
            raise SpecError.one(
                self.path,
                f"{len(self.value)} values for {self.used} {self.element} in the pattern",
                f"{self.used} values, or a single value for all",
            )


class _Builder:
    """Elements to layers."""

    def __init__(self, choice: ModelChoice, output: Dense) -> None:
        self.choice, self.output = choice, output
        self.supplies: dict[tuple[str, str], _Supply] = {}
        self.of_tokens = False
        """Whether the pattern reads a sequence of tokens, and no image."""

    def value(self, block: str, field: str, element: str) -> object:
        settings = getattr(self.choice, block)
        key = (block, field)
        if key not in self.supplies:
            self.supplies[key] = _Supply(f"model.{block}.{field}", getattr(settings, field), element)
        return self.supplies[key].take()

    def need(self, block: str, element: str) -> None:
        if getattr(self.choice, block) is None:
            raise SpecError.one(
                f"model.{block}",
                f"the pattern has {element}, their sizes are not given",
                f"a mapping, as in `{block}: {_HINTS[block]}`",
            )

    def conv(self, layer: type[Layer]) -> Layer:
        """A convolution of any kind, by those settings of `conv` that it has."""
        self.need("conv", "CONV")
        values = {
            field: self.value("conv", field, "CONV")
            for field in ("filters", "kernel_size", "strides", "padding")
            if field in layer.model_fields
        }
        if issubclass(layer, Depthwise) and isinstance(strides := values["strides"], tuple):
            if len(set(strides)) > 1:
                message = f"{layer.model_fields['type'].default} takes one stride for height and width"
                raise SpecError.one("model.conv.strides", message, f"{strides[0]} or {strides[1]}")
            values["strides"] = strides[0]
        return layer.model_validate(values)

    def pool(self) -> Layer:
        if self.choice.pool is None:
            return LAYERS["max_pool2d"].model_validate({})
        fields = ("pool_size", "strides", "padding")
        return LAYERS[self.choice.pool.type].model_validate(
            {f: self.value("pool", f, "POOL") for f in fields}
        )

    def fc(self) -> Layer:
        self.need("fc", "FC")
        return Dense.model_validate(
            {"units": self.value("fc", "units", "FC (the last one is the output layer)")}
        )

    def drop(self) -> Layer:
        return Dropout.model_validate(
            {"rate": 0.5 if self.choice.drop is None else self.value("drop", "rate", "DROP")}
        )

    def embed(self) -> Layer:
        self.need("embed", "EMBED")
        self.of_tokens = True
        return Embedding.model_validate({"output_dim": self.value("embed", "output_dim", "EMBED")})

    def attn(self) -> Layer:
        self.need("attn", "ATTN")
        return MultiHeadAttention.model_validate(
            {field: self.value("attn", field, "ATTN") for field in ("num_heads", "key_dim")}
        )

    def pad(self) -> Layer:
        return ZeroPadding2D(padding=1 if self.choice.pad is None else self.choice.pad.padding)

    def layers(self) -> Iterator[tuple[str, Layer]]:
        assert self.choice.pattern is not None
        tokens = elements(self.choice.pattern, optional=self.choice.optional)[1:-1]
        for index, token in enumerate(tokens):
            if token.text == "FC" and index == len(tokens) - 1:
                break
            yield PATH, self.layer(token)
        yield PATH, self.output
        for supply in self.supplies.values():
            supply.done()
        self.unused()

    def layer(self, token: Token) -> Layer:
        """The layer of an element or of a composite."""
        if not token.rows:
            return BUILDERS[token.text](self)
        settings: dict[str, object] = {}
        if token.text == "RES":
            shortcut = "identity" if self.choice.res is None else self.value("res", "shortcut", "RES")
            settings = {"shortcut": shortcut}
        rows = tuple(tuple(self.layer(part) for part in row) for row in token.rows)
        return COMPOSITES[token.text](rows, settings)

    def unused(self) -> None:
        """Raises SpecError where `fc.units` is given and no element of the pattern reads it."""
        units = self.choice.fc.units if self.choice.fc is not None else ()
        if isinstance(units, tuple) and units and ("fc", "units") not in self.supplies:
            raise SpecError.one(
                "model.fc.units",
                f"{len(units)} values, but the pattern's only FC is the output layer",
                "FC*2 for one hidden layer and the output",
            )


_HINTS = {
    "conv": "{filters: [32, 64], kernel_size: 5}",
    "fc": "{units: [1024]}",
    "embed": "{output_dim: 16}",
    "attn": "{num_heads: 2, key_dim: 8}",
}
BUILDERS: dict[str, Callable[[_Builder], Layer]] = {
    "CONV": lambda builder: builder.conv(Conv2D),
    "SEPCONV": lambda builder: builder.conv(SeparableConv2D),
    "DWCONV": lambda builder: builder.conv(DepthwiseConv2D),
    "DECONV": lambda builder: builder.conv(Conv2DTranspose),
    "POOL": _Builder.pool,
    "GAP": lambda builder: GlobalAveragePool1D() if builder.of_tokens else GlobalAveragePool2D(),
    "GMP": lambda builder: GlobalMaxPool1D() if builder.of_tokens else GlobalMaxPool2D(),
    "FC": _Builder.fc,
    "RELU": lambda _: ActivationLayer(activation="relu"),
    "ACT": lambda _: ActivationLayer(),
    "PRELU": lambda _: PReLU(),
    "DROP": _Builder.drop,
    "BN": lambda _: BatchNormalization(),
    "LN": lambda _: LayerNormalization(),
    "PAD": _Builder.pad,
    "FLATTEN": lambda _: Flatten(),
    "EMBED": _Builder.embed,
    "ATTN": _Builder.attn,
}
COMPOSITES: dict[str, Callable[[Rows, dict[str, object]], Layer]] = {
    "RES": lambda rows, settings: Residual.model_validate({"layers": rows[0], **settings}),
    "INCEPTION": lambda rows, settings: Branches.model_validate({"branches": rows, **settings}),
}
EXAMPLES = {"RES": "RES[CONV-BN-ACT-CONV-BN]", "INCEPTION": "INCEPTION[CONV, CONV-CONV, POOL-CONV]"}
NAMES = ["INPUT", *BUILDERS, *COMPOSITES, "OUTPUT"]


def pattern_layers(choice: ModelChoice, output: Dense) -> list[tuple[str, Layer]]:
    """(path in the spec, layer) for each layer of the pattern, the output last.

    Raises:
        SpecError: the pattern cannot be read, or a setting that it needs is missing or not used.
    """
    return list(_Builder(choice, output).layers())
