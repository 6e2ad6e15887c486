/* How x of a contraction reaches the register block. See contraction.h. */
#include "codegen/contraction.h"
#include "codegen/vector.h"

#include <mlir-c/AffineExpr.h>
#include <mlir-c/AffineMap.h>
#include <mlir-c/BuiltinAttributes.h>
#include <mlir-c/BuiltinTypes.h>

#include <string.h>

static const char *const TILE_BF16 = "tile.dot.bf16";
static bool in_tiles(const adze_schedule *s) { return s->family && !strcmp(s->family, "amx"); }

/* Identity, or only the last axis (a channel's number), or constants. */
static bool flat_map(MlirAffineMap map) {
    if (mlirAffineMapIsIdentity(map))
        return true;
    intptr_t n = mlirAffineMapGetNumResults(map), last = mlirAffineMapGetNumDims(map) - 1;
    for (intptr_t i = 0; i < n; i++) {
        MlirAffineExpr e = mlirAffineMapGetResult(map, i);
        if (mlirAffineExprIsAConstant(e))
            continue;
        if (!mlirAffineExprIsADim(e) || mlirAffineDimExprGetPosition(e) != last || i != n - 1)
            return false;
    }
    return true;
}

bool adze_contraction_flat(adze_context *ctx, const adze_contraction *c) {
    (void)ctx;
    return c->point && c->group == 1 && adze_epilogue_flat(c);
}

bool adze_epilogue_flat(const adze_contraction *c) {
    for (MlirOperation op = mlirOperationGetNextInBlock(c->op); !mlirOperationIsNull(op);
         op = mlirOperationGetNextInBlock(op)) {
        if (adze_is_op(op, "bufferization.materialize_in_destination") ||
            adze_is_op(op, "func.return") || adze_is_op(op, "tensor.empty") ||
            adze_is_op(op, "bufferization.to_tensor") || adze_is_op(op, "adze.constant") ||
            adze_is_op(op, "adze.none") || adze_is_op(op, "arith.constant") ||
            adze_is_op(op, "linalg.fill"))
            continue;
        if (!adze_is_op(op, "linalg.generic"))
            return false;
        MlirAttribute maps = adze_get(op, "indexing_maps");
        intptr_t n = mlirArrayAttrGetNumElements(maps);
        for (intptr_t i = 0; i < n; i++)
            if (!flat_map(mlirAffineMapAttrGetValue(mlirArrayAttrGetElement(maps, i))))
                return false;
        if (!mlirAffineMapIsIdentity(mlirAffineMapAttrGetValue(mlirArrayAttrGetElement(maps, n - 1))))
            return false;
    }
    return true;
}

int64_t adze_staged_width(const adze_contraction *c) {
    int last = c->n - 1;
    return last < 0 ? 1
                    : (c->out[last] - 1) * c->strides[last] +
                          (c->kernel[last] - 1) * c->dilations[last] + 1;
}

int64_t adze_staged_elements(const adze_contraction *c, bool flat) {
    if (flat || c->n == 0)
        return c->channels;
    int64_t rows = 1;
    for (int i = 0; i < c->n - 1; i++)
        rows *= c->kernel[i];
    return rows * adze_staged_width(c) * c->channels * c->group;
}

int64_t adze_work_elements(const adze_contraction *c, const adze_staging *s) {
    int64_t n = s->flat ? adze_staged_pixel(c, s) : adze_staged_elements(c, false);
    return s->flat ? n : (n + 64 + 63) / 64 * 64;
}

int64_t adze_staged_work(const adze_contraction *c, const adze_staging *s, int64_t threads) {
    int64_t pixels = 1;
    for (int d = 0; s->flat && d < c->ys.rank - 1; d++)
        pixels *= c->ys.dims[d] >= 0 ? c->ys.dims[d] : 1;
    const int64_t parts = s->flat ? pixels : threads > 1 ? threads : 1;
    return s->staged ? adze_work_elements(c, s) * parts + s->flat * 64 : 0;
}

static MlirType vector_of(adze_context *ctx, adze_dtype dtype, int64_t lanes) {
    return adze_vector_of(adze_scalar_type(ctx, dtype), lanes, false);
}

/* Whether the target has `name` for this many s32 lanes. */
static bool has_dot(adze_context *ctx, const adze_target *target, const char *name, int64_t lanes,
                    int depth, adze_dtype x, adze_dtype w) {
    MlirType acc = vector_of(ctx, ADZE_i32, lanes);
    MlirType operands[] = {acc, adze_vector_of(adze_element_type(ctx, x), lanes * depth, false),
                           vector_of(ctx, w, lanes * depth)};
    return adze_vector_has(ctx, target, name, acc, 3, operands);
}

static bool is_float(adze_dtype type) { return type == ADZE_f32 || type == ADZE_f16 || type == ADZE_bf16; }

bool adze_contraction_has_bf16(adze_context *ctx, const adze_target *target, const adze_schedule *s) {
    MlirType acc = vector_of(ctx, ADZE_f32, s->lanes);
    MlirType pairs = adze_vector_of(adze_element_type(ctx, ADZE_bf16), 2 * s->lanes, false);
    MlirType words = vector_of(ctx, ADZE_i32, s->lanes);
    return !s->scalable && adze_vector_has(ctx, target, "dot2.bf16", acc, 3, (MlirType[]){acc, pairs, pairs}) &&
           adze_vector_has(ctx, target, "vector.bitcast", pairs, 1, &words) &&
           adze_vector_memory_row(target, false, false, pairs);
}

/* Pairs of bf16 go as they are; else f16 and bf16 are widened once, in the copy. */
static bool stage_floats(adze_context *ctx, const adze_target *target, const adze_contraction *c,
                         const adze_packing *p, const adze_schedule *schedule, adze_staging *out) {
    if (!is_float(c->x_type) || !is_float(c->w_type))
        return false;
    if (p->depth == 2) {
        out->dot = "dot2.bf16";
        return c->x_type == ADZE_bf16 && c->w_type == ADZE_bf16 && adze_contraction_has_bf16(ctx, target, schedule);
    }
    if (c->x_type != ADZE_f32 && (c->padded || !out->flat || c->ys.dims[0] > 0)) {
        out->staged = true;
        out->type = ADZE_f32;
    }
    return p->depth == 1;
}

adze_dtype adze_packed_type(adze_context *ctx, const adze_target *target, const adze_contraction *c,
                            const adze_packing *p, const adze_schedule *s) {
    if (c->acc_type != ADZE_f32 || c->w_type == ADZE_f32 || p->depth > 1 || (s->lanes == 1 && !s->scalable))
        return c->w_type;
    MlirType narrow = adze_vector_of(adze_element_type(ctx, c->w_type), s->lanes, s->scalable != 0);
    MlirType wide = adze_vector_of(adze_scalar_type(ctx, ADZE_f32), s->lanes, s->scalable != 0);
    bool widens = adze_vector_has(ctx, target, "arith.extf", wide, 1, &narrow) &&
                  adze_vector_memory_row(target, false, false, narrow);
    return widens ? c->w_type : ADZE_f32;
}

static bool has_instruction(const adze_target *target, const char *name) {
    return target && adze_target_instruction(target, name, "void");
}

int64_t adze_staged_pixel(const adze_contraction *c, const adze_staging *s) {
    const int64_t line = ADZE_TILE_STEPS * 2;
    return s->dot && !strcmp(s->dot, TILE_BF16) ? (c->channels + line - 1) / line * line : c->channels;
}

/* Rows of tiles are 64 bytes of a run, read beyond its end where it is no multiple of them. */
static bool stage_tiles(const adze_target *target, const adze_contraction *c, const adze_packing *p,
                        const adze_schedule *s, adze_staging *out) {
    const int64_t line = ADZE_TILE_STEPS * p->depth;
    const bool floats = c->acc_type == ADZE_f32;
    out->dot = floats ? TILE_BF16 : c->x_type == ADZE_i8 ? "tile.dot.ss" : "tile.dot.us";
    out->fill = c->zero_x;
    out->staged |= c->run % line != 0;
    if (floats)
        return c->x_type == ADZE_bf16 && c->w_type == ADZE_bf16 && p->depth == 2 && has_instruction(target, out->dot) &&
               (c->run % line == 0 || out->flat) && adze_amx_schedule(s);
    return c->acc_type == ADZE_i32 && (c->x_type == ADZE_i8 || c->x_type == ADZE_u8) && c->w_type == ADZE_i8 &&
           !c->zero_w && p->depth == 4 && has_instruction(target, out->dot) && adze_amx_schedule(s);
}

bool adze_amx_schedule(const adze_schedule *s) {
    return s->lanes == ADZE_TILE_STEPS && !s->scalable && s->rows >= 1 && (s->vectors == 1 || s->vectors == 2) &&
           s->rows * s->vectors <= 4 * ADZE_TILE_STEPS;
}

static bool choose(adze_context *ctx, const adze_target *target, const adze_contraction *c,
                         const adze_packing *p, const adze_schedule *schedule, adze_staging *out) {
    *out = (adze_staging){.staged = c->padded, .type = c->x_type, .flat = adze_contraction_flat(ctx, c)};
    if (in_tiles(schedule))
        return stage_tiles(target, c, p, schedule, out);
    if (c->acc_type == ADZE_f32)
        return stage_floats(ctx, target, c, p, schedule, out);
    bool is_signed = c->x_type == ADZE_i8;
    if (c->acc_type != ADZE_i32 || (!is_signed && c->x_type != ADZE_u8) || c->w_type != ADZE_i8 || c->zero_w)
        return false;
    out->fill = c->zero_x;
    if (p->depth == 1)
        return true;
    /* runs that end within an instruction are read beyond their end: into the copy's slack */
    out->staged |= c->run % p->depth != 0;
    if (p->depth == 2) {
        out->dot = "dot2";
        out->staged = true;
        out->type = ADZE_i16;
        out->offset = -c->zero_x;
        out->fill = 0;
        return has_dot(ctx, target, out->dot, schedule->lanes, 2, ADZE_i16, ADZE_i16);
    }
    if (p->depth != 4)
        return false;
    if (is_signed && has_dot(ctx, target, "dot4.ss", schedule->lanes, 4, ADZE_i8, ADZE_i8)) {
        out->dot = "dot4.ss";
        return true;
    }
    if (has_dot(ctx, target, "dot4.us", schedule->lanes, 4, ADZE_u8, ADZE_i8)) {
        out->dot = "dot4.us";
        if (is_signed) {
            out->staged = true;
            out->type = ADZE_u8;
            out->offset = 128;
            out->fill = c->zero_x + 128;
        }
        return true;
    }
    if (!is_signed && has_dot(ctx, target, "dot4.ss", schedule->lanes, 4, ADZE_i8, ADZE_i8)) {
        out->dot = "dot4.ss";
        out->staged = true;
        out->type = ADZE_i8;
        out->offset = -128;
        out->fill = c->zero_x - 128;
        return true;
    }
    return false;
}

bool adze_staging_choose(adze_context *ctx, const adze_target *target, const adze_contraction *c,
                         const adze_packing *p, const adze_schedule *schedule, adze_staging *out) {
    if (!choose(ctx, target, c, p, schedule, out))
        return false;
    if (out->staged && out->flat && c->ys.dims[0] < 0) /* how much to copy is not known: row by row */
        out->flat = false;
    return true;
}

void adze_staging_write(adze_context *ctx, MlirOperation op, const adze_staging *s) {
    adze_set(op, "adze.stage", adze_str(ctx, s->staged ? adze_dtype_get(s->type)->name : ""));
    adze_set(op, "adze.stage_offset", adze_i64(ctx, s->offset));
    adze_set(op, "adze.stage_fill", adze_i64(ctx, s->fill));
    adze_set(op, "adze.dot", adze_str(ctx, s->dot ? s->dot : ""));
    adze_set(op, "adze.flat", adze_bool(ctx, s->flat));
}

bool adze_staging_read(adze_context *ctx, MlirOperation op, adze_staging *s) {
    const char *type = adze_get_str(ctx, op, "adze.stage"), *dot = adze_get_str(ctx, op, "adze.dot");
    adze_shape x;
    if (!type || !dot || !adze_value_shape(ctx, mlirOperationGetOperand(op, 0), &x))
        return false;
    *s = (adze_staging){.staged = *type != 0,
                        .type = x.dtype,
                        .offset = adze_get_i64(op, "adze.stage_offset"),
                        .fill = adze_get_i64(op, "adze.stage_fill"),
                        .dot = *dot ? dot : NULL,
                        .flat = adze_get_bool(op, "adze.flat")};
    if (s->staged) {
        s->type = ADZE_NO_DTYPE;
        for (int i = 1; i < ADZE_N_DTYPES; i++)
            if (!strcmp(adze_dtype_get((adze_dtype)i)->name, type))
                s->type = (adze_dtype)i;
    }
    return s->type != ADZE_NO_DTYPE;
}
