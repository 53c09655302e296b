"""What is shown of an answer: the report and its charts, and MLflow's note."""
