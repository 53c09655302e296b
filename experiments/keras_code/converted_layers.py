"""Layers of a program as entries of `model.layers`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from experiments.activations import ACTIVATIONS, ALIASES
from experiments.initializers import INITIALIZERS
from experiments.keras_code.names import (
    ACTIVATION_LAYERS,
    BY_CLASS,
    INSTEAD,
    NO_COUNTERPART,
    NOT_NEEDED,
    OLD_ARGUMENTS,
    OLD_INITIALIZERS,
    OLD_LAYERS,
    OLD_POSITIONS,
    OTHER_NAMES,
    POSITIONS,
    WRAPPERS,
)
from experiments.keras_code.notes import Notes
from experiments.keras_code.values import Dotted, Joined, Made, is_plain
from experiments.layers import LAYERS
from experiments.messages import meant, nearest, short
from experiments.regularizers import REGULARIZERS

Entry = dict[str, Any]
NO_ACTIVATION = (None, "linear")


class LayerConverter:
    """Converts the layers of one network.

    Attributes:
        data_format: as the layers say it; None where none does.
    """

    def __init__(self, notes: Notes) -> None:
        self.notes = notes
        self.data_format: str | None = None
        self.input_shape: tuple[Any, ...] | None = None

    def entries(self, layers: Sequence[Made | Joined]) -> list[Entry]:
        """The layers in order. An activation that follows a layer without one becomes that layer's."""
        entries: list[Entry] = []
        for made in layers:
            entry = self._composite(made) if isinstance(made, Joined) else self.entry(made)
            if entry is None:
                continue
            before = entries[-1] if entries else None
            takes = before is not None and before.get("activation", "") in NO_ACTIVATION
            if entry["type"] == "activation" and takes and before is not None:
                before["activation"] = entry["activation"]
                self.notes.add(
                    made.line, "read", f"activation: {entry['activation']}, of the layer before it"
                )
            else:
                entries.append(entry)
                self.notes.add(made.line, "read", _shown(entry))
        return entries

    def _composite(self, joined: Joined) -> Entry:
        """A sum of a row and of what it reads is a residual layer; all else are branches."""
        rows = [self.entries(row) for row in joined.rows]
        filled = [row for row in rows if row]
        if joined.how == "add" and len(rows) == 2 and len(filled) == 1:
            return {"type": "residual", "layers": filled[0]}
        return {"type": "branches", "branches": rows, "join": joined.how}

    def entry(self, made: Made) -> Entry | None:
        """One layer; None where it is left out or only says the input's shape."""
        name = OTHER_NAMES.get(made.name, made.name)
        if made.name in OLD_LAYERS:
            self.notes.add(made.line, "old", f"{made.name} → {name}")
        self._note_shape(made, name)
        if name == "InputLayer":
            return None
        if name in ACTIVATION_LAYERS:
            return self._activation_layer(made, name)
        if name in WRAPPERS and (inner := self._wrapped(made)) is not None:
            return self._wrapper(made, name, inner)
        if name not in BY_CLASS:
            return self._unknown(made, name)
        kind = BY_CLASS[name]
        entry: Entry = {"type": kind}
        values = self._arguments(made, name)
        if name == "Conv2D" and "nb_row" in values:
            rows, columns = values.pop("nb_row"), values.pop("nb_col", values.get("nb_row"))
            values["kernel_size"] = [rows, columns]
            self.notes.add(made.line, "old", f"{rows}, {columns} → kernel_size: [{rows}, {columns}]")
        for argument, value in values.items():
            self._set(entry, argument, value, made)
        if "activation" in LAYERS[kind].model_fields and "activation" not in entry:
            # Keras' default of the class; a spec's own default would be the model's activation.
            default = LAYERS[kind].default_activation
            entry["activation"] = default if default == "tanh" else "linear"
        return entry

    def _wrapped(self, made: Made) -> Made | None:
        """The layer that a wrapper holds."""
        inner = next(iter(made.arguments), made.keywords.get("layer"))
        return inner if isinstance(inner, Made) else None

    def _wrapper(self, made: Made, name: str, inner: Made) -> Entry | None:
        """A layer that holds another: read backwards too, or the same at every step, as a dense layer is by itself."""
        entry = self.entry(inner)
        if entry is None:
            return None
        if name == "TimeDistributed":
            if entry["type"] not in WRAPPERS[name]:
                self.notes.add(made.line, "left out", f"{name} around {inner.name}: write {INSTEAD[name]}")
                return None
            return entry
        if entry["type"] not in WRAPPERS[name]:
            self.notes.add(
                made.line,
                "left out",
                f"{name} around {inner.name}: {', '.join(WRAPPERS[name])} can be within it",
            )
            return entry
        mode = made.keywords.get("merge_mode", "concat")
        if mode not in ("concat", "sum", "ave"):
            self.notes.add(
                made.line_of("merge_mode"),
                "changed",
                f"merge_mode={short(mode)}: concat, sum and ave are known here; concat",
            )
            mode = "concat"
        return {"type": "bidirectional", "layer": entry, **({"merge_mode": mode} if mode != "concat" else {})}

    def _arguments(self, made: Made, name: str) -> dict[str, Any]:
        """Arguments by today's names."""
        order = self._order(made, name)
        values = dict(zip(order, made.arguments, strict=False))
        fields = (*LAYERS[BY_CLASS[name]].model_fields, "data_format", *NOT_NEEDED, *OLD_ARGUMENTS)
        for given, value in made.keywords.items():
            argument = given
            if given in OLD_ARGUMENTS and given not in LAYERS[BY_CLASS[name]].model_fields:
                argument = OLD_ARGUMENTS[given]
                self.notes.add(made.line_of(given), "old", f"{given}= → {argument}=")
            elif given not in (*fields, *NO_COUNTERPART, "nb_row", "nb_col"):
                argument = self._meant(given, value, fields, made)
            values[argument] = value
        return values

    def _order(self, made: Made, name: str) -> tuple[str, ...]:
        numbers = [isinstance(value, int) for value in made.arguments[1:3]]
        if name == "Conv2D" and numbers == [True, True] and made.name in OLD_LAYERS:
            return OLD_POSITIONS[name]
        if name == "Dense" and len(made.arguments) > 2 and isinstance(made.arguments[2], str):
            return OLD_POSITIONS[name]
        fields = LAYERS[BY_CLASS[name]].model_fields
        required = tuple(field for field, info in fields.items() if info.is_required())
        return POSITIONS.get(name, required)

    def _meant(self, given: str, value: Any, fields: Sequence[str], made: Made) -> str:
        """The argument that a misspelt one stands for."""
        guess = meant(given, fields) or nearest(given, fields)
        if guess is None:
            return given
        self.notes.add(
            made.line_of(given),
            "slip",
            f"{given}={short(value)}: {made.name} has no argument {given}; read as {guess}=",
        )
        return guess

    def _set(self, entry: Entry, argument: str, value: Any, made: Made) -> None:
        """One argument as a field, or the note that it has none."""
        fields = LAYERS[entry["type"]].model_fields
        if argument == "data_format":
            self._format(value, made)
        elif argument not in fields:
            if argument not in NOT_NEEDED and value not in (None, False, 0, 0.0):
                self.notes.add(
                    made.line_of(argument),
                    "left out",
                    f"{argument}= of {made.name}: there is no such field; {_without(argument)}",
                )
        elif argument.endswith("activation"):
            entry[argument] = self.activation(value, made)
        elif argument.endswith("initializer"):
            self._table(entry, argument, value, made, INITIALIZERS)
        elif argument.endswith("regularizer"):
            self._table(entry, argument, value, made, REGULARIZERS)
        elif not is_plain(value):
            self.notes.add(
                made.line_of(argument),
                "left out",
                f"{argument}= of {made.name}: the value is not known before the program runs; write a number",
            )
        elif value is not None:
            entry[argument] = _plain(argument, value)

    def activation(self, value: Any, made: Made) -> str:
        """The name of an activation: text, `keras.activations.relu`, or a layer that is one."""
        if isinstance(value, Made):
            value = (self._activation_layer(value, value.name) or {}).get("activation")
        name = value.last if isinstance(value, Dotted) else value
        if name is None:
            return "linear"
        if isinstance(name, str):
            known = ALIASES.get(name, name)
            known = known if known in ACTIVATIONS else meant(name, list(ACTIVATIONS)) or ""
            if known:
                return known
        what = short(name) if isinstance(name, str) else "a function of the program's own"
        allowed = nearest(name, list(ACTIVATIONS)) if isinstance(name, str) else None
        self.notes.add(
            made.line,
            "left out",
            f"the activation {what} is not here; linear stands in its place, write {allowed or 'one of gradus catalog activations'}",
        )
        return "linear"

    def _activation_layer(self, made: Made, name: str) -> Entry | None:
        activation = ACTIVATION_LAYERS.get(name)
        if activation is None:
            return self._unknown(made, name)
        slope = next(iter(made.arguments), made.keywords.get("alpha", made.keywords.get("negative_slope")))
        if name == "ReLU" and 6 in (slope, made.keywords.get("max_value")):
            activation = "relu6"
        elif name == "LeakyReLU" and (slope := 0.3 if slope is None else slope) != 0.2:
            if "leaky_relu" in LAYERS and isinstance(slope, float):
                return {"type": "leaky_relu", "negative_slope": slope}
            self.notes.add(
                made.line, "changed", f"a slope of {short(slope)} below 0: leaky_relu has 0.2 here"
            )
        elif slope not in (None, 1, 1.0):
            self.notes.add(made.line, "changed", f"{name}({short(slope)}): {activation} has no settings here")
        return {"type": "activation", "activation": activation}

    def _table(self, entry: Entry, argument: str, value: Any, made: Made, table: Any) -> None:
        """An initialiser or a regulariser: its name, or a call with settings."""
        name = value.name if isinstance(value, Made) else value.last if isinstance(value, Dotted) else value
        if name is None:
            return
        if isinstance(name, str) and name in OLD_INITIALIZERS and table is INITIALIZERS:
            entry[argument] = OLD_INITIALIZERS[name]
            self.notes.add(made.line, "old", f"{name} → {short(OLD_INITIALIZERS[name])}")
            return
        known = meant(name, list(table)) if isinstance(name, str) else None
        if known is None:
            self.notes.add(
                made.line_of(argument),
                "left out",
                f"{argument}={short(name)}: not here; write one of {', '.join(table)}",
            )
            return
        settings: dict[str, Any] = {}
        if isinstance(value, Made):
            fields = [field for field in table[known].model_fields if field != "name"]
            renamed = {"l": known, **{field: field for field in fields}}
            settings = dict(zip(fields, value.arguments, strict=False))
            settings |= {renamed[key]: own for key, own in value.keywords.items() if key in renamed}
        entry[argument] = {"name": known, **settings} if settings else known

    def _format(self, value: Any, made: Made) -> None:
        if not isinstance(value, str):
            return
        wanted = {"th": "channels_first", "tf": "channels_last"}.get(value, value)
        if wanted not in ("channels_first", "channels_last"):
            return
        if self.data_format not in (None, wanted):
            self.notes.add(
                made.line,
                "changed",
                f"data_format={wanted}: one for the whole network here, {self.data_format}",
            )
            return
        self.data_format = wanted

    def _note_shape(self, made: Made, name: str) -> None:
        """What the first layer says about one sample."""
        if self.input_shape is not None:
            return
        batch = made.keywords.get("batch_input_shape", made.keywords.get("batch_shape"))
        shape = made.keywords.get("input_shape", batch[1:] if isinstance(batch, tuple | list) else None)
        if shape is None and name == "InputLayer" and made.arguments:
            shape = made.arguments[0]
        if shape is None and isinstance(made.keywords.get("input_dim"), int) and name != "Embedding":
            shape = (made.keywords["input_dim"],)
        if isinstance(shape, int):
            shape = (shape,)
        if isinstance(shape, tuple | list):
            self.input_shape = tuple(shape)

    def _unknown(self, made: Made, name: str) -> Entry | None:
        classes = (*BY_CLASS, *ACTIVATION_LAYERS, *OTHER_NAMES)
        guess = nearest(name, classes) if name not in INSTEAD else None
        if guess is not None and guess.lower() == name.lower():
            self.notes.add(made.line, "slip", f"{name} is spelt {guess}")
            return self.entry(Made(guess, made.arguments, made.keywords, made.line))
        instead = INSTEAD.get(name, "layers of gradus catalog layers")
        instead = instead if instead.startswith("leave it out") else f"write {instead}"
        self.notes.add(made.line, "left out", f"{name}: there is no such layer here; {instead}")
        return None


def _without(argument: str) -> str:
    if argument.endswith("constraint"):
        return "write a kernel_regularizer"
    if argument in ("dropout", "recurrent_dropout", "dropout_W", "dropout_U"):
        return "write a dropout layer before it"
    return "leave it out"


def _plain(argument: str, value: Any) -> Any:
    """A value as a spec writes it: (5, 5) as 5, tuples as lists, padding in small letters."""
    if isinstance(value, tuple | list):
        entries = [_plain(argument, entry) for entry in value]
        square = argument in ("kernel_size", "strides", "pool_size", "padding", "dilation_rate")
        return entries[0] if square and len(entries) in (1, 2) and entries[0] == entries[-1] else entries
    return value.lower() if argument == "padding" and isinstance(value, str) else value


def _shown(entry: Entry) -> str:
    """`dense, units: 32, activation: relu`."""
    return ", ".join(
        [entry["type"], *(f"{name}: {short(value)}" for name, value in entry.items() if name != "type")]
    )
