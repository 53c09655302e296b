"""Which queue the message of a run goes to, by the device and the backend that it asks for, and who reads it."""

from __future__ import annotations

ANY = "gradus.any"
"""Runs for any device, on the default backend."""
REQUESTS = "gradus.requests"
"""Requests of people: every worker answers them, whatever its backend."""
ANSWERS = "gradus.answers"
"""Requests that a person waits for, where a worker trains nothing and answers them (GRADUS_ONLY_REQUESTS)."""
BACKGROUND_KINDS = ("model", "picture")
"""Kinds of request that no person waits for (`service.analysis.final_artifacts`). Training goes first."""
Route = tuple[str, str]
"""(device, backend) that a run asks for, `auto` among them."""
QUEUE_OF: dict[Route, str] = {
    ("cpu", "tensorflow"): "gradus.cpu",
    ("gpu", "tensorflow"): "gradus.gpu",
    ("auto", "tensorflow"): ANY,
    ("cpu", "jax"): "gradus.jax.cpu",
    ("gpu", "jax"): "gradus.jax.gpu",
    ("auto", "jax"): "gradus.jax.any",
    ("cpu", "auto"): "gradus.cpu",  # on a CPU, convolutions are many times slower with JAX
    ("gpu", "auto"): "gradus.either.gpu",
    ("auto", "auto"): "gradus.either.any",
}
QUEUES = tuple(dict.fromkeys(QUEUE_OF.values()))


def routes(device: str, backend: str) -> list[Route]:
    """What runs may ask for that a worker of this device and backend trains.

    Args:
        device: `cpu` or `gpu`.
        backend: `tensorflow` or `jax`.
    """
    own = [(device, backend), ("auto", backend)]
    either = [(device, "auto"), ("auto", "auto")]
    return own if (device, backend) == ("cpu", "jax") else own + either
