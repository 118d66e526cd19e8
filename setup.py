"""Builds the compiled core. Everything else is in pyproject.toml.

Environment switches, each off unless set to 1:
    MICROGPT_DEBUG      bounds checks and asserts, no optimisation, debug symbols; warnings are errors
    MICROGPT_SANITIZE   AddressSanitizer and UndefinedBehaviorSanitizer (see tests/native/sanitize.sh)
    MICROGPT_NATIVE     this machine's own instruction set; what is built may not run elsewhere
"""

import os
import sys
from glob import glob

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext


def switch(name):
    value = os.environ.get(name, "0")
    if value not in ("", "0", "1"):
        raise SystemExit(f"{name} must be 0 or 1, not {value!r}")
    return value == "1"


DEBUG, SANITIZE, NATIVE = switch("MICROGPT_DEBUG"), switch("MICROGPT_SANITIZE"), switch("MICROGPT_NATIVE")


# Cython defines helper functions that a module may not use.
WARNINGS = ["-Wall", "-Wextra", "-Werror", "-Wno-unused-function"]


class Build(build_ext):
    """Chooses options for the compiler, of which Windows has several. The objects of each extension are in their own folder."""

    def build_extensions(self):
        options, link = microsoft() if self.compiler.compiler_type == "msvc" else gnu(self.compiler)
        for extension in self.extensions:
            extension.extra_compile_args, extension.extra_link_args = options, link
        super().build_extensions()

    def build_extension(self, extension):
        shared, self.build_temp = self.build_temp, os.path.join(self.build_temp, extension.name)
        super().build_extension(extension)
        self.build_temp = shared


def microsoft():
    """Options for compiling and for linking. src/common/rounding.h has those that preserve the bits."""
    if SANITIZE or NATIVE:
        raise SystemExit("MICROGPT_SANITIZE and MICROGPT_NATIVE need gcc or clang; unset them to build with Microsoft's compiler")
    return ["/fp:precise", *(["/Od", "/Zi", "/UNDEBUG"] if DEBUG else ["/O2"])], []


def gnu(compiler):
    """The same for gcc and clang."""
    # Every bit must equal the reference's. A fused multiply-add rounds once where the reference rounds twice, and a compiler that knows pow
    # turns pow(x, 2.0) into x*x; each changes the losses.
    # mutant: compiler-options
    options = ["-std=c11", "-ffp-contract=off", "-fno-builtin-pow", "-fno-builtin-exp", "-fno-builtin-log"]
    # A switch over an enum without a default must have a case for each of its values.
    options += ["-Werror=switch", "-fvisibility=hidden"]
    options += ["-O0", "-g", "-UNDEBUG", *WARNINGS] if DEBUG else ["-O3", "-g0"]
    options += ["-march=native"] if NATIVE else []
    link = []
    if sys.platform == "win32":
        if "MSC" in sys.version:
            raise SystemExit(
                "This Python was built with Microsoft's compiler, and MinGW's pow, exp and log round differently, so "
                "results would differ from Python's; build with Microsoft's compiler, or use the Python of MSYS2"
            )
        if "clang" not in os.path.basename(compiler.compiler[0]):
            # gcc may expect vectors at multiples of 64 on the stack of Windows, which aligns to multiples of 16 (gcc bug 54412)
            options += ["-Wa,-muse-unaligned-vector-move"]
    else:
        options, link = options + ["-pthread"], ["-pthread"]  # mutant: linker-options
        if not DEBUG and sys.platform != "darwin":  # of ELF
            options += ["-fno-semantic-interposition"]
    if SANITIZE:
        options += ["-g", "-fno-omit-frame-pointer", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"]
        link += ["-fsanitize=address,undefined"]
    return options, link


DIRECTIVES = {
    "language_level": 3,
    "binding": True,
    "embedsignature": True,
    "embedsignature.format": "clinic",
    "boundscheck": DEBUG,
    "initializedcheck": DEBUG,
    "cdivision": True,
}


def extension(name, sources=(), depends=(), **options):
    """The extension module microgpt.compiled.NAME, from src/NAME/NAME.pyx and more sources in C."""
    depends = [*glob("src/common/*"), *glob(f"src/{name}/*"), *depends]
    sources = [f"src/{name}/{name}.pyx", *sources]
    return Extension(f"microgpt.compiled.{name}", sources, depends=depends, include_dirs=["src"], **options)


def engine(name):
    """An engine: its own C code, and the code shared by both engines, compiled for ENGINE (see src/common/engine.h)."""
    sources = sorted([*glob(f"src/{name}/*.c"), *glob("src/common/*.c"), *glob("src/simd/*.c")])
    return extension(name, sources, glob("src/simd/*"), define_macros=[("ENGINE", name)])


setup(
    ext_modules=cythonize(
        [
            # heap types, so that Value has its own __module__ and users can add methods
            extension("scalar", define_macros=[("CYTHON_USE_TYPE_SPECS", "1")]),
            extension("access"),
            extension("lines"),
            engine("exact"),
            engine("fast"),
        ],
        build_dir="build/cython",
        include_path=["src"],
        compiler_directives=DIRECTIVES,
    ),
    cmdclass={"build_ext": Build},
)
