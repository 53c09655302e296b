"""The parts of the gradient check: difference quotients, kinks, the order test, injected faults, certificates."""
