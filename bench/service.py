"""The whole way, from POST to everything FINISHED in MLflow, against a script of warm `keras.fit`.

    python -m bench.service [--repeats 5] [--script-runs 12] [--workers 2]

The sweep: 108 runs of MNIST 784-32-10, 2 epochs, batch 32 (3 activations x 3 optimizers x 4 rates x 3 seeds).
The script is one process, TensorFlow warm, that builds, fits and evaluates run after run with Keras and logs
the same (parameters, metrics of every epoch, weights, spec, data set) to the same MLflow server. It runs
`--script-runs` runs spread over the sweep and is scaled to 108; 108 runs it whole. Both sides start from the
same initial weights; before a number is printed, their test accuracies must agree within 2 points on average.

Needs mnist.npz (GRADUS_DATA_DIR). The machine must have nothing else to do.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
from mlflow.tracking import MlflowClient

SPEC = {
    "name": "bench",
    "dataset": {"name": "mnist"},
    "model": {"hidden": [32]},
    "optimizer": {"name": "adam"},
    "training": {"epochs": 2, "batch_size": 32},
    "gradient_check": "off",
    "sweep": {
        "activation": ["sigmoid", "tanh", "relu"],
        "optimizer": [{"name": "sgd"}, {"name": "rmsprop"}, {"name": "adam"}],
        "learning_rate": [0.0003, 0.001, 0.003, 0.01],
        "seeds": 3,
    },
}
RUNS = 108


class Up:
    """The embedded stack on a home of its own."""

    def __init__(self, workers: int) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="gradus-bench-"))
        command = [sys.executable, "-m", "service.embedded.stack", "--workers", str(workers)]
        command += ["--port", "0", "--mlflow-port", "0", "--home", str(self.home)]
        with (self.home / "up.log").open("w") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        while not (self.home / "stack.json").exists():
            if self.process.poll() is not None:
                raise SystemExit((self.home / "up.log").read_text())
            time.sleep(0.1)
        state = json.loads((self.home / "stack.json").read_text())
        self.url, self.mlflow_url = state["url"], state["mlflow_url"]
        while len(httpx.get(f"{self.url}/v1/workers", timeout=30).json()["items"]) < workers:
            time.sleep(0.1)

    def down(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)


def sweep(up: Up, seed: int, workers: int) -> tuple[float, float, dict[str, float]]:
    """Seconds until MLflow has all runs FINISHED, seconds of these that a worker trained and compiled, accuracies by
    run name."""
    # Another seed each time: equal runs would still be trained again, but nobody has to believe it.
    spec = {**SPEC, "seed": seed, "sweep": {**SPEC["sweep"], "seeds": [seed, seed + 1, seed + 2]}}
    started = time.perf_counter()
    answer = httpx.post(f"{up.url}/v1/experiments", json=spec, timeout=60)
    answer.raise_for_status()
    accepted = time.perf_counter() - started
    experiment = answer.json()["id"]
    client = MlflowClient(up.mlflow_url)
    while True:
        counts = httpx.get(f"{up.url}/v1/experiments/{experiment}", timeout=60).json()["status"]
        if counts["FINISHED"] == RUNS:
            break
        assert counts["FAILED"] + counts["KILLED"] == 0, counts
        time.sleep(0.2)
    experiments = client.search_experiments(filter_string=f"tags.`gradus.experiment_id` = '{experiment}'")
    runs = client.search_runs([experiments[0].experiment_id], max_results=1000)
    assert sum(run.info.status == "FINISHED" for run in runs) == RUNS
    seconds = time.perf_counter() - started
    trained = sum(run.data.metrics["time/train_s"] + run.data.metrics["time/compile_s"] for run in runs)
    print(f"  {RUNS} runs: accepted in {accepted:.2f} s, all FINISHED in MLflow after {seconds:.1f} s "
          f"(training and compiling {trained:.1f} s, summed over {workers} workers)", flush=True)  # fmt: skip
    return seconds, trained / workers, {run.info.run_name: run.data.metrics["test/accuracy"] for run in runs}


def script(url: str, count: int, seed: int) -> tuple[float, dict[str, float]]:
    """Seconds for `count` runs of the sweep the usual way, and their accuracies by run name."""
    import keras

    from experiments.datasets import Source
    from experiments.engine import models
    from experiments.spec import ExperimentSpec
    from service.tracking.client import Tracking
    from service.tracking.records import DatasetCard, ExperimentCard, MetricValue, RunCard

    spec = ExperimentSpec.parse({**SPEC, "sweep": {**SPEC["sweep"], "seeds": [seed, seed + 1, seed + 2]}})
    points = spec.expand()
    chosen = [points[index * len(points) // count] for index in range(count)]
    folder = os.environ.get("GRADUS_DATA_DIR")
    first = chosen[0].spec
    data = first.dataset.load(Source(Path(folder) if folder else None))
    digest = data.digest
    parts = models.arrays(first, data)
    tracking = Tracking(url)
    experiment = tracking.ensure_experiment(
        ExperimentCard(f"script{seed}", f"script #{seed}-{os.getpid()}", "script")
    )

    def trained(point: object) -> tuple[str, float]:
        run_spec, levels = point.spec, point.levels
        model = models.build(run_spec)
        optimizer = getattr(keras.optimizers, run_spec.optimizer.keras_name)(**run_spec.optimizer.arguments())
        model.compile(optimizer, models.loss(run_spec.loss), metrics=["accuracy"])
        name = ", ".join(f"seed {v}" if k == "seed" else v for k, v in levels.items())
        started = round(time.time() * 1000)
        run = tracking.create_run(experiment, RunCard(name, name, started, {}))
        metrics: list[MetricValue] = []
        for epoch in (1, 2):
            history = model.fit(
                *parts["train"], batch_size=32, epochs=1, validation_data=parts["val"], verbose=0
            )
            loss, accuracy = model.evaluate(*parts["test"], batch_size=1024, verbose=0)
            values = {key.replace("val_", "val/"): value[0] for key, value in history.history.items()}
            named = {k if "/" in k else f"train/{k}": v for k, v in values.items()}
            named |= {"test/loss": loss, "test/accuracy": accuracy}
            metrics += [MetricValue(k, epoch, float(v), started) for k, v in named.items()]
        tracking.log(run.id, metrics, point.params())
        tracking.log_dataset(run.id, DatasetCard("mnist", digest, "mnist.npz"))
        with tempfile.TemporaryDirectory() as where, ThreadPoolExecutor(1) as pool:
            weights, text = Path(where) / "model.weights.h5", Path(where) / "spec.yaml"
            model.save_weights(weights)
            text.write_text(run_spec.model_dump_json())
            files = [(weights, "weights/model.weights.h5"), (text, "spec.yaml")]
            tracking.upload(run, files, pool)
        tracking.set_status(run.id, "FINISHED")
        return name, float(accuracy)

    trained(chosen[0])  # warm
    started = time.perf_counter()
    accuracies = dict(trained(point) for point in chosen)
    return time.perf_counter() - started, accuracies


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--repeats", type=int, default=5)
    options.add_argument("--script-runs", type=int, default=12)
    options.add_argument("--workers", type=int, default=2)
    chosen = options.parse_args()
    up = Up(chosen.workers)
    try:
        print("cold workers")
        sweep(up, 1000, chosen.workers)
        print("warm workers")
        ours, theirs, engine = [], [], []
        for repeat in range(chosen.repeats):
            seed = 10 * repeat
            seconds, trained, accuracies = sweep(up, seed, chosen.workers)
            ours.append(seconds)
            engine.append(trained)
            spent, others = script(up.mlflow_url, chosen.script_runs, seed)
            theirs.append(spent * RUNS / chosen.script_runs)
            print(
                f"  script: {spent:.1f} s for {chosen.script_runs} runs, {theirs[-1]:.0f} s for {RUNS}",
                flush=True,
            )
            apart = statistics.mean(accuracies[name] - accuracy for name, accuracy in others.items())
            assert abs(apart) < 0.02, f"the two do not train the same: {apart:+.3f} test accuracy on average"
    finally:
        up.down()
    print(
        f"\nservice {statistics.median(ours):.1f} s ({min(ours):.1f} to {max(ours):.1f}), script "
        f"{statistics.median(theirs):.0f} s: {statistics.median(theirs) / statistics.median(ours):.1f} times; the engine's own part "
        f"{statistics.median(engine):.1f} s: {statistics.median(ours) / statistics.median(engine):.1f} times that; "
        f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    )


if __name__ == "__main__":
    main()
