"""microgpt explore: a saved model as one web page."""

import os
from itertools import zip_longest
from pathlib import Path

from microgpt.cli import places
from microgpt.cli.commands import Failure, Usage, add_reading, for_output, load
from microgpt.common.words import quoted_path, sized
from microgpt.display import explore, history
from microgpt.model import GPT
from microgpt.storage import checkpoint

DESCRIPTION = (
    "Write a model as one HTML page that needs no network: type a beginning and see what may follow, where the "
    "attention heads look, how the characters relate, what the model generates, and how it learned. MODEL is a file "
    "written by microgpt train --out; two models are compared."
)


def configure(parser):
    parser.add_argument(
        "models", nargs="+", metavar="MODEL",
        help="the saved model; the page contains all its weights. Two models are shown side by side and read the same text",
    )  # fmt: skip
    parser.add_argument("-o", "--out", metavar="FILE", help="the page (default: MODEL's name with .html, in the current folder)")
    parser.add_argument(
        "--log", action="append", metavar="FILE",
        help="a log of microgpt train --log (.csv or .jsonl), for the loss curve; once for each MODEL, in their order (default: the "
        "losses in MODEL)",
    )  # fmt: skip
    parser.add_argument(
        "--data", metavar="DATA",
        help="the training data of MODEL; the page then contains them, and counts how many of the model's texts are new (default: none)",
    )  # fmt: skip
    add_reading(parser, "--data")
    parser.add_argument("--force", action="store_true", help=places.FORCE)
    parser.add_argument("--open", action="store_true", help="open the page in the browser (default: only write it)")


def run(arguments):
    paths, logs = arguments.models, arguments.log or []
    _check_options(arguments)
    names = [Path(os.path.abspath(path)).stem for path in paths]  # also the name of the folder "."
    out = arguments.out or f"{'-'.join(names)}.html"
    sources = [*(("the model", path) for path in paths), *(("the log", log) for log in logs), ("the data", arguments.data)]
    places.check("--out", out, "a page of microgpt explore", explore.is_page, arguments.force, sources)
    try:
        shown = [_shown(path, name, log, arguments) for path, name, log in zip_longest(paths, names, logs)]
        explore.write(out, **vars(shown[0]), beside=shown[1] if shown[1:] else None)
    except ValueError as error:
        raise Failure(error) from None
    where = Path(out).absolute()
    print(f"{for_output(out)}: {sized(os.path.getsize(out))}; open it in a browser: {where.as_uri()}")
    if arguments.open:
        import webbrowser

        if not webbrowser.open(where.as_uri()):
            raise Failure(f"no browser could be opened here; open {quoted_path(where)} in a browser yourself")


def _check_options(arguments):
    most, count = len(explore.SUFFIXES), len(arguments.models)
    if count > most:
        raise Usage(f"a page shows at most two models, not {count}; write a page for each pair")
    for option in ("out", "data"):
        if getattr(arguments, option) == "":
            raise Usage(f"--{option} needs the name of a file; it was given an empty one")
    for log in arguments.log or []:
        if log == "":
            raise Usage("--log needs the name of a file; it was given an empty one")
        if not log.endswith(history.FORMATS):
            formats = " or ".join(history.FORMATS)
            raise Usage(f"--log must be a {formats} file that microgpt train --log wrote, not {quoted_path(log)}")
    if len(arguments.log or []) > count:
        raise Usage("there are more logs than models; give --log once for each MODEL, in their order")


def _shown(path, name, log, arguments):
    """A saved model with the facts about its training from its file; the losses are those of the log, if there is one."""
    saved = checkpoint.read(path)
    model = GPT(saved.config, saved.tokenizer, saved.params)
    return explore.Shown(
        model, name, training=saved.training, docs=_docs(path, saved.config, arguments), **_losses(log, saved.progress), **_snapshots(saved)
    )


def _docs(path, config, arguments):
    """The documents of --data, or None."""
    if arguments.data is None:
        return None
    if config.documents == "text":
        raise Usage(f"--data compares documents, and {quoted_path(path)} writes one long text; omit --data")
    return load(arguments.data, config.documents, arguments)


def _losses(log, progress):
    """Fields of explore.Shown: the losses of the log, or those in the file, or none."""
    if log:
        found = history.read(log)
        return {"steps": found.steps, "losses": found.losses, "val_losses": found.val_losses}
    if progress:
        return {"losses": progress.losses, "val_losses": progress.val_losses}
    return {}


def _snapshots(saved):
    """Fields of explore.Shown: the snapshots in the file, and the step of the model's weights."""
    progress = saved.progress
    if progress is None or progress.snapshots is None:
        return {}
    step = len(progress.losses)
    if progress.best_params is not None and progress.best_params == saved.params:
        step = min(progress.val_losses, key=lambda pair: pair[1])[0]
    return {"snapshots": progress.snapshots, "step": step}
