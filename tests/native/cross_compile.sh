#!/bin/sh
# The C code of both engines on other systems: tests/native/cross_compile.sh
#
# Compiles fast_driver.c and exact_driver.c without a warning, and runs them where there is an emulator: they fail where threads or
# instruction sets change a bit, and must give the same losses to five digits as on this Linux. For macOS, and for Windows on
# aarch64, they are linked only. Clang takes the place of Microsoft's compiler, first as clang-cl, then hiding that it is clang. Ten
# minutes.
#
# Needs Debian's gcc, musl-tools, gcc-aarch64-linux-gnu, libc6-dev-arm64-cross, qemu-user, gcc-mingw-w64-x86-64, wine, wine64, clang
# and lld; and from PyPI ziglang (0.17.1 was used), a clang with the headers of every system. PYTHON names the interpreter that
# has it (default python3).
set -eu
cd "$(dirname "$0")/../.."
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT INT TERM
python=${PYTHON:-python3}
zig="$python -m ziglang cc"
flags="-std=c11 -O3 -ffp-contract=off -fno-builtin-pow -fno-builtin-exp -fno-builtin-log -Wall -Wextra -Werror -Isrc -I$folder"
$python tests/native/driver_shapes.py >"$folder/shapes.h"
export WINEDEBUG=-all WINEPREFIX="$folder/wine"

sources() { echo "-DENGINE=$1 tests/native/$1_driver.c" src/"$1"/*.c src/common/*.c src/simd/*.c; }

build() { # name, compiler and flags
    name=$1
    shift
    for engine in fast exact; do
        "$@" $flags $(sources $engine) -o "$folder/$engine-$name.exe" -lm
    done
    echo "$name: compiled and linked"
}

run() { # name, runner
    for engine in fast exact; do
        ${2:-} "$folder/$engine-$1.exe" >"$folder/printed" 2>"$folder/instruction-sets" || { cat "$folder/printed"; exit 1; }
        tr -d '\r' <"$folder/printed" | sort -u >"$folder/losses" # those of each instruction set
        [ -e "$folder/$engine-expected" ] || cp "$folder/losses" "$folder/$engine-expected"
        cmp "$folder/losses" "$folder/$engine-expected"
    done
    echo "$1: run, the same losses on" $(grep -E '^(avx|baseline)' "$folder/instruction-sets" | tr -d '\r' | tr '\n' ';')
}

# MinGW's headers do not know Microsoft's mode of clang quite.
cat >"$folder/microsoft.h" <<END
#include <_mingw.h>
#undef __attribute__
#undef __MINGW_ATTRIB_NORETURN
#define __MINGW_ATTRIB_NORETURN
#undef __MINGW_ATTRIB_DEPRECATED
#define __MINGW_ATTRIB_DEPRECATED
END

microsoft() { # name, flags
    name=$1
    shift
    headers=$($python -c "import os, ziglang; print(os.path.dirname(ziglang.__file__))")/lib/libc/include/any-windows-any
    for engine in fast exact; do
        objects="$folder/$engine-$name"
        mkdir "$objects"
        clang --driver-mode=cl --target=x86_64-pc-windows-msvc "$@" /c /O2 /GS- /fp:precise /W4 /WX -Wno-unknown-pragmas \
            -Wno-implicit-function-declaration -imsvc "$(clang -print-resource-dir)/include" -imsvc "$headers" \
            "/FI$folder/microsoft.h" -Isrc "-I$folder" $(sources $engine) "/Fo$objects/"
        echo "int _fltused;" >"$objects/fltused.c" # of Microsoft's C library
        x86_64-w64-mingw32-gcc -c "$objects/fltused.c" -o "$objects/fltused.obj"
        x86_64-w64-mingw32-gcc -fuse-ld=lld "$objects"/*.obj -o "$folder/$engine-$name.exe" 2>"$folder/linker" ||
            { cat "$folder/linker"; exit 1; }
    done
    echo "$name: compiled and linked"
}

build linux gcc -pthread
run linux
build musl musl-gcc -static
run musl
build linux-aarch64 aarch64-linux-gnu-gcc -static -pthread
run linux-aarch64 qemu-aarch64
build musl-aarch64-clang $zig -target aarch64-linux-musl
run musl-aarch64-clang qemu-aarch64
build windows x86_64-w64-mingw32-gcc -Wa,-muse-unaligned-vector-move
run windows wine
build windows-clang $zig -target x86_64-windows-gnu
run windows-clang wine
microsoft windows-clang-cl
run windows-clang-cl wine
microsoft windows-microsoft -U__clang__
run windows-microsoft wine
for target in aarch64-windows-gnu x86_64-macos aarch64-macos; do
    build $target $zig -target $target
done
