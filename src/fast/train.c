/* The training loop, as every thread of a team runs it.
 *
 * A step has two phases. In the first, the threads run the forward and backward passes of groups of documents. In the second
 * they take tasks, which are rows of matrices: they add up the gradients over all groups, and update the parameters. In both,
 * one thread computes each number, in an order that does not depend on the threads: so the results do not either.
 *
 * Where the model is small and a batch has several groups, a thread computes a group's gradients right after its passes, so the
 * second phase only adds them up. Activations then never leave the cache of the thread's core: the next group's take their place.
 */
#include "engine.h"
#include "simd/denormals.h"
#include "common/team.h"

#include <math.h>

typedef struct {
    Trainer *trainer;
    const Documents *docs;
    const Options *options;
    size_t first_step, n_groups, n_steps;
    const double *lr;       /* NULL: gradients only */
    double *losses, *norms; /* norms: of the steps' gradients; NULL: not wanted */
    size_t n_losses;
    int by_group;   /* whether gradients are summed in each group, then over the groups */
    double seconds; /* of the steps, since all threads had started */
    enum outcome outcome;
} Job;

static enum outcome fill(const Job *job, Group *g, size_t index, size_t step) {
    return fast_group_fill(g, &job->trainer->shape, job->docs, step, job->options->batch_size, index, job->n_groups);
}

static double loss_of(const Job *job, const Group *g) { return job->trainer->kernels->sum(g->losses, g->n_tokens); }

/* Each thread takes whole groups, and never waits for another. By group, one group's memory serves for all that a thread takes. */
static void pass_groups(const Job *job, Team *team, size_t thread, size_t step) {
    Trainer *t = job->trainer;
    for (size_t i; (i = fast_team_next(team)) < job->n_groups;) {
        Group *g = &t->groups[job->by_group ? thread : i];
        Result *result = &t->results[i];
        result->outcome = fill(job, g, i, step);
        if (result->outcome != DONE)
            continue;
        for (size_t stage = 0; stage < stages_of(&t->shape); stage++)
            if (stage % 2 == 0)
                t->kernels->columns(&t->shape, t->params, g, stage, 0, g->columns, t->packed + thread * PACKED);
            else
                t->kernels->heads(&t->shape, g, stage, 0, t->shape.n_head);
        result->loss = loss_of(job, g);
        for (size_t task = 0; job->by_group && task < t->n_tasks; task++)
            t->kernels->gradients(&t->shape, g, 1, &t->tasks[task], t->gradients + i * t->padded + t->tasks[task].start);
    }
}

/* Where part `index` of `n` parts of a whole starts, a multiple of `unit`. */
static size_t part(size_t whole, size_t index, size_t n, size_t unit) { return whole / unit * index / n * unit; }

/* All threads work on every group: stage by stage, they share its columns and heads. */
static void share_groups(const Job *job, Team *team, size_t thread, size_t step) {
    const Trainer *t = job->trainer;
    size_t n = fast_team_size(team), n_head = t->shape.n_head;
    for (size_t i; (i = fast_team_next(team)) < job->n_groups;)
        t->results[i].outcome = fill(job, &t->groups[i], i, step);
    for (size_t stage = 0; stage < stages_of(&t->shape); stage++) {
        fast_team_barrier(team);
        for (size_t i = 0; i < job->n_groups; i++) {
            Group *g = &t->groups[i];
            if (t->results[i].outcome != DONE)
                return; /* all threads do */
            /* mutant: share-columns */
            if (stage % 2 == 0)
                t->kernels->columns(&t->shape, t->params, g, stage, part(g->columns, thread, n, WIDEST),
                                    part(g->columns, thread + 1, n, WIDEST), t->packed + thread * PACKED);
            else
                t->kernels->heads(&t->shape, g, stage, part(n_head, thread, n, 1), part(n_head, thread + 1, n, 1));
        }
    }
    fast_team_barrier(team);
    for (size_t i; (i = fast_team_next(team)) < job->n_groups;)
        t->results[i].loss = loss_of(job, &t->groups[i]);
}

/* Whether whole groups keep the threads busy: some may be idle in the last round. */
static int enough_groups(size_t n_groups, size_t n_threads) {
    size_t rounds = (n_groups + n_threads - 1) / n_threads;
    return 10 * n_groups >= 9 * rounds * n_threads;
}

/* The batch's loss, and whether training can go on. Every thread computes the same. */
static enum outcome sum_losses(const Job *job, double *loss) {
    *loss = 0.0;
    for (size_t i = 0; i < job->n_groups; i++) {
        const Result *result = &job->trainer->results[i];
        if (result->outcome != DONE)
            return result->outcome;
        *loss += result->loss;
    }
    return isfinite(*loss) ? DONE : LOSS_NOT_FINITE;
}

/* Computes a task's gradients, or adds up those of the groups. Returns where they are: in `own`, or by group, in t->gradients. */
static const float *task_gradients(const Job *job, const Team *team, size_t i, float *own) {
    Trainer *t = job->trainer;
    const Task *task = &t->tasks[i];
    float *sums = t->gradients + task->start;
    if (!job->by_group) {
        t->kernels->gradients(&t->shape, t->groups, job->n_groups, task, own);
        return own;
    }
    for (size_t g = 0; g < job->n_groups; g++) {
        float *of_group = sums + g * t->padded;
        if (!enough_groups(job->n_groups, fast_team_size(team)))
            t->kernels->gradients(&t->shape, &t->groups[g], 1, task, of_group);
        if (g > 0)
            t->kernels->add(sums, of_group, task->count); /* mutant: sum-of-groups */
    }
    return sums;
}

/* Computes the gradients of all tasks, and their length as one vector; returns the factor that makes it no more than clip_norm,
 * unless that is 0. NaN when the length overflows. */
static double clip(const Job *job, Team *team, double *length) {
    Trainer *t = job->trainer;
    double squares = 0.0, norm, clip_norm = job->options->clip_norm;
    for (size_t i; (i = fast_team_next(team)) < t->n_tasks;) {
        task_gradients(job, team, i, t->gradients + t->tasks[i].start);
        t->squares[i] = t->kernels->sum_of_squares(t->gradients + t->tasks[i].start, t->tasks[i].count);
    }
    fast_team_barrier(team);
    for (size_t i = 0; i < t->n_tasks; i++)
        squares += t->squares[i];
    norm = *length = sqrt(squares);
    if (!(clip_norm > 0))
        return 1.0;
    if (!isfinite(norm)) /* mutant: infinite-norm */
        return NAN;
    return norm > clip_norm ? clip_norm / norm : 1.0;
}

/* 1 - beta**step. Once it rounds to 1 it stays 1, and pow is not called again. */
static double correction(double before, double beta, uint64_t step) { return before == 1 ? 1 : 1 - pow(beta, (double)step); }

static enum outcome update(const Job *job, Team *team, double lr, double c1, double c2, double *norm) {
    Trainer *t = job->trainer;
    int clipping = job->options->clip_norm > 0 || job->norms; /* all gradients are there before the first parameter changes */
    double scale = clipping ? clip(job, team, norm) : 1.0;
    Update u = {
        .lr = (float)(lr / c1),
        .beta1 = (float)t->beta1,
        .beta2 = (float)t->beta2,
        .eps = (float)t->eps,
        .inverse_c2 = (float)(1 / c2),
        .keep = (float)(1 - lr * job->options->weight_decay),
        .clip = (float)scale,
    };
    float *own = NULL; /* where this thread puts a task's gradients: always the same place, which stays in the cache */
    for (size_t i; (i = fast_team_next(team)) < t->n_tasks;) {
        const Task *task = &t->tasks[i];
        size_t at = task->start;
        if (own == NULL)
            own = t->gradients + i * t->largest_task; /* no other thread has task i */
        const float *gradients = clipping ? t->gradients + at : task_gradients(job, team, i, own);
        t->overflowed[i] = t->kernels->update(&u, t->params + at, gradients, t->m + at, t->v + at, task->count);
    }
    fast_team_barrier(team);
    for (size_t i = 0; i < t->n_tasks; i++)
        if (t->overflowed[i])
            return GRADIENT_OVERFLOW;
    return DONE;
}

static void work(void *context, Team *team, size_t thread) {
    Job *job = context;
    Trainer *t = job->trainer;
    uint64_t denormals = flush_denormals(), done = t->num_steps;
    double c1 = 0, c2 = 0, started;
    size_t i = 0;
    enum outcome outcome = DONE;
    fast_team_barrier(team); /* all are there, and have read num_steps */
    started = fast_team_clock();
    for (; i < job->n_steps && outcome == DONE; i++) {
        double loss, norm = 0.0;
        if (enough_groups(job->n_groups, fast_team_size(team)))
            pass_groups(job, team, thread, job->first_step + i);
        else
            share_groups(job, team, thread, job->first_step + i);
        fast_team_barrier(team); /* mutant: after-the-pass */
        outcome = sum_losses(job, &loss);
        if (outcome != DONE)
            break;
        if (job->lr) {
            c1 = correction(c1, t->beta1, done + i + 1); /* mutant: first-correction */
            c2 = correction(c2, t->beta2, done + i + 1);
            outcome = update(job, team, job->lr[i], c1, c2, &norm);
            if (outcome != DONE)
                break;
        } else {
            for (size_t task; (task = fast_team_next(team)) < t->n_tasks;)
                task_gradients(job, team, task, t->gradients + t->tasks[task].start);
        }
        if (thread == 0) {
            job->losses[i] = loss;
            if (job->norms)
                job->norms[i] = norm;
        }
    }
    restore_denormals(denormals);
    if (thread == 0) {
        job->outcome = outcome;
        job->n_losses = i;
        job->seconds = fast_team_clock() - started;
        t->num_steps = done + (job->lr ? i : 0); /* mutant: steps-done */
    }
}

/* As many as are requested and have work to do. */
static size_t most_threads(const Job *job) {
    size_t n_tasks = job->trainer->n_tasks, most = n_tasks > job->n_groups ? n_tasks : job->n_groups;
    return smaller(job->options->n_threads, most);
}

/* Memory for the job's batches; -1 when there is none. */
static int reserve(Job *job) {
    Trainer *t = job->trainer;
    job->n_groups = fast_groups_of(job->options->batch_size);
    if (fast_trainer_reserve(t) < 0)
        return -1;
    job->by_group = t->is_small && job->n_groups > 1;
    return fast_trainer_reserve_batch(t, job->n_groups, most_threads(job));
}

static void run_team(Job *job, size_t n_threads) {
    Trainer *t = job->trainer;
    fast_team_run(smaller(n_threads, most_threads(job)), work, job);
    /* mutant: free-batch */
    if (job->outcome != DONE)
        fast_trainer_free_batch(t); /* start from zeros: a NaN in a group's padding would remain, as 0 * NaN is NaN */
}

/* All steps, in stretches with the team or without, see pace.h. */
static enum outcome run(Job *job, size_t n_steps) {
    Trainer *t = job->trainer;
    const Options *o = job->options;
    size_t done = 0;
    if (reserve(job) < 0)
        return NO_MEMORY;
    while (done < n_steps) {
        int with_team = 0;
        job->n_steps = o->n_threads > 1 ? pace_next(&t->pace, o->batch_size, n_steps - done, &with_team) : n_steps;
        run_team(job, with_team ? o->n_threads : 1);
        pace_done(&t->pace, with_team, job->n_steps, job->seconds);
        done += job->n_losses;
        if (job->outcome != DONE)
            break;
        job->lr += job->n_steps;
        job->losses += job->n_steps;
        job->norms += job->norms ? job->n_steps : 0;
        job->first_step += job->n_steps;
    }
    job->n_losses = done;
    return job->outcome;
}

enum outcome fast_batch_gradients(Trainer *t, const Documents *docs, size_t step, const Options *o, double *loss) {
    Job job = {.trainer = t, .docs = docs, .options = o, .first_step = step, .n_steps = 1, .losses = loss};
    if (reserve(&job) < 0)
        return NO_MEMORY;
    run_team(&job, o->n_threads);
    return job.outcome;
}

enum outcome fast_train(Trainer *t, const Documents *docs, size_t first, size_t n_steps, const Options *o, const double *lr,
                        double *losses, double *norms, size_t *n_losses) {
    Job job = {.trainer = t, .docs = docs, .options = o, .first_step = first, .lr = lr, .losses = losses, .norms = norms};
    enum outcome outcome = run(&job, n_steps);
    *n_losses = job.n_losses;
    return outcome;
}
