"""microgpt run: run a user's own microgpt-like script, unchanged, on the compiled Value."""

from microgpt.cli.commands import Failure

DESCRIPTION = (
    "Run a script as Python would, but compile the parts that are like the reference's (Value, linear, softmax, rmsnorm, attention, "
    "Adam). The output is the same, only faster. One line on standard error says what was compiled and what was not."
)


def configure(parser):
    parser.usage = "microgpt run [--explain | --quiet] [-m] SCRIPT [ARGS ...]"
    talk = parser.add_mutually_exclusive_group()
    talk.add_argument("--explain", action="store_true", help="say for each place in the script what was done and why")
    talk.add_argument("--quiet", action="store_true", help="print nothing on standard error besides the script's own output")
    parser.add_argument("-m", dest="as_module", action="store_true", help="SCRIPT is the name of a module or package, as for python -m")
    parser.add_argument("script", metavar="SCRIPT", help="the Python file to run")
    parser.add_argument("arguments", metavar="ARGS", nargs="*", default=[], help="the script's own arguments, options included")


def split(argv):
    """`argv` up to the script, and the rest, which belongs to the script even if it looks like an option."""
    for i, argument in enumerate(argv):
        if not argument.startswith("-") or argument == "-":
            return argv[: i + 1], argv[i + 1 :]
    return argv, []


def run(arguments):
    from microgpt.common import interrupts
    from microgpt.scripts import Unreadable, run_script

    interrupts.as_python_has_it()
    try:
        return run_script(
            arguments.script, arguments.script_arguments, module=arguments.as_module, explain=arguments.explain, quiet=arguments.quiet
        )
    except Unreadable as error:
        raise Failure(str(error)) from None
