"""microgpt export: a saved model as a folder for the Hugging Face Hub."""

from microgpt.cli.commands import Failure, for_output
from microgpt.common.words import quoted_path
from microgpt.storage import checkpoint, pretrained

DESCRIPTION = (
    "Write a model as a folder in the layout of the Hugging Face Hub: config.json, model.safetensors and a card, README.md, with the "
    "figures of its run. Every command takes the folder where it takes a MODEL. MODEL is a file that microgpt train --out wrote."
)


def configure(parser):
    parser.add_argument("model", metavar="MODEL", help="the saved model")
    parser.add_argument("folder", metavar="FOLDER", help="the folder, new or there; files that microgpt did not write stay")
    parser.add_argument(
        "--pytorch", action="store_true",
        help="with modeling_microgpt.py, by which PyTorch loads the folder without this package (default: without)",
    )  # fmt: skip


def run(arguments):
    saved = checkpoint.read(arguments.model)
    try:
        pretrained.write(arguments.folder, saved, pytorch=arguments.pytorch)
    except FileExistsError as error:
        raise Failure(f"{quoted_path(error.filename)}: {error.strerror}") from None
    print(f"{for_output(arguments.folder)}: a model of {len(saved.params):,} parameters")
