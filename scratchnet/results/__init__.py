"""What a run has come to: plots and the report."""
