/* The pass "vectorize": each case is one level-3 kernel, once as it is and once through the pass, both compiled for
 * the target and called on the same data, which has NaN, infinities, zeros and denormals in it; for many numbers of
 * elements.
 *
 * Targets that this machine can run. test_vectorize [-t TARGET] [NAME...]; GEN_SHOW=1 prints the C and why a
 * kernel stayed scalar. */
#include "codegen/emit.h"
#include "codegen/gen.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <dlfcn.h>
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

static const int sizes[] = {1, 2, 3, 4, 5, 7, 8, 9, 13, 15, 16, 17, 23, 31, 32, 33, 47, 63, 64, 65, 67, 257, 1027};
enum { N_CASES = (int)ADZE_COUNT(cases), N_SIZES = (int)ADZE_COUNT(sizes), MAX_PARAMETERS = 4, GUARD = 64 };

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
        adze_text_printf(&list, "%s%%%s: memref<%s> {adze.name = \"%s\", adze.access = \"%s\"}", i ? ", " : "",
                         names[i], types[i], names[i], i == count - 1 ? "write" : "read");
    const char *parameters = list.data ? list.data : "";
    adze_text_printf(&t, "module attributes {adze.level = 3 : i64} {\nfunc.func @run(%s) attributes {adze.entry} {\n"
                         "func.call @kernel(", parameters);
    for (int i = 0; i < count; i++)
        adze_text_printf(&t, "%s%%%s", i ? ", " : "", names[i]);
    adze_text_puts(&t, ") : (");
    for (int i = 0; i < count; i++)
        adze_text_printf(&t, "%smemref<%s>", i ? ", " : "", types[i]);
    adze_text_printf(&t, ") -> ()\nreturn\n}\nfunc.func private @kernel(%s) attributes {adze.kernel} {\n", parameters);
    adze_text_printf(&t, "%%n = arith.constant %d : index\n%%c0 = arith.constant 0 : index\n"
                         "%%c1 = arith.constant 1 : index\n%%f0 = arith.constant 0.0 : f32\n"
                         "%%f1 = arith.constant 1.0 : f32\n", n);
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
static bool emit(adze_context *ctx, const adze_target *target, int number, int n, bool vectors, adze_text *c,
                 adze_text *headers) {
    MlirModule module = kernel(ctx, &cases[number], n, vectors);
    if (vectors && !adze_codegen_vectorize(ctx, module, target))
        fail_msg("'%s' fails", cases[number].name);
    if (!mlirOperationVerify(mlirModuleGetOperation(module)))
        fail_msg("'%s' does not verify", cases[number].name);
    adze_c_module m;
    const char *name = adze_arena_printf(ctx->arena, "%c%d_%d", vectors ? 'v' : 's', number, n);
    if (!adze_c_module_read(ctx, module, name, ADZE_WEIGHTS_C, target, &m) || !adze_emit_kernels(&m)) {
        adze_text t = {0}, ir = {0};
        adze_diagnostics_print(&ctx->diags, &t);
        adze_module_print(module, &ir);
        fail_msg("'%s' has no C: %s\n%s", cases[number].name, t.data, ir.data);
    }
    for (int i = 0; i < m.n_runtime; i++)
        if (!headers->data || !strstr(headers->data, m.runtime[i]))
            adze_text_printf(headers, m.runtime[i][0] == '<' ? "#include %s\n" : "#include \"%s\"\n", m.runtime[i]);
    const adze_c_kernel *k = &m.kernels[0];
    const char *why = adze_get_str(ctx, k->op, "adze.scalar");
    if (getenv("GEN_SHOW") && vectors)
        printf("/* %s */\n%s\n", why ? why : "", k->text);
    adze_emit_prototype(&m, k, c);
    adze_text_printf(c, ";\n%s\nvoid call_%s(void **p);\nvoid call_%s(void **p) {\n    %s(", k->text, name, name, k->name);
    for (int i = 0; i < k->n_params; i++)
        adze_text_printf(c, "%sp[%d]", i ? ", " : "", i);
    adze_text_puts(c, ");\n}\n\n");
    return vectors && !why;
}

/* ---- data ---- */

static uint64_t seed = 1;
static uint32_t draw(void) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 33);
}

/* `most`: how many of the odd values; the last ones are so large that a sum's order shows. */
static void fill(adze_tensor *t, bool special, size_t most) {
    static const double odd[] = {NAN, INFINITY, -INFINITY, 0, -0.0, 1e-41, -1e-41, 0.5, 1.5, 2.5, -0.5, 88.8, -103.5,
                                 127.5, 255.9, 256, -128.6, 3.4e38, -3.4e38, 2147483648.0, -2147483648.0, 2147483520.0};
    bool real = adze_dtype_get(t->dtype)->cls == 'F';
    for (size_t i = 0; i < adze_tensor_count(t); i++) {
        double x = real ? ((double)draw() / 2147483648.0 - 0.5) * 8 : (int)(draw() % 256) - 128;
        if (real && special && draw() % 3 == 0)
            x = odd[draw() % (most ? most : ADZE_COUNT(odd))];
        if (adze_dtype_get(t->dtype)->cls == 'U')
            x += 128;
        adze_tensor_set_f64(t, i, x);
    }
}

static bool same(const vector_case *c, const adze_tensor *a, const adze_tensor *b, size_t *where) {
    for (size_t i = 0; i < adze_tensor_count(a); i++) {
        double x = adze_tensor_get_f64(a, i), y = adze_tensor_get_f64(b, i);
        bool equal = isnan(x) || isnan(y) ? isnan(x) && isnan(y)
                     : c->tolerance == 0 || isinf(x) || isinf(y)
                         ? x == y
                         : fabs(x - y) <= c->tolerance * fmax(1, fabs(x));
        if (!equal) {
            *where = i;
            return false;
        }
    }
    return true;
}

static bool run(void *library, adze_context *ctx, int number, int n, bool special) {
    const vector_case *c = &cases[number];
    adze_arena *arena = adze_arena_new();
    char names[MAX_PARAMETERS][16], types[MAX_PARAMETERS][32], symbol[64];
    int count = split(c, n, names, types);
    adze_tensor tensors[MAX_PARAMETERS], result[2];
    const void *args[MAX_PARAMETERS];
    void *at[2];
    for (int i = 0; i < count; i++) {
        adze_shape s;
        MlirType type = mlirTypeParseGet(ctx->mlir, mlirStringRefCreateFromCString(adze_arena_printf(arena, "memref<%s>", types[i])));
        assert_true(adze_shape_of(ctx, type, &s));
        assert_true(adze_tensor_new(arena, s.dtype, s.rank, s.dims, &tensors[i]));
        fill(&tensors[i], special, c->tolerance > 0 ? 17 : 0);
        args[i] = tensors[i].data;
    }
    size_t bytes = adze_tensor_host_bytes(&tensors[count - 1]), where = 0;
    bool ok = true;
    for (int v = 0; v < 2; v++) {
        result[v] = tensors[count - 1];
        at[v] = malloc(bytes + GUARD);
        memset(at[v], 0x5a, bytes + GUARD);
        args[count - 1] = result[v].data = at[v];
        snprintf(symbol, sizeof symbol, "call_%c%d_%d", v ? 'v' : 's', number, n);
        void (*call)(const void **);
        *(void **)&call = dlsym(library, symbol);
        assert_non_null(call);
        call(args);
        for (int i = 0; i < GUARD; i++)
            if (((unsigned char *)at[v])[bytes + (size_t)i] != 0x5a)
                ok = false;
    }
    if (!ok)
        print_error("'%s' of %d: wrote beyond its result\n", c->name, n);
    if (ok && !same(c, &result[0], &result[1], &where)) {
        ok = false;
        print_error("'%s' of %d%s: at %zu scalar %.9g, vectors %.9g\n", c->name, n, special ? ", odd values" : "",
                    where, adze_tensor_get_f64(&result[0], where), adze_tensor_get_f64(&result[1], where));
    }
    free(at[0]);
    free(at[1]);
    adze_arena_free(arena);
    return ok;
}

/* ---- one target ---- */

static bool can_run(const adze_target *t) {
    char err[ADZE_TARGET_ERR];
    adze_target *here = adze_target_load(ADZE_SOURCE_DIR "/targets", "native", err);
    bool ok = here && !strcmp(here->arch, t->arch);
    for (size_t i = 0; ok && i < t->feature_count; i++)
        ok = adze_target_has_feature(here, t->features[i].name);
    adze_target_free(here);
    return ok;
}

static void test_target(const char *name) {
    char err[ADZE_TARGET_ERR], folder[] = "/tmp/adze-vec-XXXXXX", path[64], command[1024];
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
    adze_text c = {0}, headers = {0};
    int vectors = 0, bad = 0, scalar = 0;
    for (int i = 0; i < N_CASES; i++)
        for (int k = 0; k < N_SIZES && chosen(&cases[i]); k++) {
            emit(ctx, target, i, sizes[k], false, &c, &headers);
            if (emit(ctx, target, i, sizes[k], true, &c, &headers))
                vectors++;
            else
                scalar++;
        }
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/k.c", folder);
    FILE *f = fopen(path, "w");
    fprintf(f, "#include <stdbool.h>\n#include <stddef.h>\n#include <stdint.h>\n#include <math.h>\n#include <immintrin.h>\n%s%s",
            headers.data ? headers.data : "", c.data);
    fclose(f);
    snprintf(command, sizeof command,
             "%s %s -O1 -shared -fPIC -Wall -Wextra -Wconversion -Wpedantic -Werror -I%s/runtime %s -o %s/k.so -lm",
             target->compiler, target->cflags, ADZE_SOURCE_DIR, path, folder);
    if (system(command))
        fail_msg("the C does not compile: %s", command);
    snprintf(path, sizeof path, "%s/k.so", folder);
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library)
        fail_msg("%s", dlerror());
    for (int i = 0; i < N_CASES; i++)
        for (int k = 0; k < N_SIZES && chosen(&cases[i]); k++)
            for (int round = 0; round < 4; round++)
                if (!run(library, ctx, i, sizes[k], round & 1)) {
                    bad++;
                    break;
                }
    print_message("%s: %d kernels with vectors, %d without, %d wrong\n", name, vectors, scalar, bad);
    dlclose(library);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    if (system(command))
        bad++;
    adze_text_free(&c);
    adze_text_free(&headers);
    adze_context_free(ctx);
    adze_target_free(target);
    assert_int_equal(bad, 0);
}

static void test_v2(void **state) { (void)state, test_target("x86-64-v2"); }
static void test_v3(void **state) { (void)state, test_target("x86-64-v3"); }
static void test_v4(void **state) { (void)state, test_target("x86-64-v4"); }
static void test_aarch64(void **state) { (void)state, test_target("aarch64"); }

int main(int argc, char **argv) {
    int at = 1;
    if (argc > 2 && !strcmp(argv[1], "-t")) {
        only_target = argv[2];
        at = 3;
    }
    words = (const char *const *)argv + at;
    (void)argc;
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_v2), cmocka_unit_test(test_v3),
                                       cmocka_unit_test(test_v4), cmocka_unit_test(test_aarch64)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
