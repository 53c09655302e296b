"""The processes of a worker: its parent, its child, its device."""
