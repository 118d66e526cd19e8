"""microgpt diff: what differs in two runs or models."""

import json
from dataclasses import asdict

from microgpt.cli.commands import Usage, for_output
from microgpt.lab.differences import diff

DESCRIPTION = (
    "Say what differs in two runs: every setting, the alphabet, the data, and the first step's loss and the first weight that do, with both "
    "values to the last bit and how many units in the last place they are apart. Each is a saved run or model, a log (.csv, .jsonl), a model as JSON, or a text "
    "with a loss a line or the reference's printed output; what both have is compared. The exit code is 0 where all of that is equal, 1 where "
    "it differs and 2 where it cannot be compared."
)


def configure(parser):
    parser.add_argument("a", metavar="A", help="a run, a model or its losses")
    parser.add_argument("b", metavar="B", help="another")
    parser.add_argument("--json", action="store_true", help="as JSON, an array of what differs (default: in words)")


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
    """Floats as JSON has them, and as hex, which has the infinite ones too."""
    return values | {f"{name}_hex": value.hex() for name, value in values.items() if name in "ab" and isinstance(value, float)}
