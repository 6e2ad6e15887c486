/* The pass "vectorize": each case is one level-3 kernel, once as it is and once through the pass,
 * both compiled for the target and called (vectorize_main.c) on the same data, which has NaN,
 * infinities, zeros and denormals in it; for many numbers of elements.
 *
 * Targets that this machine can run, by itself or emulated. test_vectorize [-t TARGET] [NAME...];
 * GEN_SHOW=1 prints the C and why a kernel stayed scalar. */
#include "codegen/emit.h"
#include "codegen/gen.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct vector_case {
    const char *name;
    double tolerance;
    const char *parameters, *body;
} vector_case;

static const vector_case cases[] = {
#define V(name, tolerance, parameters, body) {name, tolerance, parameters, body},
#include "tests/unit/vectorize_cases.def"
};

static const int sizes[] = {1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 64, 67, 257, 1027};
enum { N_CASES = (int)ADZE_COUNT(cases), N_SIZES = (int)ADZE_COUNT(sizes), MAX_PARAMETERS = 4 };

static const char *const *words;
static const char *only_target;

static bool chosen(const vector_case *c) {
    for (const char *const *w = words; w && *w; w++)
        if (!strcmp(*w, c->name))
            return true;
    return !words || !*words;
}

/* ---- text ---- */

static void put(adze_text *t, const char *text, int n, bool mark) {
    for (const char *at = text; *at; at++) {
        bool word = at > text && (at[-1] == '_' || at[-1] == '%');
        if (*at == 'N' && !word && (at[1] == 'x' || at[1] == ':'))
            adze_text_printf(t, "%d", n);
        else if (!strncmp(at, "MARK", 4))
            adze_text_puts(t, mark ? "{adze.vectorize}" : ""), at += strlen("MARK") - 1;
        else
            adze_text_printf(t, "%c", *at);
    }
}

/* name:memref parts of the parameters */
static int split(const vector_case *c, int n, char names[][16], char types[][32]) {
    adze_text all = {0};
    put(&all, c->parameters, n, false);
    int count = 0;
    for (char *at = strtok(all.data, " "); at; at = strtok(NULL, " ")) {
        char *colon = strchr(at, ':');
        *colon = 0;
        strcpy(names[count], at);
        strcpy(types[count++], colon + 1);
    }
    adze_text_free(&all);
    return count;
}

static MlirModule kernel(adze_context *ctx, const vector_case *c, int n, bool mark) {
    char names[MAX_PARAMETERS][16], types[MAX_PARAMETERS][32];
    int count = split(c, n, names, types);
    adze_text t = {0}, list = {0};
    for (int i = 0; i < count; i++)
        adze_text_printf(&list, "%s%%%s: memref<%s> {adze.name = \"%s\", adze.access = \"%s\"}",
                         i ? ", " : "", names[i], types[i], names[i],
                         i == count - 1 ? "write" : "read");
    const char *parameters = list.data ? list.data : "";
    adze_text_printf(
        &t,
        "module attributes {adze.level = 3 : i64} {\nfunc.func @run(%s) attributes {adze.entry} {\n"
        "func.call @kernel(",
        parameters);
    for (int i = 0; i < count; i++)
        adze_text_printf(&t, "%s%%%s", i ? ", " : "", names[i]);
    adze_text_puts(&t, ") : (");
    for (int i = 0; i < count; i++)
        adze_text_printf(&t, "%smemref<%s>", i ? ", " : "", types[i]);
    adze_text_printf(
        &t, ") -> ()\nreturn\n}\nfunc.func private @kernel(%s) attributes {adze.kernel} {\n",
        parameters);
    adze_text_printf(&t,
                     "%%n = arith.constant %d : index\n%%c0 = arith.constant 0 : index\n"
                     "%%c1 = arith.constant 1 : index\n%%f0 = arith.constant 0.0 : f32\n"
                     "%%f1 = arith.constant 1.0 : f32\n",
                     n);
    put(&t, c->body, n, mark);
    adze_text_puts(&t, "return\n}\n}\n");
    MlirModule module = adze_module_parse(ctx, t.data, c->name);
    if (mlirModuleIsNull(module)) {
        adze_text why = {0};
        adze_diagnostics_print(&ctx->diags, &why);
        fail_msg("case '%s' does not parse: %s\n%s", c->name, why.data, t.data);
    }
    adze_text_free(&t);
    adze_text_free(&list);
    return module;
}

/* Appends `void PREFIX_CASE_SIZE(void **p)`. True when the kernel has vectors. */
static bool emit(adze_context *ctx, const adze_target *target, int number, int n, bool vectors,
                 adze_text *c, adze_text *headers) {
    MlirModule module = kernel(ctx, &cases[number], n, vectors);
    if (vectors && !adze_codegen_vectorize(ctx, module, target))
        fail_msg("'%s' fails", cases[number].name);
    if (!mlirOperationVerify(mlirModuleGetOperation(module)))
        fail_msg("'%s' does not verify", cases[number].name);
    adze_c_module m;
    const char *name = adze_arena_printf(ctx->arena, "%c%d_%d", vectors ? 'v' : 's', number, n);
    if (!adze_c_module_read(ctx, module, name, ADZE_WEIGHTS_C, target, &m) ||
        !adze_emit_kernels(&m)) {
        adze_text t = {0}, ir = {0};
        adze_diagnostics_print(&ctx->diags, &t);
        adze_module_print(module, &ir);
        fail_msg("'%s' has no C: %s\n%s", cases[number].name, t.data, ir.data);
    }
    for (int i = 0; i < m.n_runtime; i++)
        if (!headers->data || !strstr(headers->data, m.runtime[i]))
            adze_text_printf(headers,
                             m.runtime[i][0] == '<' ? "#include %s\n" : "#include \"%s\"\n",
                             m.runtime[i]);
    const adze_c_kernel *k = &m.kernels[0];
    const char *why = adze_get_str(ctx, k->op, "adze.scalar");
    if (getenv("GEN_SHOW") && vectors)
        printf("/* %s */\n%s\n", why ? why : "", k->text);
    adze_emit_prototype(&m, k, c);
    adze_text_printf(c, ";\n%s\nstatic void call_%s(void **p) {\n    %s(", k->text, name, k->name);
    for (int i = 0; i < k->n_params; i++)
        adze_text_printf(c, "%sp[%d]", i ? ", " : "", i);
    adze_text_puts(c, ");\n}\n\n");
    return vectors && !why;
}

/* ---- one target ---- */

/* The rows of vectorize_main.c's table for case `number`. */
static void row(adze_context *ctx, int number, int n, adze_text *table) {
    char names[MAX_PARAMETERS][16], types[MAX_PARAMETERS][32];
    int count = split(&cases[number], n, names, types);
    adze_text_printf(table, "    {\"%s\", %d, %g, call_s%d_%d, call_v%d_%d, %d, {",
                     cases[number].name, n, cases[number].tolerance, number, n, number, n, count);
    for (int i = 0; i < count; i++) {
        adze_shape s;
        MlirType type = mlirTypeParseGet(
            ctx->mlir,
            mlirStringRefCreateFromCString(adze_arena_printf(ctx->arena, "memref<%s>", types[i])));
        assert_true(adze_shape_of(ctx, type, &s));
        adze_text_printf(table, "%s{\"%s\", %lld}", i ? ", " : "", adze_dtype_get(s.dtype)->name,
                         (long long)adze_shape_count(&s));
    }
    adze_text_puts(table, "}},\n");
}

static bool run(const adze_target *target, const char *const *argv, size_t argc, const char *what,
                const char *exe) {
    adze_text command = {0};
    for (size_t i = 0; i < argc; i++)
        adze_text_printf(&command, "%s%s", i ? " " : "", strcmp(argv[i], "{exe}") ? argv[i] : exe);
    int status = system(command.data);
    if (status)
        print_error("%s%s%s: fails\n", target->name, *what ? ", " : "", what);
    adze_text_free(&command);
    return status == 0;
}

static bool can_run(const adze_target *t) {
    char err[ADZE_TARGET_ERR];
    adze_target *here = adze_target_load(ADZE_SOURCE_DIR "/targets", "native", err);
    bool ok = here != NULL && adze_target_usable_compiler(t) != NULL;
    if (ok && t->run.kind == ADZE_RUN_NATIVE) {
        ok = !strcmp(here->arch, t->arch);
        for (size_t i = 0; ok && i < t->feature_count; i++)
            ok = adze_target_has_feature(here, t->features[i].name);
    } else if (ok) {
        ok = t->run.argc && adze_target_on_path(t->run.argv[0]);
    }
    adze_target_free(here);
    return ok;
}

static void write_file(const char *path, const char *text) {
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void test_target(const char *name) {
    char err[ADZE_TARGET_ERR], folder[] = "/tmp/adze-vec-XXXXXX", path[64], exe[64], command[2048];
    if (only_target && strcmp(only_target, name))
        return;
    adze_target *target = adze_target_load(ADZE_SOURCE_DIR "/targets", name, err);
    if (!target)
        fail_msg("%s", err);
    if (!can_run(target)) {
        print_message("%s: this machine cannot run it\n", name);
        adze_target_free(target);
        return;
    }
    adze_context *ctx = adze_context_new();
    adze_text c = {0}, headers = {0}, table = {0}, all = {0};
    int vectors = 0, scalar = 0;
    for (int i = 0; i < N_CASES; i++)
        for (int k = 0; k < N_SIZES && chosen(&cases[i]); k++) {
            emit(ctx, target, i, sizes[k], false, &c, &headers);
            if (emit(ctx, target, i, sizes[k], true, &c, &headers))
                vectors++;
            else
                scalar++;
            row(ctx, i, sizes[k], &table);
        }
    adze_text_printf(&all, "#include <stdbool.h>\n#include <stddef.h>\n");
    for (size_t i = 0; i < target->vector_type_count; i++) {
        const char *header = target->vector_types[i].header;
        if (header && !strstr(all.data, header))
            adze_text_printf(&all, "#include <%s>\n", header);
    }
    adze_text_printf(&all, "%s%sstatic const kernel kernels[] = {\n%s};\n",
                     headers.data ? headers.data : "", c.data, table.data);
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/kernels.h", folder);
    write_file(path, all.data);
    snprintf(exe, sizeof exe, "%s/kernels", folder);
    const adze_compiler *cc = adze_target_usable_compiler(target);
    snprintf(
        command, sizeof command,
        "cd %s && %s %s -O1 -Wall -Wextra -Wconversion -Wpedantic -Werror -I%s/runtime -I%s -c "
        "%s/tests/unit/vectorize_main.c -o k.o && %s %s k.o %s -o %s",
        folder, cc->cc, cc->cflags, ADZE_SOURCE_DIR, folder, ADZE_SOURCE_DIR, cc->link, cc->ldflags,
        cc->libs, exe);
    if (system(command))
        fail_msg("the C does not compile: %s", command);
    print_message("%s: %d kernels with vectors, %d without\n", name, vectors, scalar);
    bool ok = run(target, target->run.argv, target->run.argc, "", exe);
    for (size_t i = 0; i < target->run.variant_count; i++) {
        const adze_run_variant *v = &target->run.variants[i];
        ok &= run(target, v->argv, v->argc, v->name, exe);
    }
    if (ok) {
        snprintf(command, sizeof command, "rm -rf %s", folder);
        ok = !system(command);
    }
    adze_text_free(&c);
    adze_text_free(&headers);
    adze_text_free(&table);
    adze_text_free(&all);
    adze_context_free(ctx);
    adze_target_free(target);
    assert_true(ok);
}

static const char *const targets[] = {"x86-64-v2", "x86-64-v3", "x86-64-v4",
                                      "aarch64",   "armv9-sve", "riscv64-v"};
static void test_named(void **state) {
    test_target(*state);
}

int main(int argc, char **argv) {
    int at = 1;
    if (argc > 2 && !strcmp(argv[1], "-t")) {
        only_target = argv[2];
        at = 3;
    }
    words = (const char *const *)argv + at;
    struct CMUnitTest tests[ADZE_COUNT(targets)];
    for (size_t i = 0; i < ADZE_COUNT(targets); i++)
        tests[i] =
            (struct CMUnitTest){targets[i], test_named, NULL, NULL, (void *)(uintptr_t)targets[i]};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
