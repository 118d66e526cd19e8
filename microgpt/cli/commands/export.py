"""microgpt export: convert a saved model for other programs, to a folder for the Hugging Face Hub or an ONNX file."""

import os

from microgpt.cli import places
from microgpt.cli.commands import Failure, Usage, for_output
from microgpt.common.words import quoted_path, sized
from microgpt.model import GPT
from microgpt.storage import checkpoint, onnxfile, pretrained

DESCRIPTION = (
    "Convert a model for other programs. FOLDER gets the layout of the Hugging Face Hub: config.json, model.safetensors and a model card, "
    "README.md, with the losses of its run; every command accepts it as a MODEL. --onnx FILE is for ONNX runtimes. MODEL is a file written "
    "by microgpt train --out."
)


def configure(parser):
    parser.add_argument("model", metavar="MODEL", help="the saved model")
    parser.add_argument(
        "folder", metavar="FOLDER", nargs="?", help="the folder, new or existing; files that microgpt did not write are kept"
    )
    parser.add_argument(
        "--pytorch", action="store_true",
        help="add modeling_microgpt.py, with which PyTorch loads the folder without this package (default: not)",
    )  # fmt: skip
    parser.add_argument(
        "--onnx",
        metavar="FILE",
        help="write the model as ONNX in float32 to this file; needs pip install 'microgpt-cython[onnx]' (default: not)",
    )
    parser.add_argument("--force", action="store_true", help=f"with --onnx: {places.FORCE}")


def run(arguments):
    folder, onnx = arguments.folder, arguments.onnx
    if folder is None and onnx is None:
        raise Usage("the output is missing; give a FOLDER, or --onnx FILE")
    for option in ("pytorch", "force"):
        if getattr(arguments, option) and (folder if option == "pytorch" else onnx) is None:
            raise Usage(f"--{option} has no effect without {'a FOLDER' if option == 'pytorch' else '--onnx FILE'}; omit it")
    if onnx is not None:
        places.check("--onnx", onnx, "a model of microgpt export", onnxfile.is_onnx, arguments.force, [("the model", arguments.model)])
    saved = checkpoint.read(arguments.model)
    if folder is not None:
        try:
            pretrained.write(folder, saved, pytorch=arguments.pytorch)
        except FileExistsError as error:
            raise Failure(f"{quoted_path(error.filename)}: {error.strerror}") from None
        print(f"{for_output(folder)}: a model of {len(saved.params):,} parameters")
    if onnx is not None:
        try:
            GPT(saved.config, saved.tokenizer, saved.params).save_onnx(onnx)
        except ImportError as error:
            raise Failure(error) from None
        print(f"{for_output(onnx)}: a model of {len(saved.params):,} parameters, {sized(os.path.getsize(onnx))}")
