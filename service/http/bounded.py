"""Work on what a stranger sent, in a process that can be ended.

A thread cannot be ended, and while it computes it holds the interpreter from every other request. So specs and programs
are read in processes of their own: the kernel ends one that has used its seconds of CPU, wherever it is, and another
takes its place. The largest sweep takes half of the default on a machine with nothing else to do.
"""

from __future__ import annotations

import gc
import multiprocessing
import pickle
import signal
from collections.abc import Callable
from concurrent.futures import TimeoutError as TookTooLong
from functools import cache
from typing import Any, ParamSpec, TypeVar

from pebble import ProcessExpired, ProcessPool

from experiments.errors import SpecError

P = ParamSpec("P")
T = TypeVar("T")
PROCESSES = 2
TASKS = 500
"""Tasks after which a process is replaced, so that it gives back the memory that the largest of them took."""
WALL = 30
"""Seconds by the clock for each second of CPU, on a machine that is busy with something else."""


def within(seconds: float, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What a function returns or raises, computed in another process.

    Args:
        seconds: of CPU that it may use, making the answer ready to be sent included.
        function: of a module; arguments and answer are pickled.

    Raises:
        SpecError: it used all of its time.
    """
    task = _pool().schedule(_run, args=[seconds, function, args, kwargs], timeout=WALL * seconds)
    try:
        answer: T = pickle.loads(task.result())  # noqa: S301  (from our own process)
    except (ProcessExpired, TookTooLong) as error:
        message = f"reading this took more than {seconds:g} s of CPU (GRADUS_SPEC_SECONDS)"
        raise SpecError.one("", message, "less at once: fewer axes, levels, layers or rows") from error
    return answer


def warm_up() -> None:
    """Start the processes, so that the first request does not wait for their imports."""
    _pool().schedule(_ready)


@cache
def _pool() -> ProcessPool:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["service.http.reading"])
    return ProcessPool(PROCESSES, max_tasks=TASKS, context=context)


def _run(
    seconds: float, function: Callable[..., object], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> bytes:
    signal.setitimer(signal.ITIMER_PROF, seconds)  # counts CPU; SIGPROF ends the process
    gc.disable()  # *measured*: of the largest sweeps a sixth of the time, to find that all is still used
    try:
        return pickle.dumps(function(*args, **kwargs), pickle.HIGHEST_PROTOCOL)
    finally:
        gc.enable()
        signal.setitimer(signal.ITIMER_PROF, 0)


def _ready() -> None:
    """Does nothing."""
