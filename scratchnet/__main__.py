"""`python -m scratchnet` is the command `scratchnet`."""

import sys

from scratchnet.commands.main import main

sys.exit(main())
