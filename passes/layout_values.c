/* Values in another order of axes. See layout.h. */
#include "passes/layout.h"

#include <mlir-c/BuiltinAttributes.h>
#include <mlir-c/BuiltinTypes.h>

#include <string.h>

/* One copy for all that want a value in one order; constants are known by their weight. */
struct adze_layout_copy {
    struct adze_layout_copy *next;
    const void *value;
    const char *weight;
    MlirType type; /* of the copy */
    adze_axes have, want;
    MlirValue copy;
};

static const char *weight_of(adze_layout *l, MlirValue value) {
    MlirOperation op = adze_defining(value);
    return !mlirOperationIsNull(op) && adze_is_op(op, "adze.get_weight")
               ? adze_get_str(l->ctx, op, "weight")
               : NULL;
}

/* Behind what makes the value; a block's argument: at the block's start. */
static adze_builder behind(adze_layout *l, MlirValue value) {
    MlirOperation op = adze_defining(value);
    MlirOperation next = mlirOperationIsNull(op)
                             ? mlirBlockGetFirstOperation(mlirBlockArgumentGetOwner(value))
                             : mlirOperationGetNextInBlock(op);
    return adze_before(l->ctx, next);
}

static const char *node_name(adze_layout *l, MlirValue value) {
    MlirOperation op = adze_defining(value);
    if (!mlirOperationIsNull(op) && *adze_node(l->ctx, op))
        return adze_node(l->ctx, op);
    MlirOpOperand use = mlirValueGetFirstUse(value);
    return mlirOpOperandIsNull(use) ? "" : adze_node(l->ctx, mlirOpOperandGetOwner(use));
}

bool adze_layout_constant(adze_layout *l, MlirValue value, const int64_t *dims, const adze_axes *axes,
                          const adze_shape *shape, MlirValue *out) {
    adze_tensor from, to;
    if (!adze_constant_value(l->ctx, l->module, value, &from) ||
        !adze_tensor_new(l->ctx->arena, from.dtype, shape->rank, shape->dims, &to))
        return false;
    const size_t n = adze_tensor_count(&from), size = adze_dtype_get(from.dtype)->host_bytes;
    int64_t extent[ADZE_MAX_RANK], step[ADZE_MAX_RANK], index[ADZE_MAX_RANK] = {0}, whole = 1;
    int64_t own[ADZE_MAX_RANK];
    for (int d = axes->rank - 1; d >= 0; d--) {
        own[d] = whole;
        whole *= dims[d];
    }
    if ((size_t)whole != n || adze_tensor_count(&to) != n)
        return false;
    for (int d = 0; d < axes->rank; d++) {
        extent[d] = dims[axes->at[d]];
        step[d] = own[axes->at[d]];
    }
    const char *source = from.data;
    char *target = adze_tensor_data(&to);
    int64_t at = 0;
    for (size_t i = 0; i < n; i++) {
        memcpy(target + i * size, source + (size_t)at * size, size);
        for (int d = axes->rank - 1; d >= 0; d--) {
            at += step[d];
            if (++index[d] < extent[d])
                break;
            at -= index[d] * step[d];
            index[d] = 0;
        }
    }
    adze_builder b = behind(l, value);
    const char *weight = weight_of(l, value), *node = node_name(l, value);
    *out = adze_build_constant(&b, l->module, &to, weight ? weight : *node ? node : "constant",
                               shape->element);
    adze_set(adze_defining(*out), "adze.node", adze_str(l->ctx, node));
    return true;
}

static MlirValue remember(adze_layout *l, MlirValue value, const adze_axes *have,
                          const adze_axes *want, MlirValue copy) {
    struct adze_layout_copy *c = ADZE_NEW(l->ctx->arena, struct adze_layout_copy);
    *c = (struct adze_layout_copy){.next = l->copies,
                                   .value = value.ptr,
                                   .weight = weight_of(l, value),
                                   .type = mlirValueGetType(copy),
                                   .have = *have,
                                   .want = *want,
                                   .copy = copy};
    l->copies = c;
    return copy;
}

static MlirValue find(adze_layout *l, MlirValue value, MlirType type, const adze_axes *have,
                      const adze_axes *want) {
    const char *weight = weight_of(l, value);
    for (struct adze_layout_copy *c = l->copies; c; c = c->next) {
        if (!mlirTypeEqual(c->type, type) || !adze_axes_same(&c->have, have) ||
            !adze_axes_same(&c->want, want))
            continue;
        if (c->value == value.ptr)
            return c->copy;
        if (!weight || !c->weight || strcmp(weight, c->weight))
            continue;
        /* the same bytes read in another place: from there the copy cannot be seen, its weight can */
        MlirOperation again = mlirOperationClone(adze_defining(c->copy));
        adze_builder b = behind(l, value);
        adze_insert(&b, again);
        return remember(l, value, have, want, adze_result(again, 0));
    }
    return (MlirValue){NULL};
}

static MlirValue build(adze_layout *l, const char *op, MlirValue value, const adze_shape *shape,
                       const adze_axes *perm) {
    adze_builder b = behind(l, value);
    int64_t at[ADZE_MAX_RANK];
    for (int i = 0; perm && i < perm->rank; i++)
        at[i] = perm->at[i];
    adze_named attrs[] = {{"adze.node", adze_str(l->ctx, node_name(l, value))},
                          {"perm", perm ? adze_i64s(l->ctx, perm->rank, at) : mlirAttributeGetNull()}};
    return adze_build1(&b, op, 1, &value, adze_tensor_type(l->ctx, shape), perm ? 2 : 1, attrs);
}

MlirValue adze_layout_reordered(adze_layout *l, MlirValue value, const adze_axes *have,
                                const adze_axes *want, int rank) {
    adze_shape s;
    if (adze_axes_same(have, want) || !adze_value_shape(l->ctx, value, &s) || s.rank != rank)
        return value;
    adze_axes perm = adze_axes_between(have, want), plain = adze_axes_plain(rank);
    adze_shape to = adze_axes_shape(l->ctx, &s, &perm);
    MlirType type = adze_tensor_type(l->ctx, &to);
    adze_quant q;
    bool per_axis = adze_quant_of(l->ctx, s.element, &q) && q.axis >= 0;
    MlirValue copy = find(l, value, type, have, want);
    if (copy.ptr)
        return copy;
    if (adze_layout_constant(l, value, s.dims, &perm, &to, &copy))
        return remember(l, value, have, want, copy);
    if (!per_axis && !adze_axes_move(&plain, &perm, s.dims))
        return remember(l, value, have, want, build(l, "adze.reshape", value, &to, NULL));
    return remember(l, value, have, want, build(l, "adze.transpose", value, &to, &perm));
}

adze_shape adze_layout_widened(const adze_shape *s, int rank) {
    adze_shape wide = *s;
    int shift = rank - s->rank;
    wide.rank = rank;
    for (int d = 0; d < rank; d++) {
        wide.dims[d] = d < shift ? 1 : s->dims[d - shift];
        wide.symbols[d] = d < shift ? NULL : s->symbols[d - shift];
    }
    return wide;
}

/* [C, 1, 1] for [N, C, H, W] becomes [C] for [N, H, W, C]. */
MlirValue adze_layout_broadcast(adze_layout *l, MlirValue value, const adze_axes *axes) {
    adze_shape s;
    if (!adze_value_shape(l->ctx, value, &s) || adze_shape_count(&s) == 1)
        return value;
    adze_axes plain = adze_axes_plain(axes->rank);
    adze_shape wide = adze_layout_widened(&s, axes->rank);
    adze_shape to = adze_axes_shape(l->ctx, &wide, axes);
    int ones = 0;
    while (ones < to.rank && to.dims[ones] == 1)
        ones++;
    adze_shape narrow = to;
    narrow.rank -= ones;
    for (int d = 0; d < narrow.rank; d++) {
        narrow.dims[d] = to.dims[d + ones];
        narrow.symbols[d] = to.symbols[d + ones];
    }
    adze_axes empty = {0};
    MlirValue copy = find(l, value, adze_tensor_type(l->ctx, &narrow), &empty, axes);
    if (copy.ptr)
        return copy;
    if (adze_layout_constant(l, value, wide.dims, axes, &narrow, &copy))
        return remember(l, value, &empty, axes, copy);
    if (!adze_axes_move(&plain, axes, wide.dims))
        return remember(l, value, &empty, axes, build(l, "adze.reshape", value, &narrow, NULL));
    MlirValue full = build(l, "adze.reshape", value, &wide, NULL);
    return remember(l, value, &empty, axes, build(l, "adze.transpose", full, &to, axes));
}
