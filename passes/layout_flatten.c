/* Flattening in front of a fully connected layer: instead of turning the activations back,
 *
 *   x [N,H,W,C] ─ transpose ─ [N,C,H,W] ─ reshape ─ [N,CHW] ─ relu ─ matmul(w [CHW,M])
 *
 * the rows of the constant w are put into the order in which x is kept. See layout.h. */
#include "passes/layout.h"

#include <string.h>

enum { LONGEST_CHAIN = 8 };

static bool is_constant_matrix(adze_layout *l, MlirValue w, int64_t k, int k_axis) {
    adze_shape s;
    adze_quant q;
    adze_tensor t;
    return adze_value_shape(l->ctx, w, &s) && s.rank == 2 && s.dims[k_axis] == k &&
           !(adze_quant_of(l->ctx, s.element, &q) && q.axis == k_axis) &&
           adze_constant_value(l->ctx, l->module, w, &t);
}

/* Operations on each element for itself, with numbers that are the same for all. */
static bool is_elementwise(adze_layout *l, MlirOperation op) {
    adze_shape s;
    adze_quant q;
    if (adze_is_op(op, "adze.quantize") || adze_is_op(op, "adze.dequantize"))
        return adze_get_i64(op, "axis") < 0 && adze_is_none(mlirOperationGetOperand(op, 1)) &&
               adze_value_shape(l->ctx, adze_result(op, 0), &s) &&
               !(adze_quant_of(l->ctx, s.element, &q) && q.axis >= 0);
    return adze_is_op(op, "adze.unary") || adze_is_op(op, "adze.cast");
}

/* Does everything that reads `value` end in a product with a constant? Turns these round when `axes` is
 * given: the order of the extents `dims` that make up the last axis. */
static bool readers(adze_layout *l, MlirValue value, int depth, int n_dims, const int64_t *dims,
                    const adze_axes *axes) {
    adze_shape s;
    if (!adze_value_shape(l->ctx, value, &s) || depth == LONGEST_CHAIN)
        return false;
    bool any = false;
    for (MlirOpOperand use = mlirValueGetFirstUse(value), next; !mlirOpOperandIsNull(use); use = next) {
        MlirOperation op = mlirOpOperandGetOwner(use);
        next = mlirOpOperandGetNextUse(use);
        any = true;
        if (is_elementwise(l, op)) {
            if (!readers(l, adze_result(op, 0), depth + 1, n_dims, dims, axes))
                return false;
            continue;
        }
        int k_axis = adze_get_bool(op, "trans_b") ? 1 : 0;
        if (!adze_is_op(op, "adze.matmul") || mlirOpOperandGetOperandNumber(use) != 0 ||
            adze_get_bool(op, "trans_a") ||
            !is_constant_matrix(l, mlirOperationGetOperand(op, 1), s.dims[s.rank - 1], k_axis))
            return false;
        if (!axes)
            continue;
        MlirValue w = mlirOperationGetOperand(op, 1), turned;
        adze_shape ws;
        adze_axes order = {.rank = n_dims + 1};
        int64_t whole[ADZE_MAX_RANK];
        adze_value_shape(l->ctx, w, &ws);
        int first = k_axis == 0 ? 0 : 1; /* where w's own axis is split into those of x */
        whole[k_axis == 0 ? n_dims : 0] = ws.dims[!k_axis];
        order.at[k_axis == 0 ? n_dims : 0] = k_axis == 0 ? n_dims : 0;
        for (int d = 0; d < n_dims; d++) {
            whole[first + d] = dims[d];
            order.at[first + d] = first + axes->at[d];
        }
        if (!adze_layout_constant(l, w, whole, &order, &ws, &turned))
            return false;
        mlirOperationSetOperand(op, 1, turned);
    }
    return any;
}

/* How the last axis of y is made of axes of x: those from *from on; false when it is not so, or when the
 * axes before them do not stand where they stood. */
static bool split(const adze_layout_node *node, int *from, int64_t *dims, adze_axes *axes) {
    const adze_shape *x = &node->c.x, *y = &node->c.y;
    if (!adze_is_op(node->c.op, "adze.reshape") || y->rank < 1 || y->dims[y->rank - 1] < 1)
        return false;
    int64_t product = 1;
    int first = x->rank;
    while (first > 0 && product < y->dims[y->rank - 1])
        if (x->dims[--first] < 1 || __builtin_mul_overflow(product, x->dims[first], &product))
            return false;
    if (product != y->dims[y->rank - 1] || x->rank - first + 1 > ADZE_MAX_RANK)
        return false;
    for (int d = 0; d < first; d++)
        if (node->c.in.at[d] != d)
            return false;
    for (int d = first; d < x->rank; d++) {
        dims[d - first] = x->dims[d];
        axes->at[d - first] = node->c.in.at[d] - first;
    }
    axes->rank = x->rank - first;
    *from = first;
    return true;
}

bool adze_layout_flattens(adze_layout *l, adze_layout_node *node) {
    int first;
    int64_t dims[ADZE_MAX_RANK];
    adze_axes axes;
    node->flattened = split(node, &first, dims, &axes) &&
                      readers(l, adze_result(node->c.op, 0), 0, axes.rank, dims, NULL);
    return node->flattened;
}

bool adze_layout_flatten(adze_layout *l) {
    for (adze_layout_node *node = l->list; node; node = node->next) {
        int first;
        int64_t dims[ADZE_MAX_RANK];
        adze_axes axes;
        if (node->flattened && node->chosen &&
            !(split(node, &first, dims, &axes) &&
              readers(l, adze_result(node->c.op, 0), 0, axes.rank, dims, &axes)))
            return adze_error(&l->ctx->diags, adze_node(l->ctx, node->c.op),
                              "its weight could not be put into the order of its input");
    }
    return true;
}
