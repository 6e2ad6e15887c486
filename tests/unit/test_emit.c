/* Level 3 -> C: hand-written modules become trees, are built with the strict flags by gcc and clang, and
 * their self-tests compare with values computed here. ADZE_KEEP=1 keeps the trees for reading. */
#include "ir/integer.h"
#include "tests/unit/emit_image.h"

/* ---- the modules ---- */

static const char conv_text[] =
    "module {\n"
    "  \"adze.weight\"() {sym_name = \"conv.w\", type = tensor<2x3x3xf32>, file = \"%s\", offset = 0 : i64, "
    "bytes = 72 : i64, hash = \"\"} : () -> ()\n"
    "  func.func private @conv_relu(%%x: memref<6x6xf32> {adze.name = \"x\", adze.access = \"read\"},\n"
    "      %%w: memref<2x3x3xf32> {adze.name = \"w\", adze.access = \"read\"},\n"
    "      %%y: memref<2x6x6xf32> {adze.name = \"y\", adze.access = \"write\"})\n"
    "      attributes {adze.kernel, adze.nodes = [\"conv*/\", \"relu\"]} {\n"
    "    %%c0 = arith.constant 0 : index\n    %%c1 = arith.constant 1 : index\n"
    "    %%c2 = arith.constant 2 : index\n    %%c3 = arith.constant 3 : index\n"
    "    %%c6 = arith.constant 6 : index\n    %%zero = arith.constant 0.0 : f32\n"
    "    scf.for %%o = %%c0 to %%c2 step %%c1 {\n"
    "      scf.for %%i = %%c0 to %%c6 step %%c1 {\n"
    "        scf.for %%j = %%c0 to %%c6 step %%c1 {\n"
    "          %%r = scf.for %%k = %%c0 to %%c3 step %%c1 iter_args(%%a = %%zero) -> f32 {\n"
    "            %%s = scf.for %%l = %%c0 to %%c3 step %%c1 iter_args(%%b = %%a) -> f32 {\n"
    "              %%h0 = arith.addi %%i, %%k : index\n              %%h = arith.subi %%h0, %%c1 : index\n"
    "              %%v0 = arith.addi %%j, %%l : index\n              %%v = arith.subi %%v0, %%c1 : index loc(\"iw\")\n"
    "              %%in1 = arith.cmpi ult, %%h, %%c6 : index\n              %%in2 = arith.cmpi ult, %%v, %%c6 : index\n"
    "              %%in = arith.andi %%in1, %%in2 : i1\n"
    "              %%n = scf.if %%in -> f32 {\n"
    "                %%xv = memref.load %%x[%%h, %%v] : memref<6x6xf32>\n"
    "                %%wv = memref.load %%w[%%o, %%k, %%l] : memref<2x3x3xf32>\n"
    "                %%p = arith.mulf %%xv, %%wv : f32\n                %%t = arith.addf %%b, %%p : f32\n"
    "                scf.yield %%t : f32\n"
    "              } else {\n                scf.yield %%b : f32\n              }\n"
    "              scf.yield %%n : f32\n            }\n"
    "            scf.yield %%s : f32\n          } loc(\"kh\"(\"acc\"))\n"
    "          %%m = arith.maximumf %%r, %%zero : f32\n"
    "          memref.store %%m, %%y[%%o, %%i, %%j] : memref<2x6x6xf32>\n"
    "        }\n      }\n    }\n    return\n  }\n"
    "  func.func private @scale(%%x: memref<72xf32> {adze.name = \"x\", adze.access = \"read\", adze.alias},\n"
    "      %%y: memref<72xf32> {adze.name = \"y\", adze.access = \"write\", adze.alias}) attributes {adze.kernel} {\n"
    "    %%c0 = arith.constant 0 : index\n    %%c1 = arith.constant 1 : index\n    %%n = arith.constant 72 : index\n"
    "    %%h = arith.constant 0.3 : f32\n"
    "    scf.for %%i = %%c0 to %%n step %%c1 {\n      %%v = memref.load %%x[%%i] : memref<72xf32>\n"
    "      %%r = arith.mulf %%v, %%h : f32\n      memref.store %%r, %%y[%%i] : memref<72xf32>\n    }\n    return\n  }\n"
    "  func.func @run(%%x: memref<6x6xf32> {adze.name = \"in\", adze.access = \"read\"},\n"
    "      %%y: memref<72xf32> {adze.name = \"out/0:1\", adze.access = \"write\"}) attributes {adze.entry} {\n"
    "    %%w = \"adze.get_weight\"() {weight = \"conv.w\"} : () -> memref<2x3x3xf32>\n"
    "    %%t = \"adze.region\"() {region = \"scratch\", offset = 16 : i64} : () -> memref<2x6x6xf32>\n"
    "    func.call @conv_relu(%%x, %%w, %%t) : (memref<6x6xf32>, memref<2x3x3xf32>, memref<2x6x6xf32>) -> ()\n"
    "    %%f = memref.reinterpret_cast %%t to offset: [0], sizes: [72], strides: [1] : memref<2x6x6xf32> to memref<72xf32>\n"
    "    func.call @scale(%%f, %%f) : (memref<72xf32>, memref<72xf32>) -> ()\n"
    "    memref.copy %%f, %%y : memref<72xf32> to memref<72xf32>\n    return\n  }\n}\n";

static float conv_x[36], conv_w[18], conv_y[72];
static adze_tensor conv_in, conv_out;

static void add_conv(image *im, const char *name) {
    for (int i = 0; i < 36; i++)
        conv_x[i] = (float)((i * 29) % 17) / 4 - 2;
    for (int i = 0; i < 18; i++)
        conv_w[i] = (float)((i * 13) % 11) / 5 - 1;
    for (int o = 0; o < 2; o++)
        for (int i = 0; i < 6; i++)
            for (int j = 0; j < 6; j++) {
                double acc = 0;
                for (int k = 0; k < 3; k++)
                    for (int l = 0; l < 3; l++)
                        if (i + k >= 1 && i + k < 7 && j + l >= 1 && j + l < 7)
                            acc += (double)conv_x[(i + k - 1) * 6 + j + l - 1] * conv_w[(o * 3 + k) * 3 + l];
                conv_y[(o * 6 + i) * 6 + j] = (float)(acc > 0 ? acc * 0.3 : 0);
            }
    adze_text text = {0};
    adze_text_printf(&text, conv_text, adze_blob_add(im->ctx, conv_w, sizeof conv_w));
    add(im, name, text.data);
    conv_in = (adze_tensor){ADZE_f32, 2, {6, 6}, conv_x};
    conv_out = tensor(ADZE_f32, 72, conv_y);
    add_test(im, "run", 1, &conv_in, 1, &conv_out);
}

static void convolution(void **state) {
    (void)state;
    static const adze_tree_weights modes[] = {ADZE_TREE_WEIGHTS_C, ADZE_TREE_WEIGHTS_INCBIN,
                                              ADZE_TREE_WEIGHTS_FILE};
    for (size_t i = 0; i < ADZE_COUNT(modes); i++) {
        image im = start("portable");
        add_conv(&im, "conv");
        char name[16];
        snprintf(name, sizeof name, "conv%zu", i);
        check(&im, name, modes[i]);
        finish(&im);
    }
}

/* The emitted text itself: what a person would have written. */
static void reads_well(void **state) {
    (void)state;
    image im = start("portable");
    add_conv(&im, "conv");
    adze_c_module m;
    assert_true(adze_c_module_read(im.ctx, im.models[0].module, "conv", ADZE_WEIGHTS_C, NULL, &m));
    assert_true(adze_emit_kernels(&m));
    assert_string_equal(
        m.kernels[0].text,
        "/* conv*|, relu\n"
        " * x [6, 6], w [2, 3, 3] -> y [2, 6, 6] */\n"
        "void conv_conv_relu(const float *restrict x, const float *restrict w, float *restrict y) {\n"
        "    for (int i = 0; i < 2; i++) {\n"
        "        for (int j = 0; j < 6; j++) {\n"
        "            for (int k = 0; k < 6; k++) {\n"
        "                float acc = 0.0f;\n"
        "                for (int kh = 0; kh < 3; kh++) {\n"
        "                    for (int l = 0; l < 3; l++) {\n"
        "                        const int iw = k + l - 1;\n"
        "                        if ((uint32_t)(j + kh - 1) < 6u && (uint32_t)iw < 6u) {\n"
        "                            acc += x[(j + kh - 1) * 6 + iw] * w[(i * 3 + kh) * 3 + l];\n"
        "                        }\n"
        "                    }\n"
        "                }\n"
        "                y[(i * 6 + j) * 6 + k] = adze_max_f32(acc, 0.0f);\n"
        "            }\n"
        "        }\n"
        "    }\n"
        "}\n");
    finish(&im);
}

static const char quant_text[] =
    "module {\n"
    "  func.func private @dot(%x: memref<4x16xi8> {adze.name = \"x\"}, %w: memref<4x16xui8> {adze.name = \"w\"},\n"
    "      %m: memref<4xi32> {adze.name = \"m\"}, %y: memref<4xi8> {adze.name = \"y\", adze.access = \"write\"},\n"
    "      %z: memref<4xui8> {adze.name = \"z\", adze.access = \"write\"}) attributes {adze.kernel} {\n"
    "    %c0 = arith.constant 0 : index\n    %c1 = arith.constant 1 : index\n    %c4 = arith.constant 4 : index\n"
    "    %c16 = arith.constant 16 : index\n    %i0 = arith.constant 0 : i32\n    %zp = arith.constant 7 : i32\n"
    "    %s = arith.constant 38 : i32\n"
    "    scf.for %i = %c0 to %c4 step %c1 {\n"
    "      %acc = scf.for %k = %c0 to %c16 step %c1 iter_args(%a = %i0) -> (i32) {\n"
    "        %xv = memref.load %x[%i, %k] : memref<4x16xi8>\n        %wv = memref.load %w[%i, %k] : memref<4x16xui8>\n"
    "        %ws = builtin.unrealized_conversion_cast %wv : ui8 to i8\n"
    "        %xe = arith.extsi %xv : i8 to i32\n        %we = arith.extui %ws : i8 to i32\n"
    "        %d = arith.subi %we, %zp : i32\n        %p = arith.muli %xe, %d : i32\n"
    "        %n = arith.addi %a, %p overflow<nsw> : i32\n        scf.yield %n : i32\n"
    "      }\n"
    "      %mv = memref.load %m[%i] : memref<4xi32>\n"
    "      %r = \"adze.requantize\"(%acc, %mv, %s) {zero_point = 3 : i64, low = -128 : i64, high = 127 : i64} : (i32, i32, i32) -> i32\n"
    "      %t = arith.trunci %r : i32 to i8\n      memref.store %t, %y[%i] : memref<4xi8>\n"
    "      %q = arith.extsi %t : i8 to i32\n      %o = arith.constant 128 : i32\n      %u = arith.addi %q, %o : i32\n"
    "      %ut = arith.trunci %u : i32 to i8\n      %uu = builtin.unrealized_conversion_cast %ut : i8 to ui8\n"
    "      memref.store %uu, %z[%i] : memref<4xui8>\n"
    "    }\n    return\n  }\n"
    "  func.func @run(%x: memref<4x16xi8>, %w: memref<4x16xui8>, %m: memref<4xi32>,\n"
    "      %y: memref<4xi8> {adze.access = \"write\"}, %z: memref<4xui8> {adze.access = \"write\"}) attributes {adze.entry} {\n"
    "    func.call @dot(%x, %w, %m, %y, %z) : (memref<4x16xi8>, memref<4x16xui8>, memref<4xi32>, memref<4xi8>, memref<4xui8>) -> ()\n"
    "    return\n  }\n}\n";

static void quantized(void **state) {
    (void)state;
    static int8_t x[64], y[4];
    static uint8_t w[64], z[4];
    static const int32_t m[4] = {1073741824, 2147483647, 1500000001, 1234567890};
    for (int i = 0; i < 64; i++) {
        x[i] = (int8_t)(i * 37);
        w[i] = (uint8_t)(i * 91 + 5);
    }
    for (int i = 0; i < 4; i++) {
        int64_t acc = 0;
        for (int k = 0; k < 16; k++)
            acc += x[i * 16 + k] * (w[i * 16 + k] - 7);
        y[i] = (int8_t)adze_requantize_ref(acc, m[i], 38, 3, -128, 127);
        z[i] = (uint8_t)(y[i] + 128);
    }
    image im = start("portable");
    add(&im, "quant", quant_text);
    adze_tensor in[] = {{ADZE_i8, 2, {4, 16}, x}, {ADZE_u8, 2, {4, 16}, w}, tensor(ADZE_i32, 4, m)};
    adze_tensor out[] = {tensor(ADZE_i8, 4, y), tensor(ADZE_u8, 4, z)};
    add_test(&im, "run", 3, in, 2, out);
    check(&im, "quant", ADZE_TREE_WEIGHTS_AUTO);
    finish(&im);
}

/* Integer operations at their edges: nothing may be undefined. */
enum { EDGE = 12, N_EDGE_OPS = 18 };
static const char *const edge_ops[N_EDGE_OPS] = {
    "addi", "subi", "muli", "divsi", "remsi", "divui", "remui", "floordivsi", "ceildivsi",
    "andi", "ori",  "xori", "maxsi", "minui", "shli",  "shrsi", "shrui",      "maxui",
};

static int32_t edge(int op, int32_t a, int32_t b) {
    uint32_t ua = (uint32_t)a, ub = (uint32_t)b;
    int64_t la = a, lb = b;
    switch (op) {
    case 0: return (int32_t)(ua + ub);
    case 1: return (int32_t)(ua - ub);
    case 2: return (int32_t)(ua * ub);
    case 3: return b == 0 ? 0 : (int32_t)(uint32_t)(la / lb);
    case 4: return b == 0 ? 0 : (int32_t)(la % lb);
    case 5: return b == 0 ? 0 : (int32_t)(ua / ub);
    case 6: return b == 0 ? 0 : (int32_t)(ua % ub);
    case 7: return b == 0 ? 0 : (int32_t)(int64_t)floor((double)la / (double)lb);
    case 8: return b == 0 ? 0 : (int32_t)(int64_t)ceil((double)la / (double)lb);
    case 9: return a & b;
    case 10: return a | b;
    case 11: return a ^ b;
    case 12: return a > b ? a : b;
    case 13: return (int32_t)(ua < ub ? ua : ub);
    case 14: return ub < 32 ? (int32_t)(ua << ub) : 0;
    case 15: return ub < 32 ? (int32_t)(la >> ub) : a < 0 ? -1 : 0;
    case 16: return ub < 32 ? (int32_t)(ua >> ub) : 0;
    default: return (int32_t)(ua > ub ? ua : ub);
    }
}

static void integer_edges(void **state) {
    (void)state;
    static const int32_t values[EDGE] = {0,  1,  -1, 2,          -3,        31,
                                         32, 40, 7,  INT32_MIN, INT32_MAX, -65536};
    static int32_t a[EDGE * EDGE], b[EDGE * EDGE], y[N_EDGE_OPS * EDGE * EDGE];
    adze_text text = {0};
    adze_text_printf(&text,
                     "module {\n  func.func private @edges(%%a: memref<%dxi32> {adze.name = \"a\"}, "
                     "%%b: memref<%dxi32> {adze.name = \"b\"}, %%y: memref<%dx%dxi32> {adze.name = "
                     "\"y\", adze.access = \"write\"}) attributes {adze.kernel} {\n"
                     "    %%c0 = arith.constant 0 : index\n    %%c1 = arith.constant 1 : index\n"
                     "    %%n = arith.constant %d : index\n    scf.for %%i = %%c0 to %%n step %%c1 {\n"
                     "      %%av = memref.load %%a[%%i] : memref<%dxi32>\n"
                     "      %%bv = memref.load %%b[%%i] : memref<%dxi32>\n",
                     EDGE * EDGE, EDGE * EDGE, N_EDGE_OPS, EDGE * EDGE, EDGE * EDGE, EDGE * EDGE,
                     EDGE * EDGE);
    for (int k = 0; k < N_EDGE_OPS; k++)
        adze_text_printf(&text,
                         "      %%k%d = arith.constant %d : index\n      %%r%d = arith.%s %%av, %%bv : i32\n"
                         "      memref.store %%r%d, %%y[%%k%d, %%i] : memref<%dx%dxi32>\n",
                         k, k, k, edge_ops[k], k, k, N_EDGE_OPS, EDGE * EDGE);
    adze_text_printf(&text,
                     "    }\n    return\n  }\n  func.func @run(%%a: memref<%dxi32>, %%b: memref<%dxi32>, "
                     "%%y: memref<%dx%dxi32> {adze.access = \"write\"}) attributes {adze.entry} {\n"
                     "    func.call @edges(%%a, %%b, %%y) : (memref<%dxi32>, memref<%dxi32>, "
                     "memref<%dx%dxi32>) -> ()\n    return\n  }\n}\n",
                     EDGE * EDGE, EDGE * EDGE, N_EDGE_OPS, EDGE * EDGE, EDGE * EDGE, EDGE * EDGE,
                     N_EDGE_OPS, EDGE * EDGE);
    for (int i = 0; i < EDGE * EDGE; i++) {
        a[i] = values[i / EDGE];
        b[i] = values[i % EDGE];
        for (int k = 0; k < N_EDGE_OPS; k++)
            y[k * EDGE * EDGE + i] = edge(k, a[i], b[i]);
    }
    image im = start("portable");
    add(&im, "edges", text.data);
    adze_tensor in[] = {tensor(ADZE_i32, EDGE * EDGE, a), tensor(ADZE_i32, EDGE * EDGE, b)};
    adze_tensor out[] = {{ADZE_i32, 2, {N_EDGE_OPS, EDGE * EDGE}, y}};
    add_test(&im, "run", 2, in, 1, out);
    check(&im, "edges", ADZE_TREE_WEIGHTS_AUTO);
    finish(&im);
    adze_text_free(&text);
}

/* Loops that swap, loops that count, branches that yield two values, a branch in the entry, state. */
static const char flow_text[] =
    "module {\n"
    "  \"adze.state\"() {sym_name = \"calls\", type = tensor<1xi32>, initial = \"\", region = \"state\"} : () -> ()\n"
    "  func.func private @flow(%n: memref<8xi32> {adze.name = \"while\"}, %y: memref<8x5xi32> {adze.name = \"y\", adze.access = \"write\"})\n"
    "      attributes {adze.kernel} {\n"
    "    %c0 = arith.constant 0 : index\n    %c1 = arith.constant 1 : index\n    %c2 = arith.constant 2 : index\n"
    "    %c3 = arith.constant 3 : index\n    %c4 = arith.constant 4 : index\n    %c8 = arith.constant 8 : index\n"
    "    %i0 = arith.constant 0 : i32\n    %i1 = arith.constant 1 : i32\n    %i2 = arith.constant 2 : i32\n"
    "    %i3 = arith.constant 3 : i32\n"
    "    scf.for %i = %c0 to %c8 step %c1 {\n"
    "      %v = memref.load %n[%i] : memref<8xi32>\n"
    "      %e = arith.index_cast %v : i32 to index\n"
    "      %f:2 = scf.for %k = %c0 to %e step %c1 iter_args(%a = %i0, %b = %i1) -> (i32, i32) {\n"
    "        %s = arith.addi %a, %b : i32\n        scf.yield %b, %s : i32, i32\n      } loc(\"k\"(\"a\"(\"b\")))\n"
    "      memref.store %f#0, %y[%i, %c0] : memref<8x5xi32>\n"
    "      %g:2 = scf.for %k = %c0 to %e step %c1 iter_args(%a = %i2, %b = %i3) -> (i32, i32) {\n"
    "        scf.yield %b, %a : i32, i32\n      }\n"
    "      memref.store %g#1, %y[%i, %c1] : memref<8x5xi32>\n"
    "      %w:2 = scf.while (%c = %v, %d = %i0) : (i32, i32) -> (i32, i32) {\n"
    "        %m = arith.cmpi sgt, %c, %i1 : i32\n        scf.condition(%m) %c, %d : i32, i32\n"
    "      } do {\n      ^bb0(%c: i32, %d: i32):\n"
    "        %odd = arith.remsi %c, %i2 : i32\n        %o = arith.cmpi ne, %odd, %i0 : i32\n"
    "        %nc = scf.if %o -> i32 {\n          %t = arith.muli %c, %i3 : i32\n          %u = arith.addi %t, %i1 : i32\n"
    "          scf.yield %u : i32\n        } else {\n          %t = arith.divsi %c, %i2 : i32\n          scf.yield %t : i32\n        }\n"
    "        %nd = arith.addi %d, %i1 : i32\n        scf.yield %nc, %nd : i32, i32\n      }\n"
    "      memref.store %w#1, %y[%i, %c2] : memref<8x5xi32>\n"
    "      %big = arith.cmpi sgt, %v, %i3 : i32\n"
    "      %p:2 = scf.if %big -> (i32, i32) {\n        memref.store %i0, %y[%i, %c3] : memref<8x5xi32>\n"
    "        scf.yield %v, %i3 : i32, i32\n      } else {\n        scf.yield %i3, %v : i32, i32\n      }\n"
    "      %q = arith.subi %p#0, %p#1 : i32\n      memref.store %q, %y[%i, %c3] : memref<8x5xi32>\n"
    "      %old = memref.load %y[%i, %c0] : memref<8x5xi32>\n"
    "      memref.store %i0, %y[%i, %c0] : memref<8x5xi32>\n"
    "      memref.store %old, %y[%i, %c4] : memref<8x5xi32>\n"
    "      memref.store %old, %y[%i, %c0] : memref<8x5xi32>\n"
    "    } loc(\"i\")\n    return\n  }\n"
    "  func.func @run(%n: memref<8xi32>, %flag: memref<i1>, %y: memref<8x5xi32> {adze.access = \"write\"},\n"
    "      %calls: memref<1xi32> {adze.access = \"write\"}) attributes {adze.entry} {\n"
    "    %c0 = arith.constant 0 : index\n    %one = arith.constant 1 : i32\n"
    "    %s = \"adze.state_ref\"() {state = \"calls\"} : () -> memref<1xi32>\n"
    "    %o = memref.load %s[%c0] : memref<1xi32>\n    %o1 = arith.addi %o, %one : i32\n"
    "    memref.store %o1, %s[%c0] : memref<1xi32>\n    memref.copy %s, %calls : memref<1xi32> to memref<1xi32>\n"
    "    %f = memref.load %flag[] : memref<i1>\n"
    "    scf.if %f {\n      func.call @flow(%n, %y) : (memref<8xi32>, memref<8x5xi32>) -> ()\n    }\n"
    "    return\n  }\n}\n";

static void control_flow(void **state) {
    (void)state;
    static const int32_t n[8] = {0, 1, 2, 3, 7, 9, 10, 27}, one[1] = {1}, two[1] = {2};
    static const uint8_t yes[1] = {1};
    static int32_t y[40];
    for (int i = 0; i < 8; i++) {
        int32_t a = 0, b = 1, c = n[i], d = 0;
        for (int k = 0; k < n[i]; k++) {
            int32_t s = a + b;
            a = b;
            b = s;
        }
        for (; c > 1; d++)
            c = c % 2 ? 3 * c + 1 : c / 2;
        y[i * 5] = y[i * 5 + 4] = a;
        y[i * 5 + 1] = n[i] % 2 ? 2 : 3;
        y[i * 5 + 2] = d;
        y[i * 5 + 3] = n[i] > 3 ? n[i] - 3 : 3 - n[i];
    }
    image im = start("portable");
    add(&im, "flow", flow_text);
    adze_tensor in[] = {tensor(ADZE_i32, 8, n), {ADZE_bool, 0, {0}, yes}};
    adze_tensor out1[] = {{ADZE_i32, 2, {8, 5}, y}, tensor(ADZE_i32, 1, one)};
    adze_tensor out2[] = {{ADZE_i32, 2, {8, 5}, y}, tensor(ADZE_i32, 1, two)};
    add_test(&im, "run", 2, in, 2, out1);
    add_test(&im, "run", 2, in, 2, out2); /* the second without a reset */
    check(&im, "flow", ADZE_TREE_WEIGHTS_AUTO);
    finish(&im);
}

/* Storage types that are not arithmetic types: doubled, rounded once. */
static void small_floats(void **state) {
    (void)state;
    static const adze_dtype types[] = {ADZE_f16, ADZE_bf16, ADZE_f8e4m3fn, ADZE_f8e5m2, ADZE_f8e4m3fnuz,
                                       ADZE_f8e5m2fnuz, ADZE_f4e2m1};
    enum { N = ADZE_COUNT(types), COUNT = 16 };
    static uint8_t x8[N][COUNT], y8[N][COUNT];
    static uint16_t x16[N][COUNT], y16[N][COUNT];
    adze_tensor in[N], out[N];
    adze_text text = {0}, entry = {0}, calls = {0};
    adze_text_puts(&text, "module {\n");
    for (size_t k = 0; k < N; k++) {
        const adze_dtype_info *info = adze_dtype_get(types[k]);
        adze_text_printf(
            &text,
            "  func.func private @k%zu(%%x: memref<16x%s> {adze.name = \"x\"}, %%y: memref<16x%s> {adze.name = "
            "\"y\", adze.access = \"write\"}) attributes {adze.kernel} {\n    %%c0 = arith.constant 0 : index\n"
            "    %%c1 = arith.constant 1 : index\n    %%n = arith.constant 16 : index\n    %%f = arith.constant 1.7 : f32\n"
            "    scf.for %%i = %%c0 to %%n step %%c1 {\n      %%v = memref.load %%x[%%i] : memref<16x%s>\n"
            "      %%e = arith.extf %%v : %s to f32\n      %%m = arith.mulf %%e, %%f : f32\n"
            "      %%t = arith.truncf %%m : f32 to %s\n      memref.store %%t, %%y[%%i] : memref<16x%s>\n    }\n"
            "    return\n  }\n",
            k, info->mlir, info->mlir, info->mlir, info->mlir, info->mlir, info->mlir);
        adze_text_printf(&entry, "%s%%x%zu: memref<16x%s>, %%y%zu: memref<16x%s> {adze.access = \"write\"}",
                         k ? ", " : "", k, info->mlir, k, info->mlir);
        adze_text_printf(&calls, "    func.call @k%zu(%%x%zu, %%y%zu) : (memref<16x%s>, memref<16x%s>) -> ()\n",
                         k, k, k, info->mlir, info->mlir);
        for (uint32_t i = 0; i < COUNT; i++) {
            uint32_t code = adze_float_encode(types[k], (double)i * 0.37 - 2, false);
            float product = (float)adze_float_decode(types[k], code) * 1.7f;
            uint32_t want = adze_float_encode(types[k], (double)product, false);
            x8[k][i] = (uint8_t)code, y8[k][i] = (uint8_t)want;
            x16[k][i] = (uint16_t)code, y16[k][i] = (uint16_t)want;
        }
        bool wide = info->bits == 16;
        in[k] = tensor(types[k], COUNT, wide ? (void *)x16[k] : x8[k]);
        out[k] = tensor(types[k], COUNT, wide ? (void *)y16[k] : y8[k]);
    }
    adze_text_printf(&text, "  func.func @run(%s) attributes {adze.entry} {\n%s    return\n  }\n}\n",
                     entry.data, calls.data);
    image im = start("portable");
    add(&im, "small", text.data);
    add_test(&im, "run", N, in, N, out);
    static const double exact[N] = {0};
    im.tests[0][0].tolerance = exact;
    check(&im, "small", ADZE_TREE_WEIGHTS_AUTO);
    finish(&im);
}

/* A bounded dimension: taken from the input, passed to the kernel, given back with the output. */
static void bounded(void **state) {
    (void)state;
    static const char text[] =
        "module {\n  \"adze.dim\"() {sym_name = \"T\", lo = 1 : i64, hi = 8 : i64} : () -> ()\n"
        "  func.func private @twice(%x: memref<?x3xf32> {adze.name = \"x\", adze.dims = [\"T\", \"\"]},\n"
        "      %y: memref<?x3xf32> {adze.name = \"y\", adze.access = \"write\", adze.dims = [\"T\", \"\"]}) attributes {adze.kernel} {\n"
        "    %c0 = arith.constant 0 : index\n    %c1 = arith.constant 1 : index\n    %c3 = arith.constant 3 : index\n"
        "    %n = memref.dim %x, %c0 : memref<?x3xf32>\n"
        "    scf.for %t = %c0 to %n step %c1 {\n      scf.for %i = %c0 to %c3 step %c1 {\n"
        "        %v = memref.load %x[%t, %i] : memref<?x3xf32>\n        %d = arith.addf %v, %v : f32\n"
        "        memref.store %d, %y[%t, %i] : memref<?x3xf32>\n      }\n    }\n    return\n  }\n"
        "  func.func @run(%x: memref<?x3xf32> {adze.name = \"x\", adze.dims = [\"T\", \"\"]},\n"
        "      %y: memref<?x3xf32> {adze.name = \"y\", adze.access = \"write\", adze.dims = [\"T\", \"\"]}) attributes {adze.entry} {\n"
        "    %b = \"adze.region\"() {region = \"scratch\", offset = 0 : i64, adze.dims = [\"T\", \"\"]} : () -> memref<?x3xf32>\n"
        "    func.call @twice(%x, %b) : (memref<?x3xf32>, memref<?x3xf32>) -> ()\n"
        "    func.call @twice(%b, %y) : (memref<?x3xf32>, memref<?x3xf32>) -> ()\n    return\n  }\n}\n";
    static float x[15], y[15];
    for (int i = 0; i < 15; i++) {
        x[i] = (float)i - 3;
        y[i] = 4 * x[i];
    }
    image im = start("portable");
    add(&im, "bounded", text);
    adze_tensor in = {ADZE_f32, 2, {5, 3}, x}, out = {ADZE_f32, 2, {5, 3}, y};
    add_test(&im, "run", 1, &in, 1, &out);
    check(&im, "bounded", ADZE_TREE_WEIGHTS_AUTO);
    finish(&im);
}

/* Two models in one image; the same tree twice; what the objects define and need. */
static void images(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) {
        image im = start("portable");
        add_conv(&im, "first");
        add(&im, "second", flow_text);
        char dir[160];
        snprintf(dir, sizeof dir, "%s/two%d", folder, i);
        assert_true(write_tree(&im, dir, ADZE_TREE_WEIGHTS_AUTO));
        finish(&im);
    }
    assert_int_equal(shell("diff -r %s/two0 %s/two1", folder, folder), 0);
    assert_int_equal(shell("make -s -C %s/two0 all check > %s/log 2>&1", folder, folder), 0);
    assert_int_equal(shell("! nm -g --defined-only %s/two0/build/libfirst.a | grep -E ' [A-Z] ' | "
                           "grep -vE ' (first|second)_'",
                           folder),
                     0);
    assert_int_equal(shell("! nm -u %s/two0/build/libfirst.a | grep -E 'alloc|free|print|open|write'",
                           folder),
                     0);
}

static void refusals(void **state) {
    (void)state;
    static const struct {
        const char *body, *says;
    } cases[] = {
        {"%v = arith.constant dense<0.0> : vector<4xf32>\n    %w = vector.shuffle %v, %v [0] : vector<4xf32>, vector<4xf32>\n",
         "arith.constant"},
        {"%a = memref.alloc() : memref<4xf32>\n    memref.dealloc %a : memref<4xf32>\n", "memref.alloc"},
        {"%c = arith.constant 1.0 : f16\n    %d = arith.addf %c, %c : f16\n    %i = arith.constant 0 : index\n"
         "    memref.store %d, %h[%i] : memref<4xf16>\n",
         "arith.addf"},
    };
    for (size_t i = 0; i < ADZE_COUNT(cases); i++) {
        image im = start("portable");
        adze_text text = {0}, out = {0};
        adze_text_printf(&text,
                         "module {\n  func.func private @k(%%h: memref<4xf16> {adze.access = \"write\"}) "
                         "attributes {adze.kernel} {\n    %s    return\n  }\n  func.func @run(%%h: memref<4xf16> "
                         "{adze.access = \"write\"}) attributes {adze.entry} {\n    func.call @k(%%h) : "
                         "(memref<4xf16>) -> ()\n    return\n  }\n}\n",
                         cases[i].body);
        add(&im, "bad", text.data);
        char dir[160];
        snprintf(dir, sizeof dir, "%s/bad", folder);
        assert_false(write_tree(&im, dir, ADZE_TREE_WEIGHTS_AUTO));
        adze_diagnostics_print(&im.ctx->diags, &out);
        if (!strstr(out.data, cases[i].says))
            fail_msg("the error does not name %s: %s", cases[i].says, out.data);
        assert_int_equal(shell("! ls -d %s* 2>/dev/null", dir), 0); /* nothing left behind */
        adze_text_free(&text);
        adze_text_free(&out);
        finish(&im);
    }
    image im = start("portable"); /* a folder that is not ours stays as it is */
    add_conv(&im, "conv");
    char dir[160];
    snprintf(dir, sizeof dir, "%s/theirs", folder);
    assert_int_equal(shell("mkdir %s && touch %s/file", dir, dir), 0);
    assert_false(write_tree(&im, dir, ADZE_TREE_WEIGHTS_AUTO));
    assert_int_equal(shell("test -e %s/file", dir), 0);
    finish(&im);
}

static int set_up(void **state) {
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/adze-emit-XXXXXX");
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
        cmocka_unit_test(reads_well),   cmocka_unit_test(convolution),  cmocka_unit_test(quantized),
        cmocka_unit_test(integer_edges), cmocka_unit_test(control_flow), cmocka_unit_test(small_floats),
        cmocka_unit_test(bounded),      cmocka_unit_test(images),       cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
