#!/bin/sh
# The test suite under AddressSanitizer and UndefinedBehaviorSanitizer: tests/native/sanitize.sh [arguments of pytest]
#
# Builds the package with gcc's sanitizers in a temporary virtual environment and runs the tests in there. PYTHON names
# the interpreter (default python3). Nodes live in slabs; with sanitizers on, those mark the dead ones
# (src/scalar/slab.h), so that touching one is found. Races between threads are looked for by fast_driver.sh. Tests of how much
# memory a process takes are left out: a sanitizer keeps what was freed.
set -eu
cd "$(dirname "$0")/../.."
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT INT TERM

"${PYTHON:-python3}" -m venv "$folder/venv"
mkdir "$folder/source"
git ls-files -z --cached --others --exclude-standard | xargs -0 tar -cf - | tar -xf - -C "$folder/source"
MICROGPT_SANITIZE=1 "$folder/venv/bin/pip" install --quiet "$folder/source[test]"

export MICROGPT_SANITIZE=1 # the tests leave out what a sanitizer makes meaningless
export PYTHONMALLOC=malloc # each of Python's objects is a block that AddressSanitizer knows
export LD_PRELOAD="$(gcc -print-file-name=libasan.so) $(gcc -print-file-name=libubsan.so)"
export UBSAN_OPTIONS=print_stacktrace=1
export ASAN_OPTIONS=detect_leaks=0:detect_stack_use_after_return=0:allocator_may_return_null=1
cd "$folder/source/tests"
"$folder/venv/bin/python" -c "
import ctypes, microgpt.compiled.scalar
assert '/venv/' in microgpt.compiled.scalar.__file__, microgpt.compiled.scalar.__file__
ctypes.CDLL(None).__asan_init  # the sanitizer is there
print('under sanitizers:', microgpt.compiled.scalar.__file__)"
"$folder/venv/bin/python" -m pytest -m '' -p no:cacheprovider -q "$@"
