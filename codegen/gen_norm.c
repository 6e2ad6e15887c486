/* Operations that see whole lines or slices: softmax, hardmax, norm, lp_norm; and those that read a
 * line per element: lrn, arg_reduce; and cumulate. Sums run in the order of the elements, in the
 * compute type. */
#include "codegen/gen_math.h"

#include <string.h>

/* The operation's x and its result's memref; loops over every axis but `axis` are what comes next.
 */
typedef struct line {
    MlirValue x, y, length; /* y: memref, null when unused */
    adze_shape xs;
    adze_dtype work;
    int axis;
    bool keep;   /* the first pass leaves x in y, because reading x again would compute it again */
    bool stored; /* and has done so */
    bool skip[ADZE_MAX_RANK];
    MlirValue at[ADZE_MAX_RANK];
} line;

static bool memref_holds(adze_gen *g, MlirValue memref, adze_dtype dtype) {
    adze_shape shape;
    return memref.ptr && adze_value_shape(g->ctx, memref, &shape) && shape.dtype == dtype;
}

/* Whether x is computed inside this kernel and y can hold it for later passes. */
static bool worth_keeping(adze_gen *g, MlirValue x, MlirValue y, adze_dtype work) {
    return !adze_is_op(adze_defining(x), "bufferization.to_tensor") && memref_holds(g, y, work);
}

static bool line_of(adze_gen *g, MlirOperation op, line *l) {
    *l = (line){.y = adze_gen_destination(g, mlirOperationGetResult(op, 0))};
    if (!gn_operand(g, op, 0, &l->x, &l->xs) || !gn_axis(g, op, "axis", l->xs.rank, &l->axis))
        return false;
    l->work = gn_compute(l->xs.dtype);
    l->skip[l->axis] = true;
    l->length = adze_extent(g, l->x, l->axis);
    l->keep = worth_keeping(g, l->x, l->y, l->work);
    return true;
}

/* The loops around lines: lines side by side, where they are neighbours. */
static adze_nest lines(adze_gen *g, line *l) {
    adze_nest nest = gn_nest(g, l->x, l->xs.rank, l->skip, l->at);
    if (nest.n)
        adze_vectorize(g, &nest.loops[nest.n - 1]);
    return nest;
}

/* After the loops around lines: threads share them. Lines that are neighbours in memory may have become lanes, so a share
 * is then a multiple of what vectors take. */
static void share_lines(adze_gen *g, const adze_nest *nest, bool neighbours) {
    enum { ENOUGH = 16, GRAIN = 256 };
    int best = -1;
    int64_t turns = 0, grain = 1;
    for (int i = 0; i < nest->n && turns < ENOUGH; i++) {
        int64_t unit = neighbours && i == nest->n - 1 ? GRAIN : 1;
        int64_t n = adze_index_most(mlirOperationGetOperand(nest->loops[i].op, 1)) / unit;
        if (n > turns) {
            best = i;
            turns = n;
            grain = unit;
        }
    }
    if (best >= 0 && adze_gen_threads(g) > 1)
        adze_gen_parallel_loop(g, &nest->loops[best], grain, adze_gen_operations(nest->loops[0].op));
}

/* Whether an axis with neighbours in memory is walked by the loops around lines. */
static bool lines_are_neighbours(const adze_shape *s, const bool *along) {
    int last = s->rank - 1;
    while (last > 0 && s->dims[last] == 1)
        last--;
    return last >= 0 && !along[last];
}

/* A loop along the line: vectors, where its elements are neighbours. */
static gn_loop along_line(adze_gen *g, const line *l, int n, const adze_scalar *init, const char *name) {
    gn_loop loop = gn_loop_begin(g, "k", adze_index(g, 0), l->length, n, init, &name);
    adze_vectorize(g, &loop.loop);
    return loop;
}

static bool read_line(adze_gen *g, line *l, MlirValue k, adze_scalar *out) {
    l->at[l->axis] = k;
    if (l->stored) {
        *out = gn_load(g, l->y, l->at, l->work);
        return true;
    }
    return gn_read(g, l->x, l->at, l->work, out);
}

static void store_line(adze_gen *g, line *l, MlirValue k, adze_scalar x) {
    l->at[l->axis] = k;
    gn_store(g, x, l->y, l->at);
}

/* At the end of a first pass over x, whose element k was x: keeps it, if that is wanted. */
static void keep_line(adze_gen *g, line *l, MlirValue k, adze_scalar x) {
    if (l->keep)
        store_line(g, l, k, x);
    l->stored = l->keep;
}

/* max, then y = exp(x - max) and its sum, then y / sum */
bool adze_gen_softmax(adze_gen *g, MlirOperation op) {
    line l;
    if (!line_of(g, op, &l) || !gn_need_float(g, op, &l.xs))
        return false;
    if (!l.y.ptr || gn_is_empty(&l.xs))
        return true;
    bool log_form = adze_get_bool(op, "log");
    /* exponentials wait in y where nothing is lost by it */
    bool wait = !log_form && memref_holds(g, l.y, l.work);
    adze_nest nest = lines(g, &l);

    adze_scalar max = adze_scalar_neutral(&g->b, "max", l.work), x, sum, e;
    gn_loop loop = along_line(g, &l, 1, &max, "max");
    if (!read_line(g, &l, loop.iv, &x))
        return false;
    keep_line(g, &l, loop.iv, x);
    x = gn_binary(g, "max", loop.carried[0], x);
    gn_loop_end(g, &loop, &x, &max);

    sum = gn_num(g, l.work, 0);
    loop = along_line(g, &l, 1, &sum, "sum");
    if (!read_line(g, &l, loop.iv, &x))
        return false;
    x = gn_sub(g, x, max);
    g->b.name = "e";
    e = gn_unary(g, "exp", x);
    if (wait)
        store_line(g, &l, loop.iv, e);
    e = gn_add(g, loop.carried[0], e);
    gn_loop_end(g, &loop, &e, &sum);

    adze_scalar log_sum = sum;
    if (log_form) {
        g->b.name = "log_sum";
        log_sum = gn_unary(g, "log", sum);
    }
    loop = along_line(g, &l, 0, NULL, NULL);
    if (wait) {
        l.at[l.axis] = loop.iv;
        e = gn_load(g, l.y, l.at, l.work);
    } else {
        if (!read_line(g, &l, loop.iv, &x))
            return false;
        e = gn_sub(g, x, max);
        if (!log_form)
            e = gn_unary(g, "exp", e);
    }
    store_line(g, &l, loop.iv, log_form ? gn_sub(g, e, log_sum) : gn_div(g, e, sum));
    gn_loop_end(g, &loop, NULL, NULL);
    const adze_nest around = nest;
    adze_nest_end(g, &nest);
    share_lines(g, &around, lines_are_neighbours(&l.xs, l.skip));
    return true;
}

/* The index of the first (or last) extreme on the line. */
static bool extreme(adze_gen *g, line *l, const char *better, bool last, MlirValue *where) {
    adze_scalar best, x;
    MlirValue zero = adze_index(g, 0);
    if (!read_line(g, l, zero, &best))
        return false;
    MlirValue init[2] = {best.value, zero};
    adze_for loop = adze_for_begin(g, "k", adze_index(g, 1), l->length, adze_index(g, 1), 2, init,
                                   (const char *[]){"best", "where"});
    if (!read_line(g, l, loop.iv, &x))
        return false;
    adze_scalar now = {loop.carried[0], l->work};
    MlirValue wins = gn_binary(g, better, x, now).value;
    if (last)
        wins = gn_or(g, wins, gn_binary(g, "equal", x, now).value);
    MlirValue next[2] = {gn_select(g, wins, x, now).value,
                         gn_index_select(g, wins, loop.iv, loop.carried[1])};
    adze_for_end(g, &loop, next, next);
    *where = next[1];
    return true;
}

bool adze_gen_hardmax(adze_gen *g, MlirOperation op) {
    line l;
    if (!line_of(g, op, &l) || !gn_need_number(g, op, &l.xs))
        return false;
    if (!l.y.ptr || gn_is_empty(&l.xs))
        return true;
    adze_nest nest = lines(g, &l);
    MlirValue where;
    if (!extreme(g, &l, "greater", false, &where))
        return false;
    gn_loop loop = gn_loop_begin(g, "k", adze_index(g, 0), l.length, 0, NULL, NULL);
    store_line(g, &l, loop.iv,
               gn_select(g, adze_index_cmp(g, "eq", loop.iv, where), gn_num(g, l.work, 1),
                         gn_num(g, l.work, 0)));
    gn_loop_end(g, &loop, NULL, NULL);
    adze_nest_end(g, &nest);
    return true;
}

bool adze_read_arg_reduce(adze_gen *g, MlirOperation op, int which, const MlirValue *index,
                          MlirValue *out) {
    (void)which;
    line l;
    adze_shape ys;
    MlirValue y, where;
    if (!line_of(g, op, &l) || !gn_result(g, op, 0, &y, &ys) || !gn_need_number(g, op, &l.xs))
        return false;
    if (!l.xs.dims[l.axis])
        return gn_fail(g, op, "axis %d is empty", l.axis);
    bool kept = ys.rank == l.xs.rank;
    for (int d = 0; d < l.xs.rank; d++)
        if (d != l.axis)
            l.at[d] = index[kept || d < l.axis ? d : d - 1];
    const char *kind = adze_get_str(g->ctx, op, "kind");
    if (!kind || (strcmp(kind, "max") && strcmp(kind, "min")))
        return gn_fail(g, op, "unknown kind '%s'", kind ? kind : "");
    if (!extreme(g, &l, strcmp(kind, "max") ? "less" : "greater", adze_get_bool(op, "select_last"),
                 &where))
        return false;
    *out = adze_scalar_out(&g->b, adze_index_to(g, where, ys.dtype));
    return true;
}

bool adze_gen_cumulate(adze_gen *g, MlirOperation op) {
    line l;
    if (!line_of(g, op, &l) || !gn_need_number(g, op, &l.xs))
        return false;
    if (!l.y.ptr || gn_is_empty(&l.xs))
        return true;
    const char *kind = adze_get_str(g->ctx, op, "kind");
    if (!kind || (strcmp(kind, "sum") && strcmp(kind, "prod")))
        return gn_fail(g, op, "unknown kind '%s'", kind ? kind : "");
    bool exclusive = adze_get_bool(op, "exclusive"), reverse = adze_get_bool(op, "reverse");
    adze_nest nest = lines(g, &l);
    adze_scalar acc = adze_scalar_neutral(&g->b, kind, l.work), x, next;
    gn_loop loop = gn_loop_begin(g, "k", adze_index(g, 0), l.length, 1, &acc, &kind);
    MlirValue k = loop.iv;
    if (reverse)
        k = adze_index_sub(g, adze_index_sub(g, l.length, adze_index(g, 1)), k);
    if (!read_line(g, &l, k, &x))
        return false;
    if (!adze_scalar_combine(&g->b, kind, loop.carried[0], x, &next))
        return false;
    store_line(g, &l, k, exclusive ? loop.carried[0] : next);
    gn_loop_end(g, &loop, &next, &acc);
    adze_nest_end(g, &nest);
    return true;
}

/* |x|^p, and the p-th root */
static adze_scalar power(adze_gen *g, adze_scalar x, int64_t p) {
    return p == 1   ? gn_unary(g, "abs", x)
           : p == 2 ? gn_unary(g, "square", x)
                    : gn_binary(g, "pow", gn_unary(g, "abs", x), gn_num(g, x.dtype, (double)p));
}

static adze_scalar root(adze_gen *g, adze_scalar x, int64_t p) {
    return p == 1   ? x
           : p == 2 ? gn_unary(g, "sqrt", x)
                    : gn_binary(g, "pow", x, gn_num(g, x.dtype, 1.0 / (double)p));
}

bool adze_gen_lp_norm(adze_gen *g, MlirOperation op) {
    line l;
    if (!line_of(g, op, &l) || !gn_need_float(g, op, &l.xs))
        return false;
    if (!l.y.ptr || gn_is_empty(&l.xs))
        return true;
    int64_t p = adze_get_i64(op, "p");
    if (p < 1)
        return gn_fail(g, op, "p is below 1");
    adze_nest nest = lines(g, &l);
    adze_scalar zero = gn_num(g, l.work, 0), sum = zero, x;
    gn_loop loop = along_line(g, &l, 1, &sum, "sum");
    if (!read_line(g, &l, loop.iv, &x))
        return false;
    keep_line(g, &l, loop.iv, x);
    x = gn_add(g, loop.carried[0], power(g, x, p));
    gn_loop_end(g, &loop, &x, &sum);
    g->b.name = "norm";
    adze_scalar norm = root(g, sum, p);
    MlirValue is_zero = gn_binary(g, "equal", norm, zero).value;
    loop = along_line(g, &l, 0, NULL, NULL);
    if (!read_line(g, &l, loop.iv, &x))
        return false;
    store_line(g, &l, loop.iv, gn_select(g, is_zero, zero, gn_div(g, x, norm)));
    gn_loop_end(g, &loop, NULL, NULL);
    adze_nest_end(g, &nest);
    return true;
}

/* x / (bias + alpha / size * sum of squares over `size` neighbouring channels)^beta */
bool adze_read_lrn(adze_gen *g, MlirOperation op, int which, const MlirValue *index,
                   MlirValue *out) {
    (void)which;
    adze_shape xs;
    MlirValue x, at[ADZE_MAX_RANK];
    if (!gn_operand(g, op, 0, &x, &xs) || !gn_need_float(g, op, &xs))
        return false;
    int64_t size = adze_get_i64(op, "size");
    if (xs.rank < 2 || size < 1)
        return gn_fail(g, op, "x has rank %d, size is %lld", xs.rank, (long long)size);
    adze_dtype work = gn_compute(xs.dtype);
    int64_t before = (size - 1) / 2;
    MlirValue c = index[1], zero = adze_index(g, 0), channels = adze_extent(g, x, 1);
    MlirValue low = adze_index_max(g, adze_index_sub(g, c, adze_index(g, before)), zero);
    MlirValue high =
        adze_index_min(g, adze_index_add(g, c, adze_index(g, size - before)), channels);
    memcpy(at, index, (size_t)xs.rank * sizeof *at);
    adze_scalar sum = gn_num(g, work, 0), v, e;
    gn_loop loop = gn_loop_begin(g, "near", low, high, 1, &sum, (const char *[]){"sum"});
    at[1] = loop.iv;
    if (!gn_read(g, x, at, work, &e))
        return false;
    e = gn_add(g, loop.carried[0], gn_unary(g, "square", e));
    gn_loop_end(g, &loop, &e, &sum);
    if (!gn_read(g, x, index, work, &v))
        return false;
    double each = adze_get_f64(op, "alpha") / (double)size;
    adze_scalar base =
        gn_add(g, gn_num(g, work, adze_get_f64(op, "bias")), gn_mul(g, gn_num(g, work, each), sum));
    double beta = adze_get_f64(op, "beta");
    adze_scalar scale = gn_binary(g, "pow", base, gn_num(g, work, beta));
    *out = gn_out(g, gn_div(g, v, scale), xs.dtype);
    return true;
}

/* ---- norm ---- */

typedef struct norm {
    MlirValue x;
    adze_shape xs;
    adze_dtype work;
    bool reduced[ADZE_MAX_RANK], kept[ADZE_MAX_RANK];
    bool keep, stored; /* as in `line` */
    MlirValue y;
    MlirValue at[ADZE_MAX_RANK];
    adze_scalar count;
} norm;

static bool norm_read(adze_gen *g, norm *n, adze_scalar *x) {
    if (n->stored) {
        *x = gn_load(g, n->y, n->at, n->work);
        return true;
    }
    return gn_read(g, n->x, n->at, n->work, x);
}

/* The sum over the reduced axes of x, or of (x - mean)^2 when there is a mean to subtract. */
static bool norm_sum(adze_gen *g, norm *n, bool squares, const adze_scalar *mean, const char *name,
                     adze_scalar *out) {
    gn_loop loops[ADZE_MAX_RANK];
    adze_scalar sum = gn_num(g, n->work, 0), x;
    int depth = 0;
    for (int d = 0; d < n->xs.rank; d++)
        if (n->reduced[d]) {
            loops[depth] = gn_loop_begin(g, adze_arena_printf(g->ctx->arena, "i%d", d),
                                         adze_index(g, 0), adze_extent(g, n->x, d), 1, &sum, &name);
            n->at[d] = loops[depth].iv;
            sum = loops[depth++].carried[0];
        }
    if (depth)
        adze_vectorize(g, &loops[depth - 1].loop);
    if (!norm_read(g, n, &x))
        return false;
    if (n->keep && !n->stored) {
        gn_store(g, x, n->y, n->at);
        n->stored = true;
    }
    if (mean)
        x = gn_sub(g, x, *mean);
    sum = gn_add(g, sum, squares ? gn_unary(g, "square", x) : x);
    while (depth)
        gn_loop_end(g, &loops[--depth], &sum, &sum);
    *out = sum;
    return true;
}

static bool norm_elements(adze_gen *g, MlirOperation op, norm *n, const adze_scalar *mean,
                          adze_scalar inv_std) {
    adze_nest nest = gn_nest(g, n->x, n->xs.rank, n->kept, n->at);
    if (nest.n)
        adze_vectorize(g, &nest.loops[nest.n - 1]);
    adze_scalar x, part;
    if (!norm_read(g, n, &x))
        return false;
    if (mean)
        x = gn_sub(g, x, *mean);
    x = gn_mul(g, x, inv_std);
    for (int i = 1; i <= 2; i++) {
        MlirValue operand = mlirOperationGetOperand(op, i);
        if (adze_is_none(operand))
            continue;
        if (!gn_read_broadcast(g, operand, n->xs.rank, n->at, n->work, &part))
            return false;
        x = i == 1 ? gn_mul(g, x, part) : gn_add(g, x, part);
    }
    gn_store(g, x, n->y, n->at);
    adze_nest_end(g, &nest);
    return true;
}

static void norm_statistic_index(adze_gen *g, const norm *n, MlirValue *at) {
    for (int d = 0; d < n->xs.rank; d++)
        at[d] = n->reduced[d] ? adze_index(g, 0) : n->at[d];
}

bool adze_gen_norm(adze_gen *g, MlirOperation op) {
    norm n = {0};
    int64_t axes[ADZE_MAX_RANK];
    int n_axes = adze_get_i64s(op, "axes", ADZE_MAX_RANK, axes);
    if (!gn_operand(g, op, 0, &n.x, &n.xs) || !gn_need_float(g, op, &n.xs))
        return false;
    if (gn_is_empty(&n.xs))
        return true;
    n.work = gn_compute(n.xs.dtype);
    if (n_axes > n.xs.rank)
        return gn_fail(g, op, "has more axes than x");
    for (int d = 0; d < n.xs.rank; d++)
        n.kept[d] = true;
    MlirValue count = adze_index(g, 1);
    for (int i = 0; i < n_axes; i++) {
        if (axes[i] < 0 || axes[i] >= n.xs.rank || n.reduced[axes[i]])
            return gn_fail(g, op, "axes are not a set of x's axes");
        n.reduced[axes[i]] = true;
        n.kept[axes[i]] = false;
        count = adze_index_mul(g, count, adze_extent(g, n.x, (int)axes[i]));
    }
    int64_t known;
    n.count = adze_index_known(count, &known) ? gn_num(g, n.work, (double)known)
                                              : adze_index_to(g, count, n.work);
    MlirValue to[3], at[ADZE_MAX_RANK];
    for (int i = 0; i < 3; i++)
        to[i] = adze_gen_destination(g, mlirOperationGetResult(op, i));
    bool center = adze_get_bool(op, "center");
    n.y = to[0];
    n.keep = worth_keeping(g, n.x, n.y, n.work);

    adze_nest nest = gn_nest(g, n.x, n.xs.rank, n.reduced, n.at);
    if (nest.n)
        adze_vectorize(g, &nest.loops[nest.n - 1]);
    adze_scalar mean = gn_num(g, n.work, 0), squares;
    if (center) {
        if (!norm_sum(g, &n, false, NULL, "sum", &mean))
            return false;
        g->b.name = "mean";
        mean = gn_div(g, mean, n.count);
    }
    if (to[1].ptr) {
        norm_statistic_index(g, &n, at);
        gn_store(g, mean, to[1], at);
    }
    if (!to[0].ptr && !to[2].ptr) { /* the mean was all */
        adze_nest_end(g, &nest);
        return true;
    }
    if (!norm_sum(g, &n, true, center ? &mean : NULL, "squares", &squares))
        return false;
    adze_scalar variance =
        gn_add(g, gn_div(g, squares, n.count), gn_num(g, n.work, adze_get_f64(op, "epsilon")));
    adze_scalar std = gn_unary(g, "sqrt", variance);
    adze_scalar one = gn_num(g, n.work, 1);
    g->b.name = "inv_std";
    adze_scalar inv_std = gn_div(g, one, std);
    if (to[2].ptr) {
        norm_statistic_index(g, &n, at);
        gn_store(g, inv_std, to[2], at);
    }
    if (to[0].ptr && !norm_elements(g, op, &n, center ? &mean : NULL, inv_std))
        return false;
    const adze_nest around = nest;
    adze_nest_end(g, &nest);
    share_lines(g, &around, lines_are_neighbours(&n.xs, n.reduced));
    return true;
}

/* ---- dynamic quantization ---- */

/* scale = (max - min) / 255 over a range that includes 0; zero = round(-min / scale); all 8 bits */
bool adze_gen_dynamic_quantize(adze_gen *g, MlirOperation op) {
    MlirValue x, to[3], at[ADZE_MAX_RANK], none = {NULL};
    adze_shape xs;
    if (!gn_operand(g, op, 0, &x, &xs) || !gn_need_float(g, op, &xs))
        return false;
    for (int i = 0; i < 3; i++)
        to[i] = adze_gen_destination(g, mlirOperationGetResult(op, i));
    adze_dtype work = gn_compute(xs.dtype);
    adze_scalar zero = gn_num(g, work, 0), range[2] = {zero, zero}, v;
    gn_loop loops[ADZE_MAX_RANK];
    for (int d = 0; d < xs.rank; d++) {
        loops[d] = gn_loop_begin(g, adze_arena_printf(g->ctx->arena, "i%d", d), adze_index(g, 0),
                                 adze_extent(g, x, d), 2, range, (const char *[]){"low", "high"});
        memcpy(range, loops[d].carried, sizeof range);
        at[d] = loops[d].iv;
    }
    if (xs.rank)
        adze_vectorize(g, &loops[xs.rank - 1].loop);
    if (!gn_read(g, x, at, work, &v))
        return false;
    range[0] = gn_select(g, gn_binary(g, "less", v, range[0]).value, v, range[0]);
    range[1] = gn_select(g, gn_binary(g, "greater", v, range[1]).value, v, range[1]);
    for (int d = xs.rank - 1; d >= 0; d--)
        gn_loop_end(g, &loops[d], range, range);

    adze_scalar span = gn_sub(g, range[1], range[0]), levels = gn_num(g, work, 255);
    g->b.name = "scale";
    adze_scalar scale = gn_div(g, span, levels);
    MlirValue is_flat = gn_binary(g, "equal", scale, zero).value;
    const double clip[2] = {0, 255};
    adze_scalar shift = gn_unary(g, "round", gn_div(g, gn_unary(g, "neg", range[0]), scale));
    shift = gn_unary_p(g, "clip", clip, gn_select(g, is_flat, zero, shift));
    /* an infinite range gives NaN, which means 0 as it does in y */
    shift = gn_select(g, gn_unary(g, "is_nan", shift).value, zero, shift);
    if (to[1].ptr)
        gn_store(g, scale, to[1], &none);
    if (to[2].ptr)
        gn_store(g, shift, to[2], &none);
    if (!to[0].ptr)
        return true;
    adze_nest nest = gn_nest(g, x, xs.rank, NULL, at);
    if (nest.n)
        adze_vectorize(g, &nest.loops[nest.n - 1]);
    if (!gn_read(g, x, at, work, &v))
        return false;
    adze_scalar q = gn_select(g, is_flat, zero, gn_unary(g, "round", gn_div(g, v, scale)));
    q = gn_unary_p(g, "clip", clip, gn_add(g, q, shift));
    gn_store(g, gn_select(g, gn_unary(g, "is_nan", q).value, shift, q), to[0], at);
    adze_nest_end(g, &nest);
    return true;
}
