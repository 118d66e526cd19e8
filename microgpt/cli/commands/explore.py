"""microgpt explore: a saved model as one web page."""

import os
from pathlib import Path

from microgpt.cli import places
from microgpt.cli.commands import Failure, Usage, add_reading, for_output, load
from microgpt.common.words import quoted_path, sized
from microgpt.display import explore, history
from microgpt.model import GPT
from microgpt.storage import checkpoint

DESCRIPTION = (
    "Write a model as one HTML page that needs no network: type a beginning and see what may follow, where the "
    "attention heads look, how the characters relate, what the model makes up, and how it learned. MODEL is a file "
    "that microgpt train --out wrote."
)


def configure(parser):
    parser.add_argument("model", metavar="MODEL", help="the saved model; the page contains all its weights")
    parser.add_argument("-o", "--out", metavar="FILE", help="the page (default: MODEL's name with .html, in the current folder)")
    parser.add_argument(
        "--log", metavar="FILE",
        help="what microgpt train --log wrote (.csv or .jsonl), for the loss curve (default: the losses in MODEL)",
    )  # fmt: skip
    parser.add_argument(
        "--data", metavar="DATA",
        help="what it was trained on, which the page then contains, to count how many of the model's texts are new (default: not known)",
    )  # fmt: skip
    add_reading(parser, "--data")
    parser.add_argument("--force", action="store_true", help=places.FORCE)
    parser.add_argument("--open", action="store_true", help="open the page in the browser (default: only write it)")


def run(arguments):
    _check_options(arguments)
    saved = checkpoint.read(arguments.model)
    name = Path(os.path.abspath(arguments.model)).stem  # that of the folder ".", too
    out = arguments.out or f"{name}.html"
    sources = [("the model", arguments.model), ("the log", arguments.log), ("the data", arguments.data)]
    places.check("--out", out, "a page of microgpt explore", explore.is_page, arguments.force, sources)
    model = GPT(saved.config, saved.tokenizer, saved.params)
    try:
        explore.write(
            out, model, name=name, training=saved.training, docs=_docs(arguments, saved), **_losses(arguments, saved), **_snapshots(saved)
        )
    except ValueError as error:
        raise Failure(error) from None
    where = Path(out).absolute()
    print(f"{for_output(out)}: {sized(os.path.getsize(out))}; open it in a browser: {where.as_uri()}")
    if arguments.open:
        import webbrowser

        if not webbrowser.open(where.as_uri()):
            raise Failure(f"no browser could be opened here; open {quoted_path(where)} in one yourself")


def _check_options(arguments):
    for option in ("out", "log", "data"):
        if getattr(arguments, option) == "":
            raise Usage(f"--{option} needs the name of a file; it was given an empty one")
    if arguments.log and not arguments.log.endswith(history.FORMATS):
        formats = " or ".join(history.FORMATS)
        raise Usage(f"--log must be a {formats} file that microgpt train --log wrote, not {quoted_path(arguments.log)}")


def _docs(arguments, saved):
    """Option of explore.page: the documents of the data, or None."""
    if arguments.data is None:
        return None
    if saved.config.documents == "text":
        raise Usage(f"--data compares documents, and {quoted_path(arguments.model)} writes one long text; omit --data")
    return load(arguments.data, saved.config.documents, arguments)


def _losses(arguments, saved):
    """Options of explore.page: the losses of the log, else those in the file, else none."""
    if arguments.log:
        return history.read(arguments.log)._asdict()
    if saved.progress:
        return {"losses": saved.progress.losses, "val_losses": saved.progress.val_losses}
    return {}


def _snapshots(saved):
    """Options of explore.page: those in the file, and of which step the model is."""
    progress = saved.progress
    if progress is None or progress.snapshots is None:
        return {}
    step = len(progress.losses)
    if progress.best_params is not None and progress.best_params == saved.params:
        step = min(progress.val_losses, key=lambda pair: pair[1])[0]
    return {"snapshots": progress.snapshots, "step": step}
