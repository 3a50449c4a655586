"""Small faults, planted one at a time in a copy of the library: do the tests see them?

A mutant is the library with one such fault. `mutate` lists the possible mutants of a file. `rooms` says
which tests belong to which files. `tree` runs tests in a copy of the repository. `plugin` runs inside
pytest, and notes which tests execute which line. `judge` runs a mutant against these. `reasons.json`
holds the reasons of survivors, and `named.json` faults that once no test saw.

Neither mutmut nor cosmic-ray draws mutants by a seed and runs only the tests that execute a line.
"""
