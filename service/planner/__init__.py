"""SCHEDULED runs become tiles, and tiles become messages.

The order stays in the database until a worker takes a tile: a worker that takes a message looks once more whether
something more urgent waits, so that a priority holds at once.
"""

from service.planner.dispatch import dispatch, is_any_waiting
from service.planner.tiles import LADDER, Candidate, plan, shape
from service.planner.urgent import more_urgent

__all__ = ["LADDER", "Candidate", "dispatch", "is_any_waiting", "more_urgent", "plan", "shape"]
