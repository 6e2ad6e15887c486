/* Whole kernels against the reference. See kernels.h.
 *
 *   kernels [-r ROW]... [-s SEED] [-n CASES] [-v VARIANTS] [-t THREADS] [-O LEVEL] [-c CC] [-k DIR] [TARGET...]
 *
 * Every row makes CASES modules from seeds SEED, SEED + 1 ...; each is lowered with the target's own schedule and with
 * VARIANTS random ones (-v =N: only number N; -v mixed: one of
 * the two a module). -t: also for 2 .. THREADS threads, the same bits. -c: another compiler, or the same
 * with flags ("gcc -fsanitize=address,undefined"). Trees of failures stay in DIR (default: a folder under TMPDIR).
 * Exit code 0: everything is right, or the target cannot be built or run here, which is said. */
#include "tests/kernels/kernels.h"

#include "driver/job.h"
#include "driver/process.h"
#include "ir/weights.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_WORDS = 64, GROUP = 30, BUILD_SECONDS = 1200, RUN_SECONDS = 900 };

typedef struct options {
    const char *rows[MOST_WORDS], *targets[MOST_WORDS], *opt, *cc, *keep;
    int n_rows, n_targets;
    uint64_t seed;
    int cases, variants, only_variant, threads;
    bool mixed; /* one schedule a module, its own or a random one */
    bool verbose;
} options;

typedef struct group {
    const options *o;
    adze_context *ctx;
    const adze_target *target;
    kernel_case *cases[GROUP];
    int n, number, n_runs;
    const char *dir;
} group;

static int n_right, n_wrong, n_refused;

/* ---- reports ---- */

static void again(const group *g, const kernel_case *k) {
    printf("    again: build/tests/kernels -r %s -s %llu -n 1 -v =%d%s %s\n", k->row->name,
           (unsigned long long)k->seed, k->variant, k->threads ? adze_arena_printf(g->ctx->arena, " -t %d", k->threads) : "",
           g->target->name);
}

/* Leaves the module as a dump that `adze compile` takes. */
static void leave(const group *g, const kernel_case *k) {
    adze_context *ctx = g->ctx;
    const char *dir = adze_arena_printf(ctx->arena, "%s/%s-%llu", g->o->keep, k->row->name, (unsigned long long)k->seed);
    const char *path = adze_arena_printf(ctx->arena, "%s/module.mlir", dir);
    MlirModule module = adze_module_parse(ctx, k->text, path);
    if (!mlirModuleIsNull(module) && adze_make_folders(ctx, dir) && adze_blobs_write(ctx, module, dir) &&
        adze_write_file(ctx, path, k->text, strlen(k->text)))
        printf("    module: %s\n", path);
}

static void fail(const group *g, kernel_case *k, const char *what, const char *how) {
    n_wrong++;
    k->failed = true;
    printf("FAIL %s seed %llu on %s%s, %s%d%s: %s\n    schedule:%s\n", k->row->name, (unsigned long long)k->seed,
           g->target->name, how, k->threads ? "threads " : "variant ", k->threads ? k->threads : k->variant,
           k->winograd ? " (winograd)" : "", what, k->schedule ? k->schedule : "");
    again(g, k);
    leave(g, k);
    fflush(stdout);
}

static const char *diagnostics(adze_context *ctx) {
    adze_text t = {0};
    adze_diagnostics_print(&ctx->diags, &t);
    const char *out = adze_arena_strdup(ctx->arena, t.data ? t.data : "no reason given");
    adze_text_free(&t);
    ctx->diags.count = 0;
    return out;
}

/* ---- reading what the program printed ---- */

typedef struct reader {
    const char *at;
} reader;

static bool line(reader *r, const char **text, size_t *length) {
    if (!*r->at)
        return false;
    *text = r->at;
    *length = strcspn(r->at, "\r\n");
    r->at += *length;
    r->at += strspn(r->at, "\r\n");
    return true;
}

static int digit(char c) { return c >= 'a' ? c - 'a' + 10 : c - '0'; }

/* Bytes of one output into a tensor like `want`; false when there are too few or too many. */
static bool read_output(reader *r, adze_arena *arena, const adze_tensor *want, adze_tensor *got) {
    const char *text;
    size_t length, at = 0, bytes = adze_tensor_host_bytes(want);
    if (!adze_tensor_new(arena, want->dtype, want->rank, want->dims, got))
        return false;
    unsigned char *data = adze_tensor_data(got);
    while (line(r, &text, &length) && *text == '+')
        for (size_t i = 1; i + 1 < length; i += 2, at++)
            if (at < bytes)
                data[at] = (unsigned char)(digit(text[i]) << 4 | digit(text[i + 1]));
    return at == bytes;
}

/* Takes in one run's text. Returns the number of runs begun, where to go on after a fault. */
static int take(group *g, const char *said, const char *how, bool *done) {
    reader r = {said};
    const char *text;
    size_t length;
    kernel_case *k = NULL;
    int round = 0, begun = -1;
    adze_text wrong = {0};
    *done = false;
    while (line(&r, &text, &length)) {
        char name[32];
        int number;
        if (sscanf(text, "case %31s %d", name, &round) == 2) {
            if (k && wrong.length && !k->failed)
                fail(g, k, wrong.data, how);
            adze_text_free(&wrong);
            wrong = (adze_text){0};
            k = NULL;
            for (int i = 0; i < g->n; i++)
                if (!strcmp(g->cases[i]->name, name)) {
                    k = g->cases[i];
                    begun = i * ROUNDS + round;
                }
        } else if (k && sscanf(text, "status %d", &number) == 1) {
            if (number)
                adze_text_printf(&wrong, "in round %d it returned %d", round, number);
        } else if (k && (!strncmp(text, "wrote beyond", 12) || !strncmp(text, "fault at", 8))) {
            adze_text_printf(&wrong, "in round %d: %.*s\n", round, (int)length, text);
        } else if (k && sscanf(text, "out %d", &number) == 1 && number < k->n_outputs) {
            adze_tensor *got = &k->got[round][number];
            if (!read_output(&r, g->ctx->arena, &k->want[round][number], got))
                adze_text_printf(&wrong, "in round %d output %d is not whole\n", round, number);
            else {
                adze_text_puts(&wrong, wrong.length ? "" : "");
                judge(k, round, number, got, &wrong);
            }
        } else if (!strncmp(text, "done", 4)) {
            *done = true;
        } else if (g->o->verbose || !k) {
            printf("%.*s\n", (int)length, text);
        }
    }
    if (k && !*done && !wrong.length)
        adze_text_printf(&wrong, "the program ended in round %d", round);
    if (k && wrong.length && !k->failed)
        fail(g, k, wrong.data, how);
    adze_text_free(&wrong);
    return begun;
}

/* ---- the same bits for any number of threads ---- */

static void compare_threads(group *g, const char *how) {
    for (int i = 0; i < g->n; i++) {
        kernel_case *k = g->cases[i];
        for (int j = 0; j < i && k->threads > 1; j++) {
            const kernel_case *one = g->cases[j];
            if (one->row != k->row || one->seed != k->seed || one->variant != k->variant || one->threads > 1)
                continue;
            for (int r = 0; r < ROUNDS && !k->failed; r++)
                for (int y = 0; y < k->n_outputs && !k->failed; y++)
                    if (one->got[r][y].data && k->got[r][y].data &&
                        memcmp(one->got[r][y].data, k->got[r][y].data, adze_tensor_host_bytes(&k->got[r][y])))
                        fail(g, k, adze_arena_printf(g->ctx->arena, "y%d in round %d has other bits than with one thread", y, r),
                             how);
        }
    }
}

/* ---- one group ---- */

static bool build(group *g, adze_text *said) {
    const adze_compiler *cc = adze_target_usable_compiler(g->target);
    char path[64];
    snprintf(path, sizeof path, "build/selftest%s", g->target->bare ? ".elf" : !strcmp(g->target->arch, "wasm") ? ".wasm" : "");
    const char *words[16] = {"make", "-s", "-C", g->dir, "-j2", "BUILD=build",
                             adze_arena_printf(g->ctx->arena, "OPT=%s", g->o->opt)};
    int n = 7;
    if (g->o->cc) {
        words[n++] = adze_arena_printf(g->ctx->arena, "CC=%s", g->o->cc);
        words[n++] = adze_arena_printf(g->ctx->arena, "LINK=%s", g->o->cc);
    }
    words[n] = path;
    return cc && adze_process_run(words, NULL, said, said, BUILD_SECONDS).status == 0;
}

static void run(group *g, const char *const *argv, size_t argc, const char *how) {
    int first = 0;
    bool done = false;
    char exe[64], number[16];
    snprintf(exe, sizeof exe, "build/selftest%s", g->target->bare ? ".elf" : !strcmp(g->target->arch, "wasm") ? ".wasm" : "");
    while (!done && first < g->n * ROUNDS) {
        const char *words[MOST_WORDS];
        size_t n = 0;
        adze_text err = {0};
        for (size_t i = 0; i < argc && n < MOST_WORDS - 3; i++)
            words[n++] = !strcmp(argv[i], "{exe}") ? exe : argv[i];
        for (size_t i = 0; i < n; i++) {
            const char *at = strstr(words[i], "{exe}"), *boards = strstr(words[i], "{boards}");
            if (at)
                words[i] = adze_arena_printf(g->ctx->arena, "%.*s%s%s", (int)(at - words[i]), words[i], exe, at + 5);
            if (boards)
                words[i] = adze_arena_printf(g->ctx->arena, "%.*sruntime/boards%s", (int)(boards - words[i]), words[i], boards + 8);
        }
        snprintf(number, sizeof number, "%d", first);
        if (first)
            words[n++] = number;
        words[n] = NULL;
        /* through a file: what a program under Node writes to a pipe may get lost */
        const char *file = adze_arena_printf(g->ctx->arena, "said-%d.txt", g->n_runs++);
        const char *all[MOST_WORDS + 4] = {"sh", "-c", "\"$@\" >\"$0\"", file};
        memcpy(all + 4, words, (n + 1) * sizeof *words);
        adze_process_result r = adze_process_run(all, g->dir, NULL, &err, RUN_SECONDS);
        const adze_file *said = adze_file_map(g->ctx, adze_arena_printf(g->ctx->arena, "%s/%s", g->dir, file));
        const char *text = said ? adze_arena_strndup(g->ctx->arena, (const char *)said->data, said->bytes) : "";
        const int begun = take(g, text, how, &done);
        if (!done && err.length)
            printf("%.*s\n", (int)(err.length < 3000 ? err.length : 3000), err.data);
        if (!done && begun < 0)
            printf("FAIL the program on %s%s ended with %d before any case\n", g->target->name, how, r.status), n_wrong++;
        adze_text_free(&err);
        if (begun < 0 || !g->target->run.takes_args || g->target->run.kind == ADZE_RUN_NODE)
            break;
        first = begun + 1;
    }
    compare_threads(g, how);
}

static void finish(group *g) {
    if (g->n) {
        adze_text said = {0};
        g->dir = adze_arena_printf(g->ctx->arena, "%s/%s-%d", g->o->keep, g->target->name, g->number++);
        const adze_run *way = &g->target->run;
        const int wrong_before = n_wrong;
        if (!program_write(g->ctx, g->target, g->cases, g->n, g->dir)) {
            printf("FAIL a tree for %s: %s", g->target->name, diagnostics(g->ctx));
            for (int i = 0; i < g->n; i++)
                again(g, g->cases[i]);
            n_wrong++;
        } else if (!build(g, &said)) {
            printf("FAIL the tree %s does not build:\n%.3000s\n", g->dir, said.data ? said.data : "");
            for (int i = 0; i < g->n; i++)
                if (said.data && strstr(said.data, adze_arena_printf(g->ctx->arena, "/%s_kernels", g->cases[i]->name)))
                    fail(g, g->cases[i], "does not compile", "");
            n_wrong++;
        } else {
            if (said.length)
                printf("warnings in %s:\n%.3000s\n", g->dir, said.data);
            run(g, way->argv, way->argc, "");
            for (size_t i = 0; i < way->variant_count; i++)
                run(g, way->variants[i].argv, way->variants[i].argc,
                    adze_arena_printf(g->ctx->arena, " (%s)", way->variants[i].name));
        }
        for (int i = 0; i < g->n; i++)
            n_right += !g->cases[i]->failed;
        adze_text_free(&said);
        if (n_wrong == wrong_before)
            adze_remove_folder(g->dir);
    }
    adze_context_free(g->ctx);
    g->ctx = NULL;
    g->n = 0;
}

static void add(group *g, const kernel_row *row, uint64_t seed, int variant, int threads) {
    if (!g->ctx)
        g->ctx = adze_context_new();
    kernel_case *k = ADZE_NEW(g->ctx->arena, kernel_case);
    *k = (kernel_case){.row = row, .seed = seed, .variant = variant, .threads = threads, .large = g->o->threads > 1};
    snprintf(k->name, sizeof k->name, "c%d", g->n);
    if (case_make(g->ctx, g->target, k)) {
        g->cases[g->n++] = k;
    } else if (k->refused) {
        n_refused++;
        if (g->o->verbose)
            printf("refused: %s seed %llu variant %d:%s: %s", row->name, (unsigned long long)seed, variant, k->schedule,
                   diagnostics(g->ctx));
        g->ctx->diags.count = 0;
    } else {
        fail(g, k, diagnostics(g->ctx), "");
    }
}

/* ---- one target ---- */

/* `simulated`: a compiler that was named (-c) has functions for what this processor lacks. */
static bool runs_here(const adze_target *t, const char *home, bool simulated, const char **why) {
    char err[ADZE_TARGET_ERR];
    *why = t->run.reason ? t->run.reason : "no way to run it is known";
    if (!t->run.argc)
        return false;
    *why = "its compiler is not installed";
    if (!adze_target_usable_compiler(t))
        return false;
    *why = "what runs it is not installed";
    if (t->run.kind != ADZE_RUN_NATIVE)
        return adze_target_on_path(t->run.argv[0]);
    adze_target *here = adze_target_load(home, "native", err);
    bool ok = here && (!strcmp(t->arch, "any") || !strcmp(t->arch, here->arch));
    for (size_t i = 0; ok && !simulated && i < t->feature_count; i++)
        ok = adze_target_has_feature(here, t->features[i].name);
    adze_target_free(here);
    *why = "this processor lacks its instructions";
    return ok;
}

static bool wanted(const options *o, const char *row) {
    for (int i = 0; i < o->n_rows; i++)
        if (!strcmp(o->rows[i], row))
            return true;
    return !o->n_rows;
}

static void check_target(const options *o, const char *name) {
    char err[ADZE_TARGET_ERR];
    const char *why;
    adze_target *t = adze_target_load(ADZE_SOURCE_DIR "/targets", name, err);
    if (!t) {
        printf("FAIL target %s: %s\n", name, err);
        n_wrong++;
        return;
    }
    if (!runs_here(t, ADZE_SOURCE_DIR "/targets", o->cc && strstr(o->cc, "sim_cc"), &why)) {
        printf("SKIP %s: %s\n", name, why);
        adze_target_free(t);
        return;
    }
    const int right = n_right, wrong = n_wrong, refused = n_refused;
    group g = {.o = o, .target = t};
    for (int i = 0; i < o->cases; i++)
        for (int r = 0; r < n_kernel_rows; r++) {
            if (!wanted(o, kernel_rows[r].name))
                continue;
            const uint64_t seed = o->seed + (uint64_t)i;
            int first = o->only_variant >= 0 ? o->only_variant : 0;
            int last = o->only_variant >= 0 ? o->only_variant : o->variants;
            if (o->mixed)
                first = last = (int)((seed + (uint64_t)r) % 2);
            const int thread_cases = o->threads > 1 && t->has_pthreads ? o->threads : 1;
            if (g.n + (last - first + 1) * thread_cases > GROUP)
                finish(&g);
            for (int v = first; v <= last; v++)
                for (int threads = 1; threads <= thread_cases; threads++)
                    add(&g, &kernel_rows[r], seed, v, thread_cases > 1 ? threads : 0);
        }
    if (g.ctx)
        finish(&g);
    printf("%s %s: %d right, %d wrong, %d schedules refused\n", n_wrong == wrong ? "PASS" : "FAIL", name,
           n_right - right, n_wrong - wrong, n_refused - refused);
    fflush(stdout);
    adze_target_free(t);
}

static int usage(void) {
    fputs("usage: kernels [-r ROW]... [-s SEED] [-n CASES] [-v VARIANTS | -v =VARIANT | -v mixed] [-t THREADS] [-O LEVEL] [-c CC] "
          "[-k DIR] [-V] [TARGET...]\nrows:\n", stderr);
    for (int i = 0; i < n_kernel_rows; i++)
        fprintf(stderr, "  %-18s %s\n", kernel_rows[i].name, kernel_rows[i].doc);
    return 2;
}

int main(int argc, char **argv) {
    options o = {.opt = "-O1", .seed = 1, .cases = 1, .variants = 1, .only_variant = -1};
    for (int c; (c = getopt(argc, argv, "r:s:n:v:t:O:c:k:V")) != -1;)
        switch (c) {
        case 'r': o.rows[o.n_rows < MOST_WORDS - 1 ? o.n_rows++ : o.n_rows] = optarg; break;
        case 's': o.seed = strtoull(optarg, NULL, 10); break;
        case 'n': o.cases = atoi(optarg); break;
        case 'v':
            if (!strcmp(optarg, "mixed"))
                o.mixed = true;
            else if (*optarg == '=')
                o.only_variant = atoi(optarg + 1);
            else
                o.variants = atoi(optarg);
            break;
        case 't': o.threads = atoi(optarg); break;
        case 'O': {
            static char level[32];
            snprintf(level, sizeof level, "-O%s", optarg);
            o.opt = level;
            break;
        }
        case 'c': o.cc = optarg; break;
        case 'k': o.keep = optarg; break;
        case 'V': o.verbose = true; break;
        default: return usage();
        }
    for (int i = 0; i < o.n_rows; i++) {
        bool known = false;
        for (int r = 0; r < n_kernel_rows; r++)
            known |= !strcmp(o.rows[i], kernel_rows[r].name);
        if (!known)
            return usage();
    }
    adze_arena *arena = adze_arena_new();
    if (!o.keep)
        o.keep = adze_temporary_folder(arena);
    if (!o.keep)
        return 1;
    if (optind == argc)
        check_target(&o, "native");
    for (int i = optind; i < argc; i++)
        check_target(&o, argv[i]);
    rmdir(o.keep); /* stays when something is in it */
    printf("%d right, %d wrong\n", n_right, n_wrong);
    adze_arena_free(arena);
    return n_wrong ? 1 : 0;
}
