#!/bin/sh
# The fast engine's C code by itself (tests/fast_driver.c): tests/fast_driver.sh
#
# With several threads under ThreadSanitizer; under the other sanitizers; compiled by clang, for aarch64 (run by
# qemu-aarch64) and as plain C, where these are installed. All must give the same losses to five digits.
set -eu
cd "$(dirname "$0")/.."
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT INT TERM
flags="-std=c11 -O2 -g -ffp-contract=off -Wall -Wextra -Werror -Isrc -pthread"

check() { # name, how to run it, compiler and flags
    name=$1 runner=$2
    shift 2
    "$@" $flags tests/fast_driver.c src/fast/*.c src/simd/isa.c -o "$folder/$name" -lm
    $runner "$folder/$name" >"$folder/printed" || { cat "$folder/printed"; exit 1; }
    sort -u "$folder/printed" >"$folder/$name.losses" # those of each instruction set
    [ -e "$folder/expected" ] || cp "$folder/$name.losses" "$folder/expected"
    cmp "$folder/$name.losses" "$folder/expected"
    echo "$name: the same losses on any number of threads"
}

check gcc "" gcc
check threads "" gcc -fsanitize=thread
check addresses "" gcc -fsanitize=address,undefined -fno-sanitize-recover=undefined
check plain "" gcc -U__SSE2__ # neither vectors nor flushed denormals
if command -v clang >/dev/null; then
    check clang "" clang
fi
if command -v aarch64-linux-gnu-gcc >/dev/null && command -v qemu-aarch64 >/dev/null; then
    check aarch64 qemu-aarch64 aarch64-linux-gnu-gcc -static
fi
