"""`python -m microgpt`: the same as the command `microgpt`."""

import sys

try:
    from microgpt.cli import main
except ImportError as error:  # in a checkout that has not been built, where the message says what to do
    sys.exit(f"microgpt: error: {error}")

if __name__ == "__main__":
    sys.exit(main())
