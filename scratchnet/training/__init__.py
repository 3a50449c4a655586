"""Training: the loop, what is measured, what is kept."""
