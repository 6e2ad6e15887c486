/* Losses over class scores [N,C,...] and targets [N,...]. */
#include "frontend/onnx/importer.h"

#include <string.h>

/* -w[target] * score[target], 0 where the target is ignored; then none, sum or a mean by weight. */
static val *pick_loss(node *n, val *scores, val *target, val *weight) {
    if (!scores || !target || !weight)
        return NULL;
    int rank = scores->shape.rank;
    const char *reduction = ox_attr_s(n, "reduction", "mean");
    if (rank < 2 || target->shape.rank != rank - 1 ||
        (strcmp(reduction, "mean") && strcmp(reduction, "sum") && strcmp(reduction, "none"))) {
        ox_fail(n, "its scores, targets and reduction do not fit together");
        return NULL;
    }
    bool ignores = ox_attr(n, "ignore_index") != NULL;
    val *ignored = &n->imp->absent, *index = target, *loss, *zero = ox_number(n, scores, 0);
    if (ignores) {
        val *which = ox_number(n, target, (double)ox_attr_i(n, "ignore_index", 0));
        ignored = ox_binary(n, "equal", target, which);
        index = ox_where(n, ignored, ox_number(n, target, 0), target);
    }
    if (!index)
        return NULL;
    adze_shape s = scores->shape;
    s.dims[1] = 1;
    loss = ox_emit(n, "gather_elements", VALS(scores, ox_unsqueeze(n, index, 1)), &s,
                   ATTRS({"axis", adze_i64(n->ctx, 1)}));
    loss = loss ? ox_unary(n, "neg", ox_reshape_to(n, loss, &target->shape)) : NULL;
    val *share = NULL; /* what each element counts in the mean */
    if (weight->kind == VAL_TENSOR) {
        share = ox_gather(n, weight, index, 0);
    } else if (ignores) {
        share = ox_full(n, &target->shape, ox_number(n, scores, 1));
    }
    if (ignores) {
        loss = ox_where(n, ignored, zero, loss);
        share = ox_where(n, ignored, zero, share);
    }
    if (share)
        loss = ox_binary(n, "mul", loss, share);
    if (!strcmp(reduction, "none"))
        return loss;
    int64_t axes[ADZE_MAX_RANK];
    for (int i = 0; i < rank - 1; i++)
        axes[i] = i;
    if (!strcmp(reduction, "mean") && !share)
        return ox_reduce(n, "mean", loss, rank - 1, axes, false);
    val *sum = ox_reduce(n, "sum", loss, rank - 1, axes, false);
    if (!strcmp(reduction, "sum"))
        return sum;
    return ox_binary(n, "div", sum, ox_reduce(n, "sum", share, rank - 1, axes, false));
}

bool ox_op_nll_loss(node *n) {
    return ox_out(n, 0, pick_loss(n, ox_need(n, 0, "input"), ox_need(n, 1, "target"), ox_in(n, 2)));
}

bool ox_op_softmax_loss(node *n) {
    val *scores = ox_need(n, 0, "scores");
    if (!scores || scores->shape.rank < 2)
        return false;
    val *log = ox_softmax(n, scores, 1, true);
    return ox_out(n, 0, pick_loss(n, log, ox_need(n, 1, "labels"), ox_in(n, 2))) &&
           ox_out(n, 1, log);
}
