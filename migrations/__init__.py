"""The schema's history. Run it with `python -m service.store.migrate`."""
