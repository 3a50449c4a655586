"""The command line: `scratchnet train`, `predict`, `data` and `doctor`."""
