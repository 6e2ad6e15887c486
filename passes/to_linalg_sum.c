/* Contractions and reductions: linalg.generic with reduction loops, then what remains to be done once an
 * element is summed (scale, root, requantization, rounding) as a second, pointwise one.
 *
 * Sums of f32 and smaller floats are f32; integers wrap in the result's type, at least 32 bits wide in a
 * contraction; quantized contractions and means accumulate codes minus zero points in i32. */
#include "passes/to_linalg_internal.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool is_integer(adze_dtype d) {
    return adze_dtype_get(d)->cls == 'I' || adze_dtype_get(d)->cls == 'U';
}

/* Whether the bias is a float that joins after the accumulator was scaled. */
static bool has_late_bias(const lowering *l) {
    return l->present[2] && l->quant_in[0] && l->quant_in[1] && !l->quant_in[2] &&
           dtype_is_float(l->in[2].dtype) && dtype_is_float(l->out.dtype) && !l->quant_out;
}

/* What is left for the pointwise step after a sum. */
typedef struct epilogue {
    int n_factors;         /* quantized: real factors, one or one for each element of the last axis */
    const double *factors;
    double count;          /* quantized means: elements behind a sum; 0: one */
    int64_t terms;         /* products behind a sum; 0: bounded only */
    double divisor;        /* 0: none */
    const char *unary;     /* NULL: none */
    const adze_quant *move; /* sums are codes of this encoding */
} epilogue;

/* acc: a tensor of the result's shape with scalars of type `from`. */
static bool finish(lowering *l, MlirValue acc, adze_dtype from, const epilogue *e) {
    const bool nothing = !e->n_factors && e->divisor == 0 && !e->unary && !e->move && !l->quant_out;
    if (nothing && mlirTypeEqual(mlirValueGetType(acc), adze_tensor_type(l->ctx, &l->out))) {
        *l->result = acc;
        return true;
    }
    adze_generic g = lowering_pointwise(l);
    int x = adze_generic_in(&g, acc, (MlirValue){0}, NULL), m = 0, s = 0, factor = 0, divisor = 0, bias = 0;
    const int last = l->out.rank - 1;
    const bool requantize = e->n_factors && l->quant_out;
    quant_port port = {0};
    quant_move code = {.same = true};
    if (l->quant_out && l->q_out.n != 1)
        return lowering_error(l, "the result has several scales");
    if (requantize) {
        double *real = ADZE_NEW_ARRAY(l->ctx->arena, double, (size_t)e->n_factors);
        for (int i = 0; i < e->n_factors; i++)
            real[i] = e->factors[i] / (e->count != 0 ? l->q_out.scale[0] * e->count : l->q_out.scale[0]);
        quant_factors(l, &g, e->n_factors, real, last, &m, &s);
    } else if (e->n_factors) {
        const int64_t n = e->n_factors;
        adze_tensor scale;
        adze_tensor_new(l->ctx->arena, l->out.dtype == ADZE_f64 ? ADZE_f64 : ADZE_f32, 1, &n, &scale);
        for (int i = 0; i < n; i++)
            adze_tensor_set_f64(&scale, (size_t)i, e->count != 0 ? e->factors[i] / e->count : e->factors[i]);
        factor = adze_generic_table(&g, &scale, lowering_name(l, "scale"), last);
    } else if (e->move) {
        if (!quant_move_new(l, &g, e->move, &l->q_out, &code))
            return false;
    } else if (l->quant_out) {
        port = quant_port_new(l, &g, &l->q_out, from, 0);
    }
    if (has_late_bias(l))
        bias = lowering_in(l, &g, 2);
    if (e->divisor != 0)
        divisor = adze_generic_number(&g, from, e->divisor);
    if (!adze_generic_out(&g, &l->out, NULL))
        return false;
    adze_generic_begin(&g);
    adze_builder *b = &g.body;
    adze_scalar y = {adze_generic_raw(&g, x), from}; /* accumulators are held as scalars */
    if (requantize) {
        y = quant_requantize(&g, y, m, s, l->q_out.zero_point[0], l->out.dtype);
    } else if (e->n_factors) {
        adze_scalar scale = adze_generic_arg(&g, factor);
        if (!adze_scalar_cast(b, y, scale.dtype, false, &y) ||
            !adze_scalar_binary(b, "mul", y, scale, &y))
            return false;
        adze_scalar late;
        if (has_late_bias(l) &&
            (!adze_scalar_cast(b, adze_generic_arg(&g, bias), y.dtype, false, &late) ||
             !adze_scalar_binary(b, "add", y, late, &y)))
            return false;
    } else if (e->move) {
        if (!quant_moved(&g, &code, y, &y))
            return false;
    }
    if (e->divisor != 0 && !adze_scalar_binary(b, "div", y, adze_generic_arg(&g, divisor), &y))
        return false;
    if (e->unary && !adze_scalar_unary(b, e->unary, NULL, y, &y))
        return false;
    if (l->quant_out && !e->n_factors && !e->move && !quant_from_real(&g, &port, y, &y))
        return false;
    if (!adze_scalar_cast(b, y, l->out.dtype, false, &y))
        return false;
    adze_generic_end(&g, &y, l->result);
    return true;
}

/* ---- contractions ---- */

/* The type that products are summed in. */
static adze_dtype accumulator_of(const lowering *l) {
    const adze_dtype y = l->out.dtype;
    if (l->quant_in[0] && l->quant_in[1])
        return ADZE_i32;
    if (l->quant_out)
        return ADZE_f64;
    if (dtype_is_float(y))
        return y == ADZE_f64 ? ADZE_f64 : ADZE_f32;
    if (dtype_bits(y) >= 32)
        return y;
    return adze_dtype_get(y)->cls == 'U' ? ADZE_u32 : ADZE_i32;
}

/* Operand i as a factor: a code minus its zero point, a real value, or a widened number. */
static bool factor_of(lowering *l, adze_generic *g, int i, int x, const quant_port *port, adze_dtype acc,
                      adze_scalar *out) {
    adze_scalar v = adze_generic_arg(g, x);
    if (!l->quant_in[i])
        return adze_scalar_cast(&g->body, v, acc, false, out);
    if (!(acc == ADZE_i32 ? quant_centre(g, port, v, &v) : quant_real(g, port, v, &v)))
        return false;
    return adze_scalar_cast(&g->body, v, acc, false, out);
}

/* A float bias of quantized factors, in units of the accumulator: round_half_even(bias / (sa * sb)). */
static bool bias_codes(lowering *l, const epilogue *e, adze_tensor *out) {
    adze_tensor bias;
    if (!adze_constant_value(l->ctx, l->module, lowering_original(l, 2), &bias))
        return lowering_error(l, "a float bias of a quantized product that is not constant");
    const int64_t n = (int64_t)adze_tensor_count(&bias);
    if (e->n_factors > 1 && e->n_factors != n)
        return lowering_error(l, "%d scales for a bias of %lld", e->n_factors, (long long)n);
    adze_tensor_new(l->ctx->arena, ADZE_i32, 1, &n, out);
    for (int64_t i = 0; i < n; i++) {
        double v = rint(adze_tensor_get_f64(&bias, (size_t)i) / e->factors[e->n_factors > 1 ? i : 0]);
        adze_tensor_set_f64(out, (size_t)i, v);
    }
    return true;
}

/* The tensor that sums start from: operand 2, a bias for each element of the last axis. */
static bool start_from_bias(lowering *l, adze_dtype acc, const epilogue *e, MlirValue *out) {
    adze_shape shape = adze_shape_with(l->ctx, &l->out, acc);
    const adze_quant *q = &l->q_in[2];
    adze_generic g = lowering_pointwise(l);
    int x;
    if (l->quant_in[2]) /* i32 codes of scale sa * sb */
        for (int i = 0; i < q->n; i++) {
            const double scale = e->n_factors ? e->factors[e->n_factors > 1 ? i % e->n_factors : 0] : 0;
            if (q->zero_point[i] || !(fabs(q->scale[i] / scale - 1) <= 1e-4))
                return lowering_error(l, "the bias does not have scale a * scale b and zero point 0");
        }
    if (acc == ADZE_i32 && dtype_is_float(l->in[2].dtype)) {
        adze_tensor codes;
        if (!e->n_factors || !bias_codes(l, e, &codes))
            return e->n_factors != 0 ? false : lowering_error(l, "a float bias of an integer result");
        x = adze_generic_table(&g, &codes, lowering_name(l, "bias"), l->out.rank - 1);
    } else {
        x = lowering_in(l, &g, 2);
    }
    /* held as a scalar: unsigned types in signless tensors */
    shape.element = adze_scalar_type(l->ctx, acc);
    if (!adze_generic_out(&g, &shape, NULL))
        return false;
    adze_generic_begin(&g);
    adze_scalar v;
    if (!adze_scalar_cast(&g.body, adze_generic_arg(&g, x), acc, false, &v))
        return false;
    adze_generic_end(&g, &v, out);
    return true;
}

/* The largest |code - zero point| of an encoding. */
static double reach(const adze_quant *q) {
    int64_t low, high;
    double most = 0;
    adze_integer_range(q->storage, &low, &high);
    for (int i = 0; i < q->n; i++)
        most = fmax(most, fmax((double)(high - q->zero_point[i]), (double)(q->zero_point[i] - low)));
    return most;
}

/* Whether a product of quantized factors (terms 0), or the sum of that many and the bias, stays within 32
 * bits. */
static bool fits(lowering *l, const epilogue *e, int64_t terms) {
    if (!l->quant_in[0] || !l->quant_in[1])
        return false;
    double most = reach(&l->q_in[0]) * reach(&l->q_in[1]) * (double)(terms ? terms : 1), start = 0;
    adze_tensor bias;
    if (terms && l->present[2] && !has_late_bias(l)) {
        if (!adze_constant_value(l->ctx, l->module, lowering_original(l, 2), &bias) ||
            (dtype_is_float(bias.dtype) && (!e->n_factors || !bias_codes(l, e, &bias))))
            return false;
        for (size_t i = 0; i < adze_tensor_count(&bias); i++)
            start = fmax(start, fabs(adze_tensor_get_f64(&bias, i)));
    }
    return most + start < 0x1p31;
}

/* acc += a * b over loops that `g` already has; maps of the operands; scale_dims[i]: the loop that
 * indexes operand i's scales, when it has several. */
static bool contract(lowering *l, adze_generic *g, const MlirAffineExpr *const *maps,
                     const MlirAffineExpr *out_map, const int *scale_dims, const epilogue *e) {
    const adze_dtype acc = accumulator_of(l);
    const adze_dtype work = dtype_is_float(acc) ? acc : ADZE_NO_DTYPE;
    const int n = l->present[1] ? 2 : 1;
    if (!strchr("FIU", adze_dtype_get(l->out.dtype)->cls))
        return lowering_error(l, "is not defined for %s", adze_dtype_get(l->out.dtype)->name);
    int in[2];
    quant_port ports[2] = {0};
    for (int i = 0; i < n; i++)
        in[i] = adze_generic_in(g, l->operands[i], lowering_original(l, i), maps[i]);
    for (int i = 0; i < n; i++)
        if (l->quant_in[i])
            ports[i] = quant_port_new(l, g, &l->q_in[i], work, scale_dims[i]);
    const bool fits_product = fits(l, e, 0), fits_sum = e->terms && fits(l, e, e->terms);
    MlirValue init;
    if (l->present[2] && !has_late_bias(l)) {
        if (!start_from_bias(l, acc, e, &init))
            return false;
        adze_generic_accumulator_from(g, init, acc, out_map);
    } else if (!adze_generic_accumulator(g, &l->out, acc, 0, out_map)) {
        return false;
    }
    adze_generic_begin(g);
    adze_scalar a, c, sum;
    if (!factor_of(l, g, 0, in[0], &ports[0], acc, &a))
        return false;
    if (n == 2 && (!factor_of(l, g, 1, in[1], &ports[1], acc, &c) ||
                   !adze_scalar_binary(&g->body, "mul", a, c, &a)))
        return false;
    if (n == 2 && fits_product)
        adze_no_overflow(g, a);
    if (!adze_scalar_binary(&g->body, "add", adze_generic_acc(g, 0), a, &sum))
        return false;
    if (fits_sum)
        adze_no_overflow(g, sum);
    MlirValue result;
    adze_generic_end(g, &sum, &result);
    return finish(l, result, acc, e);
}

bool adze_linalg_matmul(lowering *l) {
    const adze_shape *sa = &l->in[0], *sb = &l->in[1];
    const bool ta = sa->rank > 1 && adze_get_bool(l->op, "trans_a");
    const bool tb = sb->rank > 1 && adze_get_bool(l->op, "trans_b");
    if (sa->rank < 1 || sb->rank < 1)
        return lowering_error(l, "an operand has no axes");
    /* loops: the result's axes (batch, m, n; 1-D operands lack theirs), then k */
    const int rows = sa->rank > 1, columns = sb->rank > 1, batch = l->out.rank - rows - columns;
    const int m = batch, n = batch + rows, k = l->out.rank;
    if (batch < 0 || batch < sa->rank - 2 || batch < sb->rank - 2)
        return lowering_error(l, "the result's rank does not fit the operands");
    adze_generic g = adze_generic_new(l->b, l->module, l->op);
    g.n_dims = l->out.rank + 1;
    g.reduction[k] = true;
    MlirAffineExpr map_a[ADZE_MAX_RANK], map_b[ADZE_MAX_RANK], out[ADZE_MAX_RANK];
    for (int side = 0; side < 2; side++) {
        const adze_shape *s = side ? sb : sa;
        MlirAffineExpr *map = side ? map_b : map_a;
        const int own = s->rank - 2;
        for (int i = 0; i < own; i++) {
            const int d = batch - own + i;
            map[i] = s->dims[i] == 1 && l->out.dims[d] != 1 ? adze_zero(&g) : adze_dim(&g, d);
        }
    }
    if (rows) {
        map_a[sa->rank - 2] = adze_dim(&g, ta ? k : m);
        map_a[sa->rank - 1] = adze_dim(&g, ta ? m : k);
    } else {
        map_a[0] = adze_dim(&g, k);
    }
    if (columns) {
        map_b[sb->rank - 2] = adze_dim(&g, tb ? n : k);
        map_b[sb->rank - 1] = adze_dim(&g, tb ? k : n);
    } else {
        map_b[0] = adze_dim(&g, k);
    }
    for (int d = 0; d < l->out.rank; d++)
        out[d] = adze_dim(&g, d);

    const int64_t terms = sa->dims[rows && ta ? sa->rank - 2 : sa->rank - 1];
    epilogue e = {.terms = terms > 0 ? terms : 0};
    if (l->quant_out && !(l->quant_in[0] && l->quant_in[1]))
        return lowering_error(l, "a quantized result needs quantized factors");
    const int axis_b = tb ? sb->rank - 2 : sb->rank - 1;
    for (int i = 0; i < 2; i++)
        if (l->quant_in[i] && l->q_in[i].n > 1 && (i == 0 || !columns || l->q_in[1].axis != axis_b))
            return lowering_error(l, "scales along an axis other than b's columns");
    if (l->quant_in[0] && l->quant_in[1] && !is_integer(l->out.dtype) && !dtype_is_float(l->out.dtype))
        return lowering_error(l, "a result of %s", adze_dtype_get(l->out.dtype)->name);
    if (l->present[2] && (l->in[2].rank != 1 || l->in[2].dims[0] != (columns ? l->out.dims[n] : 1)))
        return lowering_error(l, "a bias that is not one number a column");
    if (l->quant_in[0] && l->quant_in[1] && (l->quant_out || dtype_is_float(l->out.dtype))) {
        e.n_factors = l->q_in[1].n;
        double *factors = ADZE_NEW_ARRAY(l->ctx->arena, double, (size_t)e.n_factors);
        for (int i = 0; i < e.n_factors; i++)
            factors[i] = l->q_in[0].scale[0] * l->q_in[1].scale[i];
        e.factors = factors;
    }
    return contract(l, &g, (const MlirAffineExpr *const[]){map_a, map_b}, out, (int[]){0, n}, &e);
}

bool adze_linalg_einsum(lowering *l) {
    const char *equation = adze_get_str(l->ctx, l->op, "equation");
    const char *arrow = equation ? strstr(equation, "->") : NULL;
    const char *comma = equation ? strchr(equation, ',') : NULL;
    if (l->quantized)
        return lowering_error(l, "is not defined on quantized values");
    if (!arrow || l->present[1] != (comma && comma < arrow))
        return lowering_error(l, "'%s' is not an explicit equation of its operands",
                              equation ? equation : "");
    const char *terms[3] = {arrow + 2, equation, comma ? comma + 1 : ""};
    const size_t lengths[3] = {strlen(arrow + 2), (size_t)((comma ? comma : arrow) - equation),
                               comma ? (size_t)(arrow - comma - 1) : 0};
    /* one loop a letter: the result's first */
    char letters[ADZE_GENERIC_DIMS];
    int n = 0, loop[3][ADZE_MAX_RANK];
    for (int t = 0; t < 3; t++) {
        const int rank = t == 0 ? l->out.rank : t == 1 || l->present[1] ? l->in[t - 1].rank : 0;
        if (lengths[t] != (size_t)rank)
            return lowering_error(l, "'%s' does not have one letter an axis", equation);
        for (int d = 0; d < rank; d++) {
            int k = 0;
            while (k < n && letters[k] != terms[t][d])
                k++;
            if (k == n && n == ADZE_GENERIC_DIMS)
                return lowering_error(l, "'%s' has too many letters", equation);
            if (k < n && t == 0)
                return lowering_error(l, "'%s' repeats a letter of the result", equation);
            if (k == n)
                letters[n++] = terms[t][d];
            loop[t][d] = k;
        }
    }
    adze_generic g = adze_generic_new(l->b, l->module, l->op);
    g.n_dims = n;
    for (int k = l->out.rank; k < n; k++)
        g.reduction[k] = true;
    MlirAffineExpr maps[3][ADZE_MAX_RANK];
    for (int t = 0; t < 3; t++)
        for (size_t d = 0; d < lengths[t]; d++)
            maps[t][d] = adze_dim(&g, loop[t][d]);
    const epilogue e = {0};
    return contract(l, &g, (const MlirAffineExpr *const[]){maps[1], maps[2]}, maps[0], (int[]){0, 0},
                    &e);
}

/* ---- reductions ---- */

static const struct reduction {
    const char *kind;
    const char *before; /* unary on each element */
    const char *step;   /* of adze_scalar_combine */
    const char *after;  /* unary on the result */
    bool integers;      /* exact on integers; else through f64 */
} reductions[] = {
    {"sum", NULL, "sum", NULL, true},       {"mean", NULL, "sum", NULL, true},
    {"max", NULL, "max", NULL, true},       {"min", NULL, "min", NULL, true},
    {"prod", NULL, "prod", NULL, true},     {"l1", "abs", "sum", NULL, true},
    {"l2", "square", "sum", "sqrt", false}, {"log_sum", NULL, "sum", "log", false},
    {"log_sum_exp", NULL, NULL, NULL, false}, {"sum_square", "square", "sum", NULL, true},
};

/* The loops of a reduction: one for each axis of x, then one of extent 1 for each reduced axis that the
 * result keeps. */
typedef struct axes {
    int n_dims;
    bool reduced[ADZE_MAX_RANK];
    int64_t count; /* elements behind one result; -1: bounded only */
    int out[ADZE_MAX_RANK];
} axes;

static bool read_axes(lowering *l, axes *a) {
    int64_t list[ADZE_MAX_RANK];
    const adze_shape *x = &l->in[0];
    int n = adze_get_i64s(l->op, "axes", ADZE_MAX_RANK, list), kept = 0;
    *a = (axes){.n_dims = x->rank, .count = 1};
    for (int i = 0; i < n; i++) {
        if (i >= ADZE_MAX_RANK || list[i] < 0 || list[i] >= x->rank)
            return lowering_error(l, "an axis beyond the operand's rank");
        a->reduced[list[i]] = true;
    }
    const bool keep = l->out.rank == x->rank;
    for (int d = 0; d < x->rank; d++) {
        if (a->reduced[d])
            a->count = a->count < 0 || x->dims[d] < 0 ? -1 : a->count * x->dims[d];
        if (!a->reduced[d] || keep) {
            if (kept == l->out.rank)
                return lowering_error(l, "the result's rank does not fit the axes");
            a->out[kept++] = a->reduced[d] ? a->n_dims++ : d;
        }
    }
    return kept == l->out.rank || lowering_error(l, "the result's rank does not fit the axes");
}

static adze_generic reduction_loops(lowering *l, const axes *a, MlirAffineExpr *out) {
    adze_generic g = adze_generic_new(l->b, l->module, l->op);
    g.n_dims = a->n_dims;
    for (int d = 0; d < l->in[0].rank; d++)
        g.reduction[d] = a->reduced[d];
    for (int d = 0; d < l->out.rank; d++)
        out[d] = adze_dim(&g, a->out[d]);
    return g;
}

static double neutral_of(const char *step, adze_dtype dtype) {
    const bool max = !strcmp(step, "max");
    if (!max && strcmp(step, "min"))
        return !strcmp(step, "prod");
    if (dtype_is_float(dtype))
        return max ? -INFINITY : INFINITY;
    int64_t low, high;
    adze_integer_range(dtype, &low, &high);
    return max ? (double)low : dtype == ADZE_u64 ? 0x1p64 : (double)high;
}

/* The element of x at the loops, as the accumulator's type. */
static bool element(lowering *l, adze_generic *g, int x, const quant_port *port, bool codes,
                    adze_dtype acc, adze_scalar *out) {
    adze_scalar v = adze_generic_arg(g, x);
    if (l->quant_in[0] && !codes && !(acc == ADZE_i32 ? quant_centre(g, port, v, &v)
                                                      : quant_real(g, port, v, &v)))
        return false;
    return adze_scalar_cast(&g->body, v, acc, false, out);
}

/* m = max, s = sum of exp(x - m) so far, in one pass. An element that is a new maximum rescales the sum:
 * s * exp(m - x) + 1. The maximum starts from the smallest finite number, so that m - x is never NaN. */
static bool log_sum_exp(lowering *l, const axes *a, adze_dtype acc) {
    MlirAffineExpr out[ADZE_MAX_RANK];
    adze_generic g = reduction_loops(l, a, out);
    int in = adze_generic_in(&g, l->operands[0], lowering_original(l, 0), NULL);
    quant_port port = {0};
    if (l->quant_in[0])
        port = quant_port_new(l, &g, &l->q_in[0], acc, l->q_in[0].axis);
    if (!adze_generic_accumulator(&g, &l->out, acc, acc == ADZE_f64 ? -DBL_MAX : -(double)FLT_MAX, out) ||
        !adze_generic_accumulator(&g, &l->out, acc, 0, out))
        return false;
    adze_generic_begin(&g);
    adze_builder *b = &g.body;
    adze_scalar m = adze_generic_acc(&g, 0), s = adze_generic_acc(&g, 1), x;
    adze_scalar greater, equal, d, e, up, down, next[2];
    if (!element(l, &g, in, &port, false, acc, &x) ||
        !adze_scalar_binary(b, "greater", x, m, &greater) ||
        !adze_scalar_binary(b, "equal", x, m, &equal) || /* infinities: their difference is NaN */
        !adze_scalar_binary(b, "sub", x, m, &d))
        return false;
    d = adze_scalar_select(b, equal, adze_scalar_f64(b, acc, 0), d);
    if (!adze_scalar_unary(b, "abs", NULL, d, &d) || !adze_scalar_unary(b, "neg", NULL, d, &d) ||
        !adze_scalar_unary(b, "exp", NULL, d, &e) || !adze_scalar_binary(b, "mul", s, e, &up) ||
        !adze_scalar_binary(b, "add", up, adze_scalar_f64(b, acc, 1), &up) ||
        !adze_scalar_binary(b, "add", s, e, &down))
        return false;
    next[0] = adze_scalar_select(b, greater, x, m);
    next[1] = adze_scalar_select(b, greater, up, down);
    MlirValue parts[2];
    adze_generic_end(&g, next, parts);

    adze_generic h = lowering_pointwise(l);
    int max = adze_generic_in(&h, parts[0], (MlirValue){0}, NULL);
    int sum = adze_generic_in(&h, parts[1], (MlirValue){0}, NULL);
    quant_port to = {0};
    if (l->quant_out)
        to = quant_port_new(l, &h, &l->q_out, acc, l->q_out.axis);
    if (!adze_generic_out(&h, &l->out, NULL))
        return false;
    adze_generic_begin(&h);
    adze_scalar y;
    if (!adze_scalar_unary(&h.body, "log", NULL, adze_generic_arg(&h, sum), &y) ||
        !adze_scalar_binary(&h.body, "add", y, adze_generic_arg(&h, max), &y) ||
        (l->quant_out && !quant_from_real(&h, &to, y, &y)) ||
        !adze_scalar_cast(&h.body, y, l->out.dtype, false, &y))
        return false;
    adze_generic_end(&h, &y, l->result);
    return true;
}

/* The type that a reduction accumulates in. */
static adze_dtype reduction_type(const lowering *l, const struct reduction *r, bool integer_form,
                                 bool codes) {
    const adze_dtype x = l->in[0].dtype;
    if (codes || (r->integers && !l->quantized && !dtype_is_float(x) && strcmp(r->kind, "mean")))
        return x;
    if (integer_form)
        return ADZE_i32;
    if (!l->quantized && !dtype_is_float(x)) /* a mean is the exact sum divided; others are real */
        return !r->integers || adze_dtype_get(x)->cls == 'B' ? ADZE_f64
               : adze_dtype_get(x)->cls == 'U'               ? ADZE_u64
                                                             : ADZE_i64;
    return x == ADZE_f64 || l->quant_out || l->out.dtype == ADZE_f64 ? ADZE_f64 : ADZE_f32;
}

bool adze_linalg_reduce(lowering *l) {
    const struct reduction *r = NULL;
    for (size_t i = 0; i < ADZE_COUNT(reductions); i++)
        if (l->kind && !strcmp(reductions[i].kind, l->kind))
            r = &reductions[i];
    if (!r)
        return lowering_error(l, "unknown kind '%s'", l->kind ? l->kind : "");
    axes a;
    if (!read_axes(l, &a))
        return false;
    const adze_dtype x = l->in[0].dtype;
    if (!strchr("FIUB", adze_dtype_get(x)->cls))
        return lowering_error(l, "of %s", adze_dtype_get(x)->name);
    const bool mean = !strcmp(r->kind, "mean"), extreme = r->step && strcmp(r->step, "sum") &&
                                                          strcmp(r->step, "prod");
    /* codes are compared as they are; sums and means of them have an integer form */
    const bool codes = l->quantized && extreme && l->quant_in[0] && l->quant_out && l->q_in[0].n == 1;
    const bool integer_form = l->quant_in[0] && l->q_in[0].n == 1 && (mean || !strcmp(r->kind, "sum")) &&
                              (l->quant_out || dtype_is_float(l->out.dtype)) && dtype_bits(x) <= 16;
    const adze_dtype acc = reduction_type(l, r, integer_form, codes);
    if (!r->step)
        return log_sum_exp(l, &a, dtype_is_float(acc) ? acc : ADZE_f64);
    if (mean && a.count < 0)
        return lowering_error(l, "a mean over a bounded extent");

    MlirAffineExpr out[ADZE_MAX_RANK];
    adze_generic g = reduction_loops(l, &a, out);
    int in = adze_generic_in(&g, l->operands[0], lowering_original(l, 0), NULL);
    quant_port port = {0};
    if (l->quant_in[0] && !codes)
        port = quant_port_new(l, &g, &l->q_in[0], dtype_is_float(acc) ? acc : ADZE_NO_DTYPE,
                              l->q_in[0].axis);
    if (!adze_generic_accumulator(&g, &l->out, acc, neutral_of(r->step, acc), out))
        return false;
    adze_generic_begin(&g);
    adze_scalar v, sum;
    if (!element(l, &g, in, &port, codes, acc, &v) ||
        (r->before && !adze_scalar_unary(&g.body, r->before, NULL, v, &v)))
        return false;
    if (!adze_scalar_combine(&g.body, r->step, adze_generic_acc(&g, 0), v, &sum))
        return false;
    if (integer_form && a.count > 0 && reach(&l->q_in[0]) * (double)a.count < 0x1p31)
        adze_no_overflow(&g, sum);
    MlirValue result;
    adze_generic_end(&g, &sum, &result);

    epilogue e = {.unary = r->after};
    if (integer_form) {
        e.n_factors = 1;
        e.factors = l->q_in[0].scale;
        e.count = mean ? (double)a.count : 0;
    } else if (mean) {
        e.divisor = (double)a.count;
    }
    if (codes)
        e.move = &l->q_in[0];
    return finish(l, result, acc, &e);
}
