/* Choosing tokens in all lanes, and writing documents with them. */
#ifndef MICROGPT_FAST_SAMPLE_H
#define MICROGPT_FAST_SAMPLE_H

#include "forward_lanes.h"
#include "random.h"

/* Moves up to n_rounds of the largest weights of each lane from `from` to `to`, the first of equals first, until those moved reach
 * the sum `enough`; the others become 0. One vector of lanes; (vocab) each. */
static void move_likeliest(float *to, float *from, size_t vocab, size_t n_rounds, vf enough) {
    const vf one = vset1(1.0f);
    vf sum = vset1(0.0f);
    for (size_t i = 0; i < vocab; i++)
        vstore(to + i * LANES, vset1(0.0f));
    for (size_t round = 0; round < n_rounds; round++) {
        vm open = vgt(enough, sum);
        unsigned bits = vbits(open);
        if (!bits)
            return;
        vf best = vset1(-1.0f), at = vset1(0.0f), index = at;
        for (size_t i = 0; i < vocab; i++, index = index + one) {
            vf weight = vload(from + i * LANES);
            vm larger = vgt(weight, best);
            best = vselect(larger, weight, best);
            at = vselect(larger, index, at);
        }
        sum = sum + vkeep(open, best);
        float weights[W], indices[W];
        vstore(weights, best);
        vstore(indices, at);
        for (size_t k = 0; k < W; k++)
            if (bits >> k & 1 && weights[k] >= 0.0f) {
                to[(size_t)indices[k] * LANES + k] = weights[k];
                from[(size_t)indices[k] * LANES + k] = -1.0f;
            }
    }
}

/* weights: (vocab) the running sums of e**(logit / temperature - the largest) over the tokens that top_k and top_p leave. NaN
 * where a logit is not finite. */
static void cumulate(const Writer *w, Lanes *l) {
    size_t vocab = w->shape.vocab;
    const vf temperature = vset1(w->scale);
    int of_all = w->top_k == vocab && w->top_p >= 2.0f;
    for (size_t c = 0; c < LANES; c += W) {
        float *logits = l->logits + c, *weights = l->weights + c, *kept = l->kept + c;
        vf largest = vload(logits), total = vset1(0.0f);
        for (size_t i = 1; i < vocab; i++)
            largest = vmax(largest, vload(logits + i * LANES));
        if (of_all) {
            for (size_t i = 0; i < vocab; i++) {
                total = total + vexp((vload(logits + i * LANES) - largest) * temperature);
                vstore(weights + i * LANES, total);
            }
            continue;
        }
        for (size_t i = 0; i < vocab; i++) {
            vf e = vexp((vload(logits + i * LANES) - largest) * temperature);
            vstore(weights + i * LANES, e);
            total = total + e;
        }
        vf zero = total - total; /* or NaN */
        if (w->top_k < vocab) {
            move_likeliest(kept, weights, vocab, w->top_k, vset1(INFINITY));
            float *swapped = weights;
            weights = kept;
            kept = swapped;
            total = vset1(0.0f);
            for (size_t i = 0; i < vocab; i++)
                total = total + vload(weights + i * LANES);
        }
        if (w->top_p < 2.0f) {
            move_likeliest(kept, weights, vocab, vocab, total * vset1(w->top_p));
            weights = kept;
        }
        vf sum = zero;
        for (size_t i = 0; i < vocab; i++) {
            sum = sum + vload(weights + i * LANES);
            vstore(l->weights + c + i * LANES, sum);
        }
    }
}

/* chosen: (1) the first token whose running sum is more than chance * the total: never one of weight 0, as 0 < chance < 1 by at
 * least 2**-24. vocab where sums are NaN. */
static void choose(const Writer *w, Lanes *l) {
    size_t vocab = w->shape.vocab;
    const vf zero = vset1(0.0f), one = vset1(1.0f);
    for (size_t c = 0; c < LANES; c += W) {
        const float *sums = l->weights + c;
        vf target = vload(l->chances + c) * vload(sums + (vocab - 1) * LANES), count = zero;
        for (size_t i = 0; i < vocab; i++)
            count = count + vselect(vgt(vload(sums + i * LANES), target), zero, one);
        vstore(l->chosen + c, count);
    }
}

INLINE size_t lowest_bit(unsigned bits) { /* bits != 0 */
#if defined(__GNUC__)
    return (size_t)__builtin_ctz(bits);
#else
    size_t n = 0;
    for (; !(bits & 1); bits >>= 1)
        n++;
    return n;
#endif
}

/* As `choose`, after a beginning. */
INLINE size_t choose_next(const Writer *w, size_t beginning, float chance) {
    size_t vocab = w->shape.vocab, padded = rounded_up(vocab, ROW);
    const float *sums = w->cumulative + beginning * padded;
    vf target = vset1(chance * sums[vocab - 1]);
    for (size_t i = 0; i < padded; i += ROW) { /* past the last there are zeros */
        uint32_t bits = 0;
        UNROLL for (int k = 0; k < ROW; k += W)
            bits |= (uint32_t)vbits(vgt(vload(sums + i + k), target)) << k;
        if (bits)
            return i + lowest_bit(bits);
    }
    return vocab;
}

/* The random numbers of tokens n .. n + DRAWN - 1 of n_docs documents from `doc` on; n is a multiple of 4.
 * out: [word][counter][document] */
INLINE void draw(uint32_t *out, const Writer *w, size_t doc, size_t n, const int n_docs) {
    uint32_t counter[DRAWN * BLOCK];
    const int across = DRAWN / 4 * n_docs;
    for (int i = 0; i < across; i++) {
        uint64_t number = w->first + doc + (uint64_t)(i % n_docs), quarter = n / 4 + (uint64_t)(i / n_docs);
        counter[i] = (uint32_t)number;
        counter[across + i] = (uint32_t)(number >> 32);
        counter[2 * across + i] = (uint32_t)quarter;
        counter[3 * across + i] = (uint32_t)(quarter >> 32);
    }
    philox(out, counter, w->key, across);
}

/* Where `draw` put the number of the i-th token of one document of n_docs. */
INLINE size_t drawn_at(size_t i, size_t n_docs) { return (i % 4 * (DRAWN / 4) + i / 4) * n_docs; }

/* The token from which on numbers are drawn, DRAWN at a time: no beginning needs more than the first of them. */
INLINE size_t drawn_from(const Writer *w) { return (w->n_prefix - 1) / 4 * 4; }

/* The middle of one of 2**23 equal parts of (0, 1). */
INLINE float chance_of(uint32_t word) { return (float)(word >> 9) * 0x1p-23f + 0x1p-24f; }

/* Keys and values of a beginning's last token, into the ring as `back` tokens before the next one. */
static void recall(const Writer *w, Lanes *l, size_t lane, size_t beginning, size_t back) {
    size_t n = 2 * w->shape.n_layer * w->shape.n_embd;
    const float *from = w->beginnings_kv + beginning * n;
    float *to = slot_at(l, &w->shape, back) + lane;
    for (size_t j = 0; j < n; j++)
        to[j * LANES] = from[j];
}

/* The next block: all its documents level by level, since each choice waits for the table. Returns 0 where sums are NaN. */
static int begin_block(const Writer *w, Lanes *l) {
    size_t block = w->shape.block_size, vocab = w->shape.vocab, n_prompt = w->n_prefix - 1;
    size_t first = l->next, count = l->end - first, skipped = n_prompt - drawn_from(w);
    draw(l->block, w, first, drawn_from(w), BLOCK);
    for (size_t d = 0; d < count; d++) {
        for (size_t i = 0; i < n_prompt; i++)
            w->tokens[(first + d) * block + i] = w->prefix[i + 1];
        l->begun[d] = (Begun){.open = 1};
    }
    for (size_t level = 0; level <= w->n_levels; level++) {
        const uint32_t *words = l->block + drawn_at(skipped + level, BLOCK);
        size_t n = n_prompt + level;
        for (size_t d = 0; d < count; d++) {
            Begun *b = &l->begun[d];
            if (!b->open)
                continue;
            if (level > 0)
                b->beginning = b->beginning * vocab + 1 + b->last;
            b->last = choose_next(w, b->beginning, chance_of(words[d]));
            if (b->last == vocab)
                return 0;
            if (b->last != w->bos)
                w->tokens[(first + d) * block + n] = (uint32_t)b->last;
            b->open = b->last != w->bos && n + 1 < block;
            w->lengths[first + d] = (uint32_t)(n + (b->last != w->bos));
        }
    }
    return 1;
}

/* The next document that does not end in its beginning, into `lane`; without one the lane is idle. Returns 0 where sums are NaN. */
static int begin_document(const Writer *w, Lanes *l, size_t lane, Team *team) {
    const Begun *b;
    do {
        if (l->next == l->end) {
            l->next = fast_team_next(team) * BLOCK;
            if (l->next >= w->n_docs) {
                l->next = l->end = 0;
                l->docs[lane] = SIZE_MAX;
                l->n_busy--;
                l->inputs[lane] = l->positions[lane] = 0;
                l->ages[lane] = 0.0f;
                return 1;
            }
            l->end = l->next + BLOCK < w->n_docs ? l->next + BLOCK : w->n_docs;
            if (!begin_block(w, l))
                return 0;
        }
        b = &l->begun[l->next++ % BLOCK];
    } while (!b->open);
    size_t doc = l->docs[lane] = l->next - 1, n = w->n_prefix + w->n_levels, beginning = b->beginning;
    for (size_t back = 1; back <= w->n_levels; back++, beginning = (beginning - 1) / w->shape.vocab)
        recall(w, l, lane, beginning, back);
    for (size_t i = 0; i < DRAWN; i++)
        l->random[lane * DRAWN + i] = l->block[drawn_at(i, BLOCK) + doc % BLOCK];
    l->inputs[lane] = (uint32_t)b->last;
    l->positions[lane] = (uint32_t)n;
    l->ages[lane] = (float)w->n_levels;
    l->chances[lane] = chance_of(l->random[lane * DRAWN + n - drawn_from(w)]);
    return 1;
}

static void draw_more(const Writer *w, Lanes *l, size_t lane, size_t n) {
    uint32_t drawn[DRAWN];
    draw(drawn, w, l->docs[lane], n, 1);
    for (size_t i = 0; i < DRAWN; i++)
        l->random[lane * DRAWN + i] = drawn[drawn_at(i, 1)];
}

/* What was chosen becomes part of the lane's document. Returns 0 where sums are NaN. */
INLINE int take_token(const Writer *w, Lanes *l, size_t lane, Team *team) {
    size_t doc = l->docs[lane], n = l->positions[lane], token = (size_t)l->chosen[lane];
    if (token == w->shape.vocab)
        return 0;
    if (token != w->bos) {
        w->tokens[doc * w->shape.block_size + n++] = (uint32_t)token;
        if (n < w->shape.block_size) {
            l->inputs[lane] = (uint32_t)token;
            l->positions[lane] = (uint32_t)n;
            l->ages[lane] += 1.0f;
            size_t drawn = (n - drawn_from(w)) % DRAWN;
            if (drawn == 0)
                draw_more(w, l, lane, n);
            l->chances[lane] = chance_of(l->random[lane * DRAWN + drawn]);
            return 1;
        }
    }
    w->lengths[doc] = (uint32_t)n;
    return begin_document(w, l, lane, team);
}

/* There must be a slot for the next token. */
static int make_room(const Writer *w, Lanes *l) {
    float most = 0.0f;
    for (size_t lane = 0; lane < LANES; lane++)
        most = l->ages[lane] > most ? l->ages[lane] : most;
    while ((size_t)most >= l->n_slots)
        if (fast_ring_grow(l, &w->shape) < 0)
            return 0;
    return 1;
}

static int write_documents(const Writer *w, Lanes *l, Team *team) {
    l->next = l->end = 0;
    l->n_busy = LANES;
    for (size_t lane = 0; lane < LANES; lane++)
        if (!begin_document(w, l, lane, team))
            return NOT_FINITE;
    while (l->n_busy > 0) {
        if (!make_room(w, l))
            return WRITER_NO_MEMORY;
        forward_lanes(w, l);
        cumulate(w, l);
        choose(w, l);
        for (size_t lane = 0; lane < LANES; lane++)
            if (l->docs[lane] != SIZE_MAX && !take_token(w, l, lane, team))
                return NOT_FINITE;
    }
    return WRITTEN;
}

/* ---- Prefix and beginnings ---- */

static void keep_beginning(const Writer *w, const Lanes *l, size_t lane, size_t beginning) {
    size_t n = 2 * w->shape.n_layer * w->shape.n_embd;
    const float *from = slot_at(l, &w->shape, 1) + lane;
    for (size_t j = 0; j < n; j++)
        w->beginnings_kv[beginning * n + j] = from[j * LANES];
    for (size_t i = 0; i < w->shape.vocab; i++)
        w->cumulative[beginning * rounded_up(w->shape.vocab, ROW) + i] = l->weights[i * LANES + lane];
}

/* The prefix, in all lanes alike. */
static int prepare_prefix(const Writer *w, Lanes *l) {
    size_t kv = 2 * w->shape.n_embd;
    l->n_prefix = 0;
    for (size_t p = 0; p < w->n_prefix; p++) {
        for (size_t lane = 0; lane < LANES; lane++) {
            l->inputs[lane] = w->prefix[p];
            l->positions[lane] = (uint32_t)p;
            l->ages[lane] = (float)p;
        }
        if (!make_room(w, l))
            return WRITER_NO_MEMORY;
        forward_lanes(w, l);
        const float *slot = slot_at(l, &w->shape, 1);
        for (size_t i = 0; i < w->shape.n_layer; i++)
            for (size_t j = 0; j < kv; j++)
                w->prefix_kv[(i * w->n_prefix + p) * kv + j] = slot[(i * kv + j) * LANES];
    }
    cumulate(w, l);
    keep_beginning(w, l, 0, 0);
    l->n_prefix = w->n_prefix;
    return WRITTEN;
}

static int prepare(Writer *w, Lanes *l) {
    size_t vocab = w->shape.vocab, first = 1, count = 1;
    int outcome = prepare_prefix(w, l);
    if (outcome != WRITTEN)
        return outcome;
    for (size_t level = 1; level <= w->n_levels; level++, first += count) {
        count *= vocab;
        for (size_t i = 0; i < count; i += LANES) {
            for (size_t lane = 0; lane < LANES; lane++) {
                size_t beginning = first + smaller(i + lane, count - 1), before = beginning;
                l->inputs[lane] = (uint32_t)((beginning - 1) % vocab);
                l->positions[lane] = (uint32_t)(w->n_prefix + level - 1);
                l->ages[lane] = (float)(level - 1);
                for (size_t back = 1; back < level; back++) {
                    before = (before - 1) / vocab;
                    recall(w, l, lane, before, back);
                }
            }
            forward_lanes(w, l);
            cumulate(w, l);
            for (size_t lane = 0; lane < smaller(LANES, count - i); lane++)
                keep_beginning(w, l, lane, first + i + lane);
        }
    }
    return WRITTEN;
}

#endif
