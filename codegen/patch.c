/* See patch.h. */
#include "codegen/patch.h"

static int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

int64_t adze_patch_steps(const adze_contraction *c, int64_t depth) { return c->n_runs * ceil_div(c->run, depth); }

int64_t adze_patch_unit(const adze_contraction *c, int64_t depth) {
    return c->channels % depth ? 1 : c->channels / depth;
}

int64_t adze_patch_pixels(const adze_contraction *c) {
    int64_t n = 1;
    for (int d = 0; d < c->ys.rank - 1; d++) {
        if (c->ys.dims[d] < 0 || c->xs.dims[d] < 0 ||
            __builtin_mul_overflow(n, c->ys.dims[d], &n))
            return -1;
    }
    return n;
}

static MlirValue constant(const adze_patch *p, int64_t i) { return adze_index(p->g, i); }
static MlirValue times(const adze_patch *p, MlirValue a, int64_t n) {
    return adze_index_mul(p->g, a, constant(p, n));
}
static MlirValue plus(const adze_patch *p, MlirValue a, MlirValue b) { return adze_index_add(p->g, a, b); }
static MlirValue both(const adze_patch *p, MlirValue a, MlirValue b) {
    if (!a.ptr)
        return b;
    return adze_build1(&p->g->b, "arith.andi", 2, (MlirValue[]){a, b}, mlirValueGetType(a), 0, NULL);
}

int64_t adze_patch_turn(const adze_patch *p) {
    int64_t n = 4;
    while (p->unit % n)
        n--;
    return n;
}

/* All of a run, steps as many as there are. */
static void whole_run(const adze_patch *p, MlirValue start, MlirValue to) {
    adze_patch all = *p;
    all.unit = ceil_div(p->c->run, p->depth);
    all.copy(&all, start, to, constant(p, all.unit), p->pixels * p->depth);
}

/* Whether the window's last axis is inside x for certain, else the test that it is. */
static bool inside_row(const adze_patch *p, MlirValue low, MlirValue high, MlirValue *test) {
    adze_gen *g = p->g;
    const int64_t taps = p->c->run / p->c->channels;
    int64_t known = -1;
    test->ptr = NULL;
    if (!adze_index_known(low, &known) || known)
        *test = both(p, *test, adze_index_cmp(g, "eq", low, constant(p, 0)));
    if (!adze_index_known(high, &known) || known != taps)
        *test = both(p, *test, adze_index_cmp(g, "eq", high, constant(p, taps)));
    return !test->ptr;
}

/* A run of whole pixels whose channels fill steps: padding on either side is whole steps too. */
static void even_run(const adze_patch *p, MlirValue start, MlirValue low, MlirValue high, MlirValue to) {
    adze_gen *g = p->g;
    const int64_t per_pixel = p->c->channels / p->depth, stride = p->pixels * p->depth;
    MlirValue taps = constant(p, p->c->run / p->c->channels), inside;
    if (inside_row(p, low, high, &inside)) {
        whole_run(p, start, to);
        return;
    }
    adze_if branch = adze_if_begin(g, inside, 0, NULL);
    whole_run(p, start, to);
    adze_if_else(g, &branch, NULL);
    p->fill(p, to, times(p, low, per_pixel), stride);
    p->copy(p, plus(p, start, times(p, low, p->c->channels)), plus(p, to, times(p, low, per_pixel * stride)),
            times(p, adze_index_sub(g, high, low), per_pixel), stride);
    p->fill(p, plus(p, to, times(p, high, per_pixel * stride)), times(p, adze_index_sub(g, taps, high), per_pixel),
            stride);
    adze_if_end(g, &branch, NULL, NULL);
}

/* A run that ends within a step: whole steps where neither padding nor the end of x is near, else elements. */
static void odd_run(const adze_patch *p, MlirValue start, MlirValue low, MlirValue high, MlirValue to) {
    adze_gen *g = p->g;
    const int64_t C = p->c->channels, steps = ceil_div(p->c->run, p->depth), stride = p->pixels * p->depth;
    const int64_t total = adze_shape_count(&p->c->xs);
    MlirValue whole = adze_index_cmp(g, "le", start, constant(p, total - steps * p->depth)), in_row;
    if (!inside_row(p, low, high, &in_row))
        whole = both(p, whole, in_row);
    adze_if branch = adze_if_begin(g, whole, 0, NULL);
    whole_run(p, start, to);
    adze_if_else(g, &branch, NULL);
    adze_for k = adze_for_begin(g, "k", constant(p, 0), constant(p, p->c->run), constant(p, 1), 0, NULL, NULL);
    MlirValue inside = both(p, adze_index_cmp(g, "ge", k.iv, times(p, low, C)),
                            adze_index_cmp(g, "lt", k.iv, times(p, high, C)));
    adze_if pick = adze_if_begin(g, inside, 0, NULL);
    p->element(p, plus(p, start, k.iv), to, k.iv, stride);
    adze_if_else(g, &pick, NULL);
    p->element(p, (MlirValue){NULL}, to, k.iv, stride);
    adze_if_end(g, &pick, NULL, NULL);
    adze_for_end(g, &k, NULL, NULL);
    adze_if_end(g, &branch, NULL, NULL);
}

/* One pixel whose window is more than the pixel itself. */
static void window(const adze_patch *p, MlirValue pixel, MlirValue to) {
    adze_gen *g = p->g;
    const adze_contraction *c = p->c;
    const int last = c->n - 1, n_taps = c->wide_runs ? last : c->n;
    const int64_t steps = ceil_div(c->run, p->depth), stride = p->pixels * p->depth;
    static const char *const names[] = {"kw", "kh", "kd", "ka", "kb", "kc"};
    MlirValue at[ADZE_MAX_SPATIAL], rest = pixel, inside = {NULL}, run = constant(p, 0);
    for (int d = last; d >= 0; d--) {
        at[d] = c->out[d] == 1 ? constant(p, 0) : adze_index_rem(g, rest, constant(p, c->out[d]));
        rest = adze_index_div(g, rest, constant(p, c->out[d]));
        at[d] = adze_index_sub(g, times(p, at[d], c->strides[d]), constant(p, c->pad_begin[d]));
    }
    adze_for loops[ADZE_MAX_SPATIAL];
    MlirValue start = c->xs.dims[0] == 1 ? constant(p, 0) : rest;
    for (int d = 0; d < c->n; d++) {
        MlirValue i = at[d];
        if (d < n_taps) {
            loops[d] = adze_for_begin(g, names[(last - d) % 6], constant(p, 0), constant(p, c->kernel[d]),
                                      constant(p, 1), 0, NULL, NULL);
            i = plus(p, i, times(p, loops[d].iv, c->dilations[d]));
            run = plus(p, times(p, run, c->kernel[d]), loops[d].iv);
            if (c->pad_begin[d])
                inside = both(p, inside, adze_index_cmp(g, "ge", i, constant(p, 0)));
            if ((c->out[d] - 1) * c->strides[d] - c->pad_begin[d] + (c->kernel[d] - 1) * c->dilations[d] >= c->in[d])
                inside = both(p, inside, adze_index_cmp(g, "lt", i, constant(p, c->in[d])));
        }
        start = plus(p, times(p, start, c->in[d]), i);
    }
    start = times(p, start, c->channels);
    adze_name_value(g->ctx, start, "from");
    to = plus(p, to, times(p, run, steps * stride));
    adze_name_value(g->ctx, to, "to");
    adze_if branch;
    if (inside.ptr)
        branch = adze_if_begin(g, inside, 0, NULL);
    MlirValue low = constant(p, 0), high = constant(p, c->wide_runs ? c->kernel[last] : 1);
    if (c->wide_runs && c->pad_begin[last])
        low = adze_index_min(g, adze_index_max(g, adze_index_sub(g, low, at[last]), low), high);
    if (c->wide_runs && (c->out[last] - 1) * c->strides[last] - c->pad_begin[last] + c->kernel[last] > c->in[last])
        high = adze_index_max(
            g, low, adze_index_min(g, adze_index_sub(g, constant(p, c->in[last]), at[last]), high));
    if (c->channels % p->depth == 0)
        even_run(p, start, low, high, to);
    else
        odd_run(p, start, low, high, to);
    if (inside.ptr) {
        adze_if_else(g, &branch, NULL);
        p->fill(p, to, constant(p, steps), stride);
        adze_if_end(g, &branch, NULL, NULL);
    }
    for (int d = n_taps - 1; d >= 0; d--)
        adze_for_end(g, &loops[d], NULL, NULL);
}

void adze_patch_build(const adze_patch *p, MlirValue first) {
    adze_gen *g = p->g;
    MlirValue i = constant(p, 0);
    adze_for loop;
    if (p->pixels > 1) {
        loop = adze_for_begin(g, "p", i, constant(p, p->pixels), constant(p, 1), 0, NULL, NULL);
        i = loop.iv;
    }
    MlirValue pixel = plus(p, first, i), to = times(p, i, p->depth);
    if (p->c->point && p->c->channels % p->depth == 0)
        p->copy(p, times(p, pixel, p->c->channels), to, constant(p, p->c->channels / p->depth), p->pixels * p->depth);
    else
        window(p, pixel, to);
    if (p->pixels > 1)
        adze_for_end(g, &loop, NULL, NULL);
}
