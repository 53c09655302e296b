"""MLflow: the projection that people read."""
