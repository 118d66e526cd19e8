"""`python -m microgpt`: the same as the command `microgpt`."""

import sys

if __name__ == "__main__":
    try:
        from microgpt.cli import main
    except ImportError as error:  # such as a core that has not been built
        sys.exit(f"microgpt: error: {error}")
    sys.exit(main())
