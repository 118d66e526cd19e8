"""microgpt info: which version this is, on what it runs and what it was built with."""

import platform

from microgpt import __version__, engines
from microgpt.compiled import exact as _exact

DESCRIPTION = (
    "Say which version this is, on what it runs and how the exact engine computes here. The environment variables MICROGPT_ISA "
    "(one of the instruction sets shown) and MICROGPT_LIBM (vector or plain) choose for it."
)


def configure(parser):
    pass  # it has no options


def run(arguments):
    exact = _exact.info()
    libm = {"vector": "in vectors, checked against the C library", "plain": "by the C library"}[exact["libm"]]
    facts = {
        "microgpt": __version__,
        "python": f"{platform.python_version()} ({platform.python_implementation()})",
        "platform": platform.platform(),
        "compiler": exact["compiler"],
        "engines": ", ".join(engines.ENGINES),
        "instruction set": f"{exact['isa']} (there are {', '.join(exact['isas'])})",
        "exp and pow": libm,
    }
    for name, fact in facts.items():
        print(f"{name:16} {fact}")
