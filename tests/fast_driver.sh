#!/bin/sh
# The fast engine's C code by itself (tests/fast_driver.c): tests/fast_driver.sh
#
# With several threads under ThreadSanitizer; under the other sanitizers; as plain C; and compiled by clang, where it is installed. All
# must give the same losses to five digits. For other systems see cross_compile.sh.
set -eu
cd "$(dirname "$0")/.."
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT INT TERM
"${PYTHON:-python3}" tests/driver_shapes.py >"$folder/shapes.h"
flags="-std=c11 -O2 -g -ffp-contract=off -Wall -Wextra -Werror -DENGINE=fast -Isrc -I$folder -pthread"

check() { # name, compiler and flags
    name=$1
    shift
    "$@" $flags tests/fast_driver.c src/fast/*.c src/common/*.c src/simd/*.c -o "$folder/$name" -lm
    "$folder/$name" >"$folder/printed" || { cat "$folder/printed"; exit 1; }
    sort -u "$folder/printed" >"$folder/$name.losses" # those of each instruction set
    [ -e "$folder/expected" ] || cp "$folder/$name.losses" "$folder/expected"
    cmp "$folder/$name.losses" "$folder/expected"
    echo "$name: the same losses on any number of threads"
}

check gcc gcc
check threads gcc -fsanitize=thread
check addresses gcc -fsanitize=address,undefined -fno-sanitize-recover=undefined
check plain gcc -U__SSE2__ # neither vectors nor flushed denormals
if command -v clang >/dev/null; then
    check clang clang
fi
