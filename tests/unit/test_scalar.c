/* Every kind of kinds.def on every element type: what is defined builds operations that verify and is
 * within the emitter's set; what is not is an error that names kind and type. */
#include "ir/scalar.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <mlir-c/BuiltinTypes.h>
#include <stdio.h>
#include <string.h>

static const struct kind {
    const char *name;
    bool unary, to_bool;
} kinds[] = {
#define UNARY(kind, n, doc) {#kind, true, false},
#define BINARY(kind, result) {#kind, false, #result[0] == 'b'},
#include "ir/kinds.def"
#undef UNARY
#undef BINARY
};

/* Operations that the C emitter knows. */
static const char *const emitted[] = {
#define ROW(op, handler, c, prec, pure) op,
#include "codegen/emit_ops.def"
#undef ROW
};

static void check_emitted(MlirOperation op, void *user) {
    (void)user;
    MlirStringRef name = mlirIdentifierStr(mlirOperationGetName(op));
    for (size_t i = 0; i < ADZE_COUNT(emitted); i++)
        if (name.length == strlen(emitted[i]) && !memcmp(name.data, emitted[i], name.length))
            return;
    if (!adze_is_op(op, "func.func"))
        fail_msg("no C for %.*s", (int)name.length, name.data);
}

/* A module with a function f that takes what memory holds of the given types; builder in its body. */
typedef struct fixture {
    adze_context *ctx;
    MlirModule module;
    MlirBlock block;
    adze_builder b;
} fixture;

static fixture start(adze_context *ctx, int n, const adze_dtype *types) {
    adze_text text = {0};
    adze_text_puts(&text, "module { func.func @f(");
    for (int i = 0; i < n; i++)
        adze_text_printf(&text, "%s%%a%d: %s", i ? ", " : "", i, adze_dtype_get(types[i])->mlir);
    adze_text_puts(&text, ") { return } }");
    fixture f = {.ctx = ctx, .module = adze_module_parse(ctx, text.data, "test")};
    assert_false(mlirModuleIsNull(f.module));
    MlirOperation function = adze_symbol(f.module, "func.func", "f");
    f.block = mlirRegionGetFirstBlock(mlirOperationGetRegion(function, 0));
    f.b = adze_before(ctx, mlirBlockGetTerminator(f.block));
    adze_text_free(&text);
    return f;
}

static void finish(fixture *f, const char *what, adze_scalar result) {
    MlirValue out = adze_scalar_out(&f->b, result);
    assert_true(mlirTypeEqual(mlirValueGetType(out), adze_element_type(f->ctx, result.dtype)));
    if (!mlirOperationVerify(mlirModuleGetOperation(f->module))) {
        adze_text text = {0};
        adze_module_print(f->module, &text);
        adze_diagnostics_print(&f->ctx->diags, &text);
        fail_msg("%s does not verify:\n%s", what, text.data);
    }
    adze_walk(mlirModuleGetOperation(f->module), check_emitted, NULL);
    mlirModuleDestroy(f->module);
}

static bool is_scalar(adze_dtype d) { return strchr("FIUB", adze_dtype_get(d)->cls) != NULL; }

static void every_kind_on_every_type(void **state) {
    adze_context *ctx = *state;
    const double params[2] = {0.25, 1};
    int defined = 0;
    for (size_t k = 0; k < ADZE_COUNT(kinds); k++) {
        for (int d = 1; d < ADZE_N_DTYPES; d++) {
            if (!is_scalar((adze_dtype)d))
                continue;
            char what[64];
            snprintf(what, sizeof what, "%s of %s", kinds[k].name, adze_dtype_get((adze_dtype)d)->name);
            fixture f = start(ctx, 2, (adze_dtype[]){(adze_dtype)d, (adze_dtype)d});
            adze_scalar x = adze_scalar_in(&f.b, mlirBlockGetArgument(f.block, 0), (adze_dtype)d), out;
            adze_scalar y = adze_scalar_in(&f.b, mlirBlockGetArgument(f.block, 1), (adze_dtype)d);
            size_t errors = ctx->diags.count;
            bool ok = kinds[k].unary ? adze_scalar_unary(&f.b, kinds[k].name, params, x, &out)
                                     : adze_scalar_binary(&f.b, kinds[k].name, x, y, &out);
            if (!ok) {
                assert_int_equal(ctx->diags.count, errors + 1);
                assert_non_null(strstr(ctx->diags.items[errors].cause, kinds[k].name));
                assert_false(adze_dtype_get((adze_dtype)d)->cls == 'F' &&
                             strncmp(kinds[k].name, "bit_", 4) && strncmp(kinds[k].name, "shift", 5) &&
                             strcmp(kinds[k].name, "not") && strcmp(kinds[k].name, "and") &&
                             strcmp(kinds[k].name, "or") && strcmp(kinds[k].name, "xor"));
                mlirModuleDestroy(f.module);
                continue;
            }
            defined++;
            bool predicate = kinds[k].to_bool || !strncmp(kinds[k].name, "is_", 3);
            assert_int_equal(out.dtype, predicate ? ADZE_bool : (adze_dtype)d);
            finish(&f, what, out);
        }
    }
    assert_true(defined > 1000);
}

static void casts_between_all_types(void **state) {
    adze_context *ctx = *state;
    for (int from = 1; from < ADZE_N_DTYPES; from++)
        for (int to = 1; to < ADZE_N_DTYPES; to++)
            for (int saturate = 0; saturate < 2; saturate++) {
                if (!is_scalar((adze_dtype)from) || !is_scalar((adze_dtype)to))
                    continue;
                fixture f = start(ctx, 1, (adze_dtype[]){(adze_dtype)from});
                adze_scalar x =
                    adze_scalar_in(&f.b, mlirBlockGetArgument(f.block, 0), (adze_dtype)from), out;
                assert_true(adze_scalar_cast(&f.b, x, (adze_dtype)to, saturate, &out));
                assert_int_equal(out.dtype, to);
                finish(&f, adze_dtype_get((adze_dtype)to)->name, out);
            }
}

static void powers_of_mixed_types(void **state) {
    adze_context *ctx = *state;
    const adze_dtype types[] = {ADZE_f32, ADZE_f64, ADZE_f16, ADZE_i8,  ADZE_i32,
                                ADZE_i64, ADZE_u8,  ADZE_u32, ADZE_u64, ADZE_u4};
    for (size_t i = 0; i < ADZE_COUNT(types); i++)
        for (size_t j = 0; j < ADZE_COUNT(types); j++) {
            fixture f = start(ctx, 2, (adze_dtype[]){types[i], types[j]});
            adze_scalar x = adze_scalar_in(&f.b, mlirBlockGetArgument(f.block, 0), types[i]), out;
            adze_scalar y = adze_scalar_in(&f.b, mlirBlockGetArgument(f.block, 1), types[j]);
            assert_true(adze_scalar_binary(&f.b, "pow", x, y, &out));
            assert_int_equal(out.dtype, types[i]);
            finish(&f, "pow", out);
        }
}

static int count_ops(MlirBlock block) {
    int n = 0;
    for (MlirOperation op = mlirBlockGetFirstOperation(block); !mlirOperationIsNull(op);
         op = mlirOperationGetNextInBlock(op))
        n += !adze_is_op(op, "arith.constant");
    return n - 1; /* without the return */
}

/* Parameters that change nothing leave no operation behind. */
static void constants_fold(void **state) {
    adze_context *ctx = *state;
    static const struct {
        const char *kind;
        adze_dtype dtype;
        double params[2];
        int ops;
    } cases[] = {
        {"clip", ADZE_f32, {-1.0 / 0.0, 1.0 / 0.0}, 0}, {"clip", ADZE_f32, {0, 1.0 / 0.0}, 2},
        {"clip", ADZE_f32, {0, 6}, 4},                  {"clip", ADZE_i8, {-300, 300}, 0},
        {"clip", ADZE_u64, {0, 1e30}, 1},               {"clip", ADZE_i32, {0, 5}, 2},
        {"is_inf", ADZE_f32, {0, 1}, 1},                {"is_inf", ADZE_f32, {1, 1}, 3},
        {"swish", ADZE_f32, {1, 0}, 4},                 {"hard_sigmoid", ADZE_f32, {1, 0}, 5},
        {"relu", ADZE_u8, {0, 0}, 0},
    };
    for (size_t i = 0; i < ADZE_COUNT(cases); i++) {
        fixture f = start(ctx, 1, &cases[i].dtype);
        adze_scalar x = {mlirBlockGetArgument(f.block, 0), cases[i].dtype}, out;
        if (adze_dtype_get(cases[i].dtype)->cls == 'U')
            x = adze_scalar_in(&f.b, x.value, x.dtype);
        int before = count_ops(f.block);
        assert_true(adze_scalar_unary(&f.b, cases[i].kind, cases[i].params, x, &out));
        int ops = count_ops(f.block) - before;
        if (ops != cases[i].ops) {
            adze_text text = {0};
            adze_module_print(f.module, &text);
            fail_msg("case %zu, %s: %d operations instead of %d\n%s", i, cases[i].kind, ops,
                     cases[i].ops, text.data);
        }
        mlirModuleDestroy(f.module);
    }
}

static void reductions(void **state) {
    adze_context *ctx = *state;
    const char *const combines[] = {"sum", "prod", "max", "min"};
    const adze_dtype types[] = {ADZE_f32, ADZE_f64, ADZE_i8, ADZE_u8, ADZE_i32, ADZE_u64, ADZE_i64};
    for (size_t i = 0; i < ADZE_COUNT(combines); i++)
        for (size_t j = 0; j < ADZE_COUNT(types); j++) {
            fixture f = start(ctx, 1, &types[j]);
            adze_scalar x = adze_scalar_in(&f.b, mlirBlockGetArgument(f.block, 0), types[j]), out;
            adze_scalar acc = adze_scalar_neutral(&f.b, combines[i], types[j]);
            assert_true(adze_scalar_combine(&f.b, combines[i], acc, x, &out));
            finish(&f, combines[i], out);
        }
}

static int set_up(void **state) { return !(*state = adze_context_new()); }
static int tear_down(void **state) {
    adze_context_free(*state);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_on_every_type), cmocka_unit_test(casts_between_all_types),
        cmocka_unit_test(powers_of_mixed_types),    cmocka_unit_test(constants_fold),
        cmocka_unit_test(reductions),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
