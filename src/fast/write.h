/* Writing documents: their random numbers, their first tokens from the beginnings, and the rest token by token, in all lanes.
 */
#ifndef MICROGPT_FAST_WRITE_H
#define MICROGPT_FAST_WRITE_H

#include "beginnings.h"
#include "choose.h"
#include "forward_lanes.h"
#include "random.h"
#include "common/team.h"

/* ---- Random numbers ---- */

/* The random numbers of tokens n .. n + DRAWN - 1 of n_docs documents from the portion's document `doc` on; n is a multiple
 * of 4. out: [word][counter][document] */
INLINE void draw(uint32_t *out, const Sampler *sampler, const Portion *portion, size_t doc, size_t n, const int n_docs) {
    uint32_t counter[DRAWN * BLOCK];
    const int across = DRAWN / 4 * n_docs;
    for (int i = 0; i < across; i++) {
        uint64_t number = portion->first + doc + (uint64_t)(i % n_docs), quarter = n / 4 + (uint64_t)(i / n_docs);
        counter[i] = (uint32_t)number;
        counter[across + i] = (uint32_t)(number >> 32);
        counter[2 * across + i] = (uint32_t)quarter;
        counter[3 * across + i] = (uint32_t)(quarter >> 32);
    }
    philox(out, counter, sampler->key, across);
}

/* Where draw() put the number of the i-th token of one document of n_docs. */
INLINE size_t drawn_at(size_t i, size_t n_docs) { return (i % 4 * (DRAWN / 4) + i / 4) * n_docs; }

/* The first token with a random number, DRAWN of which a block draws for each document. Up to 3 of them are of the prompt, so
 * that DRAWN - 4 are left for the tokens of a beginning and 1 for the token after it. */
INLINE size_t first_drawn(const Sampler *sampler) { return (sampler->n_prefix - 1) / 4 * 4; }

/* The middle of one of 2**23 equal parts of (0, 1). */
INLINE float chance_of(uint32_t word) { return (float)(word >> 9) * 0x1p-23f + 0x1p-24f; }

/* The next DRAWN random numbers of the lane's document, from token n on. */
static void draw_more(const Sampler *sampler, const Portion *portion, Lanes *l, size_t lane, size_t n) {
    uint32_t drawn[DRAWN];
    draw(drawn, sampler, portion, l->docs[lane], n, 1);
    for (size_t i = 0; i < DRAWN; i++)
        l->random[lane * DRAWN + i] = drawn[drawn_at(i, 1)];
}

/* ---- Documents. Each function returns 0 where the sums of probabilities are NaN. ---- */

/* Begin the documents of the next block. They advance together, level by level: within one document, each choice waits for the
 * previous one.
 */
static int begin_block(const Sampler *sampler, const Portion *portion, Lanes *l) {
    size_t most = sampler->most, vocab = sampler->shape.vocab, n_prompt = sampler->n_prefix - 1;
    size_t first = l->next, count = l->end - first, skipped = n_prompt - first_drawn(sampler);
    draw(l->block, sampler, portion, first, first_drawn(sampler), BLOCK);
    for (size_t d = 0; d < count; d++) {
        for (size_t i = 0; i < n_prompt; i++)
            portion->tokens[(first + d) * most + i] = sampler->prefix[i + 1];
        l->begun[d] = (Begun){.open = 1};
    }
    for (size_t level = 0; level <= sampler->n_levels; level++) {
        const uint32_t *words = l->block + drawn_at(skipped + level, BLOCK);
        size_t n = n_prompt + level;
        for (size_t d = 0; d < count; d++) {
            Begun *b = &l->begun[d];
            if (!b->open)
                continue;
            if (level > 0)
                b->beginning = continued(sampler, b->beginning, b->last);
            b->last = choose_next(sampler, b->beginning, chance_of(words[d]));
            if (b->last == vocab)
                return 0;
            if (b->last != sampler->bos)
                portion->tokens[(first + d) * most + n] = (uint32_t)b->last;
            b->open = b->last != sampler->bos && n + 1 < most;
            portion->lengths[first + d] = (uint32_t)(n + (b->last != sampler->bos));
        }
    }
    return 1;
}

/* A lane without a document computes numbers that are not used. */
static void idle(Lanes *l, size_t lane) {
    l->docs[lane] = SIZE_MAX;
    l->inputs[lane] = l->positions[lane] = 0;
    l->ages[lane] = 0.0f;
    l->n_busy--;
}

/* Give `lane` the next document that does not end in its beginning; without one the lane is idle. */
static int begin_document(const Sampler *sampler, const Portion *portion, Lanes *l, size_t lane, Team *team) {
    const Begun *b;
    do {
        if (l->next == l->end) {
            l->next = fast_team_next(team) * BLOCK;
            if (l->next >= portion->n_docs) {
                l->next = l->end = 0;
                idle(l, lane);
                return 1;
            }
            l->end = smaller(l->next + BLOCK, portion->n_docs);
            if (!begin_block(sampler, portion, l))
                return 0;
        }
        b = &l->begun[l->next++ % BLOCK];
    } while (!b->open);
    size_t doc = l->docs[lane] = l->next - 1, n = sampler->n_prefix + sampler->n_levels, beginning = b->beginning;
    for (size_t back = 1; back <= sampler->n_levels; back++, beginning = without_last(sampler, beginning))
        recall(sampler, l, lane, beginning, back);
    for (size_t i = 0; i < DRAWN; i++)
        l->random[lane * DRAWN + i] = l->block[drawn_at(i, BLOCK) + doc % BLOCK];
    l->inputs[lane] = (uint32_t)b->last;
    l->positions[lane] = (uint32_t)n;
    l->ages[lane] = (float)sampler->n_levels;
    l->chances[lane] = chance_of(l->random[lane * DRAWN + n - first_drawn(sampler)]);
    return 1;
}

/* Append the chosen token to the lane's document. */
INLINE int take_token(const Sampler *sampler, const Portion *portion, Lanes *l, size_t lane, Team *team) {
    size_t doc = l->docs[lane], n = l->positions[lane], token = (size_t)l->chosen[lane], most = sampler->most;
    if (token == sampler->shape.vocab)
        return 0;
    if (token != sampler->bos) {
        portion->tokens[doc * most + n++] = (uint32_t)token;
        if (n < most) {
            l->inputs[lane] = (uint32_t)token;
            l->positions[lane] = (uint32_t)n;
            l->ages[lane] += 1.0f;
            size_t drawn = (n - first_drawn(sampler)) % DRAWN;
            if (drawn == 0)
                draw_more(sampler, portion, l, lane, n);
            l->chances[lane] = chance_of(l->random[lane * DRAWN + drawn]);
            return 1;
        }
    }
    portion->lengths[doc] = (uint32_t)n;
    return begin_document(sampler, portion, l, lane, team);
}

/* All of the portion's documents that the team's threads leave to this one. Returns an enum written. */
static int write_documents(const Sampler *sampler, const Portion *portion, Lanes *l, Team *team) {
    l->next = l->end = 0;
    l->n_busy = LANES;
    for (size_t lane = 0; lane < LANES; lane++)
        if (!begin_document(sampler, portion, l, lane, team))
            return NOT_FINITE;
    while (l->n_busy > 0) {
        if (fast_lanes_make_room(l, &sampler->shape) < 0)
            return WRITER_NO_MEMORY;
        forward_lanes(sampler, l);
        cumulate(sampler, l);
        choose(sampler, l);
        for (size_t lane = 0; lane < LANES; lane++)
            if (l->docs[lane] != SIZE_MAX && !take_token(sampler, portion, l, lane, team))
                return NOT_FINITE;
    }
    return WRITTEN;
}

#endif
