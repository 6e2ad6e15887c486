/* See program.h. The tree's `main` does the work (codegen/tree.h): raw files in and out where the
 * target has files, else its self-test's input and text. */
#include "driver/program.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BUILD_SECONDS = 1800, RUN_SECONDS = 1800 };

/* The last lines of a long text. */
static const char *tail(const adze_text *text, size_t most) {
    if (!text->data)
        return "";
    const char *p = text->data;
    if (text->length > most) {
        p += text->length - most;
        const char *line = strchr(p, '\n');
        p = line ? line + 1 : p;
    }
    return p;
}

/* Beside what `make` by itself builds: the objects are not the same. */
static const char *build_folder(const adze_program *p) {
    return p->profile ? "build/profile" : "build/adze";
}

/* Whether a program gets words, and files that outlive it. */
static bool has_files(const adze_target *t) {
    return t->run.takes_args && t->run.kind != ADZE_RUN_NODE;
}

static const char *program_path(adze_program *p) {
    const adze_target *t = p->target;
    return adze_arena_printf(p->ctx->arena, "%s/main%s", build_folder(p),
                             t->bare                        ? ".elf"
                             : strcmp(t->arch, "wasm") == 0 ? ".wasm"
                                                            : "");
}

bool adze_program_build(adze_program *p, bool verbose) {
    /* A program without words or files prints its bytes and times by itself. */
    const char *extra = has_files(p->target) ? "EXTRA="
                        : p->runs ? adze_arena_printf(p->ctx->arena, "EXTRA=-DADZE_MAIN_RUNS=%llu",
                                                      (unsigned long long)p->runs)
                                  : "EXTRA=-DADZE_MAIN_HEX";
    if (p->profile)
        extra = adze_arena_printf(p->ctx->arena, "%s -DADZE_PROFILE", extra);
    const adze_compiler *usable = adze_target_usable_compiler(p->target);
    if (!usable)
        return adze_error(&p->ctx->diags, NULL, "the compiler for %s, %s, is not installed",
                          p->target->name, p->target->compiler);
    p->exe = program_path(p);
    const char *folder = adze_arena_printf(p->ctx->arena, "BUILD=%s", build_folder(p));
    const char *argv[] = {"make", "-s", "-C", p->dir, "-j2", folder, extra, p->exe, NULL};
    adze_text said = {0};
    adze_process_result r = adze_process_run(argv, NULL, &said, &said, BUILD_SECONDS);
    if (verbose && said.length)
        fputs(said.data, stderr);
    bool ok = r.status == 0 && !r.timed_out;
    if (!ok) {
        enum { TAIL = 3000 };
        adze_error(&p->ctx->diags, NULL, "building the tree failed%s:\n%s",
                   r.timed_out ? " (it took too long)" : "", tail(&said, TAIL));
    }
    adze_text_free(&said);
    return ok;
}

/* Programs run in the tree's folder, where those with a weights file look for it. A word of argv
 * with {exe} and {boards} put in. */
static const char *filled(adze_program *p, const char *word) {
    static const char *const names[] = {"{exe}", "{boards}"};
    const char *values[] = {p->exe, "runtime/boards"};
    for (size_t i = 0; i < ADZE_COUNT(names); i++) {
        const char *at = strstr(word, names[i]);
        if (at)
            return adze_arena_printf(p->ctx->arena, "%.*s%s%s", (int)(at - word), word, values[i],
                                     at + strlen(names[i]));
    }
    return word;
}

bool adze_program_run(adze_program *p, const char *const *words, size_t n_words, adze_text *out) {
    const adze_run *run = &p->target->run;
    if (!run->argc)
        return adze_error(&p->ctx->diags, NULL, "programs for %s cannot be run here: %s",
                          p->target->name, run->reason ? run->reason : "no way is known");
    /* Times of an emulated board are counted, so that they are the same every time. */
    bool count = p->runs && run->count_argc;
    const char *const *words_of_run = count ? run->count_argv : run->argv;
    size_t n = 0, n_run = count ? run->count_argc : run->argc;
    const char **argv = ADZE_NEW_ARRAY(p->ctx->arena, const char *, n_run + n_words + 1);
    for (size_t i = 0; i < n_run; i++)
        argv[n++] = filled(p, words_of_run[i]);
    for (size_t i = 0; i < n_words; i++)
        argv[n++] = words[i];
    adze_text err = {0};
    adze_process_result r = adze_process_run(argv, p->dir, out, &err, RUN_SECONDS);
    bool ok = r.status == 0 && !r.timed_out;
    if (!ok) {
        enum { TAIL = 2000 };
        adze_error(&p->ctx->diags, NULL, "the program %s on %s:\n%s%s",
                   r.timed_out ? "did not end in time"
                               : adze_arena_printf(p->ctx->arena, "ended with %d", r.status),
                   p->target->name, tail(out, TAIL), tail(&err, TAIL));
    }
    adze_text_free(&err);
    return ok;
}

/* ---- outputs ---- */

/* Raw host elements into a tensor like `like`. */
static bool take_bytes(adze_program *p, const char *name, const adze_tensor *like,
                       const void *bytes, size_t length, adze_tensor *out) {
    if (like->dtype == ADZE_string ||
        !adze_tensor_new(p->ctx->arena, like->dtype, like->rank, like->dims, out))
        return adze_error(&p->ctx->diags, NULL, "output '%s' cannot be read back", name);
    size_t need = adze_tensor_host_bytes(out);
    if (need != length)
        return adze_error(&p->ctx->diags, NULL,
                          "the program gave %zu bytes for output '%s', not %zu", length, name,
                          need);
    if (need)
        memcpy(adze_tensor_data(out), bytes, need);
    return true;
}

/* Through files: main -o FOLDER writes FOLDER/INDEX.bin. */
static bool outputs_by_files(adze_program *p, const char *const *names, const adze_tensor *like,
                             size_t n, adze_tensor *outputs) {
    const char *folder = adze_temporary_folder(p->ctx->arena);
    if (!folder)
        return adze_error(&p->ctx->diags, NULL,
                          "cannot make a temporary folder — hint: set TMPDIR");
    const char *words[] = {"-o", folder};
    adze_text said = {0};
    bool ok = adze_program_run(p, words, ADZE_COUNT(words), &said);
    for (size_t i = 0; i < n && ok; i++) {
        const adze_file *file =
            adze_file_map(p->ctx, adze_arena_printf(p->ctx->arena, "%s/%zu.bin", folder, i));
        ok = file && take_bytes(p, names[i], &like[i], file->data, file->bytes, &outputs[i]);
    }
    adze_text_free(&said);
    adze_remove_folder(folder);
    return ok;
}

static int hex_digit(char c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The bytes of one printed output: lines "hex DIGITS" up to a line "end". Moves *at behind them. */
static bool take_hex(const char **at, adze_text *bytes) {
    for (const char *line = *at; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (!strncmp(line, "end", 3)) {
            *at = line + 3;
            return true;
        }
        if (strncmp(line, "hex ", 4))
            continue;
        for (const char *d = line + 4; hex_digit(d[0]) >= 0 && hex_digit(d[1]) >= 0; d += 2) {
            unsigned char byte = (unsigned char)(hex_digit(d[0]) * 16 + hex_digit(d[1]));
            adze_text_append(bytes, &byte, 1);
        }
    }
    return false;
}

/* Without files: the program, built with ADZE_MAIN_HEX, prints the elements' bytes in order. */
static bool outputs_by_text(adze_program *p, const char *const *names, const adze_tensor *like,
                            size_t n, adze_tensor *outputs) {
    adze_text said = {0};
    bool ok = adze_program_run(p, NULL, 0, &said);
    const char *at = said.data ? said.data : "";
    for (size_t i = 0; i < n && ok; i++) {
        adze_text bytes = {0};
        ok = take_hex(&at, &bytes) ||
             adze_error(&p->ctx->diags, NULL, "the program printed no output '%s'", names[i]);
        ok = ok && take_bytes(p, names[i], &like[i], bytes.data, bytes.length, &outputs[i]);
        adze_text_free(&bytes);
    }
    adze_text_free(&said);
    return ok;
}

bool adze_program_outputs(adze_program *p, const char *const *names, const adze_tensor *like,
                          size_t n, adze_tensor *outputs) {
    return (has_files(p->target) ? outputs_by_files : outputs_by_text)(p, names, like, n, outputs);
}

/* ---- times ---- */

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* "time: min A median B ns, N runs" of a hosted main. */
static bool time_by_words(adze_program *p, uint64_t runs, adze_timing *out) {
    const char *words[] = {"-n",
                           adze_arena_printf(p->ctx->arena, "%llu", (unsigned long long)runs)};
    adze_text said = {0};
    bool ok = adze_program_run(p, words, ADZE_COUNT(words), &said);
    const char *line = ok && said.data ? strstr(said.data, "time: min ") : NULL;
    ok = ok && ((line && sscanf(line, "time: min %lf median %lf", &out->min, &out->median) == 2) ||
                adze_error(&p->ctx->diags, NULL, "the program printed no time"));
    out->runs = runs;
    adze_text_free(&said);
    return ok;
}

/* Lines "time TICKS HZ" of a board's main, built with ADZE_MAIN_RUNS; HZ 0: no rate is known. */
static bool time_by_text(adze_program *p, adze_timing *out) {
    enum { MOST = 1024 };
    double ticks[MOST], hz = 0;
    size_t n = 0;
    adze_text said = {0};
    if (!adze_program_run(p, NULL, 0, &said)) {
        adze_text_free(&said);
        return false;
    }
    for (const char *line = said.data; line && n < MOST; line = strchr(line, '\n')) {
        line += *line == '\n';
        n += sscanf(line, "time %lf %lf", &ticks[n], &hz) == 2;
    }
    adze_text_free(&said);
    if (!n)
        return adze_error(&p->ctx->diags, NULL, "the program printed no time");
    qsort(ticks, n, sizeof *ticks, by_value);
    double ns = hz > 0 ? 1e9 / hz : 0;
    double each = p->target->run.count_argc ? p->target->clock.instructions_per_tick : 0;
    *out = (adze_timing){.min = ticks[0] * ns,
                         .median = ticks[n / 2] * ns,
                         .instructions = ticks[n / 2] * each,
                         .runs = n};
    return true;
}

/* "mark TICKS MARKS HZ" and, for each call, "call INDEX LEAST SUM" (codegen/tree_profile.c). */
static bool read_calls(adze_program *p, const char *said, uint64_t runs, int n, adze_call_cost *out) {
    double mark = 0, marks = 1, hz = 0;
    int found = 0;
    double each = p->runs && p->target->run.count_argc ? p->target->clock.instructions_per_tick : 0;
    for (const char *line = said; line; line = strchr(line, '\n')) {
        double least, sum;
        int i;
        line += *line == '\n';
        if (sscanf(line, "mark %lf %lf %lf", &mark, &marks, &hz) == 3)
            mark /= marks;
        if (sscanf(line, "call %d %lf %lf", &i, &least, &sum) != 3 || i < 0 || i >= n)
            continue;
        found++;
        least = least > mark ? least - mark : 0;
        sum = sum / (double)runs > mark ? sum / (double)runs - mark : 0;
        out[i] = (adze_call_cost){.ns = hz > 0 ? least * 1e9 / hz : 0, .instructions = sum * each};
    }
    return found == n || adze_error(&p->ctx->diags, NULL, "the program measured %d of %d calls of kernels",
                                    found, n);
}

bool adze_program_profile(adze_program *p, uint64_t runs, int n, adze_call_cost *out) {
    const char *words[] = {"-n", adze_arena_printf(p->ctx->arena, "%llu", (unsigned long long)runs)};
    adze_text said = {0};
    bool args = p->target->run.takes_args;
    bool ok = adze_program_run(p, args ? words : NULL, args ? ADZE_COUNT(words) : 0, &said) &&
              read_calls(p, said.data ? said.data : "", runs, n, out);
    adze_text_free(&said);
    return ok;
}

bool adze_program_time(adze_program *p, uint64_t runs, adze_timing *out) {
    *out = (adze_timing){0};
    return p->target->run.takes_args ? time_by_words(p, runs, out) : time_by_text(p, out);
}
