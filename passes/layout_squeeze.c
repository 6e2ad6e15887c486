/* Convolutions over axes of one element: [N,H,1,C] is computed as [N,H,C].
 *
 *   x ─ conv [N,H,1,M] ─ relu ─ add        becomes        x ─ view ─ conv [N,H,M] ─ relu ─ add ─ view
 *
 * Register blocks run along the last spatial axis: it should be one that has length. The view behind the
 * convolution sinks through what is elementwise, so that it does not keep the two in kernels apart. */
#include "passes/layout.h"

#include "ir/window.h"

#include <mlir-c/BuiltinAttributes.h>

#include <string.h>

/* The views that sink carry this mark until the end. */
#define MARK "adze.squeezed"

/* `s` without the axes named; an encoding per axis moves along. */
static adze_shape without(adze_context *ctx, const adze_shape *s, const bool *drop) {
    adze_shape out = *s;
    adze_quant q;
    bool per_axis = adze_quant_of(ctx, s->element, &q) && q.axis >= 0;
    int kept = 0, axis = per_axis ? q.axis : -1;
    for (int d = 0; d < s->rank; d++) {
        if (drop[d])
            continue;
        if (d == axis)
            q.axis = kept;
        out.dims[kept] = s->dims[d];
        out.symbols[kept++] = s->symbols[d];
    }
    out.rank = kept;
    if (per_axis)
        adze_quant_type(ctx, &q, &out.element);
    return out;
}

static MlirValue view(adze_builder *b, MlirValue value, const adze_shape *shape, MlirOperation node) {
    adze_named name = {"adze.node", adze_str(b->ctx, adze_node(b->ctx, node))};
    return adze_build1(b, "adze.reshape", 1, &value, adze_tensor_type(b->ctx, shape), 1, &name);
}

/* An attribute of `parts` lists of `n` numbers, without those of dropped axes. */
static MlirAttribute numbers_without(adze_context *ctx, MlirOperation op, const char *name, int n, int parts,
                                     const bool *drop) {
    int64_t v[2 * ADZE_MAX_RANK], kept[2 * ADZE_MAX_RANK];
    int k = 0;
    adze_get_i64s(op, name, 2 * ADZE_MAX_RANK, v);
    for (int i = 0; i < parts * n; i++)
        if (!drop[i % n])
            kept[k++] = v[i];
    return adze_i64s(ctx, k, kept);
}

static void squeeze(MlirOperation op, void *user) {
    adze_layout *l = user;
    adze_context *ctx = l->ctx;
    adze_shape x, w, y;
    if (!adze_is_op(op, "adze.conv") || !adze_value_shape(ctx, mlirOperationGetOperand(op, 0), &x) ||
        !adze_window_axes_of(op, x.rank).last || x.rank < 4 ||
        !adze_value_shape(ctx, mlirOperationGetOperand(op, 1), &w) ||
        !adze_value_shape(ctx, adze_result(op, 0), &y))
        return;
    int n = x.rank - 2, left = n;
    int64_t pads[2 * ADZE_MAX_RANK];
    bool drop[ADZE_MAX_RANK] = {false}, drop_x[ADZE_MAX_RANK] = {false};
    adze_get_i64s(op, "pads", 2 * ADZE_MAX_RANK, pads);
    for (int d = n - 1; d >= 0; d--) {
        drop[d] = left > 1 && x.dims[1 + d] == 1 && y.dims[1 + d] == 1 && w.dims[d] == 1 &&
                  pads[d] == 0 && pads[n + d] == 0;
        drop_x[1 + d] = drop[d];
        left -= drop[d];
    }
    adze_quant q;
    if (left == n || (adze_quant_of(ctx, x.element, &q) && q.axis >= 0) ||
        (adze_quant_of(ctx, y.element, &q) && q.axis >= 0))
        return;
    adze_axes plain = adze_axes_plain(w.rank);
    adze_shape nx = without(ctx, &x, drop_x), nw = without(ctx, &w, drop), ny = without(ctx, &y, drop_x);
    MlirValue operands[3] = {{NULL}, {NULL}, mlirOperationGetOperand(op, 2)};
    if (!adze_layout_constant(l, mlirOperationGetOperand(op, 1), w.dims, &plain, &nw, &operands[1]))
        return;
    adze_builder b = adze_before(ctx, op);
    operands[0] = view(&b, mlirOperationGetOperand(op, 0), &nx, op);
    adze_named attrs[] = {{"strides", numbers_without(ctx, op, "strides", n, 1, drop)},
                          {"pads", numbers_without(ctx, op, "pads", n, 2, drop)},
                          {"dilations", numbers_without(ctx, op, "dilations", n, 1, drop)},
                          {"group", adze_get(op, "group")},
                          {"layout", adze_get(op, "layout")},
                          {"adze.node", adze_str(ctx, adze_node(ctx, op))}};
    b.name = adze_location_name(ctx, op, NULL);
    MlirValue narrow =
        adze_build1(&b, "adze.conv", 3, operands, adze_tensor_type(ctx, &ny), ADZE_COUNT(attrs), attrs);
    MlirValue wide = view(&b, narrow, &y, op);
    adze_set(adze_defining(wide), MARK, mlirUnitAttrGet(ctx->mlir));
    adze_replace(op, &wide);
}

/* ---- sinking ---- */

static bool is_marked(MlirValue value) {
    MlirOperation op = adze_defining(value);
    return !mlirOperationIsNull(op) && !mlirAttributeIsNull(adze_get(op, MARK));
}

static bool same_extents(const adze_shape *a, const adze_shape *b) {
    return a->rank == b->rank && !memcmp(a->dims, b->dims, (size_t)a->rank * sizeof *a->dims);
}

/* The axes of 1 that the view put into `wide`; false when it did something else as well. */
static bool put_in(const adze_shape *narrow, const adze_shape *wide, bool *drop) {
    int k = 0;
    for (int d = 0; d < wide->rank; d++) {
        drop[d] = !(k < narrow->rank && narrow->dims[k] == wide->dims[d]);
        if (drop[d] && wide->dims[d] != 1)
            return false;
        k += !drop[d];
    }
    return k == narrow->rank;
}

/* An operand without the axes that its result does not have any more. */
static MlirValue narrowed(adze_layout *l, MlirOperation op, MlirValue value, const adze_shape *narrow,
                          int rank, const bool *drop) {
    adze_shape s, from;
    if (!adze_value_shape(l->ctx, value, &s) || s.rank == 0)
        return value;
    bool own[ADZE_MAX_RANK] = {false};
    for (int d = 0; d < s.rank; d++)
        own[d] = drop[d + rank - s.rank];
    adze_shape to = without(l->ctx, &s, own);
    if (to.rank == s.rank)
        return value;
    if (is_marked(value)) {
        MlirValue source = mlirOperationGetOperand(adze_defining(value), 0);
        if (adze_value_shape(l->ctx, source, &from) && same_extents(&from, narrow))
            return source;
    }
    adze_axes plain = adze_axes_plain(s.rank);
    MlirValue constant;
    if (adze_layout_constant(l, value, s.dims, &plain, &to, &constant))
        return constant;
    adze_builder b = adze_before(l->ctx, op);
    return view(&b, value, &to, op);
}

static bool is_elementwise(adze_context *ctx, MlirOperation op) {
    static const char *const names[] = {"adze.unary", "adze.binary", "adze.where", "adze.cast"};
    for (size_t i = 0; i < ADZE_COUNT(names); i++)
        if (adze_is_op(op, names[i]))
            return true;
    adze_shape y;
    adze_quant q;
    return (adze_is_op(op, "adze.quantize") || adze_is_op(op, "adze.dequantize")) &&
           adze_get_i64(op, "axis") < 0 && adze_value_shape(ctx, adze_result(op, 0), &y) &&
           !(adze_quant_of(ctx, y.element, &q) && q.axis >= 0);
}

static void sink(MlirOperation op, void *user) {
    adze_layout *l = user;
    adze_context *ctx = l->ctx;
    adze_shape y, wide, narrow;
    bool drop[ADZE_MAX_RANK];
    if (!is_elementwise(ctx, op) || !adze_value_shape(ctx, adze_result(op, 0), &y))
        return;
    bool found = false;
    for (int i = 0; i < (int)mlirOperationGetNumOperands(op) && !found; i++) {
        MlirValue value = mlirOperationGetOperand(op, i);
        found = is_marked(value) && adze_value_shape(ctx, value, &wide) && same_extents(&wide, &y) &&
                adze_value_shape(ctx, mlirOperationGetOperand(adze_defining(value), 0), &narrow) &&
                put_in(&narrow, &wide, drop);
    }
    if (!found)
        return;
    for (int i = 0; i < (int)mlirOperationGetNumOperands(op); i++)
        mlirOperationSetOperand(
            op, i, narrowed(l, op, mlirOperationGetOperand(op, i), &narrow, y.rank, drop));
    adze_shape to = without(ctx, &y, drop);
    MlirValue result = adze_result(op, 0);
    mlirValueSetType(result, adze_tensor_type(ctx, &to));
    adze_builder b = adze_before(ctx, mlirOperationGetNextInBlock(op));
    MlirValue back = view(&b, result, &y, op);
    adze_set(adze_defining(back), MARK, mlirUnitAttrGet(ctx->mlir));
    MlirOperation itself = adze_defining(back);
    mlirValueReplaceAllUsesExcept(result, back, 1, &itself);
}

static void unmark(MlirOperation op, void *user) {
    (void)user;
    if (!mlirAttributeIsNull(adze_get(op, MARK)))
        mlirOperationRemoveAttributeByName(op, mlirStringRefCreateFromCString(MARK));
}

void adze_layout_squeeze(adze_layout *l) {
    MlirOperation root = mlirModuleGetOperation(l->module);
    adze_walk(root, squeeze, l);
    adze_walk(root, sink, l);
    adze_walk(root, unmark, l);
}
