"""The command `microgpt`, and `python -m microgpt`."""

import sys

from microgpt.common import interrupts


def main():
    """Run this process's command line; returns its exit code, or what to say where a part of the package cannot be loaded."""
    interrupts.end_at_once()  # before the imports, which take most of the time until there is something to interrupt
    try:
        from microgpt import cli

        return cli.main()
    except ImportError as error:  # such as a core that has not been built, which names its remedy itself
        from microgpt.common.words import shortened

        remedy = "" if error.name is None else "; the installation is damaged: install microgpt-cython again"
        return f"microgpt: error: {shortened(str(error), 300)}{remedy}"


if __name__ == "__main__":
    sys.exit(main())
