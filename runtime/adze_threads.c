/* See adze_threads.h.
 *
 * A job is published by counting `job` up. Who wants to compute part t of job j changes begun[t] from
 * j - 1 to j: only one succeeds, and the job cannot end before that part is finished, so the job's fields
 * may be read from then on. A late worker fails, reads nothing, and waits for the next job. */
#if !defined(_POSIX_C_SOURCE)
#define _POSIX_C_SOURCE 200809L
#endif
#include "adze_threads.h"

#include <signal.h>
#include <stdint.h>

/* How often a thread looks before it sleeps: some tens of microseconds, as long as waking it takes. A worker that slept
 * through every second job would slow all of them down. */
enum { SPINS = 2000 };
/* A worker's stack is at least this large: some systems give 128 KB. */
enum { STACK_BYTES = 1 << 20 };

static void pause_briefly(void) {
#if defined(__x86_64__) || defined(__i386__)
    __asm__ volatile("pause");
#elif defined(__aarch64__)
    __asm__ volatile("isb"); /* yield takes no time on most cores */
#elif defined(__riscv)
    __asm__ volatile(".4byte 0x0100000f"); /* pause, a hint that old processors ignore */
#endif
}

static int begin_part(adze_worker *w, unsigned job) {
    unsigned before = job - 1;
    return atomic_compare_exchange_strong(&w->begun, &before, job);
}

static void compute_part(adze_pool *pool, ptrdiff_t part) {
    const int64_t items = pool->items, threads = pool->threads;
    const ptrdiff_t begin = (ptrdiff_t)(items * part / threads);
    const ptrdiff_t end = (ptrdiff_t)(items * (part + 1) / threads);
    if (begin < end) {
        pool->work(pool->arg, begin, end, part);
    }
}

/* The next job after `seen`. */
static unsigned next_job(adze_pool *pool, unsigned seen) {
    for (int i = 0; i < SPINS; i++) {
        const unsigned job = atomic_load_explicit(&pool->job, memory_order_acquire);
        if (job != seen) {
            return job;
        }
        pause_briefly();
    }
    /* Either the caller sees that somebody sleeps, or this thread sees the job. */
    pthread_mutex_lock(&pool->lock);
    atomic_fetch_add(&pool->asleep, 1);
    unsigned job;
    while ((job = atomic_load(&pool->job)) == seen) {
        pthread_cond_wait(&pool->wake, &pool->lock);
    }
    atomic_fetch_sub(&pool->asleep, 1);
    pthread_mutex_unlock(&pool->lock);
    return job;
}

static void *run_worker(void *arg) {
    adze_worker *w = arg;
    adze_pool *pool = w->pool;
    unsigned job = 0;
    for (;;) {
        job = next_job(pool, job);
        if (!begin_part(w, job)) {
            continue;
        }
        if (pool->work == NULL) {
            return NULL;
        }
        compute_part(pool, w->part);
        if (atomic_fetch_sub(&pool->left, 1) == 1 && atomic_load(&pool->waiting)) {
            pthread_mutex_lock(&pool->lock);
            pthread_cond_signal(&pool->done);
            pthread_mutex_unlock(&pool->lock);
        }
    }
}

static void publish(adze_pool *pool) {
    atomic_fetch_add(&pool->job, 1);
    if (atomic_load(&pool->asleep) > 0) {
        pthread_mutex_lock(&pool->lock);
        pthread_cond_broadcast(&pool->wake);
        pthread_mutex_unlock(&pool->lock);
    }
}

static void wait_for_parts(adze_pool *pool) {
    for (int i = 0; i < SPINS; i++) {
        if (atomic_load_explicit(&pool->left, memory_order_acquire) == 0) {
            return;
        }
        pause_briefly();
    }
    pthread_mutex_lock(&pool->lock);
    atomic_exchange(&pool->waiting, 1); /* no store: QEMU 7.2 lets the load go before one */
    while (atomic_load(&pool->left) != 0) {
        pthread_cond_wait(&pool->done, &pool->lock);
    }
    atomic_store(&pool->waiting, 0);
    pthread_mutex_unlock(&pool->lock);
}

void adze_parallel_for(adze_pool *pool, ptrdiff_t items, adze_work *work, void *arg) {
    if (items <= 0) {
        return;
    }
    if (pool->threads == 1 || atomic_exchange(&pool->busy, 1)) {
        work(arg, 0, items, 0);
        return;
    }
    if (items == 1) { /* busy all the same, so that nested calls need not look */
        work(arg, 0, 1, 0);
        atomic_store(&pool->busy, 0);
        return;
    }
    pool->work = work;
    pool->arg = arg;
    pool->items = items;
    atomic_store_explicit(&pool->left, pool->threads - 1, memory_order_relaxed);
    publish(pool);
    const unsigned job = atomic_load_explicit(&pool->job, memory_order_relaxed);
    compute_part(pool, 0);
    for (ptrdiff_t part = 1; part < pool->threads; part++) {
        if (begin_part(&pool->workers[part - 1], job)) {
            compute_part(pool, part);
            atomic_fetch_sub(&pool->left, 1);
        }
    }
    wait_for_parts(pool);
    atomic_store(&pool->busy, 0);
}

static void stop(adze_pool *pool, int started) {
    pool->work = NULL;
    publish(pool);
    for (int i = 0; i < started; i++) {
        pthread_join(pool->workers[i].thread, NULL);
    }
    pthread_cond_destroy(&pool->done);
    pthread_cond_destroy(&pool->wake);
    pthread_mutex_destroy(&pool->lock);
}

int adze_pool_start(adze_pool *pool, adze_worker *workers, int threads) {
    pool->threads = threads;
    pool->workers = workers;
    atomic_init(&pool->job, 0);
    atomic_init(&pool->asleep, 0);
    atomic_init(&pool->busy, 0);
    atomic_init(&pool->left, 0);
    atomic_init(&pool->waiting, 0);
    if (pthread_mutex_init(&pool->lock, NULL) != 0) {
        return -1;
    }
    if (pthread_cond_init(&pool->wake, NULL) != 0) {
        pthread_mutex_destroy(&pool->lock);
        return -1;
    }
    if (pthread_cond_init(&pool->done, NULL) != 0) {
        pthread_cond_destroy(&pool->wake);
        pthread_mutex_destroy(&pool->lock);
        return -1;
    }
    pthread_attr_t attributes;
    int started = 0, ok = pthread_attr_init(&attributes) == 0;
    if (ok) {
        /* The program's signals are its own threads' business. */
        sigset_t all, before;
        size_t stack = 0;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        if (pthread_attr_getstacksize(&attributes, &stack) == 0 && stack < STACK_BYTES) {
            pthread_attr_setstacksize(&attributes, STACK_BYTES);
        }
        for (; ok && started < threads - 1; started += ok) {
            adze_worker *w = &workers[started];
            w->pool = pool;
            w->part = started + 1;
            atomic_init(&w->begun, 0);
            ok = pthread_create(&w->thread, &attributes, run_worker, w) == 0;
        }
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        pthread_attr_destroy(&attributes);
    }
    if (!ok) {
        stop(pool, started);
        return -1;
    }
    return 0;
}

void adze_pool_stop(adze_pool *pool) {
    stop(pool, pool->threads - 1);
}
