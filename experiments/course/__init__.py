"""The course: lessons whose claims are tested by runs of this service or by a computation on paper. No Keras."""

from experiments.course.judging import LessonRun, Outcome, judge, on_paper
from experiments.course.lessons import Lesson, lessons

__all__ = ["Lesson", "LessonRun", "Outcome", "judge", "lessons", "on_paper"]
