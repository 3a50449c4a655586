"""Training: the loop, metrics, callbacks and checkpoints."""
