"""`python -m scratchnet` is the command `scratchnet`."""

import sys

from scratchnet.cli.main import main

sys.exit(main())
