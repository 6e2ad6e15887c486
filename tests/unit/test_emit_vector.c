/* The vector level -> C: hand-written kernels on vectors, read as text and run against values computed here.
 * Targets that this machine can neither run nor emulate are only read. ADZE_KEEP=1 keeps the trees. */
#include "codegen/vector.h"
#include "tests/unit/emit_image.h"

#include <mlir-c/BuiltinTypes.h>

/* A module with one kernel `k` and an entry that calls it; `params` are MLIR, `args` their names and types. */
static const char *module_of(adze_text *out, const char *params, const char *names, const char *types,
                             const char *body) {
    adze_text_printf(out,
                     "module {\n  func.func private @k(%s) attributes {adze.kernel} {\n%s    return\n  }\n"
                     "  func.func @run(%s) attributes {adze.entry} {\n    func.call @k(%s) : (%s) -> ()\n"
                     "    return\n  }\n}\n",
                     params, body, params, names, types);
    return out->data;
}

/* The text of kernel `k`; fails with the diagnostics. */
static const char *text_of(image *im) {
    adze_c_module m;
    if (!adze_c_module_read(im->ctx, im->models[0].module, "t", ADZE_WEIGHTS_C, im->target, &m) ||
        !adze_emit_kernels(&m)) {
        adze_text out = {0};
        adze_diagnostics_print(&im->ctx->diags, &out);
        fail_msg("%s", out.data);
    }
    return m.kernels[0].text;
}

static void assert_has(const char *text, const char *part) {
    if (!strstr(text, part))
        fail_msg("no '%s' in:\n%s", part, text);
}

static int count_of(const char *text, const char *part) {
    int n = 0;
    for (const char *p = text; (p = strstr(p, part)) != NULL; p += strlen(part))
        n++;
    return n;
}

static bool runs(const image *im) {
    if (strcmp(im->target->arch, "x86"))
        return adze_target_usable_compiler(im->target) && im->target->run.argc &&
               adze_target_on_path(im->target->run.argv[0]);
    for (size_t i = 0; i < im->target->feature_count; i++)
        if (strncmp(im->target->features[i].name, "avx512", 6) == 0 && !__builtin_cpu_supports("avx512vl"))
            return false;
    return __builtin_cpu_supports("avx2");
}

/* Builds and runs: natively with both compilers and sanitizers, else in the target's way. */
static void check_on_target(image *im, const char *name) {
    if (!runs(im))
        return;
    if (strcmp(im->target->arch, "x86") == 0) {
        check(im, name, ADZE_TREE_WEIGHTS_AUTO);
        return;
    }
    char dir[160];
    snprintf(dir, sizeof dir, "%s/%s", folder, name);
    if (!write_tree(im, dir, ADZE_TREE_WEIGHTS_AUTO)) {
        adze_text out = {0};
        adze_diagnostics_print(&im->ctx->diags, &out);
        fail_msg("%s", out.data);
    }
    if (shell("make -s -C %s WERROR=-Werror check > %s/log 2>&1", dir, dir))
        fail_msg("%s: see %s/log (set ADZE_KEEP=1)", name, dir);
    for (size_t v = 0; v < im->target->run.variant_count; v++) { /* other vector lengths */
        const adze_run_variant *variant = &im->target->run.variants[v];
        adze_text command = {0};
        for (size_t i = 0; i < variant->argc; i++)
            adze_text_printf(&command, "%s ", strcmp(variant->argv[i], "{exe}") ? variant->argv[i] : "build/selftest");
        if (shell("cd %s && %s >> log 2>&1", dir, command.data))
            fail_msg("%s at %s: see %s/log (set ADZE_KEEP=1)", name, variant->name, dir);
        adze_text_free(&command);
    }
}

/* ---- a loop and its tail ---- */

enum { N = 37 };

static void add_axpy(image *im, const char *vector, const char *type, int lanes) {
    adze_text body = {0}, module = {0};
    adze_text_puts(&body, "    %c0 = arith.constant 0 : index\n    %n = arith.constant 37 : index\n");
    if (lanes)
        adze_text_printf(&body, "    %%step = arith.constant %d : index\n", lanes);
    else
        adze_text_printf(&body, "    %%step = \"adze.lanes\"() {type = \"%s\"} : () -> index\n", type);
    adze_text_printf(&body,
                     "    %%a = arith.constant dense<2.5> : %s\n    %%z = arith.constant dense<0.0> : %s\n"
                     "    scf.for %%i = %%c0 to %%n step %%step {\n      %%left = arith.subi %%n, %%i : index\n"
                     "      %%k = \"adze.active\"(%%left) {type = \"%s\"} : (index) -> index\n"
                     "      %%v = vector.load %%x[%%i] : memref<37xf32>, %s\n"
                     "      %%w = vector.load %%y[%%i] : memref<37xf32>, %s\n"
                     "      %%r = math.fma %%a, %%v, %%w : %s\n      %%m = arith.maximumf %%r, %%z : %s\n"
                     "      vector.store %%m, %%o[%%i] : memref<37xf32>, %s\n    }\n",
                     vector, vector, type, vector, vector, vector, vector, vector);
    module_of(&module,
              "%x: memref<37xf32> {adze.name = \"x\"}, %y: memref<37xf32> {adze.name = \"y\"}, "
              "%o: memref<37xf32> {adze.name = \"o\", adze.access = \"write\"}",
              "%x, %y, %o", "memref<37xf32>, memref<37xf32>, memref<37xf32>", body.data);
    add(im, "axpy", module.data);
    static float x[N], y[N], o[N];
    for (int i = 0; i < N; i++) {
        x[i] = (float)((i * 29) % 17) / 4 - 2;
        y[i] = (float)((i * 13) % 11) / 5 - 1;
        o[i] = fmaxf(fmaf(2.5f, x[i], y[i]), 0);
    }
    static adze_tensor in[2], out;
    in[0] = tensor(ADZE_f32, N, x);
    in[1] = tensor(ADZE_f32, N, y);
    out = tensor(ADZE_f32, N, o);
    add_test(im, "run", 2, in, 1, &out);
}

static void tails(void **state) {
    (void)state;
    static const struct {
        const char *target, *vector, *type;
        int lanes;
        bool scalable;
    } cases[] = {
        {"x86-64-v4", "vector<16xf32>", "f32x16", 16, false}, {"x86-64-v3", "vector<8xf32>", "f32x8", 8, false},
        {"armv9-sve", "vector<[4]xf32>", "f32xN4", 4, true},  {"riscv64-v", "vector<[2]xf32>", "f32xN2", 2, true},
        {"riscv64-v", "vector<[8]xf32>", "f32xN8", 8, true},
    };
    for (size_t i = 0; i < ADZE_COUNT(cases); i++) {
        image im = start(cases[i].target);
        MlirType type = adze_vector_of(im.ctx->elements[ADZE_f32], cases[i].lanes, cases[i].scalable);
        if (!adze_vector_has_active(im.ctx, im.target, type))
            fail_msg("%s cannot leave lanes of %s out", cases[i].target, cases[i].type);
        add_axpy(&im, cases[i].vector, cases[i].type, cases[i].scalable ? 0 : cases[i].lanes);
        char name[32];
        snprintf(name, sizeof name, "axpy%zu", i);
        check_on_target(&im, name);
        finish(&im);
    }
}

static void tail_reads_well(void **state) {
    (void)state;
    image im = start("x86-64-v4");
    add_axpy(&im, "vector<16xf32>", "f32x16", 16);
    const char *text = text_of(&im);
    assert_has(text, "    for (int i = 0; i < 37; i += 16) {\n        const size_t n = (size_t)(37 - i);\n        const __mmask16 mask = ");
    assert_has(text, "_mm512_maskz_loadu_ps(mask, x + i)");
    assert_has(text, "_mm512_mask_storeu_ps(o + i, mask, ");
    finish(&im);
    im = start("riscv64-v");
    add_axpy(&im, "vector<[2]xf32>", "f32xN2", 0);
    text = text_of(&im);
    assert_has(text, "    const size_t vl = __riscv_vsetvlmax_e32m1();\n");
    assert_has(text, "        const size_t vl_2 = __riscv_vsetvl_e32m1((size_t)adze_min_i32(37 - i, (int)vl));\n");
    assert_has(text, "__riscv_vle32_v_f32m1(x + i, vl_2)");
    finish(&im);
}

/* ---- a register block ---- */

enum { ROWS = 6, VECTORS = 4, K = 9 };

/* y[6, 4 * lanes] = a[6, K] * b[K, 4 * lanes], all 24 vectors of sums carried by one loop. */
static void add_block(image *im, int lanes) {
    adze_text body = {0}, module = {0}, params = {0}, types = {0};
    int width = VECTORS * lanes;
    adze_text_printf(&types, "memref<%dx%dxf32>, memref<%dx%dxf32>, memref<%dx%dxf32>", ROWS, K, K, width, ROWS, width);
    adze_text_printf(&params,
                     "%%a: memref<%dx%dxf32> {adze.name = \"a\"}, %%b: memref<%dx%dxf32> {adze.name = \"b\"}, "
                     "%%y: memref<%dx%dxf32> {adze.name = \"y\", adze.access = \"write\"}",
                     ROWS, K, K, width, ROWS, width);
    for (int i = 0; i < 4 * lanes || i <= K; i++)
        adze_text_printf(&body, "    %%c%d = arith.constant %d : index\n", i, i);
    adze_text_printf(&body, "    %%z = arith.constant dense<0.0> : vector<%dxf32>\n    %%s:%d = scf.for %%k = %%c0 to %%c%d "
                            "step %%c1 iter_args(", lanes, ROWS * VECTORS, K);
    for (int i = 0; i < ROWS * VECTORS; i++)
        adze_text_printf(&body, "%s%%p%d = %%z", i ? ", " : "", i);
    adze_text_puts(&body, ") -> (");
    for (int i = 0; i < ROWS * VECTORS; i++)
        adze_text_printf(&body, "%svector<%dxf32>", i ? ", " : "", lanes);
    adze_text_puts(&body, ") {\n");
    for (int j = 0; j < VECTORS; j++)
        adze_text_printf(&body, "      %%b%d = vector.load %%b[%%k, %%c%d] : memref<%dx%dxf32>, vector<%dxf32> loc(\"b%d\")\n",
                         j, j * lanes, K, width, lanes, j);
    for (int i = 0; i < ROWS; i++) {
        adze_text_printf(&body, "      %%e%d = memref.load %%a[%%c%d, %%k] : memref<%dx%dxf32>\n"
                                "      %%a%d = vector.broadcast %%e%d : f32 to vector<%dxf32> loc(\"a%d\")\n",
                         i, i, ROWS, K, i, i, lanes, i);
        for (int j = 0; j < VECTORS; j++)
            adze_text_printf(&body, "      %%n%d = math.fma %%a%d, %%b%d, %%p%d : vector<%dxf32>\n", i * VECTORS + j, i, j,
                             i * VECTORS + j, lanes);
    }
    adze_text_puts(&body, "      scf.yield ");
    for (int i = 0; i < ROWS * VECTORS; i++)
        adze_text_printf(&body, "%s%%n%d", i ? ", " : "", i);
    adze_text_puts(&body, " : ");
    for (int i = 0; i < ROWS * VECTORS; i++)
        adze_text_printf(&body, "%svector<%dxf32>", i ? ", " : "", lanes);
    adze_text_puts(&body, "\n    } loc(\"k\"(");
    for (int i = 0; i < ROWS * VECTORS; i++)
        adze_text_printf(&body, i + 1 < ROWS * VECTORS ? "\"s%d%d\"(" : "\"s%d%d\"", i / VECTORS, i % VECTORS);
    for (int i = 0; i < ROWS * VECTORS; i++)
        adze_text_puts(&body, ")");
    adze_text_puts(&body, ")\n");
    for (int i = 0; i < ROWS * VECTORS; i++)
        adze_text_printf(&body, "    vector.store %%s#%d, %%y[%%c%d, %%c%d] : memref<%dx%dxf32>, vector<%dxf32>\n", i,
                         i / VECTORS, i % VECTORS * lanes, ROWS, width, lanes);
    module_of(&module, params.data, "%a, %b, %y", types.data, body.data);
    add(im, "block", module.data);
    static float a[ROWS * K], b[K * VECTORS * 16], y[ROWS * VECTORS * 16];
    for (int i = 0; i < ROWS * K; i++)
        a[i] = (float)((i * 7) % 13) - 6;
    for (int i = 0; i < K * width; i++)
        b[i] = (float)((i * 5) % 9) - 4;
    for (int i = 0; i < ROWS * width; i++) {
        y[i] = 0;
        for (int k = 0; k < K; k++)
            y[i] += a[i / width * K + k] * b[k * width + i % width];
    }
    static adze_tensor in[2], out;
    in[0] = (adze_tensor){ADZE_f32, 2, {ROWS, K}, a};
    in[1] = (adze_tensor){ADZE_f32, 2, {K, width}, b};
    out = (adze_tensor){ADZE_f32, 2, {ROWS, width}, y};
    add_test(im, "run", 2, in, 1, &out);
}

/* 24 accumulators are 24 locals, updated in place: no copies beside them. */
static void register_block(void **state) {
    (void)state;
    image im = start("x86-64-v4");
    add_block(&im, 16);
    const char *text = text_of(&im);
    assert_int_equal(count_of(text, " = _mm512_setzero_ps();\n"), ROWS * VECTORS);
    assert_has(text, "    __m512 s00 = _mm512_setzero_ps();\n    __m512 s01 = _mm512_setzero_ps();\n");
    assert_has(text, "        const __m512 b1 = _mm512_loadu_ps(b + k * 64 + 16);\n");
    assert_has(text, "        const __m512 a2 = _mm512_set1_ps(a[k + 18]);\n");
    assert_has(text, "        s23 = _mm512_fmadd_ps(a2, b3, s23);\n");
    /* where they are computed: a1 is not needed yet */
    assert_has(text, "        s03 = _mm512_fmadd_ps(a0, b3, s03);\n        const __m512 a1 = ");
    assert_int_equal(count_of(text, "_mm512_fmadd_ps"), ROWS * VECTORS);
    assert_int_equal(count_of(text, "const __m512 "), ROWS + VECTORS);
    assert_has(text, "    _mm512_storeu_ps(y + 336, s51);\n");
    check_on_target(&im, "block4");
    finish(&im);
    im = start("x86-64-v3");
    add_block(&im, 8);
    check_on_target(&im, "block3");
    finish(&im);
}

/* ---- every operation ---- */

/* Bodies: !F and !I are the vectors of f32 and i32, !M their mask, !B and !U vectors of bytes; %a %b %c and %i %j the
 * operands, %p and %q memory of bytes, %k where in it; the result is %r. `value` is what one lane should hold. */
#define FLOAT_OPS(OP) \
    OP("%r = arith.addf %a, %b : !F", a + b) \
    OP("%r = arith.subf %a, %b : !F", a - b) \
    OP("%r = arith.mulf %a, %b : !F", a * b) \
    OP("%r = arith.divf %a, %b : !F", a / b) \
    OP("%r = arith.negf %a : !F", -a) \
    OP("%r = math.fma %a, %b, %a : !F", fmaf(a, b, a)) \
    OP("%r = math.absf %a : !F", fabsf(a)) \
    OP("%t = math.absf %a : !F\n%r = math.sqrt %t : !F", sqrtf(fabsf(a))) \
    OP("%r = math.floor %a : !F", floorf(a)) \
    OP("%r = math.ceil %a : !F", ceilf(a)) \
    OP("%r = math.roundeven %a : !F", rintf(a)) \
    OP("%r = math.trunc %a : !F", truncf(a)) \
    OP("%r = math.copysign %a, %b : !F", copysignf(a, b)) \
    OP("%r = arith.maximumf %a, %b : !F", a != a || b != b ? NAN : a > b ? a : b) \
    OP("%r = arith.minimumf %a, %b : !F", a != a || b != b ? NAN : a < b ? a : b) \
    OP("%r = arith.maxnumf %a, %b : !F", a != a ? b : b != b ? a : a > b ? a : b) \
    OP("%r = arith.minnumf %a, %b : !F", a != a ? b : b != b ? a : a < b ? a : b) \
    OP("%t = arith.constant dense<0.5> : !F\n%r = arith.maximumf %t, %a : !F", a != a ? NAN : a > 0.5f ? a : 0.5f) \
    OP("%t = arith.constant dense<0.5> : !F\n%r = arith.minimumf %a, %t : !F", a != a ? NAN : a < 0.5f ? a : 0.5f) \
    OP("%t = arith.constant 0.25 : f32\n%u = vector.broadcast %t : f32 to !F\n%r = arith.addf %a, %u : !F", a + 0.25f) \
    OP("%m = arith.cmpf oeq, %a, %b : !F\n%r = arith.select %m, %a, %z : !M, !F", a == b ? a : 0) \
    OP("%m = arith.cmpf ogt, %a, %b : !F\n%r = arith.select %m, %b, %z : !M, !F", a > b ? b : 0) \
    OP("%m = arith.cmpf oge, %a, %b : !F\n%r = arith.select %m, %b, %z : !M, !F", a >= b ? b : 0) \
    OP("%m = arith.cmpf olt, %a, %b : !F\n%r = arith.select %m, %a, %b : !M, !F", a < b ? a : b) \
    OP("%m = arith.cmpf ole, %a, %b : !F\n%r = arith.select %m, %a, %b : !M, !F", a <= b ? a : b) \
    OP("%m = arith.cmpf ord, %a, %b : !F\n%r = arith.select %m, %a, %z : !M, !F", a == a && b == b ? a : 0) \
    OP("%m = arith.cmpf uno, %a, %b : !F\n%r = arith.select %m, %z, %a : !M, !F", a == a && b == b ? a : 0) \
    OP("%m = arith.cmpf ugt, %a, %b : !F\n%r = arith.select %m, %z, %b : !M, !F", a <= b ? b : 0) \
    OP("%m = arith.cmpf uge, %a, %b : !F\n%r = arith.select %m, %z, %b : !M, !F", a < b ? b : 0) \
    OP("%m = arith.cmpf ult, %a, %b : !F\n%r = arith.select %m, %z, %b : !M, !F", a >= b ? b : 0) \
    OP("%m = arith.cmpf ule, %a, %b : !F\n%r = arith.select %m, %z, %b : !M, !F", a > b ? b : 0) \
    OP("%m = arith.cmpf une, %a, %b : !F\n%r = arith.select %m, %z, %b : !M, !F", a == b ? b : 0) \
    OP("%m = arith.cmpf olt, %a, %b : !F\n%n = arith.cmpf ogt, %a, %z : !F\n%o = arith.andi %m, %n : !M\n" \
       "%r = arith.select %o, %a, %z : !M, !F", a < b && a > 0 ? a : 0) \
    OP("%r = arith.sitofp %i : !I to !F", (float)i) \
    OP("%r = arith.uitofp %i : !I to !F", (float)(uint32_t)i) \
    OP("%t = arith.bitcast %a : !F to !I\n%u = arith.addi %t, %t : !I\n%v = arith.subi %u, %t : !I\n" \
       "%r = vector.bitcast %v : !I to !F", a) \
    OP("%t = vector.reduction <add>, %c : !F into f32\n%r = vector.broadcast %t : f32 to !F", sum(k)) \
    OP("%t = vector.reduction <maximumf>, %c : !F into f32\n%r = vector.broadcast %t : f32 to !F", most(k))

#define INT_OPS(OP) \
    OP("%r = arith.addi %i, %j : !I", (int32_t)((uint32_t)i + (uint32_t)j)) \
    OP("%r = arith.subi %i, %j : !I", (int32_t)((uint32_t)i - (uint32_t)j)) \
    OP("%r = arith.muli %i, %j : !I", (int32_t)((uint32_t)i * (uint32_t)j)) \
    OP("%r = arith.maxsi %i, %j : !I", i > j ? i : j) \
    OP("%r = arith.minsi %i, %j : !I", i < j ? i : j) \
    OP("%r = arith.maxui %i, %j : !I", (uint32_t)i > (uint32_t)j ? i : j) \
    OP("%r = arith.minui %i, %j : !I", (uint32_t)i < (uint32_t)j ? i : j) \
    OP("%r = arith.andi %i, %j : !I", i & j) \
    OP("%r = arith.ori %i, %j : !I", i | j) \
    OP("%r = arith.xori %i, %j : !I", i ^ j) \
    OP("%t = arith.constant dense<3> : !I\n%r = arith.shli %i, %t : !I", (int32_t)((uint32_t)i << 3)) \
    OP("%t = arith.constant dense<3> : !I\n%r = arith.shrsi %i, %t : !I", i >> 3) \
    OP("%t = arith.constant dense<3> : !I\n%r = arith.shrui %i, %t : !I", (int32_t)((uint32_t)i >> 3)) \
    OP("%t = arith.constant dense<31> : !I\n%u = arith.andi %j, %t : !I\n%r = arith.shrsi %i, %u : !I", i >> (j & 31)) \
    OP("%r = math.absi %i : !I", i < 0 ? (int32_t)(0u - (uint32_t)i) : i) \
    OP("%m = arith.cmpi eq, %i, %j : !I\n%r = arith.select %m, %i, %zi : !M, !I", i == j ? i : 0) \
    OP("%m = arith.cmpi ne, %i, %j : !I\n%r = arith.select %m, %i, %zi : !M, !I", i != j ? i : 0) \
    OP("%m = arith.cmpi slt, %i, %j : !I\n%r = arith.select %m, %i, %zi : !M, !I", i < j ? i : 0) \
    OP("%m = arith.cmpi sge, %i, %j : !I\n%r = arith.select %m, %i, %zi : !M, !I", i >= j ? i : 0) \
    OP("%m = arith.cmpi sle, %i, %j : !I\n%r = arith.select %m, %i, %zi : !M, !I", i <= j ? i : 0) \
    OP("%m = arith.cmpi ult, %i, %j : !I\n%r = arith.select %m, %i, %zi : !M, !I", (uint32_t)i < (uint32_t)j ? i : 0) \
    OP("%m = arith.cmpi uge, %i, %j : !I\n%r = arith.select %m, %i, %zi : !M, !I", (uint32_t)i >= (uint32_t)j ? i : 0) \
    OP("%r = arith.fptosi %a : !F to !I", a != a ? 0 : a >= 2147483648.0f ? INT32_MAX \
                                             : a <= -2147483648.0f ? INT32_MIN : (int32_t)a) \
    OP("%t = vector.load %p[%k] : memref<16xi8>, !B\n%r = arith.extsi %t : !B to !I", p) \
    OP("%t = vector.load %q[%k] : memref<16xui8>, !U\n" \
       "%u = builtin.unrealized_conversion_cast %t : !U to !B\n" \
       "%r = arith.extui %u : !B to !I", q) \
    OP("%t = vector.load %q[%k] : memref<16xui8>, !U\n" \
       "%u = builtin.unrealized_conversion_cast %t : !U to !B\n" \
       "%r = arith.extsi %u : !B to !I", (int8_t)q) \
    OP("%t = arith.trunci %i : !I to !B\n%r = arith.extsi %t : !B to !I", (int8_t)i) \
    OP("%t = vector.reduction <maxsi>, %i : !I into i32\n%r = vector.broadcast %t : i32 to !I", greatest(k))

static const char *const float_ops[] = {
#define OP(body, value) body,
    FLOAT_OPS(OP)
#undef OP
};
static const char *const int_ops[] = {
#define OP(body, value) body,
    INT_OPS(OP)
#undef OP
};
enum { N_FLOAT = ADZE_COUNT(float_ops), N_INT = ADZE_COUNT(int_ops), LANES = 16 };

static const float float_a[LANES] = {1.5f, -2.5f, 0.5f,      -0.75f, 3,  -0.0f, NAN,    3e9f,
                                     7,    -7,    INFINITY, 2.5f,   -1, 0.3f,  -3e10f, 1};
static const float float_b[LANES] = {1.5f, 2, -0.5f, 4, NAN, 1, 2, -1, 7, -8, 2, -2.5f, 1e-3f, 9, 1, NAN};
static const float float_c[LANES] = {1, -2, 3, 4, 0.5f, 6, -7, 8, 9, 10, -11, 12, 13, -14, 15, 16};
static const int32_t int_i[LANES] = {0, -1, 5, INT32_MIN, INT32_MAX, 77, -300, 8, 9, 1000, -5, 6, 1 << 20, 3, -2, 128};
static const int32_t int_j[LANES] = {0, 1, -5, 3, INT32_MIN, 77, 31, -8, 10, 999, 4, 32, -1, 3, 2, 40};
static const int8_t int_p[LANES] = {0, -1, 127, -128, 5, 6, -7, 8, 9, 10, -11, 12, 13, 14, 15, -16};
static const uint8_t int_q[LANES] = {0, 255, 127, 128, 5, 200, 7, 8, 9, 10, 11, 12, 250, 14, 15, 16};

static int lanes; /* of the vectors of this run */

static float sum(int k) {
    float total = 0;
    for (int l = k / lanes * lanes; l < k / lanes * lanes + lanes; l++)
        total += float_c[l];
    return total;
}

static float most(int k) {
    float top = -INFINITY;
    for (int l = k / lanes * lanes; l < k / lanes * lanes + lanes; l++)
        top = fmaxf(top, float_c[l]);
    return top;
}

static int32_t greatest(int k) {
    int32_t top = INT32_MIN;
    for (int l = k / lanes * lanes; l < k / lanes * lanes + lanes; l++)
        top = int_i[l] > top ? int_i[l] : top;
    return top;
}

static float float_value(int op, int k) {
    float a = float_a[k], b = float_b[k];
    int32_t i = int_i[k];
    int at = 0;
#define OP(body, value) \
    if (at++ == op) \
        return (float)(value);
    FLOAT_OPS(OP)
#undef OP
    return 0;
}

static int32_t int_value(int op, int k) {
    float a = float_a[k];
    int32_t i = int_i[k], j = int_j[k], p = int_p[k], q = int_q[k];
    int at = 0;
#define OP(body, value) \
    if (at++ == op) \
        return value;
    INT_OPS(OP)
#undef OP
    return 0;
}

/* Whether `body` has one of the words of `lacks`: operations that the target has no row for. */
static bool is_lacking(const char *body, const char *lacks) {
    for (const char *word = lacks; *word; word += strcspn(word, " ") + (word[strcspn(word, " ")] == ' ')) {
        char name[32];
        snprintf(name, sizeof name, "%.*s", (int)strcspn(word, " "), word);
        if (strstr(body, name))
            return true;
    }
    return false;
}

static void add_ops(image *im, bool scalable, const char *lacks) {
    adze_text module = {0}, params = {0}, types = {0};
    adze_text_printf(&types,
                     "memref<16xf32>, memref<16xf32>, memref<16xf32>, memref<16xi32>, memref<16xi32>, memref<16xi8>, "
                     "memref<16xui8>, memref<%dx16xf32>, memref<%dx16xi32>", (int)N_FLOAT, (int)N_INT);
    adze_text_printf(&params,
                     "%%fa: memref<16xf32> {adze.name = \"fa\"}, %%fb: memref<16xf32> {adze.name = \"fb\"}, "
                     "%%fc: memref<16xf32> {adze.name = \"fc\"}, %%ii: memref<16xi32> {adze.name = \"ii\"}, "
                     "%%ij: memref<16xi32> {adze.name = \"ij\"}, %%p: memref<16xi8> {adze.name = \"p\"}, "
                     "%%q: memref<16xui8> {adze.name = \"q\"}, "
                     "%%f: memref<%dx16xf32> {adze.name = \"f\", adze.access = \"write\"}, "
                     "%%g: memref<%dx16xi32> {adze.name = \"g\", adze.access = \"write\"}", (int)N_FLOAT, (int)N_INT);
    static const char *const aliases[][2] = {{"F", "f32"}, {"I", "i32"}, {"M", "i1"}, {"B", "i8"}, {"U", "ui8"}};
    for (size_t i = 0; i < ADZE_COUNT(aliases); i++)
        adze_text_printf(&module, scalable ? "!%s = vector<[%d]x%s>\n" : "!%s = vector<%dx%s>\n", aliases[i][0], lanes,
                         aliases[i][1]);
    adze_text body = {0};
    adze_text_printf(&body, "%%zero = arith.constant 0 : index\n%%end = arith.constant 16 : index\n"
                            "%%step = \"adze.lanes\"() {type = \"f32x%s%d\"} : () -> index\n%%z = arith.constant dense<0.0> : !F\n"
                            "%%zi = arith.constant dense<0> : !I\n", scalable ? "N" : "", lanes);
    adze_text active = {0};
    adze_text_printf(&active, "%%left = arith.subi %%end, %%k : index\n"
                              "%%on = \"adze.active\"(%%left) {type = \"f32xN%d\"} : (index) -> index\n", lanes);
    for (int op = 0; op < (int)(N_FLOAT + N_INT); op++) {
        bool real = op < (int)N_FLOAT;
        int row = real ? op : op - (int)N_FLOAT;
        const char *text = real ? float_ops[row] : int_ops[row];
        adze_text_printf(&body,
                         "scf.for %%k = %%zero to %%end step %%step {\n%%row = arith.constant %d : index\n%s"
                         "%%a = vector.load %%fa[%%k] : memref<16xf32>, !F loc(\"a\")\n"
                         "%%b = vector.load %%fb[%%k] : memref<16xf32>, !F loc(\"b\")\n"
                         "%%c = vector.load %%fc[%%k] : memref<16xf32>, !F loc(\"c\")\n"
                         "%%i = vector.load %%ii[%%k] : memref<16xi32>, !I loc(\"i\")\n"
                         "%%j = vector.load %%ij[%%k] : memref<16xi32>, !I loc(\"j\")\n%s\n"
                         "vector.store %%r, %%%s[%%row, %%k] : memref<%dx16x%s>, %s\n}\n",
                         row, scalable ? active.data : "", is_lacking(text, lacks) ? (real ? "%r = arith.addf %z, %z : !F" : "%r = arith.addi %zi, %zi : !I") : text, real ? "f" : "g", real ? (int)N_FLOAT : (int)N_INT,
                         real ? "f32" : "i32", real ? "!F" : "!I");
    }
    module_of(&module, params.data, "%fa, %fb, %fc, %ii, %ij, %p, %q, %f, %g", types.data, body.data);
    add(im, "ops", module.data);
    static float f[N_FLOAT * LANES];
    static int32_t g[N_INT * LANES];
    for (int k = 0; k < LANES; k++) {
        for (int op = 0; op < (int)N_FLOAT; op++)
            f[op * LANES + k] = is_lacking(float_ops[op], lacks) ? 0 : float_value(op, k);
        for (int op = 0; op < (int)N_INT; op++)
            g[op * LANES + k] = is_lacking(int_ops[op], lacks) ? 0 : int_value(op, k);
    }
    static adze_tensor in[7], out[2];
    const adze_tensor ins[] = {tensor(ADZE_f32, LANES, float_a), tensor(ADZE_f32, LANES, float_b),
                               tensor(ADZE_f32, LANES, float_c), tensor(ADZE_i32, LANES, int_i),
                               tensor(ADZE_i32, LANES, int_j),   tensor(ADZE_i8, LANES, int_p),
                               tensor(ADZE_u8, LANES, int_q)};
    memcpy(in, ins, sizeof in);
    out[0] = (adze_tensor){ADZE_f32, 2, {N_FLOAT, LANES}, f};
    out[1] = (adze_tensor){ADZE_i32, 2, {N_INT, LANES}, g};
    add_test(im, "run", 7, in, 2, out);
    static const double exact[2];
    im->tests[0][0].tolerance = exact;
}

static void operations(void **state) {
    (void)state;
    static const struct {
        const char *target;
        int lanes;
        bool scalable;
        const char *lacks;
    } cases[] = {
        {"x86-64-v4", 16, false, ""},
        {"x86-64-v4", 8, false, ""},
        {"x86-64-v3", 8, false, "uitofp"},
        {"x86-64-v2", 4, false, "fma uitofp ult uge dense<31>"},
        {"aarch64", 4, false, ""},
        {"armv9-sve", 4, true, "reduction"}, /* which lanes are summed is the machine's choice */
        {"riscv64-v", 2, true, "reduction"},
        {"riscv64-v", 8, true, "reduction"},
        {"cortex-m55", 4, false, "divf sqrt copysign"},
    };
    for (size_t i = 0; i < ADZE_COUNT(cases); i++) {
        image im = start(cases[i].target);
        lanes = cases[i].lanes;
        add_ops(&im, cases[i].scalable, cases[i].lacks);
        char name[32];
        snprintf(name, sizeof name, "ops%zu", i);
        for (const char *line = text_of(&im); line && *line; line = strchr(line, '\n') + 1)
            if (strcspn(line, "\n") > 100 && !cases[i].scalable) /* rows of RVV are long */
                fail_msg("a long line: %.*s", (int)strcspn(line, "\n"), line);
        check_on_target(&im, name);
        finish(&im);
    }
}

/* ---- one kernel each ---- */

/* f32 memory of 16 in %x, of 16 out %y, then `more` parameters. */
static void add_kernel(image *im, const char *more, const char *more_names, const char *more_types, const char *body) {
    adze_text params = {0}, names = {0}, types = {0}, module = {0};
    adze_text_printf(&params, "%%x: memref<16xf32> {adze.name = \"x\"}, %%y: memref<16xf32> {adze.name = \"y\", "
                              "adze.access = \"write\"}%s", more);
    adze_text_printf(&names, "%%x, %%y%s", more_names);
    adze_text_printf(&types, "memref<16xf32>, memref<16xf32>%s", more_types);
    adze_text all = {0};
    adze_text_printf(&all, "%%c0 = arith.constant 0 : index\n%%c8 = arith.constant 8 : index\n"
                           "%%c5 = arith.constant 5 : index\n%s", body);
    add(im, "one", module_of(&module, params.data, names.data, types.data, all.data));
}

static float ramp_x[16], ramp_y[16];

static void add_ramp_test(image *im) {
    static adze_tensor in, out;
    for (int i = 0; i < 16; i++)
        ramp_x[i] = (float)(i * 3 % 16) - 4;
    in = tensor(ADZE_f32, 16, ramp_x);
    out = tensor(ADZE_f32, 16, ramp_y);
    add_test(im, "run", 1, &in, 1, &out);
}

/* A load is written before the store that may change what it reads. */
static void memory_order(void **state) {
    (void)state;
    image im = start("x86-64-v3");
    add_kernel(&im, "", "", "",
               "%a = vector.load %x[%c0] : memref<16xf32>, vector<8xf32> loc(\"a\")\n"
               "vector.store %a, %y[%c0] : memref<16xf32>, vector<8xf32>\n"
               "%b = vector.load %y[%c0] : memref<16xf32>, vector<8xf32> loc(\"b\")\n"
               "%s = arith.addf %b, %b : vector<8xf32>\n"
               "vector.store %s, %y[%c8] : memref<16xf32>, vector<8xf32>\n"
               "vector.store %b, %y[%c0] : memref<16xf32>, vector<8xf32>\n");
    add_ramp_test(&im);
    for (int i = 0; i < 8; i++) {
        ramp_y[i] = ramp_x[i];
        ramp_y[8 + i] = 2 * ramp_x[i];
    }
    const char *text = text_of(&im);
    assert_has(text, "    _mm256_storeu_ps(y, _mm256_loadu_ps(x));\n    const __m256 b = _mm256_loadu_ps(y);\n"
                     "    _mm256_storeu_ps(y + 8, _mm256_add_ps(b, b));\n    _mm256_storeu_ps(y, b);\n");
    check_on_target(&im, "order");
    finish(&im);
}

/* Vectors out of a branch; a scalar condition; reductions that skip lanes which are off. */
static void branches_and_masks(void **state) {
    (void)state;
    image im = start("x86-64-v4");
    add_kernel(&im, "", "", "",
               "%z = arith.constant dense<0.0> : vector<16xf32>\n%t = arith.constant 1.0 : f32\n"
               "%a = vector.load %x[%c0] : memref<16xf32>, vector<16xf32> loc(\"a\")\n"
               "%e = memref.load %x[%c5] : memref<16xf32>\n%c = arith.cmpf ogt, %e, %t : f32 loc(\"big\")\n"
               "%b = scf.if %c -> (vector<16xf32>) {\n  %d = arith.addf %a, %a : vector<16xf32>\n"
               "  scf.yield %d : vector<16xf32>\n} else {\n  %d = arith.mulf %a, %a : vector<16xf32>\n"
               "  scf.yield %d : vector<16xf32>\n} loc(\"b\")\n"
               "%s = arith.select %c, %b, %z : vector<16xf32>\n"
               "vector.store %s, %y[%c0] : memref<16xf32>, vector<16xf32>\n"
               "%k = \"adze.active\"(%c5) {type = \"f32x16\"} : (index) -> index\n"
               "%sum = vector.reduction <add>, %a : vector<16xf32> into f32 loc(\"sum\")\n"
               "%top = vector.reduction <maximumf>, %a : vector<16xf32> into f32 loc(\"top\")\n"
               "%r = arith.addf %sum, %top : f32\nmemref.store %r, %y[%c8] : memref<16xf32>\n"
               "%i = arith.index_cast %k : index to i32\n%f = arith.sitofp %i : i32 to f32\n"
               "memref.store %f, %y[%c5] : memref<16xf32>\n");
    add_ramp_test(&im);
    float sum5 = 0, top5 = -INFINITY;
    for (int i = 0; i < 16; i++) {
        ramp_y[i] = ramp_x[5] > 1 ? 2 * ramp_x[i] : 0;
        sum5 += i < 5 ? ramp_x[i] : 0;
        top5 = i < 5 && ramp_x[i] > top5 ? ramp_x[i] : top5;
    }
    ramp_y[8] = sum5 + top5;
    ramp_y[5] = 5;
    assert_has(text_of(&im), "    __m512 b;\n    if (big) {\n        b = _mm512_add_ps(a, a);\n");
    check_on_target(&im, "branch");
    finish(&im);
}

/* The target's own: four products at once, of unsigned memory; a cast that costs nothing. */
static void instructions(void **state) {
    (void)state;
    image im = start("x86-64-v4+avx512vnni");
    add_kernel(&im,
               ", %u: memref<64xui8> {adze.name = \"u\"}, %s: memref<64xi8> {adze.name = \"s\"}, "
               "%d: memref<16xi32> {adze.name = \"d\", adze.access = \"write\"}",
               ", %u, %s, %d", ", memref<64xui8>, memref<64xi8>, memref<16xi32>",
               "%z = arith.constant dense<0> : vector<16xi32>\n"
               "%a = vector.load %u[%c0] : memref<64xui8>, vector<64xui8>\n"
               "%b = vector.load %s[%c0] : memref<64xi8>, vector<64xi8>\n"
               "%q = \"adze.instruction\"(%z, %a, %b) {name = \"dot4.us\", type = \"s32x16\", operandSegmentSizes = "
               "array<i32: 1, 1, 1, 0, 0, 0>} : (vector<16xi32>, vector<64xui8>, vector<64xi8>) -> vector<16xi32> loc(\"q\")\n"
               "vector.store %q, %d[%c0] : memref<16xi32>, vector<16xi32>\n"
               "%v = vector.load %x[%c0] : memref<16xf32>, vector<16xf32>\n"
               "vector.store %v, %y[%c0] : memref<16xf32>, vector<16xf32>\n");
    static uint8_t u[64];
    static int8_t s[64];
    static int32_t d[16];
    for (int i = 0; i < 64; i++) {
        u[i] = (uint8_t)(i * 37 + 200);
        s[i] = (int8_t)(i * 91);
        d[i / 4] += u[i] * s[i];
    }
    for (int i = 0; i < 16; i++)
        ramp_y[i] = ramp_x[i] = (float)i;
    static adze_tensor in[3], out[2];
    in[0] = tensor(ADZE_f32, 16, ramp_x);
    in[1] = tensor(ADZE_u8, 64, u);
    in[2] = tensor(ADZE_i8, 64, s);
    out[0] = tensor(ADZE_f32, 16, ramp_y);
    out[1] = tensor(ADZE_i32, 16, d);
    add_test(&im, "run", 3, in, 2, out);
    assert_has(text_of(&im), "_mm512_dpbusd_epi32(");
    if (__builtin_cpu_supports("avx512vnni"))
        check_on_target(&im, "dot4");
    finish(&im);
}

/* Half floats are bits in memory. */
static void half_floats(void **state) {
    (void)state;
    image im = start("x86-64-v4");
    add_kernel(&im, ", %h: memref<16xf16> {adze.name = \"h\", adze.access = \"write\"}", ", %h", ", memref<16xf16>",
               "%a = vector.load %x[%c0] : memref<16xf32>, vector<16xf32>\n"
               "%t = arith.truncf %a : vector<16xf32> to vector<16xf16>\n"
               "vector.store %t, %h[%c0] : memref<16xf16>, vector<16xf16>\n"
               "%b = vector.load %h[%c0] : memref<16xf16>, vector<16xf16>\n"
               "%e = arith.extf %b : vector<16xf16> to vector<16xf32>\n"
               "vector.store %e, %y[%c0] : memref<16xf32>, vector<16xf32>\n");
    add_ramp_test(&im);
    static uint16_t h[16];
    for (int i = 0; i < 16; i++) {
        ramp_y[i] = ramp_x[i];
        h[i] = (uint16_t)adze_float_encode(ADZE_f16, ramp_x[i], false);
    }
    static adze_tensor out[2];
    out[0] = tensor(ADZE_f32, 16, ramp_y);
    out[1] = tensor(ADZE_f16, 16, h);
    im.tests[0][0].n_outputs = 2;
    im.tests[0][0].outputs = out;
    check_on_target(&im, "half");
    finish(&im);
}

/* What the target cannot do is named: the operation, its row and the types. */
static void vector_refusals(void **state) {
    (void)state;
    static const struct {
        const char *target, *body, *says;
    } cases[] = {
        {"portable", "%a = arith.constant dense<1.0> : vector<4xf32>\nvector.store %a, %y[%c0] : memref<16xf32>, vector<4xf32>\n",
         "target portable has no row"},
        {"x86-64-v3", "%a = vector.load %x[%c0] : memref<16xf32>, vector<16xf32>\n"
                      "vector.store %a, %y[%c0] : memref<16xf32>, vector<16xf32>\n", "vector.load on (memory, index -> f32x16)"},
        {"x86-64-v3", "%a = vector.load %x[%c0] : memref<16xf32>, vector<8xf32>\n%b = math.tanh %a : vector<8xf32>\n"
                      "vector.store %b, %y[%c0] : memref<16xf32>, vector<8xf32>\n",
         "target x86-64-v3 has no row math.tanh on (f32x8 -> f32x8)"},
        {"x86-64-v4", "%a = vector.load %x[%c0] : memref<16xf32>, vector<16xf32>\n"
                      "%b = \"adze.instruction\"(%a) {name = \"dance\", type = \"f32x16\", operandSegmentSizes = "
                      "array<i32: 1, 0, 0, 0, 0, 0>} : (vector<16xf32>) -> vector<16xf32>\n"
                      "vector.store %b, %y[%c0] : memref<16xf32>, vector<16xf32>\n",
         "has no row dance of f32x16 on (f32x16 -> f32x16)"},
        {"x86-64-v2", "%a = memref.load %x[%c0] : memref<16xf32>\n%b = math.fma %a, %a, %a : f32\n"
                      "memref.store %b, %y[%c0] : memref<16xf32>\n", "vector.fma for math.fma on (f32, f32, f32 -> f32)"},
        {"x86-64-v4", "%a = arith.constant dense<[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]> : vector<8xf32>\n"
                      "vector.store %a, %y[%c0] : memref<16xf32>, vector<8xf32>\n", "lanes differ"},
    };
    for (size_t i = 0; i < ADZE_COUNT(cases); i++) {
        image im = start(cases[i].target);
        add_kernel(&im, "", "", "", cases[i].body);
        adze_c_module m;
        assert_true(adze_c_module_read(im.ctx, im.models[0].module, "t", ADZE_WEIGHTS_C, im.target, &m));
        assert_false(adze_emit_kernels(&m));
        adze_text out = {0};
        adze_diagnostics_print(&im.ctx->diags, &out);
        assert_has(out.data, cases[i].says);
        adze_text_free(&out);
        finish(&im);
    }
}

/* One rounding, where the FPU has it. */
static void scalar_fma(void **state) {
    (void)state;
    image im = start("x86-64-v3");
    MlirType f32 = im.ctx->elements[ADZE_f32], three[] = {f32, f32, f32};
    assert_true(adze_vector_has(im.ctx, im.target, "math.fma", f32, 3, three));
    add_kernel(&im, "", "", "",
               "%a = memref.load %x[%c0] : memref<16xf32>\n%b = memref.load %x[%c5] : memref<16xf32>\n"
               "%r = math.fma %a, %a, %b : f32\nmemref.store %r, %y[%c0] : memref<16xf32>\n");
    assert_has(text_of(&im), "fmaf(xv, xv, x[5])");
    finish(&im);
    im = start("portable");
    f32 = im.ctx->elements[ADZE_f32];
    MlirType others[] = {f32, f32, f32};
    assert_false(adze_vector_has(im.ctx, im.target, "math.fma", f32, 3, others));
    finish(&im);
}

static int set_up(void **state) {
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/adze-emit-vector-XXXXXX");
    return mkdtemp(folder) == NULL;
}

static int tear_down(void **state) {
    (void)state;
    if (getenv("ADZE_KEEP"))
        printf("kept: %s\n", folder);
    else
        shell("rm -rf %s", folder);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tail_reads_well),
        cmocka_unit_test(register_block),
        cmocka_unit_test(tails),
        cmocka_unit_test(operations),
        cmocka_unit_test(memory_order),
        cmocka_unit_test(branches_and_masks),
        cmocka_unit_test(instructions),
        cmocka_unit_test(half_floats),
        cmocka_unit_test(vector_refusals),
        cmocka_unit_test(scalar_fma),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
