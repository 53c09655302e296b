"""The REST API: a FastAPI application over the store. Nothing here trains, queues or talks to MLflow's API."""
