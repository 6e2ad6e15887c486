/* See winograd.h. */
#include "codegen/winograd.h"
#include "codegen/pack.h"

const float adze_winograd_g[ADZE_WINOGRAD_IN][3] = {
    {1.0f / 4, 0, 0},
    {-1.0f / 6, -1.0f / 6, -1.0f / 6},
    {-1.0f / 6, 1.0f / 6, -1.0f / 6},
    {1.0f / 24, 1.0f / 12, 1.0f / 6},
    {1.0f / 24, -1.0f / 12, 1.0f / 6},
    {0, 0, 1},
};
const float adze_winograd_bt[ADZE_WINOGRAD_IN][ADZE_WINOGRAD_IN] = {
    {4, 0, -5, 0, 1, 0},  {0, -4, -4, 1, 1, 0}, {0, 4, -4, -1, 1, 0},
    {0, -2, -1, 2, 1, 0}, {0, 2, -1, -2, 1, 0}, {0, 4, 0, -5, 0, 1},
};
const float adze_winograd_at[ADZE_WINOGRAD_OUT][ADZE_WINOGRAD_IN] = {
    {1, 1, 1, 1, 1, 0},
    {0, 1, -1, 2, -2, 0},
    {0, 1, 1, 4, 4, 0},
    {0, 1, -1, 8, -8, 1},
};

static int64_t round_up(int64_t n) { return (n + 15) / 16 * 16; }

bool adze_winograd_cut(const adze_contraction *c, int64_t tiles, int64_t columns, adze_winograd *out) {
    if (c->n < 1 || c->n > ADZE_WINOGRAD_AXES || c->group != 1 || c->acc_type != ADZE_f32 ||
        c->x_type != ADZE_f32 || c->w_type != ADZE_f32 || tiles < 1)
        return false;
    *out = (adze_winograd){.points = 1};
    bool any = false;
    for (int a = 0; a < ADZE_WINOGRAD_AXES; a++) {
        int d = a - (ADZE_WINOGRAD_AXES - c->n); /* a missing first axis has one tile of one */
        out->out[a] = out->in[a] = out->counts[a] = 1;
        if (d < 0)
            continue;
        if (c->strides[d] != 1 || c->dilations[d] != 1 || (c->kernel[d] != 3 && c->kernel[d] != 1))
            return false;
        if (c->kernel[d] == 3) {
            any = true;
            out->out[a] = ADZE_WINOGRAD_OUT;
            out->in[a] = ADZE_WINOGRAD_IN;
        }
        out->counts[a] = (c->out[d] + out->out[a] - 1) / out->out[a];
        out->points *= out->in[a];
    }
    out->copy_width = (tiles - 1) * out->out[1] + out->in[1];
    out->copy_at = 0;
    out->x_at = round_up(out->in[0] * out->copy_width * c->channels);
    out->sums_at = out->x_at + round_up(out->points * tiles * c->channels);
    out->work = out->sums_at + round_up(out->points * tiles * columns);
    return any;
}

/* ---- the weight ---- */

/* One axis of G w: what tap k of the window gives to point p. */
static double factor(int64_t kernel, int64_t point, int64_t k) {
    return kernel == 3 ? (double)adze_winograd_g[point][k] : 1.0;
}

bool adze_pack_winograd(adze_pack_site *site, const adze_schedule *s) {
    adze_context *ctx = site->ctx;
    adze_contraction c;
    adze_packing how = {s->vectors * s->lanes, 1}, have;
    adze_winograd w;
    if (!adze_contraction_of_kernel(ctx, site->kernel, &c))
        return adze_pack_refuse(site, "it has no channels-last convolution of known extents");
    adze_contraction_squeeze(&c);
    if (adze_packing_read(c.op, &have))
        return true; /* a dump of this pass */
    if (s->lanes < 1 || s->rows < 1 || s->vectors < 1 || s->scalable || s->tiles > 4096 ||
        s->rows * s->vectors > ADZE_MAX_CARRIED)
        return adze_pack_refuse(site, "lanes, rows, vectors or tiles are missing or make a block too large");
    int64_t panels = (c.outputs + how.columns - 1) / how.columns;
    if (!adze_winograd_cut(&c, s->tiles, panels * how.columns, &w))
        return adze_pack_refuse(site, "its convolution has other windows than 3 and 1, or is not of floats");
    if (!adze_pack_open(site, &c))
        return false;
    adze_set(c.op, "adze.weight_shape", adze_i64s(ctx, c.ws.rank, c.ws.dims));
    adze_set(c.op, "adze.packed", adze_i64s(ctx, 2, (int64_t[]){how.columns, 1}));
    adze_set(c.op, "adze.winograd", adze_i64(ctx, w.points));

    int64_t dims[5] = {panels, w.points, c.channels, how.columns, 1};
    adze_tensor u;
    if (!adze_tensor_new(ctx->arena, ADZE_f32, 5, dims, &u))
        return adze_error(&ctx->diags, adze_node(ctx, c.op), "its packed weight is too large");
    const float *from = site->w.data;
    float *to = adze_tensor_data(&u);
    const int64_t kh = c.n > 1 ? c.kernel[0] : 1, kw = c.kernel[c.n - 1];
    for (int64_t panel = 0; panel < panels; panel++)
        for (int64_t p = 0; p < w.points; p++)
            for (int64_t ch = 0; ch < c.channels; ch++)
                for (int64_t column = 0; column < how.columns; column++, to++) {
                    int64_t m = panel * how.columns + column;
                    double sum = 0;
                    for (int64_t i = 0; i < kh && m < c.outputs; i++)
                        for (int64_t j = 0; j < kw; j++)
                            sum += factor(kh, p / w.in[1], i) * factor(kw, p % w.in[1], j) *
                                   (double)from[((i * kw + j) * c.channels + ch) * c.outputs + m];
                    *to = (float)sum;
                }
    adze_shape shape = adze_pack_shape(ctx, ADZE_f32, 5, dims);
    adze_pack_weight(site, adze_pack_add_weight(site, adze_arena_printf(ctx->arena, "%s.winograd", site->symbol), &u),
                     &shape);
    if (site->has_bias) {
        int64_t count = panels * how.columns;
        adze_tensor bias;
        if (!adze_tensor_new(ctx->arena, ADZE_f32, 1, &count, &bias))
            return false;
        for (int64_t m = 0; m < c.outputs; m++)
            ((float *)adze_tensor_data(&bias))[m] = (float)adze_tensor_get_f64(&site->bias, (size_t)m);
        adze_pack_bias(site, &c, &bias);
    }
    int64_t parts = adze_get_i64(mlirModuleGetOperation(site->module), "adze.threads");
    adze_pack_work(site, ADZE_f32, w.work * (parts > 1 ? parts : 1));
    return true;
}
