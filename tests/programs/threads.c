/* The pool of runtime/adze_threads.h: every item once, whatever the counts; nested calls; two pools;
 * several users of one pool; starting and ending. With "time": what a fork and join costs.
 * trees.sh also runs it under ThreadSanitizer. */
#define _POSIX_C_SOURCE 200809L
#include "adze_threads.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MOST_THREADS = 7, MOST_ITEMS = 64 };

typedef struct instance {
    adze_pool pool;
    adze_worker workers[MOST_THREADS - 1];
} instance;

typedef struct job {
    instance *nested; /* the pool to call again from within, or NULL */
    int count[MOST_ITEMS], inner[MOST_ITEMS];
    int parts[MOST_THREADS];
} job;

static int wrong;

static void expect(int ok, const char *what, int threads, ptrdiff_t items) {
    if (!ok) {
        printf("WRONG: %s (%d threads, %td items)\n", what, threads, items);
        wrong = 1;
    }
}

static void inner(void *arg, ptrdiff_t begin, ptrdiff_t end, ptrdiff_t part) {
    int *count = arg;
    *count += (int)(end - begin);
    *count += part == 0 ? 0 : 1000;
}

static void count_items(void *arg, ptrdiff_t begin, ptrdiff_t end, ptrdiff_t part) {
    job *j = arg;
    j->parts[part]++;
    for (ptrdiff_t i = begin; i < end; i++) {
        j->count[i]++;
        if (j->nested) {
            adze_parallel_for(&j->nested->pool, 3, inner, &j->inner[i]);
        }
    }
}

static void nap(long ns) {
    const struct timespec t = {0, ns};
    nanosleep(&t, NULL);
}

static void many_jobs(instance *p, int threads, int nested) {
    for (int round = 0; round < 400; round++) {
        job j = {.nested = nested ? p : NULL};
        const ptrdiff_t items = round % MOST_ITEMS;
        adze_parallel_for(&p->pool, items, count_items, &j);
        for (ptrdiff_t i = 0; i < MOST_ITEMS; i++) {
            expect(j.count[i] == (i < items), "an item was not computed once", threads, items);
            expect(j.inner[i] == (nested && i < items ? 3 : 0), "a nested call", threads, items);
        }
        for (int t = 0; t < MOST_THREADS; t++) {
            expect(j.parts[t] <= 1, "a part was begun twice", threads, items);
        }
        if (round % 50 == 49) {
            nap(200000); /* workers go to sleep */
        }
    }
}

static void *user(void *arg) {
    many_jobs(arg, 0, 0);
    return NULL;
}

static uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Every part takes this long, alone or beside others. */
enum { PART_NS = 20000 };

static void busy(void *arg, ptrdiff_t begin, ptrdiff_t end, ptrdiff_t part) {
    (void)arg, (void)begin, (void)end, (void)part;
    for (const uint64_t start = now(); now() - start < PART_NS;) {
    }
}

static int by_value(const void *a, const void *b) {
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* What is beyond one part's time: fork and join, or parts that had to wait for a processor. */
static int measure(int threads) {
    enum { RUNS = 1000 };
    static instance p;
    static uint64_t ns[RUNS];
    if (adze_pool_start(&p.pool, p.workers, threads)) {
        return 1;
    }
    static const long naps[] = {0, 100000};
    for (int k = 0; k < 2; k++) {
        for (int i = 0; i < RUNS; i++) {
            if (naps[k]) {
                nap(naps[k]);
            }
            const uint64_t start = now();
            adze_parallel_for(&p.pool, threads, busy, NULL);
            ns[i] = now() - start - PART_NS;
        }
        qsort(ns, RUNS, sizeof *ns, by_value);
        printf("%d threads, %s: fork and join %llu ns at least, median %llu, nine of ten below %llu\n",
               threads, naps[k] ? "asleep" : "warm", (unsigned long long)ns[0],
               (unsigned long long)ns[RUNS / 2], (unsigned long long)ns[RUNS * 9 / 10]);
    }
    adze_pool_stop(&p.pool);
    return 0;
}

int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], "time") == 0) {
        return measure(1) || measure(2);
    }
    for (int threads = 1; threads <= MOST_THREADS; threads++) {
        instance p, other;
        if (adze_pool_start(&p.pool, p.workers, threads) ||
            adze_pool_start(&other.pool, other.workers, 3)) {
            printf("no threads\n");
            return 1;
        }
        many_jobs(&p, threads, 0);
        many_jobs(&other, 3, 0);
        many_jobs(&p, threads, 1);
        adze_pool_stop(&other.pool);
        /* Two threads with one pool: one of them computes alone. */
        pthread_t second;
        if (pthread_create(&second, NULL, user, &p)) {
            return 1;
        }
        many_jobs(&p, threads, 0);
        pthread_join(second, NULL);
        adze_pool_stop(&p.pool);
        for (int i = 0; i < 20; i++) { /* ended before they have begun */
            if (adze_pool_start(&p.pool, p.workers, threads)) {
                return 1;
            }
            adze_pool_stop(&p.pool);
        }
    }
    puts(wrong ? "FAILED" : "ok");
    return wrong;
}
