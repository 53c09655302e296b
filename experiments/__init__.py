"""Numerics and specs: no HTTP, Celery, database or MLflow."""
