"""Keras programs and specs: a program is read into a spec, a run is written as a program. No Keras."""

from experiments.keras_code.exporting import export_keras
from experiments.keras_code.importing import Imported, import_keras
from experiments.keras_code.notes import KINDS, Note, NoteKind

__all__ = ["KINDS", "Imported", "Note", "NoteKind", "export_keras", "import_keras"]
