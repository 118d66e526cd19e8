"""microgpt verify: print a table of engines, a hash, and PASS or the first difference with its reason."""

import time

from microgpt.cli.commands import load, note
from microgpt.common.words import counted
from microgpt.config import PRESETS
from microgpt.proof import published, verify

DESCRIPTION = (
    "Repeat the reference's published run with each exact engine, and compare every loss, the final parameters and the "
    "samples with the published results. The exit code is 1 if anything differs that should not."
)

PYTHON_STEPS = 20  # compared with pure Python if there are no published results for the data


def configure(parser):
    parser.add_argument("--preset", choices=PRESETS, help="only this revision of the reference (default: all)")
    parser.add_argument("--data", metavar="DATA", default="names", help="the text file to train on, as for train (default: %(default)s)")
    parser.add_argument(
        "--against",
        choices=["published", "python"],
        default="published",
        help="python: also run the whole pure version, which takes a minute or two (default: %(default)s)",
    )


def run(arguments):
    docs = load(arguments.data)
    known = published.hash_text(docs) == published.NAMES
    print(f"data: {counted(len(docs), 'document')}, {'' if known else 'not '}those of the published runs")
    passed = [_verify(docs, preset, known, arguments.against == "python") for preset in PRESETS if arguments.preset in (None, preset)]
    return 0 if all(passed) else 1


def _verify(docs, preset, known, against_python):
    """Print the report on one revision; returns whether everything is as it should be."""
    print(f"\nrevision {preset!r}, {PRESETS[preset].training.num_steps} steps\n")
    print(f"{'engine':8} " + " ".join(f"{part:14}" for part in verify.PARTS) + " seconds", flush=True)
    outcomes = [verify.compute("python", docs, preset, _progress)] if against_python else []
    note("")
    outcomes += [verify.compute(engine, docs, preset) for engine in verify.exact_engines()]
    results = [outcome.result for outcome in outcomes]
    expected = published.RUNS[preset] if known else results[0]
    for outcome in outcomes:
        _print_row(outcome, verify.difference(outcome.result, expected))
    print(f"\nhash {results[-1].hash}", flush=True)

    agree = all(result == results[0] for result in results)
    as_published = known and results[0] == expected
    equal_here = agree
    if agree and not as_published and not against_python:  # pure Python then decides who is right
        first = verify.difference(results[0], expected)
        num_steps = first.step if first and first.step else PYTHON_STEPS
        equal_here = verify.equals_python(outcomes[0], docs, preset, num_steps, _progress)
        note("")
    print(_verdict(agree, equal_here, as_published, known))
    return equal_here


def _verdict(agree, equal_here, as_published, known):
    if not equal_here:
        who = "the engines differ from pure Python on this machine" if agree else "the engines differ from one another"
        return f"FAIL: {who}; please report it with the output of microgpt info"
    if as_published:
        return "PASS: this installation reproduces the published run in every bit"
    here = "equal to Python on this machine: yes\n"
    if known:
        return here + "PASS here: this machine's C library rounds exp, log or pow differently from that of the published run"
    return here + "PASS on this data; for the published results use the reference's names.txt (--data names)"


def _print_row(outcome, differs):
    cells = ["identical"] * len(verify.PARTS)
    if differs:
        first = verify.PARTS.index(differs.part)
        cells[first:] = [str(differs)] + ["-"] * (len(cells) - first - 1)
    print(f"{outcome.engine:8} " + " ".join(f"{cell:14}" for cell in cells) + f" {outcome.seconds:7.2f}", flush=True)


def _progress(step, state={}):  # noqa: B006 - remembers when the next line is due
    """Show a line on a terminal, a few times per second, while pure Python runs."""
    if time.monotonic() > state.get("next", 0):
        state["next"] = time.monotonic() + 0.2
        note(f"python: step {step.step} of {step.num_steps}")
