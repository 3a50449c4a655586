"""The benchmarks: epochs on every usable backend, compared with other libraries and with the floor."""
