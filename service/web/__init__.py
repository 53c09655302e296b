"""The pages for people."""

from service.web import builder, experiment_actions, fleet, home, sessions

PAGES = (home, builder, experiment_actions, fleet, sessions)
"""The modules whose routers make the pages."""
