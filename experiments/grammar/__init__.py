"""The grammar of a spec: documents, sections, sweeps, and what becomes of them. No Keras."""
