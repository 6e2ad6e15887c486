/* The command line's tables: what parses to what, what is refused how, and that the man page is
 * theirs. One test alone: give its name as the argument. */
#include "driver/driver.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static adze_arena *arena;

static int setup(void **state) {
    (void)state;
    arena = adze_arena_new();
    return 0;
}

static int teardown(void **state) {
    (void)state;
    adze_arena_free(arena);
    return 0;
}

/* Splits at blanks and parses; the problem, or NULL when it parsed. */
static const char *parse(int command, const char *line, adze_args *out) {
    char *words[32], *text = adze_arena_strdup(arena, line);
    int n = 0;
    for (char *w = strtok(text, " "); w; w = strtok(NULL, " "))
        words[n++] = w;
    const char *problem = NULL;
    bool ok = adze_args_parse(arena, (adze_command)command, n, words, out, &problem);
    assert_true(ok == (problem == NULL));
    return problem;
}

/* ---- refusals: command, words, what the problem says ---- */

static const struct {
    int command;
    const char *line, *says;
} refusals[] = {
    {ADZE_CMD_compile, "m.onnx --trget x", "did you mean --target?"},
    {ADZE_CMD_compile, "m.onnx --target", "--target needs TARGET"},
    {ADZE_CMD_compile, "m.onnx -t a -t b", "given twice"},
    {ADZE_CMD_compile, "m.onnx --explain=3", "takes no argument"},
    {ADZE_CMD_compile, "m.onnx --html", "--html is not an option of compile"},
    {ADZE_CMD_compile, "", "compile needs"},
    {ADZE_CMD_compile, "m.onnx --color maybe", "auto, always or never"},
    {ADZE_CMD_compile, "m.onnx -x", "unknown option '-x'"},
    {ADZE_CMD_inspect, "a.onnx b.onnx", "'b.onnx' is too much"},
    {ADZE_CMD_inspect, "a.onnx --threads 2", "it is one of: compile, run, bench"},
};

static void test_refusals(void **state) {
    (void)state;
    for (size_t i = 0; i < ADZE_COUNT(refusals); i++) {
        adze_args args;
        const char *problem = parse(refusals[i].command, refusals[i].line, &args);
        if (!problem || !strstr(problem, refusals[i].says))
            fail_msg("'%s': \"%s\" does not say \"%s\"", refusals[i].line,
                     problem ? problem : "(accepted)", refusals[i].says);
    }
}

static void test_accepted(void **state) {
    (void)state;
    adze_args a;
    assert_null(parse(ADZE_CMD_compile,
                      "x=m.onnx -tcortex-m4 --dim T=4 n.onnx --dim=U=1..8 -o out -v -v -- -odd",
                      &a));
    assert_int_equal(a.n_positionals, 3);
    assert_string_equal(a.positionals[0], "x=m.onnx");
    assert_string_equal(a.positionals[2], "-odd");
    assert_string_equal(adze_args_get(&a, ADZE_OPT_target), "cortex-m4");
    assert_int_equal(a.counts[ADZE_OPT_dim], 2);
    assert_string_equal(a.values[ADZE_OPT_dim][0], "T=4");
    assert_string_equal(a.values[ADZE_OPT_dim][1], "U=1..8");
    assert_int_equal(a.counts[ADZE_OPT_verbose], 2);
    assert_null(adze_args_get(&a, ADZE_OPT_name));
    assert_null(parse(ADZE_CMD_compile, "--help", &a));
    assert_true(adze_args_has(&a, ADZE_OPT_help));
}

/* ---- slips ---- */

static void test_suggest(void **state) {
    (void)state;
    static const char *const names[] = {"compile", "run", "bench", "inspect", "targets", "opt"};
    static const struct {
        const char *word, *near;
    } rows[] = {{"complie", "compile"}, {"target", "targets"}, {"rnu", "run"},
                {"insepct", "inspect"}, {"quantize", NULL},    {"zzz", NULL}};
    for (size_t i = 0; i < ADZE_COUNT(rows); i++) {
        const char *near = adze_suggest(rows[i].word, names, ADZE_COUNT(names));
        if (!rows[i].near != !near || (near && strcmp(near, rows[i].near)))
            fail_msg("'%s' suggests '%s'", rows[i].word, near ? near : "(nothing)");
    }
}

static void test_bytes(void **state) {
    (void)state;
    static const struct {
        const char *text;
        bool ok;
        uint64_t bytes;
    } rows[] = {{"4096", true, 4096},       {"64K", true, 65536}, {"1M", true, 1048576},
                {"2MB", true, 2097152},     {"0x10", true, 16},   {"", false, 0},
                {"-1", false, 0},           {"K", false, 0},      {"1.5M", false, 0},
                {"99999999999G", false, 0}, {"12 K", false, 0}};
    for (size_t i = 0; i < ADZE_COUNT(rows); i++) {
        uint64_t bytes = 0;
        bool ok = adze_parse_bytes(rows[i].text, &bytes);
        if (ok != rows[i].ok || (ok && bytes != rows[i].bytes))
            fail_msg("'%s' gives %d, %llu", rows[i].text, ok, (unsigned long long)bytes);
    }
}

/* ---- the tables themselves ---- */

static void test_tables(void **state) {
    (void)state;
    for (int i = 0; i < ADZE_N_OPTIONS; i++) {
        assert_true(adze_options[i].commands != 0);
        for (int k = 0; k < i; k++) {
            assert_string_not_equal(adze_options[i].name, adze_options[k].name);
            assert_true(!adze_options[i].letter ||
                        adze_options[i].letter != adze_options[k].letter);
        }
    }
    for (int c = 0; c < ADZE_N_COMMANDS; c++) {
        adze_text text = {0};
        adze_help_command((adze_command)c, &text);
        for (int i = 0; i < ADZE_N_OPTIONS; i++) {
            char name[64];
            snprintf(name, sizeof name, "--%s", adze_options[i].name);
            if (adze_options[i].commands >> c & 1 && !strstr(text.data, name))
                fail_msg("help of %s does not have %s", adze_commands[c].name, name);
        }
        adze_text_free(&text);
    }
}

/* docs/adze.1 is what the tables say; after a change: adze --man > docs/adze.1 */
static void test_man_page(void **state) {
    (void)state;
    adze_text want = {0}, have = {0};
    adze_help_man(&want);
    FILE *f = fopen(ADZE_SOURCE_DIR "/docs/adze.1", "rb");
    assert_non_null(f);
    char buffer[4096];
    for (size_t n; (n = fread(buffer, 1, sizeof buffer, f)) > 0;)
        adze_text_append(&have, buffer, n);
    fclose(f);
    if (strcmp(want.data, have.data))
        fail_msg("docs/adze.1 is old: write it again with adze --man > docs/adze.1");
    adze_text_free(&want);
    adze_text_free(&have);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refusals), cmocka_unit_test(test_accepted),
        cmocka_unit_test(test_suggest),  cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_tables),   cmocka_unit_test(test_man_page),
    };
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests_name("driver options", tests, setup, teardown);
}
