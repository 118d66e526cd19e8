/* Whether the next steps are done by a team of threads or by one thread.
 *
 * On a machine that has other work too, a team waits for any thread that has lost its processor, and can be slower than one
 * thread alone; and a short run is over before threads have started. Since the results are the same either way, a run is
 * divided into stretches. Each is done the way that was faster last, with an occasional trial of the other. Threads are
 * started for each stretch, which takes about 50 microseconds: a stretch is long enough that this does not matter, and a
 * trial's time excludes it.
 */
#ifndef MICROGPT_PACE_H
#define MICROGPT_PACE_H

#include <stddef.h>

#define STRETCH 2e-2     /* seconds */
#define TRIAL 2e-3       /* seconds of the way that may be slower */
#define MOST_PATIENCE 32 /* stretches before the other way has its next trial */

typedef struct {
    size_t batch_size;       /* of what follows */
    double alone, team;      /* steps per second, when last measured; 0: not known */
    size_t waited, patience; /* stretches since the last trial; how many until the next one of a slower team */
} Pace;

/* Of the next `wanted` steps, how many to do in one stretch, and whether with the team. */
static inline size_t pace_next(Pace *p, size_t batch_size, size_t wanted, int *with_team) {
    *with_team = 0;
    if (p->batch_size != batch_size)
        *p = (Pace){.batch_size = batch_size, .patience = 1};
    if (p->alone == 0)
        return 1;
    int team_is_faster = p->team >= p->alone, trial = p->waited >= (team_is_faster ? MOST_PATIENCE : p->patience);
    if (trial && !team_is_faster && (double)wanted < TRIAL * p->alone)
        trial = 0; /* too few to begin threads for */
    *with_team = team_is_faster != trial;
    if (trial) {
        p->waited = 0;
        if (!team_is_faster)
            p->patience = 2 * p->patience < MOST_PATIENCE ? 2 * p->patience : MOST_PATIENCE;
    } else {
        p->waited++;
    }
    double rate = *with_team && p->team > 0 ? p->team : p->alone;
    double steps = (trial || p->team == 0 ? TRIAL : STRETCH) * rate;
    return steps < 1 ? 1 : steps < (double)wanted ? (size_t)steps : wanted;
}

/* seconds: the time of those steps, from when all threads had started */
static inline void pace_done(Pace *p, int with_team, size_t steps, double seconds) {
    *(with_team ? &p->team : &p->alone) = (double)steps / (seconds > 1e-9 ? seconds : 1e-9);
    if (with_team && p->team >= p->alone)
        p->patience = 1;
}

#endif
