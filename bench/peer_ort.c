/* Times a model in ONNX Runtime through its C library, which is given by path and opened at run
 * time.
 *
 *   peer_ort LIBRARY MODEL.onnx DIR [-t THREADS] [-s SECONDS]
 *
 * DIR holds input_N.pb and output_N.pb (or a test_data_set_0 that does). The first run's outputs
 * are compared with the folder's; then the model runs for SECONDS (0.5), at least 5 times. Prints
 *
 *   peer: ONNX Runtime 1.30.0, 1 thread
 *   check: max_abs 1.2e-06 max_rel 3.4e-07 ok
 *   time: min 1234 median 1300 ns, 400 runs
 *
 * A time is that of one OrtRun call with inputs and outputs allocated before. Graph optimization is
 * ONNX Runtime's highest level, threads work within operators and spin between them: its defaults.
 */
#include "driver/reference_dir.h"
#include "frontend/onnx/import.h"
#include "reference/reference.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- what is needed of the C API: the table is an array of functions that never changes order
 * ---- */

typedef struct ort_status ort_status;
typedef struct ort_env ort_env;
typedef struct ort_options ort_options;
typedef struct ort_session ort_session;
typedef struct ort_memory ort_memory;
typedef struct ort_value ort_value;
typedef struct ort_shape ort_shape;

typedef struct ort_api_base {
    void *const *(*get_api)(uint32_t version);
    const char *(*version)(void);
} ort_api_base;

/* X(name, index in the table, result, parameters) */
#define FUNCTIONS(X)                                                                               \
    X(error_message, 2, const char *, (const ort_status *))                                        \
    X(create_env, 3, ort_status *, (int log_level, const char *id, ort_env **))                    \
    X(create_session, 7, ort_status *,                                                             \
      (const ort_env *, const char *path, const ort_options *, ort_session **))                    \
    X(run, 9, ort_status *,                                                                        \
      (ort_session *, const void *run_options, const char *const *input_names,                     \
       const ort_value *const *inputs, size_t n_inputs, const char *const *output_names,           \
       size_t n_outputs, ort_value **outputs))                                                     \
    X(create_options, 10, ort_status *, (ort_options **))                                          \
    X(set_optimization, 23, ort_status *, (ort_options *, int level))                              \
    X(set_intra_threads, 24, ort_status *, (ort_options *, int))                                   \
    X(set_inter_threads, 25, ort_status *, (ort_options *, int))                                   \
    X(tensor_over, 49, ort_status *,                                                               \
      (const ort_memory *, void *data, size_t bytes, const int64_t *dims, size_t rank, int type,   \
       ort_value **))                                                                              \
    X(is_tensor, 50, ort_status *, (const ort_value *, int *))                                     \
    X(tensor_data, 51, ort_status *, (ort_value *, void **))                                       \
    X(element_type, 60, ort_status *, (const ort_shape *, int *))                                  \
    X(rank, 61, ort_status *, (const ort_shape *, size_t *))                                       \
    X(dims, 62, ort_status *, (const ort_shape *, int64_t *, size_t rank))                         \
    X(shape_of, 65, ort_status *, (const ort_value *, ort_shape **))                               \
    X(cpu_memory, 69, ort_status *, (int allocator, int kind, ort_memory **))                      \
    X(release_value, 96, void, (ort_value *))

enum { LOG_ERRORS = 3, OPTIMIZE_ALL = 99, ARENA_ALLOCATOR = 1, DEFAULT_MEMORY = 0 };

static struct {
#define X(name, index, result, parameters) result(*name) parameters;
    FUNCTIONS(X)
#undef X
    const char *version;
} ort;

static void fail(const char *what, const char *why) {
    fprintf(stderr, "peer_ort: %s: %s\n", what, why);
    exit(1);
}

static void must(const char *what, ort_status *status) {
    if (status)
        fail(what, ort.error_message(status));
}

static void open_library(const char *path) {
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library)
        fail(path, dlerror());
    const ort_api_base *(*get_base)(void);
    void *symbol = dlsym(library, "OrtGetApiBase");
    if (!symbol)
        fail(path, "has no OrtGetApiBase");
    memcpy(&get_base, &symbol, sizeof symbol);
    const ort_api_base *base = get_base();
    void *const *table = base->get_api(1);
    if (!table)
        fail(path, "has no version 1 of the C API");
#define X(name, index, result, parameters) memcpy(&ort.name, &table[index], sizeof ort.name);
    FUNCTIONS(X)
#undef X
    ort.version = base->version();
}

/* ---- one model ---- */

typedef struct model {
    adze_context *ctx;
    ort_session *session;
    const char **input_names, **output_names;
    ort_value **inputs, **outputs;
    size_t n_inputs, n_outputs;
} model;

static void must_adze(const model *m, bool ok) {
    if (!ok)
        fail("reference data", m->ctx->diags.count ? m->ctx->diags.items[0].cause : "unreadable");
}

static void load(model *m, const char *path, int threads) {
    ort_env *env;
    ort_options *options;
    must("environment", ort.create_env(LOG_ERRORS, "bench", &env));
    must("options", ort.create_options(&options));
    must("optimization", ort.set_optimization(options, OPTIMIZE_ALL));
    must("threads", ort.set_intra_threads(options, threads));
    must("threads", ort.set_inter_threads(options, 1));
    must(path, ort.create_session(env, path, options, &m->session));
}

static void give_inputs(model *m, const char *path, const char *dir) {
    ort_memory *memory;
    adze_reference_file *files;
    size_t n;
    must("memory", ort.cpu_memory(ARENA_ALLOCATOR, DEFAULT_MEMORY, &memory));
    must_adze(
        m, adze_reference_inputs(m->ctx, path, &m->input_names, &m->n_inputs) &&
               adze_reference_read(m->ctx, dir, "input", m->input_names, m->n_inputs, &files, &n));
    m->inputs = ADZE_NEW_ARRAY(m->ctx->arena, ort_value *, m->n_inputs + 1);
    for (size_t i = 0; i < m->n_inputs; i++) {
        const adze_tensor *t = NULL;
        for (size_t f = 0; f < n; f++)
            if (!strcmp(files[f].name, m->input_names[i]))
                t = &files[f].value;
        if (!t || t->dtype == ADZE_string)
            fail(m->input_names[i], "no numbers for this input");
        size_t bytes = adze_tensor_host_bytes(t);
        void *copy = aligned_alloc(64, bytes / 64 * 64 + 64); /* mapped files need not be aligned */
        if (bytes)
            memcpy(copy, t->data, bytes);
        must(m->input_names[i], ort.tensor_over(memory, copy, bytes, t->dims, (size_t)t->rank,
                                                adze_dtype_get(t->dtype)->onnx, &m->inputs[i]));
    }
    must_adze(m, adze_reference_outputs(m->ctx, path, &m->output_names, &m->n_outputs));
    m->outputs = ADZE_NEW_ARRAY(m->ctx->arena, ort_value *, m->n_outputs + 1);
}

static void run(model *m) {
    must("run", ort.run(m->session, NULL, m->input_names, (const ort_value *const *)m->inputs,
                        m->n_inputs, m->output_names, m->n_outputs, m->outputs));
}

/* Outputs that are tensors stay and are written again; others cannot be given back. */
static void drop_sequences(model *m, const bool *tensors) {
    for (size_t i = 0; i < m->n_outputs; i++)
        if (!tensors[i]) {
            ort.release_value(m->outputs[i]);
            m->outputs[i] = NULL;
        }
}

/* The value as a host tensor that borrows its bytes. */
static bool as_tensor(ort_value *value, adze_tensor *out) {
    ort_shape *shape;
    int type;
    size_t rank;
    void *data;
    must("shape", ort.shape_of(value, &shape));
    must("type", ort.element_type(shape, &type));
    must("rank", ort.rank(shape, &rank));
    if (rank > ADZE_MAX_RANK)
        return false;
    *out = (adze_tensor){.dtype = adze_dtype_from_onnx(type), .rank = (int)rank};
    if (out->dtype == ADZE_NO_DTYPE || out->dtype == ADZE_string)
        return false;
    must("dims", ort.dims(shape, out->dims, rank));
    must("data", ort.tensor_data(value, &data));
    out->data = data;
    return true;
}

/* Compares what can be compared; a quantized model's integers may be a step apart. */
static void check(model *m, const char *dir, const bool *tensors) {
    adze_reference_file *files;
    size_t n, compared = 0;
    double max_abs = 0, max_rel = 0;
    bool ok = true;
    must_adze(
        m, adze_reference_read(m->ctx, dir, "output", m->output_names, m->n_outputs, &files, &n));
    for (size_t i = 0; i < m->n_outputs; i++)
        for (size_t f = 0; f < n; f++) {
            adze_tensor got;
            adze_ref_error e;
            if (!tensors[i] || strcmp(files[f].name, m->output_names[i]) ||
                !as_tensor(m->outputs[i], &got))
                continue;
            adze_ref_compare(&got, &files[f].value, &e);
            compared++;
            ok = ok && e.same_type;
            max_abs = e.max_abs > max_abs ? e.max_abs : max_abs;
            max_rel = e.max_rel > max_rel ? e.max_rel : max_rel;
        }
    const double tolerance = 0.05; /* a guard against the wrong data, not a test of the peer */
    ok = ok && compared > 0 && max_rel <= tolerance;
    printf("check: max_abs %.3g max_rel %.3g %s\n", max_abs, max_rel, ok ? "ok" : "differs");
}

/* ---- time ---- */

static uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int by_time(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void measure(model *m, const bool *tensors, double seconds) {
    enum { LEAST = 5, MOST = 1000000 };
    uint64_t *times = calloc(MOST, sizeof *times);
    uint64_t end = now() + (uint64_t)(seconds * 1e9);
    int n = 0;
    while (n < LEAST || (n < MOST && now() < end)) {
        drop_sequences(m, tensors);
        uint64_t start = now();
        run(m);
        times[n++] = now() - start;
    }
    qsort(times, (size_t)n, sizeof *times, by_time);
    printf("time: min %llu median %llu ns, %d runs\n", (unsigned long long)times[0],
           (unsigned long long)times[n / 2], n);
    free(times);
}

int main(int argc, char **argv) {
    int threads = 1;
    double seconds = 0.5;
    bool usage = argc < 4 || argc % 2;
    for (int i = 4; i + 1 < argc; i += 2) {
        if (!strcmp(argv[i], "-t"))
            threads = atoi(argv[i + 1]);
        else if (!strcmp(argv[i], "-s"))
            seconds = atof(argv[i + 1]);
        else
            usage = true;
    }
    if (usage || threads < 1 || seconds < 0) {
        fputs("usage: peer_ort LIBRARY MODEL.onnx DIR [-t THREADS] [-s SECONDS]\n", stderr);
        return 2;
    }
    open_library(argv[1]);
    printf("peer: ONNX Runtime %s, %d thread%s\n", ort.version, threads, threads > 1 ? "s" : "");
    model m = {.ctx = adze_context_new()};
    const char *dir = m.ctx ? adze_reference_folder(m.ctx, argv[3]) : NULL;
    must_adze(&m, dir != NULL);
    load(&m, argv[2], threads);
    give_inputs(&m, argv[2], dir);
    run(&m);
    bool *tensors = ADZE_NEW_ARRAY(m.ctx->arena, bool, m.n_outputs + 1);
    for (size_t i = 0; i < m.n_outputs; i++) {
        int is_tensor;
        must("output", ort.is_tensor(m.outputs[i], &is_tensor));
        tensors[i] = is_tensor;
    }
    check(&m, dir, tensors);
    measure(&m, tensors, seconds);
    return 0; /* session and context end with the process */
}
