"""`compile` and `fit` of a program as loss, optimizer and training of a spec."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from experiments.keras_code.known_calls import Arguments
from experiments.keras_code.names import OLD_RATES
from experiments.keras_code.notes import Notes
from experiments.keras_code.values import Dotted, Made, Net, Part, is_plain
from experiments.losses import ALIASES, LOSSES
from experiments.messages import meant, nearest, short
from experiments.optimizers import OPTIMIZERS, REFUSED_FIELDS
from experiments.schedules import SCHEDULES
from experiments.sections import StopSpec, TrainingSpec

FIT = (
    *(
        "x",
        "y",
        "batch_size",
        "epochs",
        "verbose",
        "callbacks",
        "validation_split",
        "validation_data",
        "shuffle",
    ),
    *(
        "class_weight",
        "sample_weight",
        "initial_epoch",
        "steps_per_epoch",
        "validation_steps",
        "validation_batch_size",
    ),
    *(
        "validation_freq",
        "nb_epoch",
        "show_accuracy",
        "max_queue_size",
        "workers",
        "use_multiprocessing",
        "reset_metrics",
    ),
)
"""Arguments of `fit` in its order, those of `train_on_batch` and of earlier versions among them."""
CALLBACKS = {
    "ModelCheckpoint": ("read", "the model of the best run is kept: artifacts: {model: best}"),
    "TensorBoard": ("read", "MLflow has the curves"),
    "CSVLogger": ("read", "gradus runs ID --csv"),
    "History": ("read", "MLflow and the run's page have the curves"),
    "ProgbarLogger": ("read", "gradus watch ID"),
    "TerminateOnNaN": ("read", "a run that diverges ends by itself"),
    "ReduceLROnPlateau": ("left out", "the rate follows no measurement here; write a schedule: learning_rate: {name: exponential_decay, …}"),
    "LearningRateScheduler": ("left out", "a function is not read; write a schedule: learning_rate: {name: exponential_decay, …}"),
    "LambdaCallback": ("left out", "a function is not read; leave it out"),
}  # fmt: skip
"""Callback -> kind of the note, and what there is in its place."""


class TrainingConverter:
    """Converts how a network is trained."""

    def __init__(self, notes: Notes) -> None:
        self.notes = notes
        self.validation_split: float | None = None

    def loss_of(self, compiled: Made) -> str | dict[str, Any] | None:
        """The loss of `compile`."""
        value = Arguments(compiled.arguments, compiled.keywords).get(1, "loss")
        if isinstance(value, dict | list):
            self.notes.add(
                compiled.line, "left out", "several losses: a spec's network has one output; write one loss"
            )
            return None
        name = value.name if isinstance(value, Made) else value.last if isinstance(value, Dotted) else value
        names = [*LOSSES, *ALIASES]
        known = meant(name, names) if isinstance(name, str) else None
        if known is None and isinstance(value, str) and (guess := nearest(value, names)) is not None:
            self.notes.add(compiled.line, "slip", f"there is no loss {value}; read as {guess}")
            known = guess
        if known is None:
            if value is not None:
                self.notes.add(
                    compiled.line,
                    "left out",
                    "a loss of the program's own is not read; write one of gradus catalog losses",
                )
            return None
        known = ALIASES.get(known, known)
        settings = {}
        if isinstance(value, Made):
            fields = LOSSES[known].model_fields
            settings = {key: own for key, own in value.keywords.items() if key in fields and key != "name"}
        self.notes.add(compiled.line, "read", f"loss: {known}")
        return {"name": known, **settings} if settings else known

    def optimizer(self, compiled: Made) -> dict[str, Any]:
        """The optimizer of `compile`."""
        value = Arguments(compiled.arguments, compiled.keywords).get(0, "optimizer", "rmsprop")
        line = value.line if isinstance(value, Made) else compiled.line
        name = value.name if isinstance(value, Made) else value.last if isinstance(value, Dotted) else value
        known = meant(name, list(OPTIMIZERS)) if isinstance(name, str) else None
        if (
            known is None
            and isinstance(name, str)
            and (guess := nearest(name.lower(), list(OPTIMIZERS))) is not None
        ):
            self.notes.add(line, "slip", f"there is no optimizer {name}; read as {guess}")
            known = guess
        if known is None:
            self.notes.add(
                line,
                "left out",
                "the optimizer is not known before the program runs; rmsprop stands in its place",
            )
            return {"name": "rmsprop"}
        entry: dict[str, Any] = {"name": known}
        if isinstance(value, Made):
            self._settings(entry, value)
        if "learning_rate" not in entry and self.notes.old_style and known in OLD_RATES:
            entry["learning_rate"] = OLD_RATES[known]
            self.notes.add(
                line, "old", f"the learning rate of {known} was {OLD_RATES[known]} where none was given"
            )
        self.notes.add(
            line, "read", "optimizer: " + ", ".join(f"{key}: {short(own)}" for key, own in entry.items())
        )
        return entry

    def _settings(self, entry: dict[str, Any], made: Made) -> None:
        fields = OPTIMIZERS[entry["name"]].model_fields
        given = dict(zip(("learning_rate",), made.arguments, strict=False)) | dict(made.keywords)
        decay = given.pop("decay", None)
        for key, value in given.items():
            name = "learning_rate" if key == "lr" else key
            if key == "lr":
                self.notes.add(made.line_of(key), "old", "lr= → learning_rate=")
            if name == "name" or value is None:
                continue
            if name not in fields:
                why = REFUSED_FIELDS.get(name, "there is no such field; leave it out")
                self.notes.add(made.line_of(key), "left out", f"{key}= of {made.name}: {why}")
            elif isinstance(value, Made):
                self._schedule(entry, value)
            elif not is_plain(value):
                self.notes.add(
                    made.line_of(key),
                    "left out",
                    f"{key}= of {made.name}: the value is not known before the program runs; write a number",
                )
            else:
                entry[name] = value
        if isinstance(decay, int | float) and decay:
            first = entry.get("learning_rate", fields["learning_rate"].default)
            entry["learning_rate"] = {
                "name": "inverse_time_decay", "initial_learning_rate": first, "decay_steps": 1, "decay_rate": decay,
            }  # fmt: skip
            self.notes.add(
                made.line_of("decay"),
                "old",
                f"decay={decay} → inverse_time_decay: η / (1 + {decay} · updates), as Keras 1 and 2 had it",
            )

    def _schedule(self, entry: dict[str, Any], made: Made) -> None:
        name = meant(made.name, list(SCHEDULES))
        if name is None:
            self.notes.add(
                made.line, "left out", f"the schedule {made.name}; write one of {', '.join(SCHEDULES)}"
            )
            return
        fields = [field for field in SCHEDULES[name].model_fields if field != "name"]
        # Keras' order: the first rate before the steps.
        fields.sort(key=lambda field: field != "initial_learning_rate")
        values = dict(zip(fields, made.arguments, strict=False))
        values |= {key: own for key, own in made.keywords.items() if key in fields}
        entry["learning_rate"] = {
            "name": name,
            **{k: list(v) if isinstance(v, tuple) else v for k, v in values.items()},
        }

    def training(self, net: Net, rows: int | None) -> dict[str, Any]:
        """Epochs, batch size and when to stop. rows: of the training data, where known."""
        if not net.trained:
            self.notes.add(
                net.line, "changed", "the program does not train this network: training.epochs is 1"
            )
            return {"epochs": 1}
        call, times = net.trained[-1]
        call = self._spelt(call)
        given = Arguments(call.arguments, call.keywords)
        if call.name == "train_on_batch":
            return self._by_batches(call, times, rows)
        epochs = given.get(3, "epochs", call.keywords.get("nb_epoch", 1))
        if "nb_epoch" in call.keywords:
            self.notes.add(call.line_of("nb_epoch"), "old", "nb_epoch= → epochs=")
        entry: dict[str, Any] = {"epochs": epochs * times if isinstance(epochs, int) else 1}
        if not isinstance(epochs, int):
            self.notes.add(
                call.line,
                "left out",
                "the number of epochs is not known before the program runs; write training: {epochs: …}",
            )
        size = given.get(2, "batch_size")
        entry["batch_size"] = size if isinstance(size, int) else 32
        self._fit_settings(call, given, entry)
        self.notes.add(
            call.line, "read", f"training: epochs {entry['epochs']}, batch_size {entry['batch_size']}"
        )
        return entry

    def _spelt(self, call: Made) -> Made:
        """The call of `fit` with its arguments as Keras spells them."""
        keywords = {}
        for key, value in call.keywords.items():
            guess = key if key in FIT else meant(key, FIT) or nearest(key, FIT)
            if guess is not None and guess != key:
                self.notes.add(
                    call.line_of(key),
                    "slip",
                    f"{key}={short(value)}: {call.name} has no argument {key}; read as {guess}=",
                )
            keywords[guess or key] = value
        return replace(call, keywords=keywords)

    def _by_batches(self, call: Made, times: int, rows: int | None) -> dict[str, Any]:
        size = call.keywords.get("batch_size", rows)
        entry: dict[str, Any] = {"epochs": times, "batch_size": size if isinstance(size, int) else 32}
        what = (
            "all training samples at once" if size == rows and rows else f"batches of {entry['batch_size']}"
        )
        self.notes.add(call.line, "read", f"training: {times} epochs, {what}: train_on_batch is one update")
        return entry

    def _fit_settings(self, call: Made, given: Arguments, entry: dict[str, Any]) -> None:
        share = given.get(6, "validation_split")
        if isinstance(share, int | float) and share:
            self.validation_split = float(share)
            self.notes.add(call.line, "read", f"dataset: validation_split {share}")
        data = given.get(7, "validation_data")
        of_training = (
            isinstance(data, tuple) and bool(data) and isinstance(data[0], Part) and data[0].part == "train"
        )
        if data is not None and self.validation_split is None and not of_training:
            self.notes.add(
                call.line, "changed",
                "validation_data: the test part is measured once, at the end; to watch while it learns, write dataset: {validation_split: 0.1}",
            )  # fmt: skip
        if given.get(8, "shuffle") is False:
            self.notes.add(
                call.line,
                "changed",
                "shuffle=False: every epoch reads the data in a new order, drawn by seed",
            )
        for key in ("class_weight", "sample_weight", "steps_per_epoch", "initial_epoch"):
            value = call.keywords.get(key)
            if value is None or value == 0:
                continue
            if key == "class_weight" and isinstance(value, dict):
                entry[key] = {str(k): v for k, v in value.items()}
            elif key == "class_weight":
                text = "class_weight=: the value is not known before the program runs; write training: {class_weight: {0: 1, 1: 5}}"
                self.notes.add(call.line_of(key), "left out", text)
            else:
                self.notes.add(call.line_of(key), "left out", f"{key}=: there is no such field; leave it out")
        callbacks = given.get(5, "callbacks")
        for callback in callbacks if isinstance(callbacks, list | tuple) else [callbacks]:
            if isinstance(callback, Made):
                self._callback(callback, entry)

    def _callback(self, made: Made, entry: dict[str, Any]) -> None:
        if made.name == "EarlyStopping":
            self._early_stopping(made, entry)
        elif made.name in CALLBACKS:
            kind, text = CALLBACKS[made.name]
            self.notes.add(made.line, kind, f"{made.name}: {text}")  # type: ignore[arg-type]
        else:
            self.notes.add(made.line, "left out", f"{made.name}: what it does is not read; leave it out")

    def _early_stopping(self, made: Made, entry: dict[str, Any]) -> None:
        given = Arguments(made.arguments, made.keywords)
        monitor, patience = given.get(0, "monitor", "val_loss"), given.get(2, "patience", 0)
        # Keras stops after `patience` epochs without a better one, and after one where it is 0.
        entry["stop"] = {"patience": max(1, patience) if isinstance(patience, int) else 1}
        self.notes.add(made.line, "read", f"training: stop: patience {entry['stop']['patience']}")
        if monitor not in ("val_loss", "loss"):
            self.notes.add(
                made.line,
                "changed",
                f"monitor={short(monitor)}: it is the validation loss that is watched here",
            )
        fields = {**TrainingSpec.model_fields, **StopSpec.model_fields}
        if made.keywords.get("restore_best_weights") is True:
            if "restore" in fields:
                entry["restore"] = "best"
            else:
                self.notes.add(
                    made.line,
                    "left out",
                    "restore_best_weights=True: the last weights are kept; read val/… of the best epoch",
                )
        if (delta := made.keywords.get("min_delta")) and "min_delta" in TrainingSpec.model_fields:
            entry["min_delta"] = delta
        elif delta:
            self.notes.add(made.line, "left out", "min_delta=: any better loss counts; leave it out")
