"""`python -m benchmarks` is the same as `scratchnet bench`. Arguments after `--` go to pytest."""

import sys

from scratchnet.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["bench", *sys.argv[1:]]))
