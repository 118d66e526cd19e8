"""The options that are fields of GPTConfig, TrainConfig and EvalConfig; their defaults are the preset's."""

import argparse
import re
from dataclasses import replace

from microgpt import engines
from microgpt.engines import sampling
from microgpt.cli.commands import Failure, Usage, number, whole
from microgpt.config import ACTIVATIONS, PRESETS, SCHEDULES, EvalConfig

FLAG = argparse.BooleanOptionalAction
MODEL = [  # option, what argparse must know of it, help
    ("--n-layer", dict(type=whole, metavar="N"), "transformer blocks"),
    ("--n-embd", dict(type=whole, metavar="N"), "width of the residual stream"),
    ("--n-head", dict(type=whole, metavar="N"), "attention heads; must divide --n-embd"),
    ("--block-size", dict(type=whole, metavar="N"), "longest context, in tokens; see --long for longer documents"),
    ("--activation", dict(choices=ACTIVATIONS), "of the MLP: relu, or relu2 for relu squared"),
    ("--init-std", dict(type=number, metavar="X"), "standard deviation of the initial weights"),
    ("--zero-init-out", dict(action=FLAG), "start attn_wo and mlp_fc2 at zero"),
    ("--bos-first", dict(action=FLAG), "make the document boundary token 0, not the last one"),
]
TRAINING = [
    ("--steps", dict(type=whole, metavar="N", dest="num_steps"), "training steps"),
    ("--batch-size", dict(type=whole, metavar="N"), "documents a step, whose mean loss it reduces"),
    ("--learning-rate", dict(type=number, metavar="X"), "at the first step, or after the warm-up"),
    ("--schedule", dict(choices=SCHEDULES), "of the learning rate: linear and cosine fall to 0"),
    ("--warmup-steps", dict(type=whole, metavar="N"), "first steps, over which the learning rate rises"),
    ("--clip-norm", dict(type=number, metavar="X"), "scale gradients down that are longer, all taken as one vector"),
    ("--weight-decay", dict(type=number, metavar="X"), "pull weights towards 0, apart from the gradient (AdamW)"),
    ("--beta1", dict(type=number, metavar="X"), "decay of Adam's mean of the gradients; with --engine fast up to 0.99999997"),
    ("--beta2", dict(type=number, metavar="X"), "decay of Adam's mean of their squares, likewise"),
    ("--eps", dict(type=number, metavar="X"), "keeps Adam's division finite; with --engine fast at least 1e-15"),
]
EVALUATION = [
    ("--val-fraction", dict(type=number, metavar="X"), "hold out this share of the documents to measure on; if not 0, at least one"),
    ("--eval-every", dict(type=whole, metavar="N"), "steps between two measurements"),
    ("--patience", dict(type=whole, metavar="N"), "stop after so many measurements without a new best, and keep the best weights"),
]
SAMPLING = [
    ("--temperature", dict(type=number, metavar="X"), "below 1 likelier characters, above 1 rarer ones; 0: greedy"),
]


def field_of(option, more):
    return more.get("dest", option[2:].replace("-", "_"))


OPTIONS = {field_of(option, more): option for option, more, _ in MODEL + TRAINING + EVALUATION + SAMPLING}


def add(group, options):
    """Options whose default is the preset's; the help shows it for each preset where they differ."""
    for option, more, text in options:
        defaults = {}
        for name, (config, training, temperature) in PRESETS.items():
            everything = {**vars(config), **vars(training), **vars(EvalConfig()), "temperature": temperature}
            defaults[name] = everything[field_of(option, more)]
        if len(set(defaults.values())) == 1:
            shown = _show(defaults["current"])
        else:
            shown = ", ".join(f"{_show(value)} in {name}" for name, value in defaults.items())
        if option == "--batch-size":
            shown += f"; {engines.default_batch_size('fast')} with --engine fast"
        group.add_argument(option, help=f"{text} (default: {shown})", default=None, **more)


def add_preset(group):
    group.add_argument(
        "--preset", choices=PRESETS, help="the reference's revision that sets the defaults below (default: current)"
    )


def add_threads(group):
    group.add_argument(
        "--threads", type=whole, metavar="N", default=1,
        help="that --engine fast may use, 0 for all cores; the results do not depend on it (default: %(default)s)",
    )  # fmt: skip


def _show(value):
    shown = {True: "yes", False: "no", None: "none"}
    return shown[value] if value is None or isinstance(value, bool) else f"{value}"


def settings(arguments, saved=None):
    """GPTConfig, TrainConfig, EvalConfig and temperature: the preset's, with the fields that options replace.

    saved: the Checkpoint that the run starts from. Where no preset is given, its model's settings stand in for the
    preset's, and all its settings where that run is resumed.
    """
    preset = preset_of(arguments, saved)
    config, training, temperature = PRESETS[preset]
    training = replace(training, batch_size=engines.default_batch_size(arguments.engine))
    evaluation = EvalConfig()
    given = {name: value for name, value in vars(arguments).items() if value is not None}
    resumed = saved is not None and arguments.resume and saved.progress
    if resumed:  # neither is a preset's
        training, evaluation = replace(training, batch_size=saved.training.batch_size), saved.evaluation
    if saved is not None and arguments.preset is not None:
        pairs = [(config, saved.config), *[(training, saved.training)] * bool(resumed)]
        _refuse_differences(arguments, given, pairs)
    elif saved is not None:
        config, training = saved.config, saved.training if resumed else training
    try:
        configs = [
            replace(config, **{name: given[name] for name in vars(config) if name in given})
            for config in (config, training, evaluation)
        ]
        temperature = given.get("temperature", temperature)
        sampling.check_options(temperature)
    except (ValueError, TypeError) as error:
        raise Usage(in_options(error)) from None
    return *configs, temperature


def _refuse_differences(arguments, given, pairs):
    """Failure where the preset has a setting that the saved run or model has otherwise, and no option says so."""
    for ours, theirs in pairs:
        for name, value in vars(theirs).items():
            if name not in given and getattr(ours, name) != value:
                raise Failure(
                    f"{arguments.resume or arguments.init!r} has {OPTIONS[name]} {value}, and --preset {arguments.preset} "
                    f"has {getattr(ours, name)}; leave --preset away, or begin a new run"
                )


def preset_of(arguments, saved=None):
    """The preset that is given, else the one which a Checkpoint is most like, else the current revision."""
    if arguments.preset is not None or saved is None:
        return arguments.preset or "current"
    return max(PRESETS, key=lambda name: len(vars(PRESETS[name].config).items() & vars(saved.config).items()))


def in_options(error):
    """An error's text with the user's options in place of the fields; what it quotes of the user's stays as it is."""
    text = re.sub(r"\bleave (seed|long) away", r"leave --\1 away", str(error)).replace("with init", "with --init")
    text = re.sub(r"^threads=(\d+) needs engine='fast'", r"--threads \1 needs --engine fast", text)
    text = re.sub(r"^threads\b", "--threads", text)
    return re.sub(r"""(?<!\w)'[^']*'|(?<!\w)"[^"]*"|(?<!-)\b\w+""", lambda part: OPTIONS.get(part[0], part[0]), text)
