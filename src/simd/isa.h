/* The instruction sets of the kernels, by name: "avx512", "avx2", "baseline". */
#ifndef MICROGPT_ISA_H
#define MICROGPT_ISA_H

#if defined(__x86_64__) && defined(__GNUC__)
#define MANY_ISAS
#endif

int isa_supported(const char *name); /* by this processor and its operating system */
const char *compiler_name(void);

#endif
