"""The pages for people."""

from service.web import (
    builder,
    classes,
    data,
    experiment,
    experiment_actions,
    fleet,
    gradient,
    home,
    lessons,
    run,
    sessions,
    vocabulary,
)

ROUTERS = (
    home.router,
    lessons.router,
    classes.router,
    builder.router,
    experiment.router,
    experiment.streams,
    experiment_actions.router,
    run.router,
    run.streams,
    gradient.router,
    data.router,
    fleet.router,
    vocabulary.router,
    sessions.router,
)
"""The routers that make the pages."""
