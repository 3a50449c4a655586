"""The command line: `scratchnet train`, `predict`, `data`, `doctor`, `bench` and `parity`.

A command imports what it needs when it runs: `--help` answers without NumPy.
"""
