"""Celery workers: claim a tile, train it, commit its outcome."""
