"""The results of a training run: plots and the report."""
