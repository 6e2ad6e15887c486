/* What this machine reaches at most, for kernels to be measured against.
 *
 *   peak [-t THREADS]                 one line per instruction set: KIND <tab> NAME <tab> figure
 *   peak [-t THREADS] -r BYTES        GB/s of a plain read loop over BYTES (all threads together)
 *
 * KIND is f32, f16, bf16, int8 (10^9 operations a second; a multiply-add is two) or tile-load,
 * tile-store (10^9 tiles a second from the first cache), ghz. A peak is that of a loop that only
 * multiplies and adds in registers, with enough of them to hide the latency; the best of several
 * short runs. */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static double seconds_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* A loop of `steps` steps; returns what a step is worth (operations, bytes, tiles). */
typedef double loop_fn(uint64_t steps, void *user);

/* ---- the loops ---- */

#ifdef __x86_64__
#include <immintrin.h>
#include <sys/syscall.h>

enum {
    ACCUMULATORS = 12
}; /* latency 4 or 5, two a cycle at most: 10 are needed, 16 registers there */

#define EACH(F) F(0) F(1) F(2) F(3) F(4) F(5) F(6) F(7) F(8) F(9) F(10) F(11)
/* asm keeps each accumulator in a register, and each step with its operands in the loop */
#define STEP(i)                                                                                    \
    acc##i = OPERATION(acc##i);                                                                    \
    __asm__ volatile("" : "+x"(acc##i), "+x"(x));
#define DECLARE(i) acc##i,
#define CLEAR(i) acc##i = zero;
#define LOOP(name, feature, type, accumulator)                                                     \
    __attribute__((target(feature))) static double name(uint64_t steps, void *user) {              \
        type x, y;                                                                                 \
        accumulator EACH(DECLARE) zero;                                                            \
        memset(&x, 0, sizeof x);                                                                   \
        memset(&y, 0, sizeof y);                                                                   \
        memset(&zero, 0, sizeof zero);                                                             \
        EACH(CLEAR)                                                                                \
        __asm__ volatile("" : "+x"(x), "+x"(y));                                                   \
        for (uint64_t s = 0; s < steps; s++) {                                                     \
            EACH(STEP)                                                                             \
        }                                                                                          \
        return *(const double *)user * ACCUMULATORS;                                               \
    }

#define OPERATION(a) _mm_add_ps(a, _mm_mul_ps(x, y))
LOOP(f32_sse, "sse4.1", __m128, __m128)
#undef OPERATION
#define OPERATION(a) _mm256_fmadd_ps(x, y, a)
LOOP(f32_avx2, "avx2,fma", __m256, __m256)
#undef OPERATION
#define OPERATION(a) _mm512_fmadd_ps(x, y, a)
LOOP(f32_avx512, "avx512f", __m512, __m512)
#undef OPERATION
/* pairs of 16-bit products: exact, which the 8-bit instruction that saturates is not */
#define OPERATION(a) _mm256_add_epi32(a, _mm256_madd_epi16(x, y))
LOOP(int8_avx2, "avx2", __m256i, __m256i)
#undef OPERATION
#define OPERATION(a) _mm512_dpbusd_epi32(a, x, y)
LOOP(int8_avx512vnni, "avx512f,avx512vnni", __m512i, __m512i)
#undef OPERATION
#define OPERATION(a) _mm256_dpbusd_avx_epi32(a, x, y)
LOOP(int8_avxvnni, "avx2,avxvnni", __m256i, __m256i)
#undef OPERATION
#define OPERATION(a) _mm512_dpbf16_ps(a, x, y)
LOOP(bf16_avx512, "avx512f,avx512bf16", __m512bh, __m512)
#undef OPERATION
#define OPERATION(a) _mm512_fmadd_ph(x, y, a)
LOOP(f16_avx512, "avx512f,avx512fp16", __m512h, __m512h)
#undef OPERATION

/* Additions that wait for each other: one a cycle. */
static double cycles(uint64_t steps, void *user) {
    (void)user;
    uint64_t x = 0;
    for (uint64_t s = 0; s < steps; s++)
        __asm__ volatile("add $1, %0\n\tadd $1, %0\n\tadd $1, %0\n\tadd $1, %0\n\t"
                         "add $1, %0\n\tadd $1, %0\n\tadd $1, %0\n\tadd $1, %0"
                         : "+r"(x));
    return 8;
}

/* ---- tiles ---- */

/* static const: gcc 12 tells the compiler of 8 bytes only of a configuration */
static const struct {
    uint8_t palette, start_row, reserved[14];
    uint16_t columns_bytes[16];
    uint8_t rows[16];
} __attribute__((aligned(64))) tiles = {.palette = 1,
                                        .columns_bytes = {64, 64, 64, 64, 64, 64, 64, 64},
                                        .rows = {16, 16, 16, 16, 16, 16, 16, 16}};

/* Asks the kernel for this thread's tile registers. */
static int tiles_allowed(void) {
    enum { ARCH_REQ_XCOMP_PERM = 0x1023, XTILEDATA = 18 };
    return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XTILEDATA) == 0;
}

static _Alignas(64) int8_t tile_memory[8][1024];

#define TILES(name, step, worth)                                                                   \
    __attribute__((target("amx-tile,amx-int8,amx-bf16"))) static double name(uint64_t steps,       \
                                                                             void *user) {         \
        (void)user;                                                                                \
        if (!tiles_allowed())                                                                      \
            return 0;                                                                              \
        int8_t memory[4][1024] __attribute__((aligned(64)));                                       \
        _tile_loadconfig(&tiles);                                                                  \
        _tile_zero(0);                                                                             \
        _tile_zero(1);                                                                             \
        _tile_zero(2);                                                                             \
        _tile_zero(3);                                                                             \
        _tile_loadd(4, tile_memory[0], 64);                                                        \
        _tile_loadd(5, tile_memory[1], 64);                                                        \
        _tile_loadd(6, tile_memory[2], 64);                                                        \
        _tile_loadd(7, tile_memory[3], 64);                                                        \
        for (uint64_t s = 0; s < steps; s++) {                                                     \
            step;                                                                                  \
        }                                                                                          \
        _tile_stored(0, memory[0], 64);                                                            \
        __asm__ volatile("" : : "r"(memory) : "memory");                                           \
        _tile_release();                                                                           \
        return worth;                                                                              \
    }
/* these intrinsics are statements in gcc 12 */
#define FOUR(op)                                                                                   \
    op(0, 4, 6);                                                                                   \
    op(1, 4, 7);                                                                                   \
    op(2, 5, 6);                                                                                   \
    op(3, 5, 7)
#define LOAD(i) _tile_loadd(i, tile_memory[i], 64)
#define STORE(i) _tile_stored(i, memory[i], 64)
TILES(int8_amx, FOUR(_tile_dpbssd), 4 * 2 * 16 * 16 * 64.0)
TILES(bf16_amx, FOUR(_tile_dpbf16ps), 4 * 2 * 16 * 16 * 32.0)
TILES(load_amx, LOAD(4); LOAD(5); LOAD(6); LOAD(7), 4)
TILES(store_amx, STORE(0); STORE(1); STORE(2); STORE(3), 4)

static int cpuid_bit(unsigned leaf, unsigned sub, int reg, int bit) {
    unsigned r[4] = {0}, most;
    __asm__("cpuid" : "=a"(most), "=b"(r[1]), "=c"(r[2]), "=d"(r[3]) : "a"(0), "c"(0));
    if (leaf > most)
        return 0;
    __asm__("cpuid" : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3]) : "a"(leaf), "c"(sub));
    return r[reg] >> bit & 1;
}
enum { EAX, EBX, ECX, EDX };
static int has_f16(void) {
    return __builtin_cpu_supports("avx512f") && cpuid_bit(7, 0, EDX, 23);
}
static int has_bf16(void) {
    return __builtin_cpu_supports("avx512f") && cpuid_bit(7, 1, EAX, 5);
}
static int has_avxvnni(void) {
    return __builtin_cpu_supports("avx2") && cpuid_bit(7, 1, EAX, 4);
}
static int has_amx(void) {
    return cpuid_bit(7, 0, EDX, 24) && cpuid_bit(7, 0, EDX, 25);
}
static int has_sse(void) {
    return __builtin_cpu_supports("sse4.1");
}
static int has_avx2(void) {
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}
static int has_avx512(void) {
    return __builtin_cpu_supports("avx512f");
}
static int has_vnni(void) {
    return __builtin_cpu_supports("avx512vnni");
}
static int always(void) {
    return 1;
}

static const struct peak {
    const char *kind, *name;
    int (*has)(void);
    loop_fn *loop;
    double worth; /* operations of one accumulator's step */
} peaks[] = {
    {"ghz", "-", always, cycles, 0},
    {"f32", "sse4.1", has_sse, f32_sse, 2 * 4},
    {"f32", "avx2", has_avx2, f32_avx2, 2 * 8},
    {"f32", "avx512", has_avx512, f32_avx512, 2 * 16},
    {"int8", "avx2", has_avx2, int8_avx2, 2 * 16},
    {"int8", "avxvnni", has_avxvnni, int8_avxvnni, 2 * 32},
    {"int8", "avx512vnni", has_vnni, int8_avx512vnni, 2 * 64},
    {"bf16", "avx512bf16", has_bf16, bf16_avx512, 2 * 32},
    {"f16", "avx512fp16", has_f16, f16_avx512, 2 * 32},
    {"int8", "amx", has_amx, int8_amx, 0},
    {"bf16", "amx", has_amx, bf16_amx, 0},
    {"tile-load", "amx", has_amx, load_amx, 0},
    {"tile-store", "amx", has_amx, store_amx, 0},
};
enum { N_PEAKS = sizeof peaks / sizeof *peaks };

/* Loads into registers, eight on their way, nothing done with them. */
#define READ(i) __asm__ volatile("" : : "x"(_mm512_load_si512(p + s + i)));
__attribute__((target("avx512f"))) static void read_512(const void *data, uint64_t bytes) {
    const __m512i *p = data;
    for (uint64_t s = 0; s + 8 <= bytes / 64; s += 8) {
        READ(0) READ(1) READ(2) READ(3) READ(4) READ(5) READ(6) READ(7)
    }
}
#undef READ
#define READ(i) __asm__ volatile("" : : "x"(_mm256_load_si256(p + s + i)));
__attribute__((target("avx2"))) static void read_256(const void *data, uint64_t bytes) {
    const __m256i *p = data;
    for (uint64_t s = 0; s + 8 <= bytes / 32; s += 8) {
        READ(0) READ(1) READ(2) READ(3) READ(4) READ(5) READ(6) READ(7)
    }
}
#else
static const struct peak {
    const char *kind, *name;
    int (*has)(void);
    loop_fn *loop;
    double worth;
} peaks[1];
enum { N_PEAKS = 0 };
#endif

static void read_plain(const void *data, uint64_t bytes) {
    const uint64_t *p = data;
    for (uint64_t i = 0; i < bytes / 8; i++)
        __asm__ volatile("" : : "r"(p[i]));
}

/* A step reads the thread's part once. */
typedef struct region {
    const uint8_t *data;
    uint64_t bytes;
} region;

static double read_loop(uint64_t steps, void *user) {
    const region *r = user;
    void (*read)(const void *, uint64_t) = read_plain;
#ifdef __x86_64__
    read = has_avx512() ? read_512 : has_avx2() ? read_256 : read_plain;
#endif
    for (uint64_t s = 0; s < steps; s++)
        read(r->data, r->bytes);
    return (double)r->bytes;
}

/* ---- measuring: threads start together; the time is from the first's start to the last's end ----
 */

typedef struct job {
    loop_fn *loop;
    void *user;
    uint64_t steps;
    double worth, start, end;
    pthread_barrier_t *barrier;
} job;

static void *work(void *arg) {
    job *j = arg;
    pthread_barrier_wait(j->barrier);
    j->start = seconds_now();
    j->worth = j->loop(j->steps, j->user);
    j->end = seconds_now();
    return NULL;
}

enum { MOST_THREADS = 64 };

/* Worth per second of all threads. users[t] is thread t's. */
static double rate(int threads, loop_fn *loop, void *const *users, uint64_t steps, double *took) {
    pthread_t ids[MOST_THREADS];
    job jobs[MOST_THREADS];
    pthread_barrier_t barrier;
    if (threads == 1) {
        double start = seconds_now(), worth = loop(steps, users[0]);
        *took = seconds_now() - start;
        return worth * (double)steps / *took;
    }
    pthread_barrier_init(&barrier, NULL, (unsigned)threads);
    for (int t = 0; t < threads; t++) {
        jobs[t] = (job){.loop = loop, .user = users[t], .steps = steps, .barrier = &barrier};
        if (pthread_create(&ids[t], NULL, work, &jobs[t]) != 0)
            abort();
    }
    double worth = 0, start = 0, end = 0;
    for (int t = 0; t < threads; t++) {
        pthread_join(ids[t], NULL);
        worth += jobs[t].worth;
        start = t && start < jobs[t].start ? start : jobs[t].start;
        end = end > jobs[t].end ? end : jobs[t].end;
    }
    *took = end - start;
    pthread_barrier_destroy(&barrier);
    return worth * (double)steps / *took;
}

static double best_rate(int threads, loop_fn *loop, void *const *users) {
    /* many short runs: some are shorter than what another program takes the processor for */
    enum { TIMES = 60 };
    const double wanted = 0.003;
    uint64_t steps = 1;
    double took, best = 0;
    while (rate(threads, loop, users, steps, &took), took < wanted && steps < (uint64_t)1 << 40)
        steps *= 2;
    for (int i = 0; i < TIMES; i++) {
        double r = rate(threads, loop, users, steps, &took);
        best = r > best ? r : best;
    }
    return best;
}

static void read_rate(int threads, uint64_t bytes) {
    enum { LINE = 512 };
    region regions[MOST_THREADS];
    void *users[MOST_THREADS];
    uint64_t part = (bytes / (uint64_t)threads + LINE - 1) / LINE * LINE;
    uint8_t *data = aligned_alloc(4096, (part * (uint64_t)threads + 4095) / 4096 * 4096);
    if (!data)
        abort();
    memset(data, 1, part * (uint64_t)threads);
    for (int t = 0; t < threads; t++) {
        regions[t] = (region){data + part * (uint64_t)t, part};
        users[t] = &regions[t];
    }
    printf("read\t%llu\t%.3f\n", (unsigned long long)bytes,
           best_rate(threads, read_loop, users) / 1e9);
    free(data);
}

int main(int argc, char **argv) {
    int threads = 1, option;
    uint64_t bytes = 0;
    while ((option = getopt(argc, argv, "t:r:")) != -1)
        if (option == 't')
            threads = atoi(optarg);
        else if (option == 'r')
            bytes = strtoull(optarg, NULL, 10);
        else
            return 2;
    if (threads < 1 || threads > MOST_THREADS) {
        fputs("usage: peak [-t THREADS] [-r BYTES]\n", stderr);
        return 2;
    }
    if (bytes) {
        read_rate(threads, bytes);
        return 0;
    }
    for (int i = 0; i < N_PEAKS; i++) {
        if (!peaks[i].has())
            continue;
        void *users[MOST_THREADS];
        double worth = peaks[i].worth;
        for (int t = 0; t < threads; t++)
            users[t] = &worth;
        printf("%s\t%s\t%.3f\n", peaks[i].kind, peaks[i].name,
               best_rate(threads, peaks[i].loop, users) / 1e9);
        fflush(stdout);
    }
    return 0;
}
