/* The instruction checker, in the manner of checkasm: every row of every target's table is
 * evaluated on random and extreme inputs and held to its plain C meaning (meaning.c).
 *
 *   instructions [-a] [-k] [TARGET...]      -a: with every compiler of a target, not the first
 * alone -k: keep the last program, and say where
 *
 * One program a target evaluates all its rows; it runs natively or in the target's emulators (every
 * variant) and prints results, which are judged here. Rows that an earlier target of the same kind
 * had with the same C are not repeated. A line a target: PASS, FAIL or SKIP. */
#define _POSIX_C_SOURCE 200809L
#include "program.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char targets[] = ADZE_SOURCE_DIR "/targets",
                  boards[] = ADZE_SOURCE_DIR "/runtime/boards";
static const char here[] = ADZE_SOURCE_DIR "/tests/instructions";
static char work[] = "/tmp/adze-instructions-XXXXXX";
static bool every_compiler;
static bool quiet; /* quiet: enough was said of this run */

/* ---- rows seen, and the trials of a target ---- */

static char **seen;
static size_t seen_count;

static bool seen_before(const adze_target *t, const adze_instruction *row) {
    char key[4096];
    int n =
        snprintf(key, sizeof key, "%s|%s|%s|%s", t->arch, row->name, row->type.spelling, row->c);
    for (size_t o = 0; o < row->operand_count; o++)
        n += snprintf(key + n, sizeof key - (size_t)n, "|%s", row->operands[o].spelling);
    for (size_t i = 0; i < seen_count; i++)
        if (!strcmp(seen[i], key))
            return true;
    seen = realloc(seen, (seen_count + 1) * sizeof *seen);
    seen[seen_count++] = strdup(key);
    return false;
}

/* The trials of a row: one for each of a few numbers that its # takes. */
static size_t trials_of(const adze_instruction *row, const meaning *m, trial *out) {
    const adze_value_type *last = NULL;
    bool literal = false;
    if (m->literal == 't' && strncmp(row->name, "tile.dot.", 9))
        return 0; /* tried with the products */
    if (m->literal == 't') {
        out[0] = (trial){row, 0};
        return 1;
    }
    for (size_t o = 0; o < row->operand_count; o++) {
        if (row->operands[o].base == '#')
            literal = true;
        else
            last = &row->operands[o];
    }
    if (!literal) {
        out[0] = (trial){row, 0};
        return 1;
    }
    int low = m->literal == 's' || m->literal == 'b' ? 1 : 0;
    int high = m->literal == 's' || m->literal == 'b' ? (int)row->type.bits - 1
               : last                                 ? (int)(128 / last->bits) - 1
                                                      : 1;
    if (m->literal == '4')
        high = 3;
    out[0] = (trial){row, low};
    out[1] = (trial){row, (low + high) / 2};
    out[2] = (trial){row, high};
    return 3;
}

/* ---- judging ---- */

static unsigned char pool_data[128][POOL_COUNT * 8];

/* The host's copy of the array that an operand comes from. */
static const unsigned char *pool(const adze_value_type *v, char use) {
    bool is_float = v->base == 'f' || v->base == 'h';
    int kind = use == 't' && is_float             ? POOL_TAME
               : use == 's'                       ? POOL_SHIFT
               : use == 'i'                       ? POOL_INDEX
               : v->base == 'f' || v->base == 'h' ? POOL_FLOAT
                                                  : POOL_INT;
    unsigned bits = v->bits;
    if (v->base == 'b')
        kind = POOL_MASK, bits = 8;
    size_t slot = (size_t)kind * 8 +
                  (bits == 8    ? 0
                   : bits == 16 ? 1
                   : bits == 32 ? 2
                                : 3) +
                  (v->base == 'h' ? 4 : 0);
    static bool filled[128];
    if (!filled[slot])
        pool_fill(pool_data[slot], kind, bits, v->base == 'h');
    filled[slot] = true;
    return pool_data[slot];
}

static bool agrees(const call *c, const adze_value_type *t, const value *want, const value *got) {
    if (t->base != 'f' && t->base != 'h') {
        uint64_t mask = t->bits == 64 || t->bits == 0 ? ~(uint64_t)0 : ((uint64_t)1 << t->bits) - 1;
        return (((uint64_t)want->i ^ (uint64_t)got->i) & mask) == 0;
    }
    if (isnan(want->f) || isnan(got->f))
        return isnan(want->f) && isnan(got->f);
    if (want->f == got->f)
        return want->f != 0 || want->any_zero || c->flushes || signbit(want->f) == signbit(got->f);
    double least = t->bits == 16 && t->base == 'f' ? 0x1p-14 : t->bits == 64 ? 0x1p-1022 : 0x1p-126;
    if (c->flushes && fabs(want->f - got->f) <= least)
        return true;
    return fabs(want->f - got->f) <= want->tolerance;
}

static void show(const adze_value_type *t, const value *v) {
    if (t->base == 'f' || t->base == 'h')
        fprintf(stderr, "%a", v->f);
    else
        fprintf(stderr, "%lld", (long long)v->i);
}

/* Judges one line of the program; false when it is wrong. */
static bool judge(const adze_target *t, const trial *x, uint32_t n, uint32_t k, size_t lanes,
                  size_t active, const unsigned char *bytes, size_t count) {
    const adze_instruction *row = x->row;
    const meaning *m = meaning_of(row->name);
    call c = {.row = row, .lanes = active, .flushes = !strcmp(t->arch, "arm")};
    const adze_value_type *stored = NULL;
    for (size_t o = 0; o < row->operand_count; o++) {
        const adze_value_type *v = &row->operands[o];
        char use = strlen(m->pools) > o ? m->pools[o] : ' ';
        if (v->base == '#')
            c.number[o] = x->literal;
        else if (v->base == 'n')
            c.number[o] = pool_index(n, k, (uint32_t)o, (uint32_t)lanes);
        else if (v->pointer == '!')
            stored = v;
        else {
            uint32_t start = pool_start(n, k, (uint32_t)o);
            c.operand[o] = pool(v, use == 't' && k % 2 == 0 ? ' ' : use) +
                           (size_t)(use == 'w' ? pool_words(start) : start) *
                               (v->base == 'b' ? 1 : v->bits / 8);
        }
    }
    static const adze_value_type sums[] = {
        {.spelling = "s32", .base = 's', .bits = 32, .lanes = 1},
        {.spelling = "f32", .base = 'f', .bits = 32, .lanes = 1}};
    bool tile = !strncmp(row->name, "tile.", 5);
    if (tile) {
        const char *kind = row->name + strlen("tile.dot.");
        bool brain = !strcmp(kind, "bf16");
        adze_value_type types[3] = {
            sums[brain],
            {.base = brain ? 'h' : kind[0], .bits = brain ? 16 : 8, .lanes = 1},
            {.base = brain ? 'h' : kind[1], .bits = brain ? 16 : 8, .lanes = 1}};
        for (uint32_t o = 0; o < 3; o++)
            c.operand[o] = pool(&types[o], 't') + (size_t)pool_start(n, k, o) * (types[o].bits / 8);
        c.number[0] = k % 2;
        stored = &sums[brain];
    }
    if (row->result.base == 'v' && !stored)
        return true; /* nothing to look at */
    /* the elements of the result: masks as integers of their carrier, counts as u64 */
    adze_value_type e = stored ? *stored : row->result;
    e.pointer = 0;
    if (row->result.base == 'b' && !stored) {
        const adze_value_type *carrier = program_carrier(t, &row->result);
        e = (adze_value_type){.base = 's', .bits = carrier->bits};
    } else if (row->result.base == 'n') {
        e = (adze_value_type){.base = 'u', .bits = 64};
        c.lanes = lanes;
    }
    size_t elements = count / (e.bits / 8);
    for (size_t i = 0; i < elements; i++) {
        value want = {0}, got = meaning_load(&e, bytes, i);
        if (stored && adze_value_type_is_vector(&row->type) &&
            i >= active * (m->literal == 'q' ? 4 : 1)) {
            static const unsigned char unset[8] = {0xa5, 0xa5, 0xa5, 0xa5, 0xa5, 0xa5, 0xa5, 0xa5};
            want = meaning_load(&e, unset, 0);
        } else if (!m->fn(&c, i, &want)) {
            continue;
        }
        if (row->result.base == 'b')
            want.i &= 1;
        if (agrees(&c, &e, &want, &got))
            continue;
        c.flushed = c.flushes;
        value other = {0};
        if (c.flushes && (!m->fn(&c, i, &other) || agrees(&c, &e, &other, &got))) {
            c.flushed = false;
            continue;
        }
        if (quiet)
            return false;
        fprintf(stderr, "     %s %s (", row->name, row->type.spelling);
        for (size_t o = 0; o < row->operand_count; o++)
            fprintf(stderr, "%s%s", o ? " " : "", row->operands[o].spelling);
        fprintf(stderr, ") lane %zu of %zu, case %u: ", i, active, k);
        show(&e, &got);
        fputs(" instead of ", stderr);
        show(&e, &want);
        for (size_t o = 0; o < row->operand_count && !tile; o++) {
            if (row->operands[o].pointer == '!')
                continue;
            value v = meaning_operand(&c, o, i);
            fprintf(stderr, "%s$%zu ", o ? ", " : "; ", o);
            show(&row->operands[o], &v);
        }
        fputs("\n", stderr);
        return false;
    }
    return true;
}

static unsigned digit(char c) {
    return c <= '9' ? (unsigned)(c - '0') : (unsigned)(c - 'a') + 10;
}

/* Reads what the program prints. */
static bool judge_run(const adze_target *t, const trial *trials, size_t count, const char *command,
                      const char *variant) {
    /* through a file: Node.js loses what a full pipe does not take */
    char path[256], line_of[8600];
    snprintf(path, sizeof path, "%s/said", work);
    snprintf(line_of, sizeof line_of, "%s >%s", command, path);
    int status = system(line_of);
    FILE *f = fopen(path, "r");
    static char line[20000];
    static unsigned char bytes[10000];
    size_t lines = 0, wrong = 0;
    bool ended = false;
    bool *bad = calloc(count, 1);
    while (f && fgets(line, sizeof line, f)) {
        unsigned n, k;
        size_t lanes, active;
        int at;
        ended = !strcmp(line, "end\n");
        if (sscanf(line, "%u %u %zu %zu %n", &n, &k, &lanes, &active, &at) != 4 || n >= count)
            continue;
        size_t length = 0;
        for (const char *p = line + at; p[0] > ' ' && p[1] > ' ' && length < sizeof bytes; p += 2)
            bytes[length++] = (unsigned char)(digit(p[0]) << 4 | digit(p[1]));
        lines++;
        quiet = wrong >= 20;
        if (!bad[n] && !judge(t, &trials[n], n, k, lanes, active, bytes, length)) {
            bad[n] = true;
            wrong++;
        }
    }
    if (f)
        fclose(f);
    free(bad);
    bool whole = ended && status == 0 && lines == count * POOL_CASES;
    if (!whole)
        fprintf(stderr, "     %s: the program ended with %d after %zu of %zu results%s\n", variant,
                status, lines, count * POOL_CASES, ended ? "" : ", before its end");
    if (wrong)
        fprintf(stderr, "     %s: %zu of %zu rows are wrong\n", variant, wrong, count);
    return whole && !wrong;
}

/* ---- building and running ---- */

static char *replaced(const char *line, const char *key, const char *with) {
    static char out[4][4096];
    static int next;
    char *o = out[next++ % 4];
    const char *at = strstr(line, key);
    if (at)
        snprintf(o, 4096, "%.*s%s%s", (int)(at - line), line, with, at + strlen(key));
    else
        snprintf(o, 4096, "%s", line);
    return o;
}

static bool build(const adze_target *t, const adze_compiler *k, const char *cflags) {
    char files[2048] = "program.c", command[8192], script[256];
    for (size_t i = 0; i < t->board_file_count; i++) {
        const char *file = t->board_files[i];
        if (!strcmp(file + strlen(file) - 2, ".c"))
            snprintf(files + strlen(files), sizeof files - strlen(files), " %s/%s", boards, file);
    }
    snprintf(script, sizeof script, "%s/link.ld", work);
    if (t->bare) {
        char err[ADZE_TARGET_ERR], *text = adze_target_linker_script(t, &(adze_link_sizes){0}, err);
        FILE *f = fopen(script, "w");
        if (!text || !f)
            return fprintf(stderr, "     %s\n", err), false;
        fputs(text, f);
        fclose(f);
        free(text);
    }
    snprintf(
        command, sizeof command,
        "cd %s && rm -f *.o exe && for f in %s; do %s %s -O1 -w -I%s -I%s -c $f || exit 1; done && "
        "%s %s *.o -o exe %s",
        work, files, k->cc, cflags, boards, here, k->link, replaced(k->ldflags, "{script}", script),
        k->libs);
    return system(command) == 0;
}

static void command_of(char *out, size_t bytes, const char *const *argv, size_t argc) {
    char exe[256];
    snprintf(exe, sizeof exe, "%s/exe", work);
    size_t n = (size_t)snprintf(out, bytes, "timeout 120");
    for (size_t i = 0; i < argc; i++)
        n += (size_t)snprintf(out + n, bytes - n, " %s",
                              replaced(replaced(argv[i], "{exe}", exe), "{boards}", boards));
    snprintf(out + n, bytes - n, " </dev/null");
}

/* Makes flags that this machine can run of an x86 target's: what it lacks is left out where
 * sim_x86.h stands in for it. False where something else is missing. */
static bool flags_here(const adze_target *t, const char *cflags, char *out, size_t bytes,
                       bool *simulated) {
    static const char *const known[] = {"avxvnni", "avx512fp16", "amx-tile", "amx-int8",
                                        "amx-bf16"};
    snprintf(out, bytes, "%s", cflags);
    *simulated = false;
    if (t->run.kind != ADZE_RUN_NATIVE || t->feature_count == 0)
        return true;
    char err[ADZE_TARGET_ERR];
    adze_target *native = adze_target_load(targets, "native", err);
    bool all = native != NULL;
    for (size_t i = 0; all && i < t->feature_count; i++) {
        if (adze_target_has_feature(native, t->features[i].name))
            continue;
        all = false;
        for (size_t j = 0; j < sizeof known / sizeof *known; j++)
            all |= !strcmp(known[j], t->features[i].name);
        *simulated = true;
        snprintf(out, bytes, "%s", replaced(out, t->features[i].cflag, ""));
    }
    adze_target_free(native);
    return all;
}

enum { PASS, FAIL, SKIP };

/* Builds the program with one compiler, and judges it in every way that the target runs. */
static int try_with(const adze_target *t, const adze_compiler *k, const trial *trials, size_t count,
                    char *said, size_t bytes) {
    char cflags[1024];
    bool simulated;
    if (!flags_here(t, k->cflags, cflags, sizeof cflags, &simulated)) {
        snprintf(said, bytes, "this machine lacks its instructions");
        return SKIP;
    }
    char path[256], command[8192];
    snprintf(path, sizeof path, "%s/program.c", work);
    FILE *f = fopen(path, "w");
    bool written =
        f && program_write(f, t, trials, count, simulated ? "#include \"sim_x86.h\"\n" : "");
    if (f)
        fclose(f);
    if (!written || !build(t, k, cflags))
        return FAIL;
    command_of(command, sizeof command,
               t->run.kind == ADZE_RUN_NATIVE ? (const char *[]){"{exe}"} : t->run.argv,
               t->run.kind == ADZE_RUN_NATIVE ? 1 : t->run.argc);
    bool good = judge_run(t, trials, count, command, "run");
    for (size_t v = 0; v < t->run.variant_count; v++) {
        command_of(command, sizeof command, t->run.variants[v].argv, t->run.variants[v].argc);
        good &= judge_run(t, trials, count, command, t->run.variants[v].name);
    }
    if (!good)
        fprintf(stderr, "     built with %s\n", k->cc);
    return good ? PASS : FAIL;
}

static int check_target(const char *name, char *said, size_t bytes) {
    char err[ADZE_TARGET_ERR];
    adze_target *t = adze_target_load(targets, name, err);
    if (!t)
        return fprintf(stderr, "     %s\n", err), FAIL;
    int result = FAIL;
    trial *trials = calloc(3 * t->instruction_count + 1, sizeof *trials);
    size_t count = 0;
    bool known = true;
    for (size_t i = 0; i < t->instruction_count; i++) {
        const adze_instruction *row = &t->instructions[i];
        const meaning *m = meaning_of(row->name);
        if (!m) {
            fprintf(stderr, "     %s has no meaning in tests/instructions/meaning.c\n", row->name);
            known = false;
        } else if (!seen_before(t, row)) {
            count += trials_of(row, m, trials + count);
        }
    }
    const adze_compiler *k = adze_target_usable_compiler(t);
    snprintf(said, bytes, "%zu rows", count);
    if (!known)
        goto done;
    result = SKIP;
    if (count == 0) {
        snprintf(said, bytes, "no rows of its own");
        goto done;
    }
    if (!k ||
        (t->run.argc && t->run.kind != ADZE_RUN_NATIVE && !adze_target_on_path(t->run.argv[0]))) {
        snprintf(said, bytes, "compiler or emulator is not here");
        goto done;
    }
    result = try_with(t, k, trials, count, said, bytes);
    for (size_t i = 0; every_compiler && result == PASS && i < t->compiler_count; i++) {
        const adze_compiler *other = &t->compilers[i];
        if (other != k && adze_target_on_path(other->cc) && adze_target_on_path(other->link))
            result = try_with(t, other, trials, count, said, bytes);
    }
done:
    free(trials);
    adze_target_free(t);
    return result;
}

/* Every name stands in the table of targets/README.md. */
static bool documented(void) {
    static char page[1 << 16];
    char path[256], quoted[64];
    snprintf(path, sizeof path, "%s/README.md", targets);
    FILE *f = fopen(path, "r");
    if (!f)
        return false;
    page[fread(page, 1, sizeof page - 1, f)] = 0;
    fclose(f);
    bool all = true;
    for (size_t i = 0; meaning_at(i); i++) {
        snprintf(quoted, sizeof quoted, "`%s`", meaning_at(i)->name);
        if (strstr(page, quoted))
            continue;
        fprintf(stderr, "     %s does not stand in targets/README.md\n", meaning_at(i)->name);
        all = false;
    }
    return all;
}

int main(int argc, char **argv) {
    static const char *const every[] = {
        "x86-64",       "x86-64-v2",      "x86-64-v3",  "x86-64-v3-vnni",
        "native",       "sapphirerapids", "aarch64",    "armv8.2-dotprod",
        "armv8.6-i8mm", "armv9-sve",      "riscv64-v",  "wasm32-simd",
        "cortex-m4",    "cortex-m7",      "cortex-m33", "cortex-m55"};
    const char *const *names = every;
    size_t count = sizeof every / sizeof *every;
    bool keep = false;
    while (argc > 1 && argv[1][0] == '-') {
        keep |= !strcmp(argv[1], "-k");
        every_compiler |= !strcmp(argv[1], "-a");
        argv++, argc--;
    }
    if (argc > 1) {
        names = (const char *const *)(argv + 1);
        count = (size_t)argc - 1;
    }
    if (!mkdtemp(work))
        return 2;
    int tally[3] = {0};
    bool named = documented();
    tally[named ? PASS : FAIL]++;
    printf("%s names\n", named ? "PASS" : "FAIL");
    for (size_t i = 0; i < count; i++) {
        char said[128] = "";
        int r = check_target(names[i], said, sizeof said);
        tally[r]++;
        printf("%s %s: %s\n", r == PASS ? "PASS" : r == FAIL ? "FAIL" : "SKIP", names[i], said);
        fflush(stdout);
        if (r == FAIL && count > 1)
            printf("     again: build/tests/instructions -k %s\n", names[i]);
    }
    if (keep) {
        printf("programs: %s\n", work);
    } else {
        char command[64];
        snprintf(command, sizeof command, "rm -rf %s", work);
        if (system(command))
            return 2;
    }
    printf("%d passed, %d failed, %d skipped\n", tally[PASS], tally[FAIL], tally[SKIP]);
    return tally[FAIL] != 0;
}
