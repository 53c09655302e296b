"""What a person holds: the Python client and the command."""
