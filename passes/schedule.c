/* Default schedules from the target's description. See schedule.h. */
#include "passes/schedule.h"
#include "ir/window.h"
#include "passes/plan.h"

#include <stdio.h>
#include <string.h>

/* Does every operation behind the convolution keep its shape, so that its result is walked as the kernel's? */
static bool plain_epilogue(adze_context *ctx, const adze_group *group, MlirOperation conv) {
    bool behind = false;
    for (int i = 0; i < group->n; i++) {
        if (behind && adze_fuse_class_of(ctx, group->ops[i]) != ADZE_FUSE_POINTWISE)
            return false;
        behind |= mlirOperationEqual(group->ops[i], conv);
    }
    return behind;
}

/* ---- the contraction family ---- */

static bool has_row(const adze_target *target, const char *name, const char *element, int64_t lanes,
                    bool scalable) {
    char type[32];
    snprintf(type, sizeof type, scalable ? "%sxN%d" : "%sx%d", element, (int)lanes);
    return adze_target_instruction(target, name, type) != NULL;
}

static bool has_multiply(const adze_target *target, const char *element, int64_t lanes, bool scalable) {
    return has_row(target, "vector.mul", element, lanes, scalable) &&
           has_row(target, "vector.add", element, lanes, scalable) &&
           has_row(target, "vector.splat", element, lanes, scalable) &&
           has_row(target, "vector.load", element, lanes, scalable) &&
           has_row(target, "vector.store", element, lanes, scalable);
}

/* Lanes of 32 bits to compute `outputs` columns with: the widest, or a narrower one that holds them all. */
void adze_schedule_lanes(const adze_target *target, const char *element, int64_t outputs, adze_schedule *s) {
    s->lanes = 1;
    if (!target || !target->vectors.count)
        return;
    if (target->vectors.scalable) {
        static const int64_t multiples[] = {8, 4, 2}; /* RVV: LMUL 4 leaves eight register groups */
        for (size_t i = 0; i < ADZE_COUNT(multiples); i++)
            if (has_multiply(target, element, multiples[i], true)) {
                s->lanes = multiples[i];
                s->scalable = 1;
                return;
            }
        return;
    }
    for (int64_t lanes = target->vectors.bits / 32; lanes > 1; lanes /= 2)
        if (has_multiply(target, element, lanes, false) && (s->lanes == 1 || lanes >= outputs))
            s->lanes = lanes;
}

void adze_register_block(int64_t outputs, int64_t width, int64_t lanes, int64_t registers,
                         adze_schedule *out) {
    enum { MAX_VECTORS = 6, MAX_ROWS = 16, LATENCY = 8 };
    static const double LOAD = 0.3; /* of a multiplication: most loads hide behind them */
    int64_t vectors = (outputs + lanes - 1) / lanes;
    double best = 0;
    out->rows = out->vectors = 1;
    for (int64_t v = 1; v <= MAX_VECTORS && v <= vectors; v++) {
        int64_t panels = (vectors + v - 1) / v;
        int64_t most = (registers - v - 1) / v;
        for (int64_t r = 1; r <= most && r <= MAX_ROWS && r <= width; r++) {
            /* a step costs its multiplications, at least the latency of one, and something for loads */
            int64_t full = width / r, rest = width % r;
            double step = (double)(r * v > LATENCY ? r * v : LATENCY) + LOAD * (double)(r + v);
            double last = (double)(rest * v > LATENCY ? rest * v : LATENCY) + LOAD * (double)(rest + v);
            double cost = (double)panels * ((double)full * step + (rest ? last : 0));
            if (best == 0 || cost < best) {
                best = cost;
                out->rows = r;
                out->vectors = v;
            }
        }
    }
}

/* Winograd tiles for a convolution with windows of 3 and 1, where they cost less than the window's own products. A cost is
 * in vector operations: products, and loads, stores and sums of the transforms a point. */
static bool winograd(const adze_target *target, const adze_shape *x, const adze_shape *w, const adze_shape *y,
                     MlirOperation conv, adze_schedule *s) {
    enum { WORK_BYTES = 256 << 10, MOST_TILES = 64, MOST_SPATIAL = 2 };
    static const double INPUT = 7, OUTPUT = 5;
    const int n = x->rank - 2;
    int64_t strides[ADZE_MAX_RANK], dilations[ADZE_MAX_RANK];
    if (n < 1 || n > MOST_SPATIAL || s->lanes < 2 || s->scalable || adze_get_i64(conv, "group") != 1 ||
        adze_get_i64s(conv, "strides", ADZE_MAX_RANK, strides) != n ||
        adze_get_i64s(conv, "dilations", ADZE_MAX_RANK, dilations) != n)
        return false;
    int64_t points = 1, tiles = 1, pixels = 1, taps = 1, along = 1, channels = w->dims[n], outputs = w->dims[n + 1];
    for (int d = 0; d < n; d++) {
        const int64_t window = w->dims[d], in = adze_winograd_products(window), out = in - window + 1;
        if (strides[d] != 1 || dilations[d] != 1 || !in)
            return false;
        along = (y->dims[1 + d] + out - 1) / out;
        points *= in;
        taps *= w->dims[d];
        pixels *= y->dims[1 + d];
        tiles *= along;
    }
    const double in_vectors = (double)((channels + s->lanes - 1) / s->lanes),
                 out_vectors = (double)((outputs + s->lanes - 1) / s->lanes);
    const double direct = (double)pixels * (double)(taps * channels) * out_vectors;
    const double cost = (double)tiles * (double)points *
                        ((double)channels * out_vectors + INPUT * in_vectors + OUTPUT * out_vectors);
    if (points == 1 || cost > direct)
        return false;
    const int64_t a_tile = points * (channels + outputs) * (int64_t)sizeof(float);
    int64_t most = WORK_BYTES / a_tile;
    most = most < 1 ? 1 : most > MOST_TILES ? MOST_TILES : most;
    int64_t blocks = (along + most - 1) / most;
    s->tiles = (along + blocks - 1) / blocks;
    s->family = "winograd";
    adze_register_block(outputs, s->tiles, s->lanes, target->vectors.count, s);
    return true;
}

/* The same along the first of two axes only, the second one's taps being part of each product: for long windows and few
 * channels. `tiles` says how many rows of y a tile has. */
static bool winograd_rows(const adze_target *target, const adze_shape *x, const adze_shape *w, const adze_shape *y,
                          MlirOperation conv, adze_schedule *s) {
    static const double INPUT = 4, OUTPUT = 4, GAIN = 0.85;
    static const int64_t products[] = {6, 8};
    int64_t strides[ADZE_MAX_RANK], dilations[ADZE_MAX_RANK];
    if (x->rank != 4 || s->lanes < 2 || s->scalable || adze_get_i64(conv, "group") != 1 ||
        adze_get_i64s(conv, "strides", ADZE_MAX_RANK, strides) != 2 ||
        adze_get_i64s(conv, "dilations", ADZE_MAX_RANK, dilations) != 2 || strides[0] != 1 || dilations[0] != 1 ||
        dilations[1] != 1 || w->dims[0] < 3)
        return false;
    const int64_t parts = (w->dims[0] + ADZE_WINOGRAD_LONGEST_PART - 1) / ADZE_WINOGRAD_LONGEST_PART,
                  window = (w->dims[0] + parts - 1) / parts;
    const double width = (double)y->dims[2], run = (double)(w->dims[1] * w->dims[2]);
    const double out_vectors = (double)((w->dims[3] + s->lanes - 1) / s->lanes);
    const double in_vectors = ((width - 1) * (double)strides[1] + (double)w->dims[1]) * (double)w->dims[2] / (double)s->lanes;
    double best = GAIN * (double)y->dims[1] * (double)w->dims[0] * width * run * out_vectors;
    bool found = false;
    for (size_t i = 0; i < ADZE_COUNT(products); i++) {
        const int64_t out = products[i] - window + 1, tiles = (y->dims[1] + out - 1) / out;
        if (out < 2)
            continue;
        const double cost = (double)(tiles * products[i]) * ((double)parts * (width * run * out_vectors + INPUT * in_vectors) +
                                                             OUTPUT * width * out_vectors);
        if (cost < best) {
            best = cost;
            found = true;
            s->tiles = out;
        }
    }
    if (!found)
        return false;
    s->family = "winograd_rows";
    adze_register_block(w->dims[3], y->dims[2], s->lanes, target->vectors.count, s);
    return true;
}

static bool is_constant(MlirValue value) {
    MlirOperation op = adze_defining(value);
    return !mlirOperationIsNull(op) && (adze_is_op(op, "adze.get_weight") || adze_is_op(op, "adze.constant"));
}

static bool is_float(adze_dtype type) { return type == ADZE_f32 || type == ADZE_f16 || type == ADZE_bf16; }

/* Does every operand behind the convolution have the shape of its result, or one element a channel? */
static bool walks_flat(adze_context *ctx, const adze_group *group, const adze_shape *y) {
    for (int i = 1; i < group->n; i++)
        for (intptr_t j = 0; j < mlirOperationGetNumOperands(group->ops[i]); j++) {
            adze_shape s;
            if (!adze_value_shape(ctx, mlirOperationGetOperand(group->ops[i], j), &s))
                continue;
            const int64_t n = adze_shape_count(&s);
            if (n == 1 || (n == y->dims[y->rank - 1] && s.rank > 0 && s.dims[s.rank - 1] == n))
                continue;
            if (s.rank != y->rank || memcmp(s.dims, y->dims, (size_t)s.rank * sizeof *s.dims))
                return false;
        }
    return true;
}

/* Tiles of AMX for the block that vectors of this depth would compute; false where there is too little for them. What runs
 * of floats that fill no whole row of a tile need is a copy with zeros, pixel by pixel (codegen/staging.c). */
static bool amx(adze_context *ctx, const adze_target *target, const adze_group *group, MlirOperation conv,
                int64_t outputs, int64_t width, adze_schedule *s) {
    enum { LANES = 16, FEWEST_ROWS = 16, FEWEST_OUTPUTS = 16, FEWEST_BYTES = 32 };
    adze_shape x, w, y;
    int64_t dilations[ADZE_MAX_RANK], strides[ADZE_MAX_RANK], pads[2 * ADZE_MAX_RANK];
    if (!target || !mlirOperationEqual(group->ops[0], conv) || s->lanes != LANES || s->scalable || s->depth < 2 ||
        width < FEWEST_ROWS || outputs < FEWEST_OUTPUTS || !adze_value_shape(ctx, mlirOperationGetOperand(conv, 0), &x) ||
        !adze_value_shape(ctx, mlirOperationGetOperand(conv, 1), &w) || !adze_value_shape(ctx, adze_result(conv, 0), &y))
        return false;
    const bool floats = x.dtype == ADZE_bf16;
    const int64_t bytes = floats ? 2 : 1, channels = w.dims[w.rank - 2];
    adze_quant q;
    const bool is_signed = adze_quant_of(ctx, x.element, &q) ? q.storage == ADZE_i8 : x.dtype == ADZE_i8;
    if (!adze_target_instruction(target, floats ? "tile.dot.bf16" : is_signed ? "tile.dot.ss" : "tile.dot.us", "void"))
        return false;
    const int n = adze_get_i64s(conv, "dilations", ADZE_MAX_RANK, dilations);
    adze_get_i64s(conv, "strides", ADZE_MAX_RANK, strides);
    const int n_pads = adze_get_i64s(conv, "pads", 2 * ADZE_MAX_RANK, pads);
    int64_t run = channels, window = 1;
    if (n > 0 && adze_get_i64(conv, "group") == 1 && dilations[n - 1] == 1)
        run *= w.dims[n - 1];
    bool point = adze_get_i64(conv, "group") == 1 && y.dims[0] > 0 && walks_flat(ctx, group, &y);
    for (int d = 0; d < n; d++) {
        window *= w.dims[d];
        point &= strides[d] == 1;
    }
    for (int i = 0; i < n_pads; i++)
        point &= pads[i] == 0;
    if (run * bytes < FEWEST_BYTES || (floats && run * bytes % 64 && !(point && window == 1)))
        return false;
    s->family = "amx";
    s->depth = 4 / bytes;
    s->vectors = outputs > LANES ? 2 : 1;
    s->rows = 4 / s->vectors * LANES;
    return true;
}

/* A channels-last convolution that the contraction family computes: the register block, or false. */
static bool contraction(adze_context *ctx, const adze_target *target, const adze_group *group,
                        MlirOperation conv, adze_schedule *s) {
    enum { FEW_CHANNELS = 4, HUGE_WIDTH = 1 << 16 };
    adze_shape x, w, y;
    if (!adze_value_shape(ctx, mlirOperationGetOperand(conv, 0), &x) ||
        !adze_value_shape(ctx, mlirOperationGetOperand(conv, 1), &w) ||
        !adze_value_shape(ctx, adze_result(conv, 0), &y) || !adze_window_axes_of(conv, x.rank).last ||
        !plain_epilogue(ctx, group, conv))
        return false;
    MlirOperation weight = adze_defining(mlirOperationGetOperand(conv, 1));
    MlirValue bias = mlirOperationGetOperand(conv, 2);
    if (mlirOperationIsNull(weight) || !adze_is_op(weight, "adze.get_weight") ||
        (!adze_is_none(bias) && !is_constant(bias)))
        return false;
    int64_t pads[2 * ADZE_MAX_RANK];
    int n_pads = adze_get_i64s(conv, "pads", 2 * ADZE_MAX_RANK, pads);
    for (int i = 0; i < n_pads; i++)
        if (pads[i] < 0)
            return false;
    for (int d = 1; d < x.rank; d++)
        if (x.dims[d] < 1 || y.dims[d] < 1)
            return false;
    int64_t n_group = adze_get_i64(conv, "group"), channels = w.dims[w.rank - 2];
    if (n_group < 1 || (n_group > 1 && channels < FEW_CHANNELS))
        return false; /* depthwise: vectors along the channels of the default nest */
    int64_t outputs = w.dims[w.rank - 1] / n_group;
    adze_quant qx, qw;
    bool quantized = adze_quant_of(ctx, x.element, &qx);
    if (quantized != adze_quant_of(ctx, w.element, &qw))
        return false;
    const char *element = "f32";
    s->depth = 1;
    if (quantized) {
        if ((qx.storage != ADZE_i8 && qx.storage != ADZE_u8) || qw.storage != ADZE_i8 || qx.n != 1)
            return false;
        for (int i = 0; i < qw.n; i++)
            if (qw.zero_point[i])
                return false;
        element = "s32";
    } else if ((x.dtype == ADZE_i8 || x.dtype == ADZE_u8) && w.dtype == ADZE_i8 && y.dtype == ADZE_i32) {
        element = "s32";
        quantized = true;
    } else if (!is_float(x.dtype) || !is_float(w.dtype)) {
        return false;
    }
    adze_schedule_lanes(target, element, outputs, s);
    const bool pairs = x.dtype == ADZE_bf16 && w.dtype == ADZE_bf16 && s->lanes > 1 && !s->scalable &&
                       has_row(target, "dot2.bf16", "f32", s->lanes, false);
    if (pairs)
        s->depth = 2;
    if (quantized && !s->scalable && s->lanes > 1) {
        bool four = has_row(target, "dot4.us", "s32", s->lanes, false) ||
                    has_row(target, "dot4.ss", "s32", s->lanes, false);
        s->depth = four ? 4 : has_row(target, "dot2", "s32", s->lanes, false) ? 2 : 1;
    }
    int along = y.rank - 2; /* the last axis on which something moves */
    while (along > 1 && y.dims[along] == 1 && x.dims[along] == 1 && w.dims[along - 1] == 1)
        along--;
    int64_t width = y.dims[along], kernel = 1;
    for (int d = 0; d < w.rank - 2; d++)
        kernel *= w.dims[d];
    if (kernel == 1) { /* pixels may be one axis */
        width = 1;
        for (int d = 0; d < y.rank - 1 && width < HUGE_WIDTH; d++)
            width *= y.dims[d] > 0 ? y.dims[d] : HUGE_WIDTH;
    }
    if (y.rank == 2)
        width = y.dims[0] > 0 ? y.dims[0] : HUGE_WIDTH;
    int64_t registers = target && target->vectors.count ? target->vectors.count : 16;
    s->family = "contraction";
    if (s->scalable) {
        s->vectors = 1;
        s->rows = s->lanes >= 8 ? 6 : s->lanes >= 4 ? 12 : 24;
        s->rows = s->rows < width ? s->rows : width;
        if (!strcmp(target->arch, "aarch64"))
            s->rows = width < 12 ? width : 12;
        return true;
    }
    if (x.dtype == ADZE_f32 && w.dtype == ADZE_f32 && s->lanes > 1 && (winograd(target, &x, &w, &y, conv, s) || winograd_rows(target, &x, &w, &y, conv, s)))
        return true;
    if (amx(ctx, target, group, conv, outputs, width, s))
        return true;
    adze_register_block(outputs, width, s->lanes, registers, s);
    if (s->lanes == 1) {
        s->vectors = outputs < 4 ? outputs : 4;
        s->rows = width < 2 ? 1 : 2;
    }
    return true;
}

/* ---- depthwise ---- */

/* 'f' for floats, 'i' for 8-bit codes, 0 for what the family has no form for. */
static char depthwise_class(adze_context *ctx, const adze_shape *x, const adze_shape *w, const adze_shape *y) {
    adze_quant qx, qw;
    bool codes = adze_quant_of(ctx, x->element, &qx);
    if (codes != adze_quant_of(ctx, w->element, &qw))
        return 0;
    if (!codes)
        return x->dtype == ADZE_f32 && w->dtype == ADZE_f32                                            ? 'f'
               : (x->dtype == ADZE_i8 || x->dtype == ADZE_u8) && w->dtype == ADZE_i8 && y->dtype == ADZE_i32 ? 'i'
                                                                                                             : 0;
    for (int i = 0; i < qw.n; i++)
        if (qw.zero_point[i])
            return 0;
    return (qx.storage == ADZE_i8 || qx.storage == ADZE_u8) && qw.storage == ADZE_i8 && qx.n == 1 ? 'i' : 0;
}

/* A channels-last convolution with a channel a group: pixels of a block, or false. */
static bool depthwise(adze_context *ctx, const adze_target *target, const adze_group *group, MlirOperation conv,
                      adze_schedule *s) {
    enum { MOST_ROWS = 10, FEW_REGISTERS = 16, FEW_ROWS = 6, GROUPED_ROWS = 4 };
    adze_shape x, w, y;
    int64_t pads[2 * ADZE_MAX_RANK];
    if (!target->vectors.count || !adze_value_shape(ctx, mlirOperationGetOperand(conv, 0), &x) ||
        !adze_value_shape(ctx, mlirOperationGetOperand(conv, 1), &w) ||
        !adze_value_shape(ctx, adze_result(conv, 0), &y) || !adze_window_axes_of(conv, x.rank).last ||
        !plain_epilogue(ctx, group, conv))
        return false;
    int n_pads = adze_get_i64s(conv, "pads", 2 * ADZE_MAX_RANK, pads);
    for (int i = 0; i < n_pads; i++)
        if (pads[i] < 0)
            return false;
    for (int d = 1; d < x.rank; d++)
        if (x.dims[d] < 1 || y.dims[d] < 1)
            return false;
    int64_t n_group = adze_get_i64(conv, "group");
    char cls = depthwise_class(ctx, &x, &w, &y);
    if (!cls || n_group < 2 || w.dims[w.rank - 2] != 1 || w.dims[w.rank - 1] != n_group)
        return false;
    s->family = "depthwise";
    s->rows = target->vectors.count > FEW_REGISTERS ? MOST_ROWS : FEW_ROWS;
    if (cls == 'i' && target->vectors.scalable && strcmp(target->arch, "aarch64"))
        s->rows = GROUPED_ROWS; /* codes fill a register, their sums a group of them */
    return true;
}

/* ---- the default nest ---- */

/* With vector registers, a channels-first convolution keeps a row of sums in local memory, over which a C compiler
 * can vectorise without reordering any sum (not on bare boards: the row would cost stack). */
static void row_of_sums(adze_context *ctx, const adze_target *target, const adze_group *group,
                        MlirOperation anchor, const adze_shape *shape, adze_schedule *s) {
    enum { LONGEST_ROW = 256, SHORTEST_ROW = 8 };
    if (!target || target->bare || !target->vectors.count || !adze_is_op(anchor, "adze.conv") ||
        adze_window_axes_of(anchor, shape->rank).last || shape->dtype == ADZE_f16 ||
        shape->dtype == ADZE_bf16 || !plain_epilogue(ctx, group, anchor) || shape->rank <= 2 ||
        shape->dims[shape->rank - 1] < SHORTEST_ROW)
        return;
    int64_t row = shape->dims[shape->rank - 1];
    s->n_block = shape->rank;
    s->block[shape->rank - 1] = row < LONGEST_ROW ? row : LONGEST_ROW;
}

MlirAttribute adze_schedule_default(adze_context *ctx, const adze_target *target, const adze_group *group) {
    MlirOperation root = group->ops[group->n - 1], anchor = adze_group_anchor(ctx, group);
    adze_shape shape;
    adze_schedule s = {0}, block = {0};
    if (adze_schedule_mcu(ctx, target, group, anchor, &block))
        return adze_schedule_write(ctx, &block);
    if (adze_is_op(anchor, "adze.conv") && target && !target->bare &&
        contraction(ctx, target, group, anchor, &block))
        return adze_schedule_write(ctx, &block);
    block = (adze_schedule){0};
    if (adze_is_op(anchor, "adze.conv") && target && !target->bare && depthwise(ctx, target, group, anchor, &block))
        return adze_schedule_write(ctx, &block);
    block = (adze_schedule){0};
    if (adze_schedule_product(ctx, target, group, anchor, &block))
        return adze_schedule_write(ctx, &block);
    block = (adze_schedule){0};
    if (adze_schedule_recurrence(ctx, target, root, &block) || adze_schedule_attention(ctx, target, root, &block))
        return adze_schedule_write(ctx, &block);
    if (adze_fuse_class_of(ctx, root) != ADZE_FUSE_OPAQUE && !adze_is_op(root, "tensor.concat") &&
        adze_value_shape(ctx, adze_result(root, 0), &shape)) {
        s.n_tile = shape.rank;
        row_of_sums(ctx, target, group, anchor, &shape, &s);
    }
    return adze_schedule_write(ctx, &s);
}
