"""microgpt train with several seeds: --seeds N or --seed 1,2,3."""

import os
import signal
import sys

from microgpt.cli import places
from microgpt.cli.commands import Failure, Stopped, Usage, data_notes, whole
from microgpt.cli.keeping import Keeping
from microgpt.cli.options import in_options
from microgpt.cli.output import as_command, print_sizes
from microgpt.common.saying import say
from microgpt.common.words import counted, quoted_path
from microgpt.display import history
from microgpt.lab import folders
from microgpt.lab.repeats import SEEDS, WORKERS, held_out_loss, repeat, seeds_of
from microgpt.storage import checkpoint
from microgpt.training import SEED
from microgpt.verdict import SMOOTHED_STEPS, smoothed

ALONE = ("resume", "checkpoint_every", "sample_every", "samples", "length", "temperature")  # options for a single run


def add_options(group):
    group.add_argument(
        "--seeds", type=whole, metavar="N",
        help="train with N seeds, --seed and the following ones, and report the mean and the spread of the losses (default: one run)",
    )  # fmt: skip
    group.add_argument("--workers", type=whole, metavar="N", help=f"{WORKERS.text}, with several seeds (default: one per core)")


def asked(arguments):
    """The list of seeds, or None for a single run. Raises Usage for options that cannot be combined with several seeds."""
    listed = isinstance(arguments.seed, list)
    if not listed and arguments.seeds is None:
        if arguments.workers is not None:
            raise Usage("--workers needs several runs; give --seeds N too, or omit it")
        return None
    if listed and arguments.seeds is not None:
        raise Usage("--seed already lists the seeds; omit --seeds")
    for name in ALONE:
        if getattr(arguments, name) not in (None, False):
            raise Usage(f"--{name.replace('_', '-')} is for a single run; omit it, or train with one seed")
    try:
        if arguments.workers is not None:
            WORKERS.check(arguments.workers)
        if listed:
            return seeds_of(arguments.seed)
        first = SEED.default if arguments.seed is None else SEED.check(arguments.seed)
        return [first + i for i in range(SEEDS.check(arguments.seeds))]
    except ValueError as error:
        words = {"seeds": "--seed" if listed else "--seeds", "seed": "--seed", "workers": "--workers"}
        name, _, rest = str(error).partition(" ")
        raise Usage(f"{words[name]} {rest}") from None


def of_seed(path, seed):
    """The file for one seed: names-seed-42.safetensors for names.safetensors."""
    if path is None:
        return None
    stem, suffix = os.path.splitext(path)
    return f"{stem}-seed-{seed}{suffix}"


def check_files(arguments, seeds, read):
    """Check, before training, that the files of every seed can be written and none is lost."""
    for seed in seeds:
        if arguments.out is not None:
            places.check("--out", of_seed(arguments.out, seed), "a model that microgpt saved", checkpoint.is_saved, arguments.force, read)
        if arguments.log is not None:
            places.check("--log", of_seed(arguments.log, seed), "a log of microgpt train", history.is_log, arguments.force, read)


def run(arguments, seeds, docs, val_docs, config, training, evaluation, temperature, threads):
    """Train with each seed, write the files, and print the losses. Returns the command's exit code."""
    kept, folder_of, finished = {}, {}, []

    def watch(run):
        if not kept:
            print_sizes(run, sys.stdout)
        out, log = of_seed(arguments.out, run.seed), of_seed(arguments.log, run.seed)
        if arguments.run_dir:
            folder = folder_of[run.seed] = folders.create(arguments.run_dir, arguments.data)
            words = _command_of(arguments.argv, run.seed)
            folders.write_config(folder, folders.describe(run, as_command(words), arguments.data, temperature))
            out, log = os.path.join(folder, folders.MODEL), os.path.join(folder, folders.LOSSES)
        kept[run.seed] = Keeping(run, out, log, None, None)
        return kept[run.seed].update

    def report(run):
        keeping = kept[run.seed]
        keeping.update_log()
        keeping.close_log()
        if not run.finished:
            print(f"seed {run.seed}: diverged after step {len(run.losses)}", flush=True)
            return
        if keeping.out:
            keeping.finish()
        finished.append(run.seed)
        loss = held_out_loss(run)
        held_out = "" if loss is None else f", held-out loss {loss:.4f}"
        place = f", in {quoted_path(folder_of[run.seed])}" if run.seed in folder_of else ""
        print(f"seed {run.seed}: loss {smoothed(run.losses):.4f}{held_out}, {run.seconds:.1f} s{place}", flush=True)

    try:
        with data_notes():
            repeats = repeat(
                docs, config, training, seeds=seeds, engine=arguments.engine, threads=threads, evaluation=evaluation, val_docs=val_docs,
                long_docs=arguments.long_docs, init=arguments.init, snapshots=arguments.snapshots, gradient_norms=arguments.log_gradient_norm,
                workers=arguments.workers, callback=report, watch=watch,
            )  # fmt: skip
    except OSError as error:
        raise Failure(f"--run-dir: {quoted_path(arguments.run_dir)} cannot be written: {error.strerror or error}") from None
    except ValueError as error:
        raise Failure(in_options(error)) from None
    except KeyboardInterrupt:
        saved = ", which are saved" if finished and (arguments.out or arguments.run_dir) else ""
        raise Stopped(signal.SIGINT, f"after {len(finished)} of {len(seeds)} runs{saved}") from None
    for line in table(repeats):
        print(line)
    if not arguments.out and not arguments.run_dir:
        say("no model was saved; to save them, give --out FILE or --run-dir DIR")
    return 1 if any(keeping.failed for keeping in kept.values()) else 0


def table(repeats):
    """The lines that summarize the runs: for each loss the mean, standard deviation and confidence interval."""
    steps = min(SMOOTHED_STEPS, len(repeats.runs[0].losses))
    rows = [(f"loss, last {counted(steps, 'step')}", repeats.loss), ("held-out loss", repeats.val_loss)]
    yield f"\n{counted(len(repeats.runs), 'run'):24}    mean      sd   95 % interval of the mean"
    for name, estimate in rows:
        if estimate is None:
            continue
        spread = f"{estimate.sd:7.4f}   {estimate.low:.4f} to {estimate.high:.4f}" if len(estimate.values) > 1 else "      -   -"
        yield f"{name:24}{estimate.mean:8.4f} {spread}"
    if repeats.diverged:
        yield f"without {counted(len(repeats.diverged), 'run')} that diverged: seed {', '.join(map(str, repeats.diverged))}"


def _command_of(argv, seed):
    """The words of the command for one seed alone."""
    kept, words = [], iter(argv)
    for word in words:
        name, equals, _ = word.partition("=")
        if word == "--":
            return ["microgpt", *kept, "--seed", str(seed), "--", *words]
        if name in ("--seeds", "--seed", "--workers"):
            if not equals:
                next(words)
        else:
            kept.append(word)
    return ["microgpt", *kept, "--seed", str(seed)]
