/* A pool of threads for kernels: the caller and threads - 1 workers, which share the items of one kernel
 * at a time.
 *
 *   adze_parallel_for(pool, items, work, arg)
 *     part 0       part 1       ...   part n-1        part t: items [t * items / n, (t + 1) * items / n)
 *     the caller   worker 1           worker n-1      a part that nobody has begun is the caller's too
 *
 * The bounds of parts depend on items and threads only, so results do not depend on who computes what. A
 * worker that sleeps, or that the system does not let run, costs no more than computing its part.
 *
 * No heap, no global state: pool and workers lie in memory of the caller's, which must not move while the
 * pool runs. */
#ifndef ADZE_THREADS_H
#define ADZE_THREADS_H

#include "adze_config.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>

#define adze_pool_start ADZE_NAME(adze_pool_start)
#define adze_pool_stop ADZE_NAME(adze_pool_stop)
#define adze_parallel_for ADZE_NAME(adze_parallel_for)

/* Items begin <= i < end of a kernel; `part` (0 to threads - 1) names memory that no other call uses at
 * the same time. Never called for no items. */
typedef void adze_work(void *arg, ptrdiff_t begin, ptrdiff_t end, ptrdiff_t part);

struct adze_pool;

/* Padding keeps what different threads write on different cache lines, however the memory is aligned. */
typedef struct adze_worker {
    struct adze_pool *pool;
    pthread_t thread;
    ptrdiff_t part;
    unsigned char before[128];
    atomic_uint begun; /* the last job whose part this is was begun, by whomever */
    unsigned char after[128];
} adze_worker;

typedef struct adze_pool {
    pthread_mutex_t lock;
    pthread_cond_t wake, done;
    int threads; /* the caller is one of them */
    adze_worker *workers;
    /* the job: written by the caller before `job` counts up, read by whoever has begun a part of it */
    adze_work *work; /* NULL: workers end */
    void *arg;
    ptrdiff_t items;
    unsigned char before[128];
    atomic_uint job;
    atomic_int asleep, busy;
    unsigned char between[128];
    atomic_int left;    /* parts of the job that are not finished */
    atomic_int waiting; /* the caller sleeps until `left` is 0 */
    unsigned char after[128];
} adze_pool;

/* Starts threads - 1 workers; workers[threads - 1] is the caller's memory. 0, or -1 when the system gives
 * no threads: then nothing runs. */
int adze_pool_start(adze_pool *pool, adze_worker *workers, int threads);

/* Ends the workers and waits for them. */
void adze_pool_stop(adze_pool *pool);

/* Computes items 0 <= i < items and returns when all are done. Within `work`, and while another thread
 * uses the pool, it computes all items by itself, as part 0. */
void adze_parallel_for(adze_pool *pool, ptrdiff_t items, adze_work *work, void *arg);

#endif
