"""The benchmarks: epochs timed on every usable backend, and against the floor."""
