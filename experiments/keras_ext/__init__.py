"""What Keras lacks: functions, noise, pooling."""
