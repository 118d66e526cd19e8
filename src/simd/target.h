/* Compile what follows for the instruction set TARGET, whatever the command line says. System headers come before. */
#include <float.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define TARGET_PRAGMA(text) _Pragma(#text)
#define TARGET_GCC(isa) TARGET_PRAGMA(GCC target(isa))
#define TARGET_CLANG(isa) TARGET_PRAGMA(clang attribute push(__attribute__((target(isa))), apply_to = function))
#if defined(__clang__)
TARGET_CLANG(TARGET)
#else
#pragma GCC push_options
TARGET_GCC(TARGET)
#endif
