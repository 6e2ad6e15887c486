/* adze's own verifier, after MLIR's: what IRDL cannot say. Unknown attributes, kinds, symbols and
 * element types of every operation of ours, optional operands that are not optional, and types that
 * are not complete; values that are too large. Extents and axes: verify_shapes.c. */
#include "ir/plan.h"
#include "ir/verify.h"

#include <mlir-c/BuiltinAttributes.h>
#include <mlir-c/BuiltinTypes.h>

#include <string.h>

static const char *const unary_kinds[] = {
#define UNARY(kind, params, meaning) #kind,
#define BINARY(kind, result)
#include "ir/kinds.def"
#undef UNARY
#undef BINARY
};
static const int unary_params[] = {
#define UNARY(kind, params, meaning) params,
#define BINARY(kind, result)
#include "ir/kinds.def"
#undef UNARY
#undef BINARY
};
static const char *const binary_kinds[] = {
#define UNARY(kind, params, meaning)
#define BINARY(kind, result) #kind,
#include "ir/kinds.def"
#undef UNARY
#undef BINARY
};

#define LAYOUTS " channels_first channels_last "

/* String attributes with a closed set of values. */
static const struct {
    adze_op op;
    const char *attr, *values; /* space-separated, with a space at both ends */
} closed[] = {
    {ADZE_OP_reduce, "kind",
     " sum mean max min prod l1 l2 log_sum log_sum_exp sum_square "},
    {ADZE_OP_arg_reduce, "kind", " max min "},
    {ADZE_OP_cumulate, "kind", " sum prod "},
    {ADZE_OP_pool, "kind", " max average lp "},
    {ADZE_OP_pool, "layout", LAYOUTS},
    {ADZE_OP_conv, "layout", LAYOUTS},
    {ADZE_OP_conv_transpose, "layout", LAYOUTS},
    {ADZE_OP_pad, "mode", " constant reflect edge wrap "},
    {ADZE_OP_scatter_elements, "reduction", " none add mul max min "},
    {ADZE_OP_scatter_nd, "reduction", " none add mul max min "},
    {ADZE_OP_resize, "mode", " nearest linear cubic "},
    {ADZE_OP_grid_sample, "mode", " nearest linear cubic "},
    {ADZE_OP_rnn, "direction", " forward reverse bidirectional "},
    {ADZE_OP_gru, "direction", " forward reverse bidirectional "},
    {ADZE_OP_lstm, "direction", " forward reverse bidirectional "},
};

typedef struct state {
    adze_context *ctx;
    MlirModule module;
    bool ok;
} state;

static void fail(state *s, MlirOperation op, const char *what, const char *name) {
    MlirStringRef full = mlirIdentifierStr(mlirOperationGetName(op));
    adze_error(&s->ctx->diags, adze_node(s->ctx, op), "%.*s: %s%s", (int)full.length, full.data, what,
               *name ? adze_arena_printf(s->ctx->arena, " '%s'", name) : "");
    s->ok = false;
}

static int index_of(const char *name, const char *const *names, size_t n) {
    for (size_t i = 0; name && i < n; i++)
        if (!strcmp(names[i], name))
            return (int)i;
    return -1;
}

static void check_attributes(state *s, MlirOperation op, const adze_op_info *info) {
    for (intptr_t i = 0; i < mlirOperationGetNumAttributes(op); i++) {
        MlirStringRef name = mlirIdentifierStr(mlirOperationGetAttribute(op, i).name);
        bool known = (name.length > 5 && !memcmp(name.data, "adze.", 5)) ||
                     mlirStringRefEqual(name, mlirStringRefCreateFromCString("operandSegmentSizes"));
        for (int j = 0; j < info->n_attrs && !known; j++)
            known = strlen(info->attrs[j].name) == name.length &&
                    !memcmp(info->attrs[j].name, name.data, name.length);
        if (!known)
            fail(s, op, "unknown attribute",
                 adze_arena_strndup(s->ctx->arena, name.data, name.length));
    }
    for (int j = 0; j < info->n_attrs; j++) {
        MlirAttribute a = adze_get(op, info->attrs[j].name);
        const char *kind = info->attrs[j].kind;
        if (mlirAttributeIsNull(a)) /* MLIR has said so already */
            continue;
        if ((!strcmp(kind, "bool") && !mlirAttributeIsABool(a)) ||
            (!strcmp(kind, "i64s") && !mlirAttributeIsADenseI64Array(a)) ||
            (!strcmp(kind, "f64s") && !mlirAttributeIsADenseF64Array(a)) ||
            (!strcmp(kind, "dense") && !mlirAttributeIsADenseElements(a)))
            fail(s, op, "ill-typed attribute", info->attrs[j].name);
    }
}

static void check_symbol(state *s, MlirOperation op, const char *attr, const char *kind) {
    const char *name = adze_get_str(s->ctx, op, attr);
    if (name && mlirOperationIsNull(adze_symbol(s->module, kind, name)))
        fail(s, op, "no such symbol", name);
}

/* Operations of level 3 on scalars and vectors: MLIR's verifier has seen all there is. */
static bool is_scalar_op(adze_op which) {
    return which == ADZE_OP_requantize || which == ADZE_OP_instruction || which == ADZE_OP_active ||
           which == ADZE_OP_lanes || which == ADZE_OP_load_word;
}

static void check_values(state *s, MlirOperation op, adze_op which, const adze_op_info *info) {
    if (is_scalar_op(which))
        return;
    for (int i = 0; i < info->n_operands; i++)
        if (!info->optional[i] && adze_is_none(mlirOperationGetOperand(op, i)))
            fail(s, op, "operand is missing:", info->operands[i]);
    if (which == ADZE_OP_none)
        return;
    for (int i = 0; i < info->n_results; i++) {
        MlirType type = mlirValueGetType(mlirOperationGetResult(op, i));
        adze_shape shape;
        if (mlirTypeEqual(type, s->ctx->none_type))
            continue;
        if (!adze_shape_of(s->ctx, type, &shape) || shape.dtype == ADZE_NO_DTYPE) {
            fail(s, op, "result's type is not a ranked tensor of a known element type:",
                 info->results[i]);
            continue;
        }
        if (mlirTypeIsAMemRef(type)) /* memrefs have no encoding: an attribute names the extents */
            adze_get_strs(s->ctx, op, "adze.dims", ADZE_MAX_RANK, shape.symbols);
        for (int d = 0; d < shape.rank; d++)
            if (shape.dims[d] < 0 &&
                (!shape.symbols[d] ||
                 mlirOperationIsNull(adze_symbol(s->module, "adze.dim", shape.symbols[d]))))
                fail(s, op, "an unknown extent names no adze.dim:", info->results[i]);
    }
}

/* No value is larger than sizes can be added up. */
static void check_size(state *s, MlirOperation op, MlirValue value) {
    adze_shape shape;
    if (adze_value_shape(s->ctx, value, &shape) && shape.dtype != ADZE_NO_DTYPE &&
        adze_shape_bytes(s->module, &shape) >= ADZE_MAX_BYTES)
        fail(s, op, "a value is impossibly large:", "2^48 bytes or more");
}

static void check_sizes(state *s, MlirOperation op) {
    for (intptr_t i = 0; i < mlirOperationGetNumResults(op); i++)
        check_size(s, op, mlirOperationGetResult(op, i));
    for (intptr_t r = 0; r < mlirOperationGetNumRegions(op); r++)
        for (MlirBlock b = mlirRegionGetFirstBlock(mlirOperationGetRegion(op, r)); !mlirBlockIsNull(b);
             b = mlirBlockGetNextInRegion(b))
            for (intptr_t i = 0; i < mlirBlockGetNumArguments(b); i++)
                check_size(s, op, mlirBlockGetArgument(b, i));
}

/* A view shows no more bytes than there are. */
static void check_view(state *s, MlirOperation op) {
    adze_shape of, view;
    if (!adze_value_shape(s->ctx, mlirOperationGetOperand(op, 0), &of) ||
        !adze_value_shape(s->ctx, mlirOperationGetResult(op, 0), &view) ||
        of.dtype != view.dtype || of.dtype == ADZE_NO_DTYPE ||
        adze_shape_bytes(s->module, &view) > adze_shape_bytes(s->module, &of))
        fail(s, op, "reaches outside its operand:", "result");
}

/* What a symbol stands for and the value read of it are alike, but for quantization. */
static void check_symbol_type(state *s, MlirOperation op, const char *attr, const char *kind) {
    const char *name = adze_get_str(s->ctx, op, attr);
    MlirOperation symbol = {NULL};
    if (name)
        symbol = adze_symbol(s->module, kind, name);
    if (mlirOperationIsNull(symbol)) /* check_symbol says so */
        return;
    MlirAttribute type = adze_get(symbol, "type");
    adze_shape a, b;
    MlirValue value = mlirOperationGetNumResults(op) ? mlirOperationGetResult(op, 0)
                                                     : mlirOperationGetOperand(op, 0);
    bool ok = !mlirAttributeIsNull(type) && mlirAttributeIsAType(type) &&
              adze_shape_of(s->ctx, mlirTypeAttrGetValue(type), &a) &&
              adze_value_shape(s->ctx, value, &b) && a.dtype == b.dtype && a.rank == b.rank;
    for (int i = 0; ok && i < a.rank; i++)
        ok = a.dims[i] == b.dims[i] && (a.dims[i] >= 0 || !a.symbols[i] || !b.symbols[i] ||
                                        !strcmp(a.symbols[i], b.symbols[i]));
    if (!ok)
        fail(s, op, "its value's type is not that of", name);
}

static void check_symbols(state *s, MlirOperation op, adze_op which) {
    static const struct {
        adze_op op;
        const char *attr, *kind;
        bool typed;
    } uses[] = {
        {ADZE_OP_get_weight, "weight", "adze.weight", true},
        {ADZE_OP_state_read, "state", "adze.state", true},
        {ADZE_OP_state_write, "state", "adze.state", true},
        {ADZE_OP_state_ref, "state", "adze.state", true},
        {ADZE_OP_state_append, "state", "adze.state", false},
    };
    for (size_t i = 0; i < ADZE_COUNT(uses); i++) {
        if (uses[i].op != which)
            continue;
        check_symbol(s, op, uses[i].attr, uses[i].kind);
        if (uses[i].typed)
            check_symbol_type(s, op, uses[i].attr, uses[i].kind);
    }
    if (which == ADZE_OP_dim) {
        int64_t lo = adze_get_i64(op, "lo"), hi = adze_get_i64(op, "hi");
        if (lo < 0 || hi < lo || hi > INT32_MAX)
            fail(s, op, "its bounds are not 0 <= lo <= hi < 2^31:",
                 adze_get_str(s->ctx, op, "sym_name") ? adze_get_str(s->ctx, op, "sym_name") : "");
    }
    int64_t offset = which == ADZE_OP_region ? adze_get_i64(op, "offset") : 0;
    if (offset < 0 || offset > ADZE_MAX_BYTES)
        fail(s, op, "an impossible", "offset");
}

static void check(MlirOperation op, void *user) {
    state *s = user;
    adze_op which = adze_op_of(s->ctx, op);
    check_sizes(s, op);
    if (adze_is_op(op, "memref.reinterpret_cast"))
        check_view(s, op);
    if (which == ADZE_OP_NONE_OF_OURS)
        return;
    size_t before = s->ctx->diags.count;
    const adze_op_info *info = adze_op_info_of(s->ctx, which);
    check_attributes(s, op, info);
    check_values(s, op, which, info);
    const char *kind = adze_get_str(s->ctx, op, "kind");
    if (which == ADZE_OP_unary) {
        int k = index_of(kind, unary_kinds, ADZE_COUNT(unary_kinds));
        if (k < 0)
            fail(s, op, "unknown kind", kind ? kind : "");
        else if (adze_get_f64s(op, "params", 0, NULL) != unary_params[k])
            fail(s, op, "wrong number of params for", kind);
    }
    if (which == ADZE_OP_binary && index_of(kind, binary_kinds, ADZE_COUNT(binary_kinds)) < 0)
        fail(s, op, "unknown kind", kind ? kind : "");
    for (size_t i = 0; i < ADZE_COUNT(closed); i++) {
        if (closed[i].op != which)
            continue;
        const char *value = adze_get_str(s->ctx, op, closed[i].attr);
        if (!value || strchr(value, ' ') ||
            !strstr(closed[i].values, adze_arena_printf(s->ctx->arena, " %s ", value)))
            fail(s, op, adze_arena_printf(s->ctx->arena, "%s is not known:", closed[i].attr),
                 value ? value : "");
    }
    check_symbols(s, op, which);
    if (s->ctx->diags.count != before)
        return;
    const char *bad = adze_verify_shapes(s->ctx, op, which);
    if (bad)
        fail(s, op, bad, "");
}

bool adze_module_verify(adze_context *ctx, MlirModule module) {
    MlirOperation root = mlirModuleGetOperation(module);
    if (!mlirOperationVerify(root)) {
        if (!ctx->diags.count)
            adze_error(&ctx->diags, NULL, "MLIR's verifier refuses the module");
        return false;
    }
    state s = {ctx, module, true};
    adze_walk(root, check, &s);
    return s.ok;
}
