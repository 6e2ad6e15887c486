/* See winograd.h. */
#include "codegen/winograd.h"
#include "codegen/pack.h"
#include "ir/window.h"

#include <string.h>

/* Evaluation at points: Bt, and what G's rows are scaled by. The last point is infinity. */
static const double points[ADZE_WINOGRAD_IN - 1] = {0, 1, -1, 2, -2, 0.5, -0.5};
static const struct {
    int in;
    double scale[ADZE_WINOGRAD_IN], bt[ADZE_WINOGRAD_IN][ADZE_WINOGRAD_IN];
} evaluations[] = {
    {6,
     {1.0 / 4, -1.0 / 6, -1.0 / 6, 1.0 / 24, 1.0 / 24},
     {{4, 0, -5, 0, 1, 0},
      {0, -4, -4, 1, 1, 0},
      {0, 4, -4, -1, 1, 0},
      {0, -2, -1, 2, 1, 0},
      {0, 2, -1, -2, 1, 0},
      {0, 4, 0, -5, 0, 1}}},
    {8,
     {1, -2.0 / 9, -2.0 / 9, 1.0 / 90, 1.0 / 90, 32.0 / 45, 32.0 / 45},
     {{1, 0, -21.0 / 4, 0, 21.0 / 4, 0, -1, 0},
      {0, 1, 1, -17.0 / 4, -17.0 / 4, 1, 1, 0},
      {0, -1, 1, 17.0 / 4, -17.0 / 4, -1, 1, 0},
      {0, 0.5, 0.25, -2.5, -1.25, 2, 1, 0},
      {0, -0.5, 0.25, 2.5, -1.25, -2, 1, 0},
      {0, 2, 4, -2.5, -5, 0.5, 1, 0},
      {0, -2, 4, 2.5, -5, -0.5, 1, 0},
      {0, -1, 0, 21.0 / 4, 0, -21.0 / 4, 0, 1}}},
};

static double power(double x, int n) {
    double y = 1;
    while (n-- > 0)
        y *= x;
    return y;
}

static bool filter_of(int64_t window, int64_t in, adze_winograd_filter *out) {
    for (size_t e = 0; e < ADZE_COUNT(evaluations); e++) {
        if (evaluations[e].in != in)
            continue;
        const int r = (int)window, n = (int)in, m = n - r + 1;
        *out = (adze_winograd_filter){.window = r, .in = n, .out = m};
        for (int p = 0; p < n; p++) {
            const bool infinity = p == n - 1;
            memcpy(out->bt[p], evaluations[e].bt[p], sizeof out->bt[p]);
            for (int k = 0; k < r; k++)
                out->g[p][k] = infinity ? k == r - 1 : evaluations[e].scale[p] * power(points[p], k);
            for (int i = 0; i < m; i++)
                out->at[i][p] = infinity ? i == m - 1 : power(points[p], i);
        }
        return true;
    }
    return false;
}

bool adze_winograd_filter_of(int64_t window, adze_winograd_filter *out) {
    *out = (adze_winograd_filter){.window = 1, .in = 1, .out = 1};
    if (window == 1)
        return true;
    const int64_t in = adze_winograd_products(window);
    return in && filter_of(window, in, out);
}

MlirValue adze_winograd_combine(adze_gen *g, const double *factors, int n, const MlirValue *x, int64_t step) {
    MlirValue sum = {NULL};
    for (int pass = 0; pass < 2; pass++) /* a positive term first: no negation */
        for (int i = 0; i < n; i++) {
            double f = factors[i], size = f < 0 ? -f : f;
            if (f == 0 || (f > 0) != (pass == 0))
                continue;
            MlirValue term = x[i * step];
            MlirType type = mlirValueGetType(term);
            if (size != 1)
                term = adze_build1(&g->b, "arith.mulf", 2,
                                   (MlirValue[]){term, adze_scalar_f64(&g->b, ADZE_f32, size).value}, type, 0, NULL);
            sum = !sum.ptr ? term
                           : adze_build1(&g->b, f < 0 ? "arith.subf" : "arith.addf", 2, (MlirValue[]){sum, term}, type,
                                         0, NULL);
        }
    return sum;
}

static int64_t round_up(int64_t n) { return (n + 15) / 16 * 16; }

bool adze_winograd_cut(const adze_contraction *c, int64_t tiles, int64_t columns, adze_winograd *out) {
    if (c->n < 1 || c->n > ADZE_WINOGRAD_AXES || c->group != 1 || c->acc_type != ADZE_f32 ||
        c->x_type != ADZE_f32 || c->w_type != ADZE_f32 || tiles < 1)
        return false;
    *out = (adze_winograd){.points = 1};
    bool any = false;
    for (int a = 0; a < ADZE_WINOGRAD_AXES; a++) {
        int d = a - (ADZE_WINOGRAD_AXES - c->n); /* a missing first axis has one tile of one */
        out->counts[a] = 1;
        if (!adze_winograd_filter_of(d < 0 ? 1 : c->kernel[d], &out->filter[a]))
            return false;
        out->out[a] = out->filter[a].out;
        out->in[a] = out->filter[a].in;
        if (d < 0)
            continue;
        if (c->strides[d] != 1 || c->dilations[d] != 1)
            return false;
        any |= c->kernel[d] > 1;
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

bool adze_winograd_rows_cut(const adze_contraction *c, int64_t out, int64_t columns, adze_winograd_rows *cut) {
    if (c->n != 2 || c->xs.rank != 4 || c->group != 1 || c->acc_type != ADZE_f32 || c->x_type != ADZE_f32 ||
        c->w_type != ADZE_f32 || c->kernel[0] < 3 || c->strides[0] != 1 || c->dilations[0] != 1 ||
        c->dilations[1] != 1 || out < 2 || out > ADZE_WINOGRAD_IN)
        return false;
    *cut = (adze_winograd_rows){.parts = (c->kernel[0] + ADZE_WINOGRAD_LONGEST_PART - 1) / ADZE_WINOGRAD_LONGEST_PART};
    const int64_t window = (c->kernel[0] + cut->parts - 1) / cut->parts;
    if (!filter_of(window, window + out - 1, &cut->filter))
        return false;
    cut->points = cut->filter.in;
    cut->tiles = (c->out[0] + out - 1) / out;
    cut->in_rows = (cut->parts - 1) * window + cut->points;
    cut->width = adze_staged_width(c);
    const int64_t row = cut->width * c->channels;
    cut->x_at = round_up(cut->in_rows * row);
    cut->sums_at = cut->x_at + round_up(cut->points * cut->parts * row);
    cut->work = cut->sums_at + round_up(cut->points * c->out[1] * columns);
    return true;
}

/* ---- the weight ---- */

/* One axis of G w: what tap k of the window gives to point p. */
static double factor(const adze_winograd_filter *f, int64_t point, int64_t k) {
    return f->window == 1 ? 1.0 : f->g[point][k];
}

/* Hands over the packed weight, the bias with a zero for each column without an output, and the work memory. */
static bool replace(adze_pack_site *site, const adze_contraction *c, adze_tensor *u, const int64_t dims[5],
                    int64_t work) {
    adze_context *ctx = site->ctx;
    adze_shape shape = adze_pack_shape(ctx, ADZE_f32, 5, dims);
    adze_pack_weight(site, adze_pack_add_weight(site, adze_arena_printf(ctx->arena, "%s.winograd", site->symbol), u),
                     &shape);
    if (site->has_bias) {
        int64_t count = dims[0] * dims[3];
        adze_tensor bias;
        if (!adze_tensor_new(ctx->arena, ADZE_f32, 1, &count, &bias))
            return false;
        for (int64_t m = 0; m < c->outputs; m++)
            ((float *)adze_tensor_data(&bias))[m] = (float)adze_tensor_get_f64(&site->bias, (size_t)m);
        adze_pack_bias(site, c, &bias);
    }
    int64_t parts = adze_get_i64(mlirModuleGetOperation(site->module), "adze.threads");
    adze_pack_work(site, ADZE_f32, work * (parts > 1 ? parts : 1));
    return true;
}

bool adze_pack_winograd(adze_pack_site *site, const adze_schedule *s) {
    adze_context *ctx = site->ctx;
    adze_contraction c;
    adze_packing how = {.columns = s->vectors * s->lanes, .depth = 1}, have;
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
        return adze_pack_refuse(site, "its convolution has windows without a filter, or is not of floats");
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
                            sum += factor(&w.filter[0], p / w.in[1], i) * factor(&w.filter[1], p % w.in[1], j) *
                                   (double)from[((i * kw + j) * c.channels + ch) * c.outputs + m];
                    *to = (float)sum;
                }
    return replace(site, &c, &u, dims, w.work);
}

/* [panels][points][parts * kw * C][columns] */
bool adze_pack_winograd_rows(adze_pack_site *site, const adze_schedule *s) {
    adze_context *ctx = site->ctx;
    adze_contraction c;
    adze_packing how = {.columns = s->vectors * s->lanes, .depth = 1}, have;
    adze_winograd_rows cut;
    if (!adze_contraction_of_kernel(ctx, site->kernel, &c))
        return adze_pack_refuse(site, "it has no channels-last convolution of known extents");
    if (adze_packing_read(c.op, &have))
        return true; /* a dump of this pass */
    if (s->lanes < 1 || s->rows < 1 || s->vectors < 1 || s->scalable || s->rows * s->vectors > ADZE_MAX_CARRIED)
        return adze_pack_refuse(site, "lanes, rows or vectors are missing or make a block too large");
    if (!adze_winograd_rows_cut(&c, s->tiles, how.columns, &cut))
        return adze_pack_refuse(site, "its convolution has windows without a filter, or is not of floats");
    if (!adze_pack_open(site, &c))
        return false;
    adze_set(c.op, "adze.weight_shape", adze_i64s(ctx, c.ws.rank, c.ws.dims));
    adze_set(c.op, "adze.packed", adze_i64s(ctx, 2, (int64_t[]){how.columns, 1}));
    adze_set(c.op, "adze.winograd", adze_i64(ctx, cut.points));
    adze_set(c.op, "adze.winograd_parts", adze_i64(ctx, cut.parts));

    const int64_t panels = (c.outputs + how.columns - 1) / how.columns, run = c.kernel[1] * c.channels;
    int64_t dims[5] = {panels, cut.points, cut.parts * run, how.columns, 1};
    adze_tensor u;
    if (!adze_tensor_new(ctx->arena, ADZE_f32, 5, dims, &u))
        return adze_error(&ctx->diags, adze_node(ctx, c.op), "its packed weight is too large");
    const float *from = site->w.data;
    float *to = adze_tensor_data(&u);
    for (int64_t panel = 0; panel < panels; panel++)
        for (int64_t p = 0; p < cut.points; p++)
            for (int64_t part = 0; part < cut.parts; part++)
                for (int64_t k = 0; k < run; k++)
                    for (int64_t column = 0; column < how.columns; column++, to++) {
                        int64_t m = panel * how.columns + column, first = part * cut.filter.window;
                        double sum = 0;
                        for (int i = 0; i < cut.filter.window && first + i < c.kernel[0] && m < c.outputs; i++)
                            sum += cut.filter.g[p][i] * (double)from[((first + i) * run + k) * c.outputs + m];
                        *to = (float)sum;
                    }
    return replace(site, &c, &u, dims, cut.work);
}
