/* Threads, by POSIX or Windows. */
#define _POSIX_C_SOURCE 200809L
#include "team.h"

#include <stdlib.h>

#if defined(_WIN32)
#include <windows.h>
typedef HANDLE Thread;
typedef SRWLOCK Lock;
typedef CONDITION_VARIABLE Condition;
#define NEW_LOCK SRWLOCK_INIT
#define NEW_CONDITION CONDITION_VARIABLE_INIT
static void lock(Lock *l) { AcquireSRWLockExclusive(l); }
static void unlock(Lock *l) { ReleaseSRWLockExclusive(l); }
static void sleep_on(Condition *c, Lock *l) { SleepConditionVariableSRW(c, l, INFINITE, 0); }
static void wake_all(Condition *c) { WakeAllConditionVariable(c); }
double SYMBOL(team_clock)(void) {
    LARGE_INTEGER now, frequency;
    QueryPerformanceCounter(&now);
    QueryPerformanceFrequency(&frequency);
    return (double)now.QuadPart / (double)frequency.QuadPart;
}
#else
#include <pthread.h>
#include <time.h>
typedef pthread_t Thread;
typedef pthread_mutex_t Lock;
typedef pthread_cond_t Condition;
#define NEW_LOCK PTHREAD_MUTEX_INITIALIZER
#define NEW_CONDITION PTHREAD_COND_INITIALIZER
static void lock(Lock *l) { pthread_mutex_lock(l); }
static void unlock(Lock *l) { pthread_mutex_unlock(l); }
static void sleep_on(Condition *c, Lock *l) { pthread_cond_wait(c, l); }
static void wake_all(Condition *c) { pthread_cond_broadcast(c); }
double SYMBOL(team_clock)(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}
#endif

#if defined(_MSC_VER)
typedef volatile LONG64 Shared;
static size_t load(Shared *x) { return (size_t)InterlockedCompareExchange64(x, 0, 0); }
static void store(Shared *x, size_t value) { InterlockedExchange64(x, (LONG64)value); }
static size_t add(Shared *x, size_t value) { return (size_t)InterlockedExchangeAdd64(x, (LONG64)value); }
static void pause_briefly(void) { YieldProcessor(); }
#else
typedef size_t Shared;
static size_t load(Shared *x) { return __atomic_load_n(x, __ATOMIC_SEQ_CST); }
static void store(Shared *x, size_t value) { __atomic_store_n(x, value, __ATOMIC_SEQ_CST); }
static size_t add(Shared *x, size_t value) { return __atomic_fetch_add(x, value, __ATOMIC_SEQ_CST); }
static void pause_briefly(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}
#endif

#define LINE 128   /* bytes between what different threads write often, so that they share no cache line */
#define SPINS 2000 /* 20 microseconds or more; a thread that is later has lost its processor, and may need this one */

struct Team {
    Shared next;
    char apart1[LINE];
    Shared arrived;
    char apart2[LINE];
    Shared round; /* barriers passed; 0 until it is known how many threads there are */
    char apart3[LINE];
    Shared sleepers;
    Lock lock;
    Condition passed;
    size_t n;
    void (*work)(void *, Team *, size_t);
    void *context;
};

typedef struct {
    Team *team;
    size_t index;
    Thread thread;
} Member;

size_t SYMBOL(team_size)(const Team *team) { return team->n; }

size_t SYMBOL(team_next)(Team *team) {
    if (team->n == 1)
        return (size_t)team->next++;
    return add(&team->next, 1);
}

/* Until `round` is over: spin, then sleep. The thread that ends a round then looks for sleepers, and a sleeper registers
 * before it checks the round: so one of them sees the other. */
static void wait_for_end_of(Team *team, size_t round) {
    for (size_t spins = 0; spins < SPINS; spins++) {
        if (load(&team->round) != round)
            return;
        pause_briefly();
    }
    lock(&team->lock);
    add(&team->sleepers, 1);
    while (load(&team->round) == round)
        sleep_on(&team->passed, &team->lock);
    add(&team->sleepers, (size_t)-1);
    unlock(&team->lock);
}

static void begin_round(Team *team, size_t round) {
    store(&team->round, round);
    if (load(&team->sleepers) > 0) { /* mutant: wake-sleepers */
        lock(&team->lock);
        wake_all(&team->passed);
        unlock(&team->lock);
    }
}

void SYMBOL(team_barrier)(Team *team) {
    if (team->n == 1) {
        team->next = 0;
        return;
    }
    size_t round = load(&team->round);
    if (add(&team->arrived, 1) + 1 < team->n) {
        wait_for_end_of(team, round);
        return;
    }
    store(&team->arrived, 0);
    store(&team->next, 0);
    begin_round(team, round + 1);
}

static void member_run(Member *m) {
    wait_for_end_of(m->team, 0);
    m->team->work(m->team->context, m->team, m->index);
}

#if defined(_WIN32)
static DWORD WINAPI thread_main(void *member) {
    member_run(member);
    return 0;
}
static int thread_start(Member *m) {
    m->thread = CreateThread(NULL, 0, thread_main, m, 0, NULL);
    return m->thread != NULL;
}
static void thread_join(Member *m) {
    WaitForSingleObject(m->thread, INFINITE);
    CloseHandle(m->thread);
}
#else
static void *thread_main(void *member) {
    member_run(member);
    return NULL;
}
static int thread_start(Member *m) { return pthread_create(&m->thread, NULL, thread_main, m) == 0; }
static void thread_join(Member *m) { pthread_join(m->thread, NULL); }
#endif

void SYMBOL(team_run)(size_t n, void (*work)(void *, Team *, size_t), void *context) {
    Team team = {.n = 1, .work = work, .context = context, .lock = NEW_LOCK, .passed = NEW_CONDITION};
    Member *members = n > 1 ? calloc(n, sizeof(Member)) : NULL;
    if (members)
        for (; team.n < n; team.n++) {
            members[team.n] = (Member){.team = &team, .index = team.n};
            if (!thread_start(&members[team.n]))
                break;
        }
    begin_round(&team, 1);
    work(context, &team, 0);
    for (size_t i = 1; i < team.n; i++)
        thread_join(&members[i]);
    free(members);
}
