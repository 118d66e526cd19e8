"""Builds the compiled core. Everything else is in pyproject.toml.

Environment switches, each off unless set to 1:
    MICROGPT_DEBUG      bounds checks and asserts, no optimisation, debug symbols
    MICROGPT_SANITIZE   AddressSanitizer and UndefinedBehaviorSanitizer (see tests/sanitize.sh)
    MICROGPT_NATIVE     this machine's own instruction set; what is built may not run elsewhere
"""

import os
import sys
from glob import glob

from Cython.Build import cythonize
from setuptools import Extension, setup


def switch(name):
    value = os.environ.get(name, "0")
    if value not in ("", "0", "1"):
        raise SystemExit(f"{name} must be 0 or 1, not {value!r}")
    return value == "1"


DEBUG, SANITIZE, NATIVE = switch("MICROGPT_DEBUG"), switch("MICROGPT_SANITIZE"), switch("MICROGPT_NATIVE")

if sys.platform == "win32":
    COMPILE = ["/Od", "/Zi", "/fp:precise"] if DEBUG else ["/O2", "/fp:precise"]
    LINK = []
else:
    # Bits are the product. A fused multiply-add rounds once where the reference rounds twice, and a compiler that knows pow
    # turns pow(x, 2.0) into x*x: each changes the losses.
    COMPILE = ["-std=c11", "-ffp-contract=off", "-fno-builtin-pow", "-fno-builtin-exp", "-fno-builtin-log"]
    COMPILE += ["-O0", "-g", "-UNDEBUG"] if DEBUG else ["-O3", "-g0", "-fno-semantic-interposition"]
    COMPILE += ["-march=native"] if NATIVE else []
    COMPILE, LINK = COMPILE + ["-pthread"], ["-pthread"]
    if SANITIZE:
        COMPILE += ["-g", "-fno-omit-frame-pointer", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"]
        LINK += ["-fsanitize=address,undefined"]

DIRECTIVES = {
    "language_level": 3,
    "binding": True,
    "embedsignature": True,
    "embedsignature.format": "clinic",
    "boundscheck": DEBUG,
    "initializedcheck": DEBUG,
    "cdivision": True,
}


def extension(name, depends, source=None, c_files=(), **options):
    return Extension(
        f"microgpt.{name}", [f"src/{source or name}.pyx", *c_files], depends=depends, include_dirs=["src"],
        extra_compile_args=COMPILE, extra_link_args=LINK, **options,
    )


SHARED = ["src/arena.h", "src/shape.h", "src/shape.pxi", *glob("src/simd/*")]

setup(
    ext_modules=cythonize(
        [
            # heap types, so that Value has a __module__ of its own and users can give it more methods
            extension("scalar", glob("src/scalar/*"), define_macros=[("CYTHON_USE_TYPE_SPECS", "1")]),
            # the kernels name their instruction sets themselves, see src/simd/target.h
            extension("_exact", SHARED + glob("src/exact/*"), "exact", ["src/simd/isa.c", *sorted(glob("src/exact/*.c"))]),
            extension("_fast", SHARED + glob("src/fast/*"), "fast", ["src/simd/isa.c", *sorted(glob("src/fast/*.c"))]),
        ],
        build_dir="build/cython",
        compiler_directives=DIRECTIVES,
    )
)
