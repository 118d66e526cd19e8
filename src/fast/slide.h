/* Writing documents that are longer than the block: the model's context slides along each, as microgpt.reference.context()
 * says. Each lane reads its own document from the beginning of its context, and then continues it. */
#ifndef MICROGPT_FAST_SLIDE_H
#define MICROGPT_FAST_SLIDE_H

#include "write.h"

/* A document's token i: the opening, the prompt, and what has been written. */
INLINE uint32_t known_token(const Sampler *sampler, const Portion *portion, size_t doc, size_t i) {
    return i == 0 ? sampler->prefix[0] : portion->tokens[doc * sampler->most + i - 1];
}

/* The lane reads token `i` next, at this position. If it is the last one known, the next will be sampled. */
static void read_next(const Sampler *sampler, const Portion *portion, Lanes *l, size_t lane, size_t i, size_t position) {
    size_t doc = l->docs[lane], n = i; /* the token that follows is number i of the document, the opening not counted */
    int begins = position == 0 && i > 0 && sampler->never == sampler->shape.vocab;
    l->inputs[lane] = begins ? sampler->bos : known_token(sampler, portion, doc, i); /* mutant: slid-beginning */
    l->positions[lane] = (uint32_t)position;
    l->ages[lane] = (float)position;
    l->read[lane] = i;
    if (i + 1 < l->known[lane])
        return;
    if (n % DRAWN == 0 || i + 1 == sampler->n_prefix)
        draw_more(sampler, portion, l, lane, n - n % DRAWN);
    l->chances[lane] = chance_of(l->random[lane * DRAWN + n % DRAWN]);
}

/* Give `lane` the next document; without one the lane is idle. */
static void open_document(const Sampler *sampler, const Portion *portion, Lanes *l, size_t lane) {
    size_t block = sampler->shape.block_size, half = block - block / 2, n = sampler->n_prefix;
    if (l->next == l->end) {
        idle(l, lane);
        return;
    }
    size_t doc = l->docs[lane] = l->next++;
    for (size_t i = 1; i < n; i++)
        portion->tokens[doc * sampler->most + i - 1] = sampler->prefix[i];
    l->known[lane] = n;
    read_next(sampler, portion, l, lane, n > block ? (n - block + half - 1) / half * half : 0, 0);
}

/* After the lane's token has been read: sample the next one if it is not known, and read on. 0 where the sums of
 * probabilities are NaN. */
static int read_on(const Sampler *sampler, const Portion *portion, Lanes *l, size_t lane) {
    size_t doc = l->docs[lane], i = l->read[lane], known = l->known[lane], position = l->positions[lane] + 1;
    size_t block = sampler->shape.block_size;
    if (i + 1 == known) {
        size_t token = (size_t)l->chosen[lane], is_end = token == sampler->bos;
        if (token == sampler->shape.vocab)
            return 0;
        if (!is_end) {
            portion->tokens[doc * sampler->most + known - 1] = (uint32_t)token;
            l->known[lane] = ++known;
        }
        if (is_end || known - 1 == sampler->most) {
            portion->lengths[doc] = (uint32_t)(known - 1);
            open_document(sampler, portion, l, lane);
            return 1;
        }
    }
    if (position < block)
        read_next(sampler, portion, l, lane, i + 1, position);
    else
        read_next(sampler, portion, l, lane, i + 1 - block / 2, 0); /* mutant: slid-half */
    return 1;
}

/* Start or continue the documents l->next .. l->end - 1, for a few hundredths of a second. Returns an enum written. */
static int write_long(const Sampler *sampler, const Portion *portion, Lanes *l) {
    if (l->outcome != UNFINISHED) {
        l->n_busy = LANES;
        for (size_t lane = 0; lane < LANES; lane++)
            open_document(sampler, portion, l, lane);
    }
    for (size_t left = 1 + ((size_t)1 << 25) / sampler->shape.n_params; left > 0 && l->n_busy > 0; left--) {
        if (fast_lanes_make_room(l, &sampler->shape) < 0)
            return WRITER_NO_MEMORY;
        forward_lanes(sampler, l);
        cumulate(sampler, l);
        choose(sampler, l);
        for (size_t lane = 0; lane < LANES; lane++)
            if (l->docs[lane] != SIZE_MAX && !read_on(sampler, portion, l, lane))
                return NOT_FINITE;
    }
    return l->n_busy > 0 ? UNFINISHED : WRITTEN;
}

#endif
