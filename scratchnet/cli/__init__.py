"""The command line: `scratchnet train`, `predict`, `data`, `doctor`, `bench` and `parity`."""
