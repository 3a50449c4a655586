"""`python -m benchmarks`: as `scratchnet bench`; what follows `--` goes to pytest."""

import sys

from scratchnet.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["bench", *sys.argv[1:]]))
