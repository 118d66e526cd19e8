/* Some threads that work on one thing: begun for it, gone after it.
 *
 * There is no pool: so nothing is left to break at a fork or at the interpreter's end, and a user's own threads may each have a
 * team. Within, threads meet at barriers that spin first, because a phase of a step takes microseconds.
 */
#ifndef MICROGPT_TEAM_H
#define MICROGPT_TEAM_H

#include "common/engine.h"

#include <stddef.h>

typedef struct Team Team;

/* Call work(context, team, index) for index 0 (on this thread) up to n - 1, each on a thread of its own, and wait for all.
 * Where the system gives fewer threads there are fewer. */
void SYMBOL(team_run)(size_t n, void (*work)(void *context, Team *, size_t index), void *context);

size_t SYMBOL(team_size)(const Team *team);

/* The next number: 0, 1, 2, ... each to one thread; from 0 again after a barrier. */
size_t SYMBOL(team_next)(Team *team);

double SYMBOL(team_clock)(void); /* seconds, from some moment on */

/* Wait until all are here. What they wrote before can be read after it. */
void SYMBOL(team_barrier)(Team *team);

#endif
