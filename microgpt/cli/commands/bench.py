"""microgpt bench: compare the speed of the engines and the pure reference on this machine."""

import json

from microgpt.cli.commands import Failure, Usage, load, note, whole
from microgpt.common.saying import say
from microgpt.common.words import quoted
from microgpt.config import GPTConfig
from microgpt.proof import bench

DESCRIPTION = (
    "Compare the training time of each engine with that of the pure reference, with Python's garbage collector on and off. No time is "
    "shown for a result that differs from the reference's. Takes about a minute; wide models take longer."
)


def configure(parser):
    parser.add_argument("--data", metavar="DATA", default="names", help="the text file to train on, as for train (default: %(default)s)")
    parser.add_argument("--rounds", type=whole, metavar="N", default=3, help="number of measurements of each (default: %(default)s)")
    parser.add_argument("--n-embd", type=whole, metavar="N", nargs="+", default=[16], help="widths of the models (default: 16)")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")


def run(arguments):
    if arguments.rounds < 1:
        raise Usage("--rounds must be at least 1")
    if arguments.data == "-":
        raise Usage("--data must be a file, because every measurement reads it again in its own process; name a file")
    for n_embd in arguments.n_embd:
        if n_embd < 1 or n_embd % GPTConfig.n_head:
            raise Usage(f"--n-embd must be a multiple of {GPTConfig.n_head}, the number of heads; not {quoted(n_embd)}")
    load(arguments.data)  # report errors in the data once, here
    machine = bench.machine()
    if not arguments.json:
        print("\n".join(f"{name:15} {fact}" for name, fact in machine.items()), "\n", flush=True)
    try:
        rows = bench.compare(bench.cases_of(*arguments.n_embd), arguments.data, rounds=arguments.rounds, note=note)
    except bench.MeasuringError as error:
        raise Failure(f"{error}; choose a smaller --n-embd, or smaller data") from None
    note("")
    if arguments.json:
        print(json.dumps({"machine": machine, "rows": [{**row._asdict(), "case": row.case._asdict()} for row in rows]}))
    else:
        print(bench.table(rows))
    differing = [row for row in rows if row.differs]
    if differing:
        say(f"{len(differing)} of {len(rows)} results differ from the reference's")
    return 1 if differing else 0
