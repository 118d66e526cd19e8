/* Writing many documents at once, on threads. */
#ifndef MICROGPT_FAST_WRITER_H
#define MICROGPT_FAST_WRITER_H

#include "lanes.h"
#include "sampler.h"

typedef struct {
    const Kernels *kernels;
    Sampler sampler;
    Portion portion; /* what was written last */
    size_t room;     /* documents that fit into it */
    Lanes *lanes;    /* of each thread */
    size_t n_lanes;
    size_t n_writing; /* of them, those that write the portion */
} Writer;

/* Of a new writer the caller fills in kernels and, of the sampler: shape, key, bos, top_k, scale, top_p, never, most,
 * is_long and n_prefix. Takes
 * copies of params and prefix; about `expected` documents will be written. Returns an enum written, as does writing. */
int fast_writer_prepare(Writer *w, const double *params, const uint32_t *prefix, double expected);
/* Documents number first .. first + n_docs - 1, into w->portion. UNFINISHED where that takes long: then call
 * fast_writer_continue() until it is done. */
int fast_writer_write(Writer *w, uint64_t first, size_t n_docs, size_t n_threads);
int fast_writer_continue(Writer *w);
void fast_writer_free(Writer *w);

#endif
