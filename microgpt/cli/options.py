"""Options of the command line, made from those of microgpt.config; a preset replaces their defaults."""

import argparse
import re
from dataclasses import fields, replace
from functools import partial

from microgpt import engines
from microgpt.cli.commands import Failure, Usage, number, or_word, whole, whole_or_several
from microgpt.common import renamed
from microgpt.common.options import options_of, shown
from microgpt.common.saying import say
from microgpt.common.words import quoted_path, shortened
from microgpt.config import PRESETS, RECIPES, EvalConfig, GPTConfig, SampleConfig, TrainConfig
from microgpt.engines import THREADS

MODEL, TRAINING, EVALUATION = (list(options_of(kind).values()) for kind in (GPTConfig, TrainConfig, EvalConfig))
CHOICE = options_of(SampleConfig)
OPTIONS = {option.name: option.flags() for option in (*MODEL, *TRAINING, *EVALUATION, *CHOICE.values())}
FLAGS = OPTIONS | {
    "long_docs": "--long-docs",
    "val_docs": "--val",
    "documents": "documents",
}  # in messages, "documents" is nearly always the word
NONE = "none"  # the word for None, to switch off an option of a preset or a saved run
OPTIONAL = {option.name for option in (*TRAINING, *EVALUATION) if option.default is None}
KINDS = {int: dict(type=whole, metavar="N"), float: dict(type=number, metavar="X")}


def add(group, options, default=None, several=(), **notes):
    """Add Options to a group of the parser; each is `default` if it is not given.

    The help shows the default of each option, for each preset if they differ. notes: name -> an addition to this. several: names of
    options that may be lists of whole numbers.
    """
    for option in options:
        if option.kind is bool:
            more = dict(action=argparse.BooleanOptionalAction)
        elif option.kind is str:
            more = dict(choices=option.choices)
        else:
            more = KINDS[option.kind]
        if option.name in several:
            more = dict(type=whole_or_several, metavar="N")
            option = replace(option, text=f"{option.text}; a list, such as 1,2,3, trains one model for each")
        if option.name in OPTIONAL:
            more = more | dict(type=or_word(more["type"], NONE))
        if option.name == "block_size":
            more = dict(type=or_word(whole, "auto"), metavar="N")
            option = replace(option, text=f"{option.text}; auto: chosen so that the documents fit")
        action = group.add_argument(option.flags(), dest=option.name, help=option.text, default=default, **more)
        for old, today in renamed.TODAY.items():
            if today == option.name:  # not in the help
                group.add_argument(f"--{old}", dest=today, help=argparse.SUPPRESS, default=default, action=OldName, **more)
        action.describe = partial(described, option, notes.get(option.name))  # evaluated only for --help


class OldName(argparse.Action):
    """Stores the value of an option that was given by the name it had in 0.1, and says today's."""

    def __call__(self, parser, namespace, value, option_string=None):
        say(renamed.sentence(option_string.strip("-"), "--{}").replace("_", "-"))
        setattr(namespace, self.dest, value)


def as_words(flag, value):
    """The words of a command line that set an option to this value."""
    if isinstance(value, bool):
        return [flag if value else f"--no-{flag[2:]}"]
    text = NONE if value is None else str(value)
    return [f"{flag}={text}"] if text.startswith("-") else [flag, text]


def meant(value):
    """The value that an argument of an option means."""
    return None if value == NONE else value


def described(option, note=None):
    """An option's line in the help; note: an addition to the default, or None for the notes of the engines."""
    of_presets = {name: value_in(preset, option) for name, preset in PRESETS.items()}
    if len(set(of_presets.values())) == 1:
        text = shown(option.default)
    else:
        text = ", ".join(f"{shown(value)} in {name}" for name, value in of_presets.items())
    notes = [note] if note else engine_notes(option)
    return f"{in_options(option.text)} (default: {'; '.join([text, *notes])})"


def value_in(preset, option):
    """An option's value in a preset: the preset's own, or the default."""
    for part in (preset.config, preset.training, SampleConfig(preset.temperature)):
        if option.name in vars(part):
            return getattr(part, option.name)
    return option.default


def engine_notes(option):
    """Notes on engines with another default or narrower bounds than the option."""
    for name in engines.ENGINES:
        engine = engines.engine_class(name)
        if option.name == "batch_size" and engine.batch_size != option.default:
            yield f"{engine.batch_size} with --engine {name}"
        if option.name in engine.limits:
            yield f"{replace(option, **engine.limits[option.name]).bounds()} with --engine {name}"


def add_preset(group):
    group.add_argument(
        "--preset", choices=[*PRESETS, *RECIPES],
        help="the source of the defaults: a revision of the reference, as listed below, or shakespeare, a recipe for this data set "
        "with --engine fast and --val-fraction 0.1 (default: current)",
    )  # fmt: skip


def recipe_of(arguments):
    """The Recipe given as the preset, or None."""
    return RECIPES.get(arguments.preset)


def complete(arguments):
    """Take data and engine from the preset if they are not given. A resumed run has its own engine."""
    recipe = recipe_of(arguments)
    if recipe is not None:
        arguments.data = arguments.data or recipe.data
        if not getattr(arguments, "resume", None):
            arguments.engine = arguments.engine or recipe.engine


def settings(arguments, saved=None):
    """GPTConfig, TrainConfig, EvalConfig and temperature: those of the preset, except for the options that are given.

    saved: the Checkpoint from which the run starts. If no preset is given, its model's settings take the preset's place, and
    all its settings if that run is resumed.
    """
    recipe = recipe_of(arguments)
    if recipe is None:
        config, training, temperature = PRESETS[preset_of(arguments, saved)]
        training = replace(training, batch_size=engines.engine_class(arguments.engine or engines.DEFAULT).batch_size)
        evaluation = EvalConfig()
    else:
        config, training, temperature, evaluation, *_ = recipe
        if getattr(arguments, "val", None) is not None:
            evaluation = EvalConfig()
    given = {name: value for name, value in vars(arguments).items() if value is not None}
    resumed = saved is not None and arguments.resume and saved.progress
    if resumed:  # neither comes from a preset
        training, evaluation = replace(training, batch_size=saved.training.batch_size), saved.evaluation
    if saved is not None and arguments.preset is not None:
        pairs = [(config, saved.config), *[(training, saved.training)] * bool(resumed)]
        _refuse_differences(arguments, given, pairs)
    elif saved is not None:
        config, training = saved.config, saved.training if resumed else training
    try:
        config, training, evaluation = (_replaced(part, given) for part in (config, training, evaluation))
        temperature = SampleConfig(given.get("temperature", temperature)).temperature
        if not resumed:
            evaluation.check_documents("val" in given, [name for name, value in given.items() if value != NONE])
    except (ValueError, TypeError) as error:
        raise Usage(in_options(error)) from None
    return config, training, evaluation, temperature


def threads_of(arguments):
    """The number of threads given by --threads."""
    try:
        return THREADS.default if arguments.threads is None else THREADS.check(arguments.threads)
    except ValueError as error:
        raise Usage(in_options(error)) from None


def _replaced(part, given):
    changed = {field.name: meant(given[field.name]) for field in fields(part) if field.name in given}
    return replace(part, **changed) if changed else part


def _refuse_differences(arguments, given, pairs):
    """Raise Failure if a setting of the preset differs from that of the saved run or model and is not given as an option."""
    for ours, theirs in pairs:
        for name, value in vars(theirs).items():
            if name not in given and getattr(ours, name) != value:
                raise Failure(
                    f"{quoted_path(arguments.resume or arguments.init)} has {OPTIONS[name]} {shortened(str(value))}, and "
                    f"--preset {arguments.preset} has {getattr(ours, name)}; omit --preset, or start a new run"
                )


def preset_of(arguments, saved=None):
    """The revision given as the preset, else the one most similar to a Checkpoint, else the current revision."""
    if arguments.preset in PRESETS:
        return arguments.preset
    if saved is None or recipe_of(arguments):
        return "current"
    return max(PRESETS, key=lambda name: len(vars(PRESETS[name].config).items() & vars(saved.config).items()))


def in_options(error):
    """An error's text with command-line options in place of fields. Quoted user input stays as it is."""
    text = re.sub(r"\bomit (seed|documents)\b", r"omit --\1", str(error)).replace("with init", "with --init")
    text = re.sub(r"^threads=(?=\S+ needs)", "--threads ", text)
    text = re.sub(r"\bengine='(\w+)'((?: or '\w+')*)", lambda part: f"--engine {part[1]}{part[2].replace(chr(39), '')}", text)
    text = re.sub(r"^threads\b", "--threads", text)
    return re.sub(r"""(?<!\w)'[^']*'|(?<!\w)"[^"]*"|(?<!-)\b\w+""", lambda part: FLAGS.get(part[0], part[0]), text)
