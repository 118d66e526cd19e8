/* What is compiled once for each engine: -DENGINE=exact or -DENGINE=fast names the engine, and with it its headers and the
 * prefix of its symbols. */
#ifndef MICROGPT_COMMON_ENGINE_H
#define MICROGPT_COMMON_ENGINE_H

#define JOIN(a, b) a##_##b
#define JOIN_EXPANDED(a, b) JOIN(a, b)
#define SYMBOL(name) JOIN_EXPANDED(ENGINE, name) /* kernels_at: exact_kernels_at */

#define QUOTE(text) #text
#define QUOTE_EXPANDED(text) QUOTE(text)
/* without spaces: it becomes the name of a file */
// clang-format off
#define ENGINE_HEADER(name) QUOTE_EXPANDED(ENGINE/name)
// clang-format on

#endif
