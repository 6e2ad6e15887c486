/* The functions that the pass "vectorize" writes out (codegen/vectorize_math.c), against libm in
 * double precision: every 257th float, and the edges of their formulas. On the targets that this
 * machine runs: with fused multiply-add (x86-64-v3, -v4) and without (x86-64-v2). test_vector_math
 * 1: every float (minutes). */
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

static double reciprocal_root(double x) {
    return 1 / sqrt(x);
}

/* bound: units in the last place, as vectorize_math.c states it */
static const struct {
    const char *op;
    double (*exact)(double);
    double bound;
} functions[] = {
    {"exp", exp, 1.1},
    {"expm1", expm1, 1.7},
    {"tanh", tanh, 2.7},
    {"log", log, 0.9},
    {"log1p", log1p, 1.6},
    {"erf", erf, 1.3},
    {"rsqrt", reciprocal_root, 1.5},
};

enum { BLOCK = 4096 };
static uint32_t stride = 257;

static adze_text source(adze_context *ctx, const adze_target *target) {
    adze_text c = {0};
    adze_text_puts(
        &c, "#include <stdbool.h>\n#include <stddef.h>\n#include <stdint.h>\n#include <math.h>\n");
    for (size_t i = 0; i < ADZE_COUNT(functions); i++) {
        adze_text t = {0};
        adze_text_printf(
            &t,
            "module attributes {adze.level = 3 : i64} {\n"
            "func.func @run(%%x: memref<%dxf32> {adze.name = \"x\", adze.access = \"read\"}, "
            "%%y: memref<%dxf32> {adze.name = \"y\", adze.access = \"write\"}) "
            "attributes {adze.entry} {\n"
            "func.call @kernel(%%x, %%y) : (memref<%dxf32>, memref<%dxf32>) -> ()\nreturn\n}\n"
            "func.func private @kernel(%%x: memref<%dxf32> {adze.name = \"x\", adze.access = "
            "\"read\"}, "
            "%%y: memref<%dxf32> {adze.name = \"y\", adze.access = \"write\"}) "
            "attributes {adze.kernel} {\n"
            "%%n = arith.constant %d : index\n%%c0 = arith.constant 0 : index\n"
            "%%c1 = arith.constant 1 : index\n"
            "scf.for %%i = %%c0 to %%n step %%c1 {\n"
            "%%a = memref.load %%x[%%i] : memref<%dxf32>\n%%b = math.%s %%a : f32\n"
            "memref.store %%b, %%y[%%i] : memref<%dxf32>\n} {adze.vectorize}\nreturn\n}\n}\n",
            BLOCK, BLOCK, BLOCK, BLOCK, BLOCK, BLOCK, BLOCK, BLOCK, functions[i].op, BLOCK);
        MlirModule module = adze_module_parse(ctx, t.data, functions[i].op);
        assert_false(mlirModuleIsNull(module));
        assert_true(adze_codegen_vectorize(ctx, module, target));
        adze_c_module m;
        const char *name = adze_arena_printf(ctx->arena, "f%zu", i);
        if (!adze_c_module_read(ctx, module, name, ADZE_WEIGHTS_C, target, &m) ||
            !adze_emit_kernels(&m))
            fail_msg("%s has no C", functions[i].op);
        const char *why = adze_get_str(ctx, m.kernels[0].op, "adze.scalar");
        if (why)
            fail_msg("%s has no vectors: %s", functions[i].op, why);
        if (!i)
            for (int k = 0; k < m.n_runtime; k++)
                adze_text_printf(&c, m.runtime[k][0] == '<' ? "#include %s\n" : "#include \"%s\"\n",
                                 m.runtime[k]);
        adze_emit_prototype(&m, &m.kernels[0], &c);
        adze_text_printf(&c, ";\n%s\nvoid (*function%zu)(const float *, float *) = %s;\n",
                         m.kernels[0].text, i, m.kernels[0].name);
        adze_text_free(&t);
    }
    return c;
}

/* The distance from the exact value in units of the result's last place (those of the least normal
 * number below). */
static double distance(float got, double exact) {
    if (isnan(exact) || isnan(got))
        return isnan(exact) && isnan(got) ? 0 : INFINITY;
    float nearest = (float)exact;
    if (got == nearest)
        return isinf(got) ? 0
                          : fabs(got - exact) /
                                ldexp(1, fabs(exact) < 0x1p-126 ? -149 : ilogb(exact) - 23);
    if (isinf(nearest)) /* overflows by rounding only where the exact value is just below */
        return isinf(got) ? INFINITY : (0x1p128 - fabs((double)got)) / 0x1p104;
    if (isinf(got))
        return (0x1p128 - fabs(exact)) / 0x1p104;
    return fabs(got - exact) / ldexp(1, fabs(exact) < 0x1p-126 ? -149 : ilogb(exact) - 23);
}

static float as_float(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static bool sweep(size_t f, void (*call)(const float *, float *), const char *target) {
    static float x[BLOCK], y[BLOCK];
    double worst = 0;
    float at = 0;
    size_t n = 0;
    for (uint64_t bits = 0;; bits += stride) {
        bool last = bits > UINT32_MAX;
        x[n] = as_float((uint32_t)bits);
        if (last)
            x[n] = INFINITY;
        n++;
        if (n < BLOCK && !last)
            continue;
        call(x, y);
        for (size_t i = 0; i < n; i++) {
            double d = distance(y[i], functions[f].exact(x[i]));
            if (d > worst) {
                worst = d;
                at = x[i];
            }
        }
        n = 0;
        if (last)
            break;
    }
    static const float edges[] = {0.0f,        -0.0f,           INFINITY,         -INFINITY,
                                  NAN,         88.72283f,       88.72284f,        -87.33655f,
                                  -103.97208f, -103.97209f,     -104.0f,          89.0f,
                                  0x1p-126f,   0x1p-149f,       -0x1p-149f,       1.0f,
                                  -1.0f,       0.927734375f,    0.9277344f,       9.010913f,
                                  3.9192059f,  0x1.fffffep127f, -0x1.fffffep127f, 0x1.fffffep-127f};
    for (size_t i = 0; i < BLOCK; i++)
        x[i] = edges[i % ADZE_COUNT(edges)];
    call(x, y);
    for (size_t i = 0; i < ADZE_COUNT(edges); i++) {
        double d = distance(y[i], functions[f].exact(x[i]));
        if (d > worst) {
            worst = d;
            at = x[i];
        }
    }
    bool ok = worst <= functions[f].bound;
    print_message("%s %s: %.2f ulp at %.9g%s\n", target, functions[f].op, worst, at,
                  ok ? "" : "  <-- too many");
    return ok;
}

static void test_target(const char *name) {
    char err[ADZE_TARGET_ERR], folder[] = "/tmp/adze-math-XXXXXX", path[64], command[1024];
    adze_target *here = adze_target_load(ADZE_SOURCE_DIR "/targets", "native", err);
    adze_target *target = adze_target_load(ADZE_SOURCE_DIR "/targets", name, err);
    if (!here || !target)
        fail_msg("%s", err);
    bool can = !strcmp(here->arch, target->arch), ok = true;
    for (size_t i = 0; can && i < target->feature_count; i++)
        can = adze_target_has_feature(here, target->features[i].name);
    if (can) {
        adze_context *ctx = adze_context_new();
        adze_text c = source(ctx, target);
        assert_non_null(mkdtemp(folder));
        snprintf(path, sizeof path, "%s/k.c", folder);
        FILE *f = fopen(path, "w");
        fputs("#include <immintrin.h>\n", f);
        fputs(c.data, f);
        fclose(f);
        snprintf(command, sizeof command, "%s %s -O2 -shared -fPIC -I%s/runtime %s -o %s/k.so -lm",
                 target->compiler, target->cflags, ADZE_SOURCE_DIR, path, folder);
        if (system(command))
            fail_msg("the C does not compile: %s", command);
        snprintf(path, sizeof path, "%s/k.so", folder);
        void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        if (!library)
            fail_msg("%s", dlerror());
        for (size_t i = 0; i < ADZE_COUNT(functions); i++) {
            char symbol[32];
            snprintf(symbol, sizeof symbol, "function%zu", i);
            void (**call)(const float *, float *);
            *(void **)&call = dlsym(library, symbol);
            assert_non_null(call);
            ok &= sweep(i, *call, name);
        }
        dlclose(library);
        snprintf(command, sizeof command, "rm -rf %s", folder);
        ok &= !system(command);
        adze_text_free(&c);
        adze_context_free(ctx);
    }
    adze_target_free(here);
    adze_target_free(target);
    assert_true(ok);
}

static void test_v2(void **state) {
    (void)state, test_target("x86-64-v2");
}
static void test_v3(void **state) {
    (void)state, test_target("x86-64-v3");
}
static void test_v4(void **state) {
    (void)state, test_target("x86-64-v4");
}

int main(int argc, char **argv) {
    if (argc > 1 && atoi(argv[1]) > 0)
        stride = (uint32_t)atoi(argv[1]);
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_v2), cmocka_unit_test(test_v3),
                                       cmocka_unit_test(test_v4)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
