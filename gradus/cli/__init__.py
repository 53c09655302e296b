"""The `gradus` command: a thin client of the API. Heavy modules are imported where they are used."""
