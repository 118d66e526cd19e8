"""The program: the command `microgpt`, and `python -m microgpt`."""

import sys

from microgpt.common import interrupts


def main():
    interrupts.end_at_once()  # before the imports, which take most of the time until there is something to interrupt
    try:
        from microgpt import cli
    except ImportError as error:  # such as a core that has not been built
        sys.exit(f"microgpt: error: {error}")
    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
