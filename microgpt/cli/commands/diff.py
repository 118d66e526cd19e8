"""microgpt diff: show what differs in two runs or models."""

import json
from dataclasses import asdict

from microgpt.cli.commands import Usage, for_output
from microgpt.lab.differences import diff

DESCRIPTION = (
    "Show what differs in two runs: every setting, the alphabet, the data, and the first loss and the first weight that differ, with both "
    "values to the last bit and their distance in units in the last place. A and B are saved runs or models, logs (.csv, .jsonl), models "
    "as JSON, or text with one loss per line or the reference's printed output. Everything that both have is compared. The exit code is 0 "
    "if all of it is equal, 1 if something differs and 2 if nothing can be compared."
)


def configure(parser):
    parser.add_argument("a", metavar="A", help="a run, a model or its losses")
    parser.add_argument("b", metavar="B", help="another")
    parser.add_argument("--json", action="store_true", help="print a JSON array of the differences (default: sentences)")


def run(arguments):
    try:
        found = diff(arguments.a, arguments.b)
    except (OSError, ValueError) as error:
        raise Usage(f"{error.filename}: {error.strerror}" if isinstance(error, OSError) and error.errno else error) from None
    if arguments.json:
        print(json.dumps([_exact(asdict(difference)) for difference in found]))
    elif not found:
        print("equal")
    for difference in () if arguments.json else found:
        print("\n".join(map(for_output, str(difference).split("\n"))))
    return int(bool(found))


def _exact(values):
    """Floats as JSON numbers and as hexadecimal strings, which can also be infinite."""
    return values | {f"{name}_hex": value.hex() for name, value in values.items() if name in "ab" and isinstance(value, float)}
