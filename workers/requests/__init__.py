"""What a worker does when asked about a run."""
