"""The engine: runs that share a program, compiled and trained together.

The backend comes first: it loads Keras without the packages that neither of them needs, which Keras alone would load.
*Measured*: `import experiments.engine.models` takes 2.9 s of processor time, and 6.0 s where Keras came first.
"""

from experiments.engine import backend as backend
