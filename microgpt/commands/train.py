"""microgpt train: train a new model and print what it makes up."""

import argparse
import re
import sys
import time
from dataclasses import replace

from microgpt import engines, progress, sampling
from microgpt.commands import Failure, Usage, count, load, number, whole
from microgpt.config import ACTIVATIONS, PRESETS
from microgpt.training import start

DESCRIPTION = "Train a new model on a text file, one document a line, and print documents that it makes up."

INFERENCE = {  # what a revision prints above and in front of its samples
    "current": ("--- inference (new, hallucinated names) ---", "sample {:2d}: {}"),
    "first": ("--- inference ---", "sample {}: {}"),
}


def run(arguments):
    config, training, temperature = _settings(arguments)
    run = start(load(arguments.data), config, training, seed=arguments.seed, engine=arguments.engine)
    print(f"num docs: {len(run.corpus)}")
    print(f"vocab size: {run.model.tokenizer.vocab_size}")
    print(f"num params: {run.model.num_params}", flush=True)
    try:
        with progress.display(run, sys.stdout) as shown:
            run.train(progress=shown.update)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"interrupted after step {len(run.losses)} of {training.num_steps}") from None
    if arguments.samples:
        _print_samples(run, arguments.samples, temperature, *INFERENCE[arguments.preset])


def _settings(arguments):
    """GPTConfig, TrainConfig and temperature: the preset's, with the fields that options replace."""
    config, training, temperature = PRESETS[arguments.preset]
    given = {name: value for name, value in vars(arguments).items() if value is not None}
    try:
        config = replace(config, **{name: given[name] for name in vars(config) if name in given})
        training = replace(training, **{name: given[name] for name in vars(training) if name in given})
        temperature = given.get("temperature", temperature)
        sampling.check_options(temperature, None)
    except (ValueError, TypeError) as error:  # names fields, where the user knows options
        raise Usage(re.sub(r"\w+", lambda word: OPTIONS.get(word[0], word[0]), str(error))) from None
    return config, training, temperature


def _print_samples(run, n, temperature, heading, line):
    print(f"\n{heading}")
    for i in range(1, n + 1):
        started = time.perf_counter()
        try:
            [text] = run.generate(1, temperature)
        except (ArithmeticError, ValueError) as error:  # the last step's weights are out of range
            raise Failure(
                f"no sample can be drawn: {error}; try a lower --learning-rate or a higher --temperature"
            ) from None
        print(line.format(i, text), flush=time.perf_counter() - started > 0.02)  # a slow one is seen when it is there


# ---- Options --------------------------------------------------------------------------------------------------------

FLAG = argparse.BooleanOptionalAction
MODEL = [  # option, what argparse must know of it, help
    ("--n-layer", dict(type=whole, metavar="N"), "transformer blocks"),
    ("--n-embd", dict(type=whole, metavar="N"), "width of the residual stream"),
    ("--n-head", dict(type=whole, metavar="N"), "attention heads; must divide --n-embd"),
    ("--block-size", dict(type=whole, metavar="N"), "longest context, in tokens; longer documents are cut"),
    ("--activation", dict(choices=ACTIVATIONS), "of the MLP: relu, or relu2 for relu squared"),
    ("--init-std", dict(type=number, metavar="X"), "standard deviation of the initial weights"),
    ("--zero-init-out", dict(action=FLAG), "start attn_wo and mlp_fc2 at zero"),
    ("--bos-first", dict(action=FLAG), "make the document boundary token 0, not the last one"),
]
OPTIMIZER = [
    ("--steps", dict(type=whole, metavar="N", dest="num_steps"), "training steps, one document each"),
    ("--learning-rate", dict(type=number, metavar="X"), "at the first step; falls linearly to 0"),
    ("--beta1", dict(type=number, metavar="X"), "decay of Adam's mean of the gradients"),
    ("--beta2", dict(type=number, metavar="X"), "decay of Adam's mean of their squares"),
    ("--eps", dict(type=number, metavar="X"), "keeps Adam's division finite"),
]
SAMPLING = [
    ("--temperature", dict(type=number, metavar="X"), "below 1 likelier characters, above 1 rarer ones; 0: greedy"),
]
OPTIONS = {  # field -> option
    more.get("dest", option[2:].replace("-", "_")): option for option, more, _ in MODEL + OPTIMIZER + SAMPLING
}


def configure(parser):
    parser.add_argument(
        "data",
        metavar="DATA",
        nargs="?",
        help="a text file (UTF-8), '-' for standard input, or 'names' for the reference's list of names "
        "(default: input.txt in the current folder where there is one, else names)",
    )
    group = parser.add_argument_group("the run")
    group.add_argument(
        "--preset",
        choices=PRESETS,
        default="current",
        help="the reference's revision that sets the defaults below (default: %(default)s)",
    )
    group.add_argument(
        "--seed", type=whole, metavar="S", default=42, help="of all random numbers (default: %(default)s)"
    )
    group.add_argument(
        "--engine",
        choices=engines.ENGINES,
        default=engines.DEFAULT,
        help="what computes; the results are the same (default: %(default)s)",
    )
    _add(parser.add_argument_group("the model"), MODEL)
    _add(parser.add_argument_group("the optimizer (Adam)"), OPTIMIZER)
    samples = parser.add_argument_group("the samples")
    samples.add_argument(
        "--samples", type=count, metavar="N", default=20, help="how many to print (default: %(default)s)"
    )
    _add(samples, SAMPLING)


def _add(group, options):
    """Options whose default is the preset's; the help shows it for each preset where they differ."""
    for option, more, text in options:
        field = more.get("dest", option[2:].replace("-", "_"))
        defaults = {}
        for name, (config, training, temperature) in PRESETS.items():
            defaults[name] = {**vars(config), **vars(training), "temperature": temperature}[field]
        if len(set(defaults.values())) == 1:
            shown = _show(defaults["current"])
        else:
            shown = ", ".join(f"{_show(value)} in {name}" for name, value in defaults.items())
        group.add_argument(option, help=f"{text} (default: {shown})", default=None, **more)


def _show(value):
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else f"{value}"
