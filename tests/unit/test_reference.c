/* The reference interpreter, one operation at a time, on cases computed by hand.
 *
 * A case names an operation, its attributes, and its operands and results as text:
 *     TYPE[dims]: numbers        "none" is an absent operand
 * From that a module is written, parsed, run and compared. To run some: test_reference WORD... */
#include "reference/reference.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct op_case {
    const char *name, *op, *attrs;
    const char *in[13], *out[4]; /* each ends with NULL */
} op_case;

static const op_case cases[] = {
#include "tests/unit/reference_cases.def"
};

/* ---- text -> type and tensor ---- */

static const char *tensor_type(adze_arena *arena, const char *text) {
    if (!strcmp(text, "none"))
        return "!adze.absent";
    const char *bracket = strchr(text, '[');
    assert_non_null(bracket);
    char *type =
        adze_arena_printf(arena, "tensor<%.*s", (int)strcspn(bracket + 1, "]"), bracket + 1);
    for (char *p = type; *p; p++)
        *p = *p == ',' ? 'x' : *p;
    return adze_arena_printf(arena, "%s%s%.*s>", type, bracket[1] == ']' ? "" : "x",
                             (int)(bracket - text), text);
}

/* The type's name in the IR: ours (f32, u8, bool) become MLIR's. */
static const char *ir_spelling(adze_arena *arena, const char *text) {
    const size_t length = strcspn(text, "[<");
    char *name = adze_arena_strndup(arena, text, length);
    const adze_dtype dtype = text[length] == '[' ? adze_dtype_from_name(name) : ADZE_NO_DTYPE;
    if (dtype == ADZE_NO_DTYPE)
        return text;
    return adze_arena_printf(arena, "%s%s", adze_dtype_get(dtype)->mlir, text + length);
}

static adze_tensor tensor_of(adze_context *ctx, const char *text) {
    char *type_text =
        adze_arena_strdup(ctx->arena, tensor_type(ctx->arena, ir_spelling(ctx->arena, text)));
    adze_shape shape;
    MlirType type = mlirTypeParseGet(ctx->mlir, mlirStringRefCreateFromCString(type_text));
    assert_true(adze_shape_of(ctx, type, &shape));
    adze_tensor t;
    assert_true(adze_tensor_new(ctx->arena, shape.dtype, shape.rank, shape.dims, &t));
    const char *p = strstr(text, "]:");
    p = p ? p + 2 : "";
    for (size_t i = 0, n = adze_tensor_count(&t); i < n; i++) {
        p += strspn(p, " ");
        const size_t length = strcspn(p, " ");
        if (!length)
            fail_msg("'%s' has fewer numbers than elements", text);
        if (t.dtype == ADZE_string)
            ((adze_string *)adze_tensor_data(&t))[i] = (adze_string){p, length};
        else if (adze_dtype_get(t.dtype)->cls == 'F')
            adze_tensor_set_f64(&t, i, strtod(p, NULL));
        else
            adze_tensor_set_i64(
                &t, i, p[0] == '-' ? strtoll(p, NULL, 10) : (int64_t)strtoull(p, NULL, 10));
        p += length;
    }
    return t;
}

/* ---- one case ---- */

static void print_diagnostics(adze_context *ctx) {
    adze_text text = {0};
    adze_diagnostics_print(&ctx->diags, &text);
    if (text.data)
        print_message("%s", text.data);
    adze_text_free(&text);
}

static MlirModule module_of(adze_context *ctx, const op_case *k) {
    adze_text text = {0}, operands = {0}, types = {0}, results = {0}, none = {0}, returned = {0};
    adze_text_puts(&text, "module attributes {adze.level = 1 : i64} { func.func @run(");
    for (int i = 0, n = 0; k->in[i]; i++) {
        const char *type = tensor_type(ctx->arena, ir_spelling(ctx->arena, k->in[i]));
        adze_text_printf(&operands, "%s%%a%d", i ? ", " : "", i);
        adze_text_printf(&types, "%s%s", i ? ", " : "", type);
        if (!strcmp(k->in[i], "none"))
            adze_text_printf(&none, "%%a%d = \"adze.none\"() : () -> !adze.absent\n", i);
        else
            adze_text_printf(&text, "%s%%a%d: %s", n++ ? ", " : "", i, type);
    }
    int n_out = 0;
    for (int n = 0; k->out[n_out]; n_out++) {
        const char *type = tensor_type(ctx->arena, ir_spelling(ctx->arena, k->out[n_out]));
        adze_text_printf(&results, "%s%s", n_out ? ", " : "", type);
        if (strcmp(k->out[n_out], "none"))
            adze_text_printf(&returned, "%s%s", n++ ? ", " : "", type);
    }
    adze_text_printf(&text, ") -> (%s) attributes {adze.entry} {\n%s", returned.data,
                     none.data ? none.data : "");
    adze_text_printf(&text, "%%r:%d = \"%s\"(%s) {%s} : (%s) -> (%s)\nreturn ", n_out, k->op,
                     operands.data ? operands.data : "", k->attrs, types.data ? types.data : "",
                     results.data);
    for (int i = 0, n = 0; i < n_out; i++)
        if (strcmp(k->out[i], "none"))
            adze_text_printf(&text, "%s%%r#%d", n++ ? ", " : "", i);
    adze_text_printf(&text, " : %s } }", returned.data);
    MlirModule module = adze_module_parse(ctx, text.data, k->name);
    if (mlirModuleIsNull(module)) {
        print_message("%s\n", text.data);
        print_diagnostics(ctx);
        fail_msg("%s: does not parse", k->name);
    }
    adze_text *all[] = {&text, &operands, &types, &results, &none, &returned};
    for (size_t i = 0; i < ADZE_COUNT(all); i++)
        adze_text_free(all[i]);
    return module;
}

static void check(adze_context *ctx, const op_case *k) {
    ctx->diags.count = 0;
    MlirModule module = module_of(ctx, k);
    adze_tensor in[12], want[3], got[3] = {0};
    int n_in = 0, n_out = 0;
    for (int i = 0; k->in[i]; i++)
        if (strcmp(k->in[i], "none"))
            in[n_in++] = tensor_of(ctx, k->in[i]);
    for (int i = 0; k->out[i]; i++)
        if (strcmp(k->out[i], "none"))
            want[n_out++] = tensor_of(ctx, k->out[i]);
    if (!adze_ref_run(ctx, module, "run", in, n_in, got, n_out, NULL, NULL)) {
        print_diagnostics(ctx);
        fail_msg("%s: refused", k->name);
    }
    for (int i = 0; i < n_out; i++) {
        adze_ref_error e;
        if (!adze_ref_compare(&got[i], &want[i], &e) || e.max_rel > 2e-6)
            fail_msg("%s: result %d differs at %zu: got %.9g, want %.9g (same type: %d)", k->name,
                     i, e.worst, e.got, e.want, e.same_type);
    }
    mlirModuleDestroy(module);
}

static const char *const *words;

static void test_cases(void **state) {
    (void)state;
    adze_context *ctx = adze_context_new();
    assert_non_null(ctx);
    for (size_t i = 0; i < ADZE_COUNT(cases); i++) {
        bool wanted = !words || !*words;
        for (const char *const *w = words; w && *w; w++)
            wanted |= strstr(cases[i].name, *w) != NULL;
        if (wanted)
            check(ctx, &cases[i]);
    }
    adze_context_free(ctx);
}

/* ---- whole entries ---- */

static MlirModule parse(adze_context *ctx, const char *text) {
    MlirModule module = adze_module_parse(ctx, text, "test");
    print_diagnostics(ctx);
    assert_false(mlirModuleIsNull(module));
    return module;
}

static double run1(adze_context *ctx, MlirModule module, adze_ref_state *state, const char *input) {
    adze_tensor in = tensor_of(ctx, input), out;
    const bool ok =
        adze_ref_step(ctx, module, "run", state, &in, 1, &out, 1, ctx->arena, NULL, NULL);
    print_diagnostics(ctx);
    assert_true(ok);
    return adze_tensor_get_f64(&out, 0);
}

static void test_control_flow(void **unused) {
    (void)unused;
    adze_context *ctx = adze_context_new();
    /* doubles x while it is below 100, then adds 1 three times, then negates it when above 130 */
    MlirModule module = parse(
        ctx,
        "module attributes {adze.level = 1 : i64} {\n"
        "func.func @run(%x: tensor<f32>) -> tensor<f32> attributes {adze.entry} {\n"
        "  %hundred = \"adze.constant\"() {value = dense<100.0> : tensor<f32>} : () -> "
        "tensor<f32>\n"
        "  %one = \"adze.constant\"() {value = dense<1.0> : tensor<f32>} : () -> tensor<f32>\n"
        "  %w = scf.while (%v = %x) : (tensor<f32>) -> tensor<f32> {\n"
        "    %l = \"adze.binary\"(%v, %hundred) {kind = \"less\"} : (tensor<f32>, tensor<f32>) -> "
        "tensor<i1>\n"
        "    %c = tensor.extract %l[] : tensor<i1>\n"
        "    scf.condition(%c) %v : tensor<f32>\n"
        "  } do {\n"
        "  ^bb0(%v: tensor<f32>):\n"
        "    %d = \"adze.binary\"(%v, %v) {kind = \"add\"} : (tensor<f32>, tensor<f32>) -> "
        "tensor<f32>\n"
        "    scf.yield %d : tensor<f32>\n"
        "  }\n"
        "  %zero = arith.constant 0 : index\n  %three = arith.constant 3 : index\n"
        "  %step = arith.constant 1 : index\n"
        "  %f = scf.for %i = %zero to %three step %step iter_args(%v = %w) -> tensor<f32> {\n"
        "    %s = \"adze.binary\"(%v, %one) {kind = \"add\"} : (tensor<f32>, tensor<f32>) -> "
        "tensor<f32>\n"
        "    scf.yield %s : tensor<f32>\n"
        "  }\n"
        "  %limit = \"adze.constant\"() {value = dense<130.0> : tensor<f32>} : () -> tensor<f32>\n"
        "  %g = \"adze.binary\"(%f, %limit) {kind = \"greater\"} : (tensor<f32>, tensor<f32>) -> "
        "tensor<i1>\n"
        "  %gc = tensor.extract %g[] : tensor<i1>\n"
        "  %r = scf.if %gc -> tensor<f32> {\n"
        "    %n = \"adze.unary\"(%f) {kind = \"neg\", params = array<f64>} : (tensor<f32>) -> "
        "tensor<f32>\n"
        "    scf.yield %n : tensor<f32>\n"
        "  } else {\n    scf.yield %f : tensor<f32>\n  }\n"
        "  return %r : tensor<f32>\n} }");
    assert_float_equal(run1(ctx, module, NULL, "f32[]: 1"), -131, 0);
    assert_float_equal(run1(ctx, module, NULL, "f32[]: 110"), 113, 0);
    mlirModuleDestroy(module);
    adze_context_free(ctx);
}

static void test_state(void **unused) {
    (void)unused;
    adze_context *ctx = adze_context_new();
    MlirModule module = parse(
        ctx,
        "module attributes {adze.level = 1 : i64} {\n"
        "\"adze.dim\"() {sym_name = \"T\", lo = 0 : i64, hi = 3 : i64} : () -> ()\n"
        "\"adze.state\"() {sym_name = \"sum\", type = tensor<f32>, initial = \"\", region = "
        "\"state\"} : () -> ()\n"
        "\"adze.state\"() {sym_name = \"seen\", type = tensor<?xf32, {dims = [\"T\"]}>, initial = "
        "\"\","
        " region = \"state\"} : () -> ()\n"
        "func.func @run(%x: tensor<1xf32>) -> tensor<f32> attributes {adze.entry} {\n"
        "  %s = \"adze.state_read\"() {state = \"sum\"} : () -> tensor<f32>\n"
        "  %v = \"adze.reshape\"(%x) : (tensor<1xf32>) -> tensor<f32>\n"
        "  %t = \"adze.binary\"(%s, %v) {kind = \"add\"} : (tensor<f32>, tensor<f32>) -> "
        "tensor<f32>\n"
        "  \"adze.state_write\"(%t) {state = \"sum\"} : (tensor<f32>) -> ()\n"
        "  \"adze.state_append\"(%x) {state = \"seen\", axis = 0 : i64} : (tensor<1xf32>) -> ()\n"
        "  %all = \"adze.state_read\"() {state = \"seen\"} : () -> tensor<?xf32, {dims = "
        "[\"T\"]}>\n"
        "  \"adze.tap\"(%all) {name = \"seen\"} : (tensor<?xf32, {dims = [\"T\"]}>) -> ()\n"
        "  return %t : tensor<f32>\n} }");
    adze_ref_state *state = adze_ref_state_new(ctx, module);
    assert_non_null(state);
    assert_float_equal(run1(ctx, module, state, "f32[1]: 2"), 2, 0);
    assert_float_equal(run1(ctx, module, state, "f32[1]: 5"), 7, 0);
    const adze_tensor *seen = adze_ref_state_value(state, "seen");
    assert_int_equal(seen->dims[0], 2);
    assert_float_equal(adze_tensor_get_f64(seen, 1), 5, 0);
    assert_float_equal(run1(ctx, module, NULL, "f32[1]: 1"), 1, 0); /* states of its own */
    assert_true(adze_ref_state_reset(state));
    assert_float_equal(run1(ctx, module, state, "f32[1]: 3"), 3, 0);
    run1(ctx, module, state, "f32[1]: 3");
    run1(ctx, module, state, "f32[1]: 3");
    adze_tensor in = tensor_of(ctx, "f32[1]: 3"), out; /* a fourth does not fit */
    assert_false(adze_ref_step(ctx, module, "run", state, &in, 1, &out, 1, ctx->arena, NULL, NULL));
    assert_non_null(strstr(ctx->diags.items[ctx->diags.count - 1].cause, "bound of 'T'"));
    adze_ref_state_free(state);
    mlirModuleDestroy(module);
    adze_context_free(ctx);
}

static void test_bounded(void **unused) {
    (void)unused;
    adze_context *ctx = adze_context_new();
    /* [T,2] flattened to [2T], joined with itself, summed over what is left: every extent follows
     */
    MlirModule module = parse(
        ctx, "#t = {dims = [\"T\", \"\"]}\n#f = {dims = [\"F\"]}\n#g = {dims = [\"G\"]}\n"
             "module attributes {adze.level = 1 : i64} {\n"
             "\"adze.dim\"() {sym_name = \"T\", lo = 1 : i64, hi = 4 : i64} : () -> ()\n"
             "\"adze.dim\"() {sym_name = \"F\", lo = 2 : i64, hi = 8 : i64} : () -> ()\n"
             "\"adze.dim\"() {sym_name = \"G\", lo = 4 : i64, hi = 16 : i64} : () -> ()\n"
             "func.func @run(%x: tensor<?x2xf32, #t>) -> (tensor<f32>, tensor<i64>)"
             " attributes {adze.entry} {\n"
             "  %f = \"adze.reshape\"(%x) : (tensor<?x2xf32, #t>) -> tensor<?xf32, #f>\n"
             "  %g = tensor.concat dim(0) %f, %f : (tensor<?xf32, #f>, tensor<?xf32, #f>)"
             " -> tensor<?xf32, #g>\n"
             "  %s = \"adze.reduce\"(%g) {kind = \"sum\", axes = array<i64: 0>}"
             " : (tensor<?xf32, #g>) -> tensor<f32>\n"
             "  %n = \"adze.extent\"(%g) {axis = 0 : i64} : (tensor<?xf32, #g>) -> tensor<i64>\n"
             "  return %s, %n : tensor<f32>, tensor<i64>\n} }");
    adze_tensor in = tensor_of(ctx, "f32[3,2]: 1 2 3 4 5 6"), out[2];
    assert_true(adze_ref_run(ctx, module, NULL, &in, 1, out, 2, NULL, NULL));
    assert_float_equal(adze_tensor_get_f64(&out[0], 0), 42, 0);
    assert_int_equal(adze_tensor_get_i64(&out[1], 0), 12);
    in = tensor_of(ctx, "f32[5,2]: 1 2 3 4 5 6 7 8 9 10");
    assert_false(adze_ref_run(ctx, module, NULL, &in, 1, out, 2, NULL, NULL));
    assert_string_equal(ctx->diags.items[0].cause, "dimension 'T' is 5, outside 1 to 4");
    mlirModuleDestroy(module);
    adze_context_free(ctx);
}

static void test_errors(void **unused) {
    (void)unused;
    static const struct {
        op_case k;
        const char *says;
    } bad[] = {
        {{"",
          "adze.unary",
          "kind = \"sin\", params = array<f64>, adze.node = \"n1\"",
          {"string[1]: a"},
          {"string[1]: a"}},
         "not defined for string"},
        {{"",
          "adze.gather",
          "axis = 0 : i64, adze.node = \"n1\"",
          {"f32[2]: 1 2", "i64[1]: 2"},
          {"f32[1]: 0"}},
         "index 2 is outside an axis of 2"},
    };
    adze_context *ctx = adze_context_new();
    for (size_t i = 0; i < ADZE_COUNT(bad); i++) {
        MlirModule module = module_of(ctx, &bad[i].k);
        adze_tensor in[2], out;
        int n = 0;
        for (; bad[i].k.in[n] && strcmp(bad[i].k.in[n], "none"); n++)
            in[n] = tensor_of(ctx, bad[i].k.in[n]);
        ctx->diags.count = 0;
        assert_false(adze_ref_run(ctx, module, NULL, in, n, &out, 1, NULL, NULL));
        assert_int_equal(ctx->diags.count, 1);
        assert_string_equal(ctx->diags.items[0].node, "n1");
        if (!strstr(ctx->diags.items[0].cause, bad[i].says))
            fail_msg("'%s' does not say '%s'", ctx->diags.items[0].cause, bad[i].says);
        mlirModuleDestroy(module);
    }
    adze_context_free(ctx);
}

int main(int argc, char **argv) {
    words = argc > 1 ? (const char *const *)argv + 1 : NULL;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),  cmocka_unit_test(test_control_flow),
        cmocka_unit_test(test_state),  cmocka_unit_test(test_bounded),
        cmocka_unit_test(test_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
