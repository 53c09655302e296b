"""From documents to an ExperimentSpec, and from it to the points it asks for. No Keras."""

from experiments.spec.experiment import ExperimentSpec

__all__ = ["ExperimentSpec"]
