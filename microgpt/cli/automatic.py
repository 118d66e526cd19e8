"""--auto and --block-size auto: their choices replace them, as if the user had given these options, and are shown as a command."""

from microgpt import advice
from microgpt.cli.commands import Usage
from microgpt.cli.options import as_words, in_options, meant, preset_of, recipe_of, threads_of
from microgpt.cli.output import as_command
from microgpt.common.saying import say
from microgpt.config import PRESETS
from microgpt.corpus.loading import DOCUMENTS
from microgpt.engines import EngineError

FLAGS = {name: option.flags() for name, option in advice.OPTIONS.items()}  # all that may be chosen


def check(arguments):
    """Raise Usage for options that exclude each other, before anything is read."""
    if arguments.time is not None and not arguments.auto:
        raise Usage("--time is the training time for --auto; give --auto too, or --steps instead of --time")
    for option in ("preset", "resume", "init"):
        if getattr(arguments, option) is None:
            continue
        if arguments.auto:
            raise Usage(f"--auto chooses settings that --{option} determines; omit one of them")
        if arguments.block_size == "auto" and option != "preset":
            raise Usage(f"the model of --{option} determines the block size; omit --block-size")


def settle(arguments, text):
    """Put the choices for the text, a string, into the arguments and their command line; returns the text's documents."""
    if arguments.auto:
        given = {name: meant(value) for name in FLAGS if (value := getattr(arguments, name)) not in (None, "auto")}
        try:
            suggestion = advice.suggest(text, arguments.time or advice.SECONDS.default, threads_of(arguments), **given)
        except EngineError:
            raise
        except (ValueError, TypeError) as error:
            raise Usage(in_options(error)) from None
        docs, chosen = suggestion.docs, {name: value for name, value in suggestion.options().items() if name not in given}
    else:
        kind = arguments.documents or (recipe_of(arguments) or PRESETS[preset_of(arguments)]).config.documents
        docs = DOCUMENTS[kind](text)
        chosen = {"block_size": advice.block_size(docs, kind)}
    vars(arguments).update(chosen)
    arguments.argv = explicit(arguments.argv, chosen)
    say(f"chosen: {as_command(['microgpt', *arguments.argv])}")
    return docs


def explicit(argv, chosen):
    """The command line with the choices, name -> value, in place of the options that asked for them."""
    kept, arguments = [], iter(argv)
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if argument == "--":  # from here on there are no options
            break
        if name in ("--time", "--block-size"):
            value = value if equals else next(arguments)
            if name == "--block-size" and value != "auto":
                kept += [name, value]
        elif argument != "--auto":
            kept.append(argument)
    else:
        argument = None
    for name, value in chosen.items():
        kept += as_words(FLAGS[name], value)
    return kept if argument is None else [*kept, argument, *arguments]
