"""The parts of the engine: TensorFlow's side, programs, noise, checkpoints, measurements."""
