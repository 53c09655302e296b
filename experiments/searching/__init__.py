"""Searches that choose their next runs by the results of those before: successive halving, and TPE."""
