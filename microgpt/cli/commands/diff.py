"""microgpt diff: where two runs or models first differ."""

import json
from dataclasses import asdict

from microgpt.cli.commands import Usage, for_output
from microgpt.lab.differences import diff

DESCRIPTION = (
    "Say where two runs first differ: in a setting, the alphabet, the data, the loss of a step, or a weight, with both values to the last "
    "bit and how many units in the last place they are apart. Each is a saved run or model, a log (.csv, .jsonl), a model as JSON, or a text "
    "with a loss a line or the reference's printed output; what both have is compared. The exit code is 0 where all of that is equal, 1 where "
    "it differs and 2 where it cannot be compared."
)


def configure(parser):
    parser.add_argument("a", metavar="A", help="a run, a model or its losses")
    parser.add_argument("b", metavar="B", help="another")
    parser.add_argument("--json", action="store_true", help="as a JSON object, null where nothing differs (default: in words)")


def run(arguments):
    try:
        found = diff(arguments.a, arguments.b)
    except (OSError, ValueError) as error:
        raise Usage(f"{error.filename}: {error.strerror}" if isinstance(error, OSError) and error.errno else error) from None
    if arguments.json:
        print(json.dumps(None if found is None else _exact(asdict(found))))
    elif found is None:
        print("equal")
    else:
        print("\n".join(map(for_output, str(found).split("\n"))))
    return int(found is not None)


def _exact(values):
    """Floats as JSON has them, and as hex, which has the infinite ones too."""
    return values | {f"{name}_hex": value.hex() for name, value in values.items() if name in "ab" and isinstance(value, float)}
