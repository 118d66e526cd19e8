"""microgpt train: train a new model or continue a saved run, and print samples."""

import math
import os
import signal
import sys
import time
from functools import partial

from microgpt import engines, verdict
from microgpt.cli import automatic, places, progress, repeats
from microgpt.cli.commands import Failure, Stopped, Usage, add_reading, count, data_notes, duration, for_output, load, load_lines, whole
from microgpt.cli.commands.sample import length_help
from microgpt.cli.keeping import Keeping
from microgpt.cli.options import (
    CHOICE,
    EVALUATION,
    MODEL,
    TRAINING,
    add,
    add_preset,
    complete,
    in_options,
    preset_of,
    settings,
    threads_of,
)
from microgpt.cli.output import Documents, Screen, as_command, print_sizes
from microgpt.common import interrupts
from microgpt.common.saying import say
from microgpt.common.words import quoted, quoted_path, sized
from microgpt.corpus.documents import LONG_DOCS
from microgpt.corpus.loading import file_of
from microgpt.display import history
from microgpt.engines import ENGINE, THREADS
from microgpt.lab import folders
from microgpt.live import is_terminal
from microgpt.snapshots import ABOUT, SNAPSHOTS
from microgpt.storage import checkpoint
from microgpt.training import SEED, DivergenceError, Interrupted, start

DESCRIPTION = "Train a model on a text file, one document per line (see --documents), and print documents that it generates."

INFERENCE = {  # what a revision prints above its samples, and before each
    "current": ("--- inference (new, hallucinated names) ---", "sample {:2d}: "),
    "first": ("--- inference ---", "sample {}: "),
}
LARGE_SHARE = 0.1  # fraction of the text; if more is never learned, there is a note
NOT_SAVED = "the model was not saved; to save it, give --out FILE"


def run(arguments):
    complete(arguments)
    automatic.check(arguments)
    out = arguments.out or arguments.resume
    seeds = repeats.asked(arguments)
    _check_files(arguments, out, seeds)
    origin = arguments.resume or arguments.init
    saved = checkpoint.read(origin) if origin else None
    docs = None
    if arguments.auto or arguments.block_size == "auto":
        [text] = load(arguments.data, "text", arguments)
        docs = automatic.settle(arguments, text)
    config, training, evaluation, temperature = settings(arguments, saved)
    threads = threads_of(arguments)
    if docs is None:
        lines = config.documents == "lines"
        docs = load_lines(arguments.data, arguments) if lines else load(arguments.data, config.documents, arguments)
    val_docs = None if arguments.val is None else load(arguments.val, config.documents, arguments)
    if seeds:
        return repeats.run(arguments, seeds, docs, val_docs, config, training, evaluation, temperature, threads)
    try:
        with data_notes():
            run = start(
                docs, config, training, evaluation=evaluation, val_docs=val_docs, long_docs=arguments.long_docs, engine=arguments.engine,
                threads=threads,
                init=arguments.init, resume=arguments.resume, seed=arguments.seed, snapshots=arguments.snapshots,
            )  # fmt: skip
    except ValueError as error:
        raise Failure(in_options(error)) from None
    _warn_if_cut(run)
    if arguments.resume:
        _warn_if_rounded_differently(saved.source.engine, run.model.engine)
    folder = None
    if arguments.run_dir:
        folder = _make_folder(run, arguments, temperature)
        out, arguments.log = os.path.join(folder, folders.MODEL), os.path.join(folder, folders.LOSSES)
    screen = Screen(quoted_path(out or arguments.log) if out or arguments.log else None)
    keeping = Keeping(run, out, arguments.log, arguments.checkpoint_every, arguments.resume)
    print_sizes(run, screen)
    if is_terminal(screen):
        print(f"memory: about {sized(run.memory.total())}", file=screen, flush=True)
    _train(run, arguments, screen, keeping, temperature)
    for line in history.summary(run):
        if is_terminal(screen):
            print(line, file=screen)
        elif run.held_out or sys.stderr.isatty():
            say(line)
    _warn_if_not_learned(run, arguments)
    n = arguments.samples if arguments.samples is not None else 1 if config.documents == "text" else 20
    if n:
        try:
            texts = _print_samples(run, n, arguments.length, temperature, screen, *INFERENCE[preset_of(arguments, saved)])
        except KeyboardInterrupt:
            raise _stopped(signal.SIGINT, arguments, keeping) from None
        if folder:
            folders.write(folder, folders.SAMPLES, "".join(f"{text}\n" if config.documents == "lines" else f"{text}\n\n" for text in texts))
    if folder:
        say(f"the run is in {quoted_path(folder)}")
    if not out:
        say(NOT_SAVED)
    return 1 if screen.failed or keeping.failed else 0


def _make_folder(run, arguments, temperature):
    """Make the new folder of --run-dir, with everything known before the first step."""
    try:
        folder = folders.create(arguments.run_dir, arguments.data)
        command = as_command(["microgpt", *arguments.argv])
        folders.write_config(folder, folders.describe(run, command, arguments.data, temperature, arguments.resume))
    except OSError as error:
        raise Failure(f"--run-dir: {quoted_path(arguments.run_dir)} cannot be written: {error.strerror or error}") from None
    return folder


def _check_files(arguments, out, seeds):
    """Check, before training for hours, that all files can be written and none is lost."""
    for option in ("resume", "init", "val"):
        if getattr(arguments, option) == "":
            raise Usage(f"--{option} needs the name of a file; it was given an empty one")
    if arguments.run_dir == "":
        raise Usage("--run-dir needs the name of a folder; it was given an empty one")
    if arguments.resume and arguments.init:
        raise Usage("--resume continues a run with its own weights; give it or --init, not both")
    for option in ("out", "log"):
        if arguments.run_dir and getattr(arguments, option) is not None:
            raise Usage(f"--run-dir also writes the file of --{option}, in a new folder; omit one of them")
    if arguments.log_gradient_norm and not (arguments.log or arguments.run_dir):
        raise Usage("--log-gradient-norm adds a column to the log; give --log FILE too, or --run-dir")
    if arguments.data == arguments.val == "-":
        raise Usage("standard input can be read only once; give a file to train on or to --val")
    if arguments.checkpoint_every is not None:
        if arguments.checkpoint_every < 1:
            raise Usage(f"--checkpoint-every must be at least 1, not {quoted(arguments.checkpoint_every)}")
        if not out and not arguments.run_dir:
            raise Usage("--checkpoint-every needs --out FILE, the file to write")
    if arguments.sample_every is not None and arguments.sample_every < 1:
        raise Usage(f"--sample-every must be at least 1, not {quoted(arguments.sample_every)}")
    for option in ("temperature", "length"):
        if arguments.samples == 0 and arguments.sample_every is None and getattr(arguments, option) is not None:
            raise Usage(f"--{option} has no effect with --samples 0; omit one of them")
    if arguments.log and not arguments.log.endswith(history.FORMATS):
        raise Usage(f"--log must end in {' or '.join(history.FORMATS)}, which determines its format; not {quoted_path(arguments.log)}")
    read = [("the training data", file_of(arguments.data)), ("the file of --val", arguments.val and file_of(arguments.val))]
    if seeds:
        read.append(("the file of --init", arguments.init))
        repeats.check_files(arguments, seeds, read)
        return
    if arguments.out is not None:
        places.check("--out", arguments.out, "a model that microgpt saved", checkpoint.is_saved, arguments.force, read)
    elif out and os.path.exists(out):  # the file of --resume is checked when it is read
        places.check("--resume", out, "", lambda path: True)
    if arguments.log is not None:
        read += [("the file of --out", out), ("the file of --resume", arguments.resume), ("the file of --init", arguments.init)]
        places.check("--log", arguments.log, "a log of microgpt train", history.is_log, arguments.force, read)


def _warn_if_cut(run):
    if run.long_docs != "truncate" or run.model.config.documents == "text":
        return
    block_size = run.model.config.block_size
    of_docs, of_text = run.corpus.share_cut(block_size)
    if of_text > LARGE_SHARE:
        say(
            f"{of_docs:.0%} of the documents are longer than --block-size {block_size}, and {of_text:.0%} of "
            "the text is never learned; see microgpt inspect, and use --documents text or --long-docs to learn the rest"
        )


def _warn_if_rounded_differently(before, engine):
    if before != engine.name and not (engine.exact and engines.engine_class(before).exact):
        say(
            f"this run was computed by the engine {before}; {engine.name} rounds differently, so the result will differ from that of an "
            "uninterrupted run"
        )


def _warn_if_not_learned(run, arguments):
    if run.evaluation.patience is not None or arguments.init and not run.losses:
        return  # the last losses are not those of its weights
    if run.diverged:
        say(in_options(verdict.divergence(run)))
    elif arguments.samples != 0:
        complaint = verdict.complaint(run.losses, run.model.tokenizer.vocab_size, run.corpus.entropy())
        if complaint:
            say(f"{complaint}; train for more --steps, or with another --learning-rate")


def _train(run, arguments, screen, keeping, temperature):
    """Do all the steps, showing and saving them. Raises Stopped after the step in which a signal arrived."""
    with interrupts.Noted(interrupts.STOPPING, interrupts.received) as stopped:
        try:
            with progress.display(run, screen) as shown:

                def update():
                    shown.update()
                    keeping.update()
                    if arguments.sample_every and len(run.losses) % arguments.sample_every == 0:
                        shown.note(_sample_on_the_way(run, temperature, arguments.length))

                periods = [every for every in (keeping.every, arguments.sample_every) if every]
                run.train(
                    progress=update, pause_every=math.gcd(*periods) or None, stopped=stopped, gradient_norms=arguments.log_gradient_norm
                )
        except DivergenceError as error:  # saving now would replace good weights, and resuming would diverge again
            left = f"; {keeping.state()}; start from it with --init" if keeping.newest else ""
            raise Failure(f"{in_options(error)}{left}") from error
        except Interrupted:  # a second Ctrl-C, while the held-out loss was measured: the run is intact
            pass
        except KeyboardInterrupt:  # in the middle of a step
            raise Stopped(stopped[-1], f"in step {len(run.losses) + 1} of {run.training.num_steps}; {keeping.state()}") from None
        finally:
            keeping.update_log()
            keeping.close_log()
        if keeping.out:
            keeping.finish()  # before the samples, so that from here on nothing can be lost
    if stopped:
        raise _stopped(stopped[-1], arguments, keeping)


def _sample_on_the_way(run, temperature, length):
    """A line with a document generated by the current weights, with its own random numbers, so that those of the run do not change."""
    try:
        [text] = run.model.generate(1, temperature, seed=len(run.losses), length=length)
    except (ArithmeticError, ValueError) as error:
        return f"sample at step {len(run.losses)}: none ({error})"
    lines = "\n".join(map(for_output, text.split("\n")))
    return f"sample at step {len(run.losses)}:{' ' if run.model.config.documents == 'lines' else chr(10)}{lines}"


def _stopped(number, arguments, keeping):
    run = keeping.run
    return Stopped(number, f"after step {len(run.losses)} of {run.training.num_steps}; {_how_to_go_on(arguments, keeping)}")


def _how_to_go_on(arguments, keeping):
    if keeping.out is None:
        return NOT_SAVED
    if keeping.newest is None or keeping.newest[1] < len(keeping.run.losses):
        return keeping.state()
    again = ", giving the same text on standard input," if "-" in (arguments.data, arguments.val) else ""
    return f"resume{again} with: {_command_to_go_on(arguments.argv, keeping.newest[0])}"


def _command_to_go_on(argv, out):
    """The original command line, with --resume in place of the options that it replaces."""
    kept, arguments = [], iter(argv)
    for argument in arguments:
        name, equals, _ = argument.partition("=")
        if argument == "--":  # from here on there are no options
            break
        if name in ("--out", "--resume", "--init"):
            if not equals:
                next(arguments)
        elif argument == "--force":  # by now microgpt has written the file
            continue
        else:
            kept.append(argument)
    resume = [f"--resume={out}"] if out.startswith("-") else ["--resume", out]
    data = [os.path.join(".", argument) if argument[:1] == "-" != argument else argument for argument in arguments]
    return as_command(["microgpt", *kept, *data, *resume])


def _print_samples(run, n, length, temperature, screen, heading, label):
    kind = run.model.config.documents
    print(f"\n{heading if kind == 'lines' else INFERENCE['first'][0]}", file=screen)
    documents, texts = Documents(screen, kind), []
    for i in range(1, n + 1):
        started = time.perf_counter()
        begin = label.format(i) if kind == "lines" else f"{label.format(i).strip()}\n"
        try:
            echo = partial(documents.echo, label=begin) if screen.isatty() else None
            [text] = run.generate(1, temperature, length=length, echo=echo)
        except (ArithmeticError, ValueError) as error:  # the weights after the last step are out of range
            advice = in_options(verdict.remedy(run, len(run.losses) + 1))
            raise Failure(f"no sample can be drawn: {error}; {advice}, or a higher --temperature") from None
        except KeyboardInterrupt:
            documents.close()
            raise
        documents.print([text], begin)
        texts.append(text)
        if time.perf_counter() - started > 0.02:  # show slow samples at once
            screen.flush()
    return texts


# ---- Options --------------------------------------------------------------------------------------------------------


def configure(parser):
    parser.add_argument(
        "data",
        metavar="DATA",
        nargs="?",
        help="a text file (UTF-8; also .gz), an http(s) address, '-' for standard input, 'names' for the reference's list of names or "
        "'shakespeare' for 40,000 lines of Shakespeare (default: input.txt in the current folder if there is one, else names)",
    )
    group = parser.add_argument_group("the run")
    group.add_argument(
        "--auto", action="store_true",
        help="choose documents, model, engine and steps to suit the data and --time, except for given options (default: as below)",
    )  # fmt: skip
    group.add_argument("--time", type=duration, metavar="TIME", help="training time for --auto on this machine: 30s, 5m, 1h (default: 1m)")
    add_preset(group)
    add(group, [SEED, ENGINE, THREADS, LONG_DOCS], several=["seed"], engine="with --resume, the saved run's")
    repeats.add_options(group)
    add_reading(parser.add_argument_group("the data"), "DATA and --val")
    files = parser.add_argument_group("files")
    files.add_argument(
        "--out", metavar="FILE", help="save the model in this file, for microgpt sample (default: the file of --resume, if given)"
    )
    files.add_argument(
        "--checkpoint-every", type=whole, metavar="N",
        help="also save to --out every N steps (default: only at the end, or after Ctrl-C)",
    )  # fmt: skip
    files.add_argument("--resume", metavar="FILE", help="continue a saved run (default: a new run)")
    files.add_argument("--init", metavar="FILE", help="start with the weights of a saved model (default: random weights)")
    files.add_argument("--log", metavar="FILE", help="write the losses of every step: .csv or .jsonl (default: no file)")
    files.add_argument(
        "--log-gradient-norm", action="store_true",
        help="also write the norm of each step's gradient, before clipping (default: not)",
    )  # fmt: skip
    files.add_argument(
        "--run-dir", metavar="DIR",
        help="write settings and command, losses, model and samples into a new folder in DIR, such as DIR/2026-11-27-names-001 "
        "(default: no folder)",
    )  # fmt: skip
    files.add_argument("--force", action="store_true", help=places.FORCE)
    add(parser.add_argument_group("the model"), MODEL)
    add(parser.add_argument_group("the training (Adam)"), TRAINING)
    measured = parser.add_argument_group("the held-out loss")
    add(measured, EVALUATION)
    measured.add_argument(
        "--val", metavar="FILE", help="measure on these documents, given like DATA, instead of holding some out (default: none)"
    )
    parser.add_argument_group("the page of microgpt explore").add_argument(
        "--snapshots", type=whole, nargs="?", const=ABOUT, metavar="N",
        help=f"{SNAPSHOTS.text}; without N {ABOUT} times (default: never)",
    )  # fmt: skip
    samples = parser.add_argument_group("the samples")
    samples.add_argument("--samples", type=count, metavar="N", help="number of samples to print (default: 20, or 1 text)")
    samples.add_argument("--length", type=count, metavar="N", help=length_help())
    samples.add_argument(
        "--sample-every", type=whole, metavar="N", help="also print a sample after every N steps of the training (default: none)"
    )
    add(samples, [CHOICE["temperature"]])
