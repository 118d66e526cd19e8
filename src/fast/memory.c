/* Everything a run allocates. */
#define _DEFAULT_SOURCE /* madvise */
#include "engine.h"

#include "common/arena.h"

#include <string.h>
#if defined(__linux__)
#include <sys/mman.h>
#endif

#define LARGE_PAGE ((size_t)2 << 20)

/* Zeros, in large pages where possible: with small ones, the rows of a large matrix need more address translations than a
 * processor caches. */
static void *allocate(size_t bytes) {
    char *block = allocate_zeros(bytes);
#if defined(MADV_HUGEPAGE)
    size_t before = block ? (LARGE_PAGE - (uintptr_t)block % LARGE_PAGE) % LARGE_PAGE : 0;
    if (block && bytes >= before + LARGE_PAGE)
        madvise(block + before, (bytes - before) / LARGE_PAGE * LARGE_PAGE, MADV_HUGEPAGE); /* where not, nothing is lost */
#endif
    return block;
}

static float *floats(Arena *a, size_t rows, size_t columns) { return take(a, rows, columns, sizeof(float)); }

static void place_layer(Layer *l, const Shape *s, Arena *a, Extent room) {
    size_t columns = room.columns, stride = room.stride, e = s->n_embd, padded = rounded_up(e, 2 * WIDEST);
    l->scale1 = floats(a, 1, stride);
    l->norm1 = floats(a, e, stride);
    l->norm1_t = floats(a, padded, columns);
    l->qkv = floats(a, 3 * e, stride);
    l->weights = floats(a, s->n_head, room.pairs);
    l->heads = floats(a, e, stride);
    l->heads_t = floats(a, padded, columns);
    l->scale2 = floats(a, 1, stride);
    l->norm2 = floats(a, e, stride);
    l->norm2_t = floats(a, padded, columns);
    l->act = floats(a, s->n_mlp, stride);
    l->slope = floats(a, s->n_mlp, stride);
    l->act_t = floats(a, rounded_up(s->n_mlp, 2 * WIDEST), columns);
    l->d_qkv = floats(a, 3 * e, stride);
    l->d_mid = floats(a, e, stride);
    l->d_pre = floats(a, s->n_mlp, stride);
    l->d_out = floats(a, e, stride);
}

static void place_group(Group *g, const Shape *s, Arena *a, Extent room) {
    size_t runs = room.runs, columns = room.columns, stride = room.stride, e = s->n_embd;
    size_t heads_padded = s->n_head * rounded_up(s->head_dim, WIDEST);
    g->layers = take(a, s->n_layer, 1, sizeof(Layer));
    g->counts = take(a, runs, 1, sizeof(size_t));
    g->offsets = take(a, runs, 1, sizeof(size_t));
    g->pairs = take(a, runs, 1, sizeof(size_t));
    g->inputs = take(a, columns, 1, sizeof(uint32_t));
    g->positions = take(a, columns, 1, sizeof(uint32_t));
    g->targets = floats(a, 1, columns);
    g->shares = floats(a, 1, columns);
    g->losses = floats(a, 1, columns);
    g->x = floats(a, e, stride);
    g->mid = floats(a, e, stride);
    g->scale0 = floats(a, 1, stride);
    g->norm0 = floats(a, e, stride);
    g->out_t = floats(a, rounded_up(e, 2 * WIDEST), columns);
    g->d_logits = floats(a, s->vocab, stride);
    g->d_norm = floats(a, e, stride);
    g->d_heads = floats(a, e, stride);
    g->d_scores = floats(a, s->n_head, room.pairs);
    g->query_t = floats(a, heads_padded, columns);
    g->d_out_t = floats(a, heads_padded, columns);
    g->d_key_t = floats(a, heads_padded, columns);
    g->d_value_t = floats(a, heads_padded, columns);
    g->d_embedding_t = floats(a, rounded_up(e, 2 * WIDEST), columns);
    for (size_t i = 0; i < s->n_layer && !a->overflow; i++) {
        Layer counted;
        place_layer(a->base ? &g->layers[i] : &counted, s, a, room);
    }
    floats(a, PAST, stride);
}

size_t fast_token_bytes(const Shape *s) {
    enum { TOKENS = 64 };
    Group counted = {0};
    Arena arena = {NULL, 0, 0};
    place_group(&counted, s, &arena, (Extent){1, TOKENS, TOKENS, TOKENS});
    return arena.overflow ? SIZE_MAX : arena.used / TOKENS;
}

static size_t with_room(size_t needed, size_t there_is) { /* to grow seldom */
    return needed <= there_is ? there_is : needed + needed / 4;
}

/* 0 when there is room already; else `room` becomes the size to allocate. */
static int grow_room(Extent *room, Extent needed) {
    if (needed.runs <= room->runs && needed.columns <= room->columns && needed.stride <= room->stride &&
        needed.pairs <= room->pairs)
        return 0;
    room->runs = with_room(needed.runs, room->runs);
    room->columns = with_room(needed.columns, room->columns);
    room->stride = with_room(needed.stride, room->stride);
    room->pairs = with_room(needed.pairs, room->pairs);
    return 1;
}

int fast_group_reserve(Group *g, const Shape *s, Extent needed) {
    Extent room = g->room;
    if (!grow_room(&room, needed))
        return 0;
    free_zeros(g->memory);
    memset(g, 0, sizeof *g);
    Arena arena = {NULL, 0, 0};
    if (s->n_embd > SIZE_MAX / 32)
        return -1;
    place_group(g, s, &arena, room);
    g->memory = arena.overflow ? NULL : allocate(arena.used);
    if (!g->memory)
        return -1;
    arena = (Arena){g->memory, 0, 0};
    place_group(g, s, &arena, room);
    g->room = room;
    return 0;
}

/* ---- Tasks: rows of matrices, at least some hundreds of parameters each, the same for any number of threads ---- */

#define TASK_ROWS 8 /* what a kernel computes at a time */

typedef struct {
    Task *tasks; /* NULL: only count */
    size_t n, largest;
} TaskList;

static void add_tasks(TaskList *list, const Shape *s, enum matrix matrix, size_t layer, size_t start, size_t n_rows,
                      size_t n_in) {
    size_t most = s->n_params / 32 < 512 ? 512 : s->n_params / 32;
    size_t step = most / n_in < TASK_ROWS ? TASK_ROWS : most / n_in / TASK_ROWS * TASK_ROWS;
    for (size_t row = 0; row < n_rows; row += step, list->n++) {
        size_t rows = smaller(step, n_rows - row), count = rows * n_in;
        if (list->tasks)
            list->tasks[list->n] = (Task){matrix, layer, row, rows, n_in, start + row * n_in, count};
        if (count > list->largest)
            list->largest = count;
    }
}

static TaskList list_tasks(Task *tasks, const Shape *s) {
    size_t e = s->n_embd;
    TaskList list = {.tasks = tasks};
    for (size_t i = s->n_layer; i-- > 0;) {
        LayerOffsets at = layer_offsets(s, i);
        add_tasks(&list, s, FC1, i, at.fc1, s->n_mlp, e);
        add_tasks(&list, s, FC2, i, at.fc2, e, s->n_mlp);
        add_tasks(&list, s, QKV, i, at.wq, 3 * e, e); /* wk and wv follow wq, as Shape says */
        add_tasks(&list, s, WO, i, at.wo, e, e);
    }
    add_tasks(&list, s, LM_HEAD, 0, s->lm_head, s->vocab, e);
    add_tasks(&list, s, WPE, 0, s->wpe, s->block_size, e);
    add_tasks(&list, s, WTE, 0, s->wte, s->vocab, e);
    return list;
}

static void place_trainer(Trainer *t, Arena *a) {
    size_t n = t->shape.n_params;
    t->tasks = take(a, t->n_tasks, 1, sizeof(Task));
    t->squares = take(a, t->n_tasks, 1, sizeof(double));
    t->overflowed = take(a, t->n_tasks, 1, sizeof(int));
    t->m = floats(a, 1, n);
    t->v = floats(a, 1, n);
    t->params = floats(a, 1, n);
    floats(a, PAST, t->shape.n_mlp);
}

#define SMALL ((size_t)1 << 18) /* parameters: their gradients fit into a core's second cache, and take less than activations */

int fast_trainer_reserve(Trainer *t) {
    if (t->memory)
        return 0;
    if (t->shape.n_params > SIZE_MAX / 64)
        return -1;
    TaskList list = list_tasks(NULL, &t->shape);
    t->n_tasks = list.n;
    t->largest_task = rounded_up(list.largest, WIDEST);
    t->padded = rounded_up(t->shape.n_params, WIDEST);
    t->is_small = t->shape.n_params <= SMALL;
    Arena arena = {NULL, 0, 0};
    place_trainer(t, &arena);
    t->memory = arena.overflow ? NULL : allocate(arena.used);
    if (!t->memory)
        return -1;
    arena = (Arena){t->memory, 0, 0};
    place_trainer(t, &arena);
    list_tasks(t->tasks, &t->shape);
    return 0;
}

int fast_trainer_reserve_batch(Trainer *t, size_t n_groups, size_t n_threads) {
    if (n_threads > t->n_packed) {
        free_zeros(t->packed);
        t->n_packed = 0;
        t->packed = n_threads > SIZE_MAX / sizeof(float) / PACKED ? NULL : allocate(n_threads * PACKED * sizeof(float));
        if (!t->packed)
            return -1;
        t->n_packed = n_threads;
    }
    size_t n = n_groups > n_threads ? n_groups : n_threads, sums = t->is_small ? n : 1;
    if (n <= t->n_groups)
        return 0;
    if (n > SIZE_MAX / sizeof(Group) || sums > SIZE_MAX / sizeof(float) / (SMALL + WIDEST))
        return -1;
    Group *longer = realloc(t->groups, n * sizeof(Group));
    if (!longer)
        return -1;
    t->groups = longer;
    Result *results = realloc(t->results, n * sizeof(Result));
    if (!results)
        return -1;
    t->results = results;
    free_zeros(t->gradients);
    size_t floats_of_tasks = t->n_tasks * t->largest_task, floats_of_groups = sums * t->padded;
    t->gradients = allocate(sizeof(float) * (floats_of_tasks > floats_of_groups ? floats_of_tasks : floats_of_groups));
    if (!t->gradients) {
        fast_trainer_free_batch(t);
        return -1;
    }
    memset(longer + t->n_groups, 0, (n - t->n_groups) * sizeof(Group));
    t->n_groups = n;
    return 0;
}

void fast_trainer_free_batch(Trainer *t) {
    for (size_t i = 0; i < t->n_groups; i++)
        free_zeros(t->groups[i].memory);
    free(t->groups);
    free(t->results);
    free_zeros(t->packed);
    free_zeros(t->gradients);
    t->groups = NULL;
    t->results = NULL;
    t->packed = t->gradients = NULL;
    t->n_groups = t->n_packed = 0;
}

void fast_trainer_free(Trainer *t) {
    fast_trainer_free_batch(t);
    free_zeros(t->memory);
    memset(t, 0, sizeof *t);
}
