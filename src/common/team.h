/* A team of threads that share one piece of work: started for it, and ended after it.
 *
 * There is no pool, so nothing can break at a fork or when the interpreter exits, and each of a user's own threads may have a
 * team. The threads of a team synchronize at barriers that spin first, because a phase of a step takes microseconds.
 */
#ifndef MICROGPT_TEAM_H
#define MICROGPT_TEAM_H

#include "common/engine.h"

#include <stddef.h>

typedef struct Team Team;

/* Call work(context, team, index) for index 0 (on this thread) up to n - 1, each on its own thread, and wait for all of them.
 * If the system provides fewer threads, n is smaller. */
void SYMBOL(team_run)(size_t n, void (*work)(void *context, Team *, size_t index), void *context);

size_t SYMBOL(team_size)(const Team *team);

/* The next number: 0, 1, 2, ... each to one thread; from 0 again after a barrier. */
size_t SYMBOL(team_next)(Team *team);

double SYMBOL(team_clock)(void); /* seconds, since an arbitrary moment */

/* Wait until all threads arrive. What they wrote before can be read after it. */
void SYMBOL(team_barrier)(Team *team);

#endif
