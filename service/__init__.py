"""The service: state of runs, API, command, tracking, embedded stack."""
