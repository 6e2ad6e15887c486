/* See contraction.h. */
#include "codegen/contraction.h"

#include <string.h>

/* Shapes of operands before packing. */
static bool read_shapes(adze_context *ctx, adze_contraction *c) {
    MlirOperation op = c->op;
    if (!adze_value_shape(ctx, c->x, &c->xs) || !adze_value_shape(ctx, c->w, &c->ws) ||
        !adze_value_shape(ctx, adze_result(op, 0), &c->ys))
        return false;
    int64_t dims[ADZE_MAX_RANK];
    int n = adze_get_i64s(op, "adze.weight_shape", ADZE_MAX_RANK, dims);
    if (n > 0) {
        c->ws.rank = n;
        memcpy(c->ws.dims, dims, (size_t)n * sizeof *dims);
    }
    return c->xs.rank >= 2 && c->xs.rank == c->ws.rank && c->xs.rank == c->ys.rank;
}

static void find_runs(adze_contraction *c) {
    const int last = c->n - 1;
    c->run = c->channels;
    c->n_runs = 1;
    for (int i = 0; i < c->n; i++)
        c->n_runs *= c->kernel[i];
    c->wide_runs = c->n > 0 && c->group == 1 && (c->dilations[last] == 1 || c->kernel[last] == 1);
    if (c->wide_runs) {
        c->run *= c->kernel[last];
        c->n_runs /= c->kernel[last];
    }
}

bool adze_contraction_read(adze_context *ctx, MlirOperation op, adze_contraction *out) {
    if (!adze_is_op(op, "adze.conv"))
        return false;
    const char *layout = adze_get_str(ctx, op, "layout");
    if (!layout || strcmp(layout, "channels_last"))
        return false;
    adze_contraction *c = out;
    *c = (adze_contraction){.op = op,
                            .x = mlirOperationGetOperand(op, 0),
                            .w = mlirOperationGetOperand(op, 1),
                            .bias = mlirOperationGetOperand(op, 2)};
    if (!read_shapes(ctx, c))
        return false;
    int n = c->n = c->xs.rank - 2;
    int64_t pads[2 * ADZE_MAX_SPATIAL];
    if (adze_get_i64s(op, "strides", ADZE_MAX_SPATIAL, c->strides) != n ||
        adze_get_i64s(op, "dilations", ADZE_MAX_SPATIAL, c->dilations) != n ||
        adze_get_i64s(op, "pads", 2 * ADZE_MAX_SPATIAL, pads) != 2 * n)
        return false;
    for (int d = 1; d < c->xs.rank; d++)
        if (c->xs.dims[d] < 0 || c->ys.dims[d] < 0)
            return false;
    c->group = adze_get_i64(op, "group");
    if (c->group < 1 || c->ws.dims[n + 1] % c->group || c->ws.dims[n] < 1)
        return false;
    c->channels = c->ws.dims[n];
    c->outputs = c->ws.dims[n + 1] / c->group;
    c->zero_x = adze_get_i64(op, "adze.zero_point_x");
    c->zero_w = adze_get_i64(op, "adze.zero_point_w");
    c->x_type = c->xs.dtype;
    c->w_type = c->ws.dtype;
    const adze_dtype_info *info = adze_dtype_get(c->ys.dtype);
    c->acc_type = info->bits < 32 && info->cls == 'F' ? ADZE_f32 : c->ys.dtype;
    c->point = true;
    for (int i = 0; i < n; i++) {
        c->axis[i] = 1 + i;
        c->in[i] = c->xs.dims[1 + i];
        c->out[i] = c->ys.dims[1 + i];
        c->kernel[i] = c->ws.dims[i];
        c->pad_begin[i] = pads[i];
        c->pad_end[i] = pads[n + i];
        if (c->kernel[i] < 1 || c->pad_begin[i] < 0 || c->pad_end[i] < 0 || c->strides[i] < 1 || c->dilations[i] < 1)
            return false;
        int64_t last = (c->out[i] - 1) * c->strides[i] - c->pad_begin[i] + (c->kernel[i] - 1) * c->dilations[i];
        c->padded |= c->pad_begin[i] > 0 || last >= c->in[i];
        c->point &= c->kernel[i] == 1 && c->strides[i] == 1 && c->in[i] == c->out[i];
    }
    c->point &= !c->padded;
    find_runs(c);
    return true;
}

void adze_contraction_squeeze(adze_contraction *c) {
    int n = 0;
    for (int i = 0; i < c->n; i++) {
        if (c->in[i] == 1 && c->out[i] == 1 && c->kernel[i] == 1 && !c->pad_begin[i] && !c->pad_end[i])
            continue;
        c->axis[n] = c->axis[i];
        c->in[n] = c->in[i];
        c->out[n] = c->out[i];
        c->kernel[n] = c->kernel[i];
        c->strides[n] = c->strides[i];
        c->dilations[n] = c->dilations[i];
        c->pad_begin[n] = c->pad_begin[i];
        c->pad_end[n] = c->pad_end[i];
        n++;
    }
    c->n = n;
    find_runs(c);
}

bool adze_contraction_of_kernel(adze_context *ctx, MlirOperation kernel, adze_contraction *out) {
    MlirBlock body = mlirRegionGetFirstBlock(mlirOperationGetRegion(kernel, 0));
    for (MlirOperation op = mlirBlockGetFirstOperation(body); !mlirOperationIsNull(op);
         op = mlirOperationGetNextInBlock(op))
        if (adze_contraction_read(ctx, op, out))
            return true;
    return false;
}

bool adze_packing_read(MlirOperation op, adze_packing *out) {
    int64_t v[2];
    if (adze_get_i64s(op, "adze.packed", 2, v) != 2 || v[0] < 1 || v[1] < 1)
        return false;
    *out = (adze_packing){v[0], v[1], adze_get_i64(op, "adze.tile")};
    return true;
}

static int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

int64_t adze_packed_steps(const adze_contraction *c, const adze_packing *p) {
    const int64_t tile = p->tile > 1 ? p->tile : 1;
    return ceil_div(ceil_div(c->run, p->depth), tile) * tile;
}

void adze_packed_shape(const adze_contraction *c, const adze_packing *p, int64_t dims[5]) {
    dims[0] = c->group * ceil_div(c->outputs, p->columns);
    dims[1] = c->n_runs;
    dims[2] = adze_packed_steps(c, p);
    dims[3] = p->columns;
    dims[4] = p->depth;
}

int64_t adze_packed_source(const adze_contraction *c, const adze_packing *p, const int64_t at[5]) {
    int64_t panels = ceil_div(c->outputs, p->columns);
    int64_t group = at[0] / panels, m = at[0] % panels * p->columns + at[3];
    int64_t k = at[2] * p->depth + at[4];
    if (m >= c->outputs || k >= c->run)
        return -1;
    /* w [kernel..., C/group, M]: run and k together are its first axes, flat */
    return (at[1] * c->run + k) * (c->group * c->outputs) + group * c->outputs + m;
}
