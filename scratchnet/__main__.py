"""`python -m scratchnet` is the command `scratchnet`."""

import sys


def main() -> int:
    """Run the command. Ctrl-C while its modules are read ends it in one line too."""
    try:
        from scratchnet.cli.main import main
    except KeyboardInterrupt:
        print("scratchnet: interrupted; nothing more was saved", file=sys.stderr)
        return 130
    return main()


if __name__ == "__main__":
    sys.exit(main())
