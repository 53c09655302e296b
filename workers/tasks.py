"""The Celery tasks. The work is in `execute` and `answer`, which load TensorFlow and are imported in a child only."""

from __future__ import annotations

from celery import shared_task
from celery.signals import worker_process_init

from service.queue import TASK_REQUEST, TASK_TRAIN
from workers.process import child, drain

# Here and not in `app`: a spawned child imports the task modules and nothing else.
worker_process_init.connect(child.start, weak=False)


@shared_task(name=TASK_TRAIN)  # type: ignore[untyped-decorator]
def train(run_ids: list[str], width: int) -> None:
    """Train a tile of runs as one program of the given width."""
    drain.listen()
    from workers.training.execute import execute

    execute(run_ids, width)
    child.recycle_if_worn()


@shared_task(name=TASK_REQUEST)  # type: ignore[untyped-decorator]
def request(request_id: str) -> None:
    """Answer a request about a run: predict, draw, store its model."""
    drain.listen()
    from workers.requests.answer import answer

    answer(request_id)
