"""microgpt info: describe a saved model, or else this installation: its version, platform, engines and build."""

import hashlib
import json
import platform
from dataclasses import asdict

from microgpt import __version__, engines
from microgpt.cli.commands import for_output
from microgpt.common.options import shown
from microgpt.common.words import quoted
from microgpt.compiled import exact as _exact
from microgpt.storage import checkpoint, tensorfile
from microgpt.verdict import smoothed

DESCRIPTION = (
    "Describe a saved model: its shape, alphabet, settings, data and losses. Without MODEL, describe this installation: its version, its "
    "platform, and the code that the exact engine uses. The environment variables MICROGPT_ISA (one of the instruction sets shown) and "
    "MICROGPT_LIBM (vector or plain) choose other code."
)


def configure(parser):
    parser.add_argument("model", metavar="MODEL", nargs="?", help="a saved model or run (default: this installation)")
    parser.add_argument("--json", action="store_true", help="print a JSON object (default: a line for each fact)")


def run(arguments):
    facts = _of_installation() if arguments.model is None else _of_model(arguments.model)
    if arguments.json:
        print(json.dumps(facts, indent=2))
        return
    width = 16 if arguments.model is None else 18
    for name, fact in facts.items():
        print(f"{name:{width}} {for_output(_in_words(name, fact))}")


def _of_installation():
    exact = _exact.info()
    libm = {"vector": "vector code, checked against the C library", "plain": "of the C library"}[exact["libm"]]
    return {
        "microgpt": __version__,
        "python": f"{platform.python_version()} ({platform.python_implementation()})",
        "platform": platform.platform(),
        "compiler": exact["compiler"],
        "engines": ", ".join(engines.ENGINES),
        "instruction set": f"{exact['isa']} (available: {', '.join(exact['isas'])})",
        "exp and pow": libm,
    }


def _of_model(path):
    """Name -> fact about a saved model, as in the JSON object."""
    path = checkpoint.file_of(path)
    saved = checkpoint.read(path)
    with tensorfile.opened(path) as contents:
        version = contents.metadata.get("microgpt")
    with open(path, "rb") as file:
        digest = hashlib.sha256(file.read()).hexdigest()
    facts = {
        "parameters": len(saved.params),
        "alphabet": saved.tokenizer.chars,
        "model": asdict(saved.config),
        "saved by": version,
        "SHA-256": digest,
    }
    if saved.progress is None:
        return facts
    losses, measured, source = saved.progress.losses, saved.progress.val_losses, saved.source
    facts |= {
        "training": asdict(saved.training),
        "evaluation": asdict(saved.evaluation),
        "steps done": len(losses),
        "seed": source.seed,
        "long_docs": source.long_docs,
        "engine": source.engine,
        "documents": source.num_docs,
        "data fingerprint": source.fingerprint,
    }
    if losses:
        facts |= {"last loss": losses[-1], "smoothed loss": smoothed(losses)}
    if measured:
        facts |= {"held-out loss": measured[-1][1], "best held-out": min(loss for _, loss in measured)}
    return facts


def _in_words(name, fact):
    if isinstance(fact, dict):
        return ", ".join(f"{key} {shown(value)}" for key, value in fact.items())
    if name == "alphabet":
        return f"{len(fact)} characters: {quoted(fact, 200)}"
    return f"{fact:,}" if isinstance(fact, int) and name != "seed" else str(fact)
