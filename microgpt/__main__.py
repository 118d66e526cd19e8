"""The command `microgpt`, and `python -m microgpt`."""

import sys

from microgpt.common import interrupts


def main():
    """Run this process's command line. Returns its exit code, or an error message if a part of the package cannot be loaded."""
    interrupts.end_at_once()  # before the imports, which take most of the start-up time
    try:
        from microgpt import cli

        return cli.main()
    except ImportError as error:  # for example a core that has not been built, whose error names the remedy itself
        from microgpt.common.words import shortened

        remedy = "" if error.name is None else "; the installation is damaged: install microgpt-cython again"
        return f"microgpt: error: {shortened(str(error), 300)}{remedy}"


if __name__ == "__main__":
    sys.exit(main())
