"""Small faults, planted one at a time in a copy of the library: do the tests see them?

A mutant is the library with one such fault.

- `mutate` lists the possible mutants of a file; `rooms` says which tests belong to which files.
- `tree` copies the repository, and runs tests there.
- `plugin` runs inside pytest. It collects the tests once, runs some of them in a child process for each
  mutant, and notes which tests execute which line.
- `exchange` plants a fault in functions that are already imported.
- `judge` runs a mutant against the tests that execute its line.
- `reasons.json` holds the reasons of survivors; `named.json` holds faults that once no test saw.

Neither mutmut nor cosmic-ray draws mutants by a seed and runs only the tests that execute a line.
"""
