/* Schedules for microcontrollers: 8-bit convolutions by the families of codegen/mcu.h. */
#include "ir/window.h"
#include "passes/schedule.h"

#include <string.h>

static bool in_group(const adze_group *group, MlirValue value) {
    MlirOperation op = adze_defining(value);
    for (int i = 0; i < group->n && !mlirOperationIsNull(op); i++)
        if (mlirOperationEqual(group->ops[i], op))
            return true;
    return false;
}

/* Elementwise operations only behind the convolution, whose other operands are read at the same element or by channel. */
static bool flat_epilogue(adze_context *ctx, const adze_group *group, MlirOperation conv, const adze_shape *y) {
    bool behind = false;
    for (int i = 0; i < group->n; i++) {
        MlirOperation op = group->ops[i];
        adze_shape s;
        for (intptr_t k = 0; behind && k < mlirOperationGetNumOperands(op); k++) {
            MlirValue operand = mlirOperationGetOperand(op, k);
            if (adze_is_none(operand) || in_group(group, operand) || !adze_value_shape(ctx, operand, &s))
                continue;
            int64_t last = s.rank ? s.dims[s.rank - 1] : 1, count = adze_shape_count(&s);
            bool same = s.rank == y->rank && !memcmp(s.dims, y->dims, (size_t)s.rank * sizeof *s.dims);
            if (!same && count != 1 && (count != last || last != y->dims[y->rank - 1]))
                return false;
        }
        if (behind && (adze_fuse_class_of(ctx, op) != ADZE_FUSE_POINTWISE || mlirOperationGetNumResults(op) != 1 ||
                       !adze_value_shape(ctx, adze_result(op, 0), &s) || s.rank != y->rank ||
                       memcmp(s.dims, y->dims, (size_t)s.rank * sizeof *s.dims)))
            return false;
        behind |= mlirOperationEqual(op, conv);
    }
    return behind;
}

static bool is_code(adze_context *ctx, const adze_shape *s, bool weight) {
    adze_quant q;
    adze_dtype storage = s->dtype;
    if (adze_quant_of(ctx, s->element, &q)) {
        storage = q.storage;
        for (int i = 0; weight && i < q.n; i++)
            if (q.zero_point[i])
                return false;
        if (!weight && q.n != 1)
            return false;
    }
    return storage == ADZE_i8 || (storage == ADZE_u8 && !weight);
}

/* Pixels of a block: the last one may compute some pixels again. */
static int64_t block_rows(int64_t pixels) {
    static const double cost[] = {0, 1.3, 1.05, 0.95}; /* instructions per product, about */
    int64_t best = 1;
    double least = 0;
    for (int64_t rows = 1; rows < (int64_t)ADZE_COUNT(cost) && rows <= pixels; rows++) {
        double all = (double)((pixels + rows - 1) / rows * rows) * cost[rows];
        if (rows == 1 || all < least) {
            least = all;
            best = rows;
        }
    }
    return best;
}

bool adze_schedule_mcu(adze_context *ctx, const adze_target *target, const adze_group *group, MlirOperation conv,
                       adze_schedule *out) {
    adze_shape x, w, y;
    enum { MOST_AXES = 4 }; /* volumes: the patches are not right yet for three axes (regressions.tsv) */
    if (!target || !adze_is_op(conv, "adze.conv") || !adze_value_shape(ctx, mlirOperationGetOperand(conv, 0), &x) ||
        !adze_value_shape(ctx, mlirOperationGetOperand(conv, 1), &w) ||
        !adze_value_shape(ctx, adze_result(conv, 0), &y) || !adze_window_axes_of(conv, x.rank).last ||
        x.rank > MOST_AXES)
        return false;
    if (!is_code(ctx, &x, false) || !is_code(ctx, &w, true) || in_group(group, mlirOperationGetOperand(conv, 0)) ||
        !flat_epilogue(ctx, group, conv, &y))
        return false;
    MlirOperation weight = adze_defining(mlirOperationGetOperand(conv, 1));
    MlirValue bias = mlirOperationGetOperand(conv, 2);
    MlirOperation bias_op = adze_is_none(bias) ? (MlirOperation){NULL} : adze_defining(bias);
    if (mlirOperationIsNull(weight) || !adze_is_op(weight, "adze.get_weight") ||
        (!adze_is_none(bias) && (mlirOperationIsNull(bias_op) || !(adze_is_op(bias_op, "adze.get_weight") ||
                                                                   adze_is_op(bias_op, "adze.constant")))))
        return false;
    int64_t pads[2 * ADZE_MAX_RANK], pixels = 1;
    int n_pads = adze_get_i64s(conv, "pads", 2 * ADZE_MAX_RANK, pads);
    for (int i = 0; i < n_pads; i++)
        if (pads[i] < 0)
            return false;
    for (int d = 0; d < x.rank; d++)
        if (x.dims[d] < 1 || y.dims[d] < 1 || (d < x.rank - 1 && __builtin_mul_overflow(pixels, y.dims[d], &pixels)))
            return false;
    const int64_t groups = adze_get_i64(conv, "group"), channels = y.dims[y.rank - 1];
    adze_quant q;
    bool is_signed = adze_quant_of(ctx, x.element, &q) ? q.storage == ADZE_i8 : x.dtype == ADZE_i8;
    bool depthwise = groups > 1 && groups == channels && w.dims[w.rank - 2] == 1 && y.rank > 2;
    if (depthwise && is_signed && channels % 16 == 0 && adze_target_instruction(target, "mull.even", "s16x8")) {
        *out = (adze_schedule){.family = "helium_depthwise", .lanes = 16, .rows = 1};
        return true;
    }
    if (depthwise && channels % 4 == 0 && adze_target_instruction(target, "dsp.smlabb", "s32")) {
        *out = (adze_schedule){.family = "dsp_depthwise", .lanes = 4, .rows = 1};
        return true;
    }
    if (groups == 1 && is_signed && adze_target_instruction(target, "load.words", "s8x16") &&
        adze_target_instruction(target, "dot.accumulate", "s8x16")) {
        *out = (adze_schedule){.family = "helium", .lanes = 16, .rows = pixels < 3 ? pixels : 3, .vectors = 2, .depth = 16};
        return true;
    }
    if (groups == 1 && adze_target_instruction(target, "dsp.smlad", "s32")) {
        *out = (adze_schedule){.family = "dsp", .lanes = 1, .rows = block_rows(pixels), .vectors = 2, .depth = 4};
        return true;
    }
    return false;
}
