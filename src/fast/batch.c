/* Divides a batch's documents into groups whose tokens lie position by position. */
#include "engine.h"

/* With at most this many documents, or from this length on, the lanes are the positions of one document: either they fill the
 * lanes better than so few documents would, or the keys and values of one document stay in the cache where those of sixteen
 * would not. */
#define FEW_DOCS 6
#define LONG_DOCS 96

size_t fast_groups_of(size_t batch_size) {
    return batch_size / MOST_DOCS + (batch_size % MOST_DOCS != 0); /* mutant: number-of-groups */
}

typedef struct {
    const uint32_t *tokens;
    size_t n, number; /* number: in the batch */
} Document;

/* The group's documents, longest first; those of equal length in their order. Returns how many; 0 where the corpus is bad. */
static size_t collect(Document *sorted, const Shape *s, const Documents *docs, size_t step, size_t batch_size, size_t index,
                      size_t n_groups) {
    size_t count = 0;
    for (size_t j = index; j < batch_size; j += n_groups) {
        const uint32_t *tokens;
        size_t n = batch_document(docs, step, j, batch_size, s->block_size, &tokens), at = count++;
        if (n == 0)
            return 0;
        for (; at > 0 && sorted[at - 1].n < n; at--)
            sorted[at] = sorted[at - 1];
        sorted[at] = (Document){tokens, n, j};
    }
    return count;
}

/* Sets the runs of a group, and returns its size; with g NULL it only returns the size. */
static Extent arrange(Group *g, const Document *sorted, size_t n_docs, int by_document) {
    size_t n_runs = by_document ? n_docs : sorted[0].n, count = n_docs, offset = 0, pairs = 0;
    for (size_t run = 0; run < n_runs; run++) {
        while (!by_document && sorted[count - 1].n <= run)
            count--;
        size_t tokens = by_document ? sorted[run].n : count;
        if (g) {
            g->counts[run] = tokens;
            g->offsets[run] = offset;
            g->pairs[run] = pairs;
        }
        size_t vectors = rounded_up(tokens, WIDEST);
        offset += tokens;
        pairs += by_document ? vectors * (vectors + WIDEST) / 2 : (run + 1) * vectors;
    }
    size_t columns = rounded_up(offset, WIDEST);
    /* A row has room for a whole vector that begins at the last token. An odd number of vectors keeps the rows of a large group
     * from falling onto the same lines of a cache. */
    return (Extent){n_runs, columns, ((columns / WIDEST + 1) | 1) * WIDEST, pairs};
}

enum outcome fast_group_fill(Group *g, const Shape *s, const Documents *docs, size_t step, size_t batch_size, size_t index,
                             size_t n_groups) {
    Document sorted[MOST_DOCS];
    size_t n_docs = collect(sorted, s, docs, step, batch_size, index, n_groups);
    if (n_docs == 0)
        return BAD_CORPUS;
    int by_document = n_docs <= FEW_DOCS || sorted[n_docs / 2].n >= LONG_DOCS;
    Extent size = arrange(NULL, sorted, n_docs, by_document);
    if (fast_group_reserve(g, s, size) < 0)
        return NO_MEMORY;
    arrange(g, sorted, n_docs, by_document);
    g->n_docs = n_docs;
    g->by_document = by_document;
    g->n_runs = size.runs;
    g->columns = size.columns;
    g->stride = size.stride;
    g->n_pairs = size.pairs;
    g->n_tokens = 0;
    for (size_t d = 0; d < n_docs; d++) {
        const uint32_t *tokens = sorted[d].tokens;
        g->numbers[d] = sorted[d].number;
        float share = (float)(1.0 / ((double)sorted[d].n * (double)batch_size)); /* mutant: share-of-token */
        for (size_t p = 0; p < sorted[d].n; p++) {
            size_t t = by_document ? g->offsets[d] + p : g->offsets[p] + d;
            if (tokens[p] >= s->vocab || tokens[p + 1] >= s->vocab) /* mutant: unknown-token */
                return BAD_CORPUS;
            g->inputs[t] = tokens[p];
            g->targets[t] = (float)tokens[p + 1];
            g->positions[t] = (uint32_t)p;
            g->shares[t] = share;
        }
        g->n_tokens += sorted[d].n;
    }
    for (size_t t = g->n_tokens; t < g->columns; t++) { /* any token will do: its share is 0 */
        g->inputs[t] = g->positions[t] = 0;
        g->targets[t] = g->shares[t] = 0.0f; /* mutant: padding */
    }
    return DONE;
}
