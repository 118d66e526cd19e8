#!/bin/sh
# The engines' C code and its threads, without Python: tests/native/fast_driver.sh
#
# The fast engine (tests/native/fast_driver.c), with several threads under ThreadSanitizer; under the other sanitizers; as plain C; and compiled by
# clang, where it is installed. All must give the same losses to five digits. And both engines with several readers of one model
# (tests/native/readers_driver.c) under ThreadSanitizer. Some ten minutes. For other systems see cross_compile.sh.
set -eu
cd "$(dirname "$0")/../.."
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT INT TERM
"${PYTHON:-python3}" tests/native/driver_shapes.py >"$folder/shapes.h"
flags="-std=c11 -O2 -g -ffp-contract=off -fno-builtin-pow -fno-builtin-exp -fno-builtin-log -Wall -Wextra -Werror -Isrc -I$folder -pthread"
sources() { echo "-DENGINE=$1 src/$1/*.c src/common/*.c src/simd/*.c"; }

check() { # name, compiler and flags
    name=$1
    shift
    "$@" $flags tests/native/fast_driver.c $(sources fast) -o "$folder/$name" -lm
    "$folder/$name" >"$folder/printed" || { cat "$folder/printed"; exit 1; }
    sort -u "$folder/printed" >"$folder/$name.losses" # those of each instruction set
    [ -e "$folder/expected" ] || cp "$folder/$name.losses" "$folder/expected"
    if comm -23 "$folder/$name.losses" "$folder/expected" | grep .; then exit 1; fi # ThreadSanitizer's are some of them
    echo "$name: the same losses on any number of threads"
}

for engine in exact fast; do
    gcc -fsanitize=thread -DREAD_$engine $flags tests/native/readers_driver.c $(sources $engine) -o "$folder/readers" -lm
    "$folder/readers"
    echo "readers of $engine: as one alone"
done
check gcc gcc
check threads gcc -fsanitize=thread
check addresses gcc -fsanitize=address,undefined -fno-sanitize-recover=undefined
check plain gcc -U__SSE2__ # neither vectors nor flushed denormals
if command -v clang >/dev/null; then
    check clang clang
fi
