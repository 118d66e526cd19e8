"""microgpt train: train a new model, or go on with one, and print what it makes up."""

import os
import shlex
import signal
import sys
import time
from contextlib import closing, contextmanager, nullcontext

from microgpt import engines
from microgpt.cli import progress
from microgpt.cli.commands import Failure, Interrupted, Usage, count, for_output, load, say, whole
from microgpt.cli.options import (
    CHOICE,
    EVALUATION,
    MODEL,
    TRAINING,
    add,
    add_preset,
    in_options,
    preset_of,
    settings,
)
from microgpt.common.words import quoted, quoted_path
from microgpt.corpus import documents
from microgpt.corpus.documents import LONG
from microgpt.display import history
from microgpt.engines import ENGINE, THREADS
from microgpt.storage import checkpoint
from microgpt.training import SEED, DivergenceError, remedy, start

DESCRIPTION = "Train a model on a text file, one document a line, and print documents that it makes up."

INFERENCE = {  # what a revision prints above and in front of its samples
    "current": ("--- inference (new, hallucinated names) ---", "sample {:2d}: {}"),
    "first": ("--- inference ---", "sample {}: {}"),
}
LARGE_SHARE = 0.1  # of the text; where more is never learned, the command says so


def run(arguments):
    out = arguments.out or arguments.resume
    _check_files(arguments, out)
    origin = arguments.resume or arguments.init
    saved = checkpoint.read(origin) if origin else None
    config, training, evaluation, temperature = settings(arguments, saved)
    docs = load(arguments.data)
    try:
        run = start(
            docs, config, training, evaluation=evaluation, long=arguments.long, engine=arguments.engine,
            threads=THREADS.default if arguments.threads is None else arguments.threads,
            init=arguments.init, resume=arguments.resume, seed=arguments.seed,
        )  # fmt: skip
    except ValueError as error:
        raise Failure(in_options(error)) from None
    _warn_if_cut(run, docs)
    if arguments.resume:
        _warn_if_rounded_differently(saved.source.engine, run.model.engine)
    print(f"num docs: {len(run.corpus)}")
    print(f"vocab size: {run.model.tokenizer.vocab_size}")
    print(f"num params: {run.model.num_params}", flush=True)
    _train(run, arguments, out)
    for line in history.summary(run):
        if progress.is_terminal(sys.stdout):
            print(line)
        elif run.held_out or sys.stderr.isatty():
            say(line)
    if out:
        run.save(out)  # before the samples: from here on there is nothing that could be lost
    if arguments.samples:
        _print_samples(run, arguments.samples, temperature, *INFERENCE[preset_of(arguments, saved)])


def _check_files(arguments, out):
    """Before training for hours: can be written what is to be written?"""
    for option in ("out", "log", "resume", "init"):
        if getattr(arguments, option) == "":
            raise Usage(f"--{option} needs the name of a file; it was given an empty one")
    if arguments.resume and arguments.init:
        raise Usage("--resume goes on with a run's own weights; give it or --init, not both")
    if arguments.checkpoint_every is not None:
        if arguments.checkpoint_every < 1:
            raise Usage(f"--checkpoint-every must be at least 1, not {quoted(arguments.checkpoint_every)}")
        if not out:
            raise Usage("--checkpoint-every needs --out FILE, the file to write")
    if arguments.log and out and os.path.realpath(arguments.log) == os.path.realpath(out):
        raise Usage(f"--log and --out are the same file {quoted_path(out)}; give each its own")
    if arguments.samples == 0 and arguments.temperature is not None:
        raise Usage("--temperature has no effect with --samples 0; omit one of them")
    if arguments.log and not arguments.log.endswith(history.FORMATS):
        raise Usage(
            f"--log must end in {' or '.join(history.FORMATS)}, which says how to write it; not {quoted_path(arguments.log)}"
        )
    for option, path in (("--out", out), ("--log", arguments.log)):
        folder = os.path.dirname(path or "") or "."
        if path and os.path.isdir(path):
            raise Failure(f"{option}: {quoted_path(path)} is a folder; name a file in it")
        if path and not os.path.isdir(folder):
            raise Failure(f"{option}: there is no folder {quoted_path(folder)}; make it first")
        if path and not os.access(folder, os.W_OK):
            raise Failure(f"{option}: files in {quoted_path(folder)} may not be written by this user")


def _warn_if_cut(run, docs):
    if run.long != "truncate":
        return
    block_size = run.model.config.block_size
    of_docs, of_text = documents.share_cut(docs, block_size)
    if of_text > LARGE_SHARE:
        say(
            f"{of_docs:.0%} of the documents are longer than --block-size {block_size}, and {of_text:.0%} of "
            "the text is never learned; see microgpt inspect, and --long for what can be done"
        )


def _warn_if_rounded_differently(before, engine):
    if before != engine.name and not (engine.exact and engines.engine_class(before).exact):
        say(
            f"this run was computed by the engine {before}; {engine.name} rounds differently, so it goes on as "
            "another run would"
        )


def _train(run, arguments, out):
    """All the steps, with what shows and keeps them. Interrupted where a signal stopped it."""
    every = arguments.checkpoint_every
    kept = (arguments.resume, len(run.losses)) if arguments.resume else None  # the newest file, and its step
    log = closing(history.Log(run, arguments.log)) if arguments.log else nullcontext()
    with log as log, _stopping_signals() as stopped:
        try:
            with progress.display(run, sys.stdout) as shown:

                def update():
                    shown.update()
                    if log:
                        log.update()
                    if every and len(run.losses) % every == 0 and not run.finished:
                        nonlocal kept
                        kept = _save_on_the_way(run, out) or kept
                    return bool(stopped)

                run.train(progress=update, pause_every=every)
        except DivergenceError as error:  # saving now would replace good weights, and going on diverge again
            left = f"; {quoted_path(kept[0])} has the weights after step {kept[1]}, which --init starts from" if kept else ""
            raise Failure(f"{in_options(error)}{left}") from error
        except KeyboardInterrupt:  # a second signal, in the middle of a step
            raise Interrupted(stopped[-1], _where(run)) from None
        finally:
            if log:
                log.update()
    if stopped:
        rest = _where(run)
        if out:
            run.save(out)
            again = ", the same text on standard input," if arguments.data == "-" else ""
            rest += f"; go on{again} with: {_command_to_go_on(arguments.argv, out)}"
        raise Interrupted(stopped[-1], rest)


def _where(run):
    return f"after step {len(run.losses)} of {run.training.num_steps}"


def _save_on_the_way(run, out):
    """(out, step); None where it failed, which does not end the training: the next one may succeed."""
    try:
        run.save(out)
        return out, len(run.losses)
    except (OSError, checkpoint.CheckpointError) as error:
        say(f"{error}; training goes on")


@contextmanager
def _stopping_signals():
    """The list of the signals that came, Ctrl-C's SIGINT or SIGTERM; a second one raises KeyboardInterrupt at once."""
    stopped = []

    def handle(number, _):
        stopped.append(number)
        if len(stopped) > 1:
            raise KeyboardInterrupt

    before = {}
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
            try:
                before[number] = signal.signal(number, handle)
            except ValueError:  # not in the main thread, where signals are somebody else's
                pass
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _command_to_go_on(argv, out):
    """The command line as it was, with --resume in place of the options it replaces."""
    kept, arguments = [], iter(argv)
    for argument in arguments:
        name, equals, _ = argument.partition("=")
        if argument == "--":  # from here on there are no options
            break
        if name in ("--out", "--resume", "--init"):
            if not equals:
                next(arguments)
        else:
            kept.append(argument)
    resume = [f"--resume={out}"] if out.startswith("-") else ["--resume", out]
    data = [os.path.join(".", argument) if argument[:1] == "-" != argument else argument for argument in arguments]
    command = ["microgpt", *kept, *data, *resume]
    if os.name == "posix":
        return shlex.join(command)
    import subprocess

    return subprocess.list2cmdline(command)


def _print_samples(run, n, temperature, heading, line):
    print(f"\n{heading}")
    for i in range(1, n + 1):
        started = time.perf_counter()
        try:
            [text] = run.generate(1, temperature)
        except (ArithmeticError, ValueError) as error:  # the last step's weights are out of range
            advice = in_options(remedy(run, len(run.losses) + 1))
            raise Failure(f"no sample can be drawn: {error}; {advice}, or a higher --temperature") from None
        print(line.format(i, for_output(text)), flush=time.perf_counter() - started > 0.02)  # a slow one is seen when it is there


# ---- Options --------------------------------------------------------------------------------------------------------


def configure(parser):
    parser.add_argument(
        "data",
        metavar="DATA",
        nargs="?",
        help="a text file (UTF-8), '-' for standard input, or 'names' for the reference's list of names "
        "(default: input.txt in the current folder where there is one, else names)",
    )
    group = parser.add_argument_group("the run")
    add_preset(group)
    add(group, [SEED, ENGINE, THREADS, LONG], engine="with --resume, the saved run's")
    files = parser.add_argument_group("files")
    files.add_argument(
        "--out", metavar="FILE", help="save the model here, for microgpt sample (default: with --resume, there)"
    )
    files.add_argument(
        "--checkpoint-every", type=whole, metavar="N",
        help="save to --out every N steps too (default: only at the end, or after Ctrl-C)",
    )  # fmt: skip
    files.add_argument(
        "--resume", metavar="FILE", help="go on with a run that was saved before its end (default: a new run)"
    )
    files.add_argument("--init", metavar="FILE", help="start from a saved model's weights (default: random ones)")
    files.add_argument("--log", metavar="FILE", help="write every step's losses: .csv or .jsonl (default: no file)")
    add(parser.add_argument_group("the model"), MODEL)
    add(parser.add_argument_group("the training (Adam)"), TRAINING)
    add(parser.add_argument_group("the held-out loss"), EVALUATION)
    samples = parser.add_argument_group("the samples")
    samples.add_argument(
        "--samples", type=count, metavar="N", default=20, help="how many to print (default: %(default)s)"
    )
    add(samples, [CHOICE["temperature"]])
