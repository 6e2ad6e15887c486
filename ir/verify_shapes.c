/* Extents, axes and positions of every operation, one check a row. See verify.h.
 *
 * A bounded extent agrees only with the same bounded extent. */
#include "ir/verify.h"

#include <stdint.h>
#include <string.h>

typedef adze_checked checked;

static bool same_extent(const adze_shape *a, int i, const adze_shape *b, int j) {
    if (a->dims[i] >= 0 || b->dims[j] >= 0)
        return a->dims[i] == b->dims[j];
    /* a tensor without an encoding: the buffer behind it is named */
    return !a->symbols[i] || !b->symbols[j] || !strcmp(a->symbols[i], b->symbols[j]);
}

/* Equal but for the axes in `skip`, a bit each. */
static bool same_but(const adze_shape *a, const adze_shape *b, unsigned skip) {
    if (a->rank != b->rank)
        return false;
    for (int i = 0; i < a->rank; i++)
        if (!(skip >> i & 1) && !same_extent(a, i, b, i))
            return false;
    return true;
}

static bool same(const adze_shape *a, const adze_shape *b) { return same_but(a, b, 0); }

static bool broadcasts(const adze_shape *x, const adze_shape *y) {
    int ahead = y->rank - x->rank;
    for (int i = 0; ahead >= 0 && i < x->rank; i++)
        if (x->dims[i] != 1 && !same_extent(x, i, y, ahead + i))
            return false;
    return ahead >= 0;
}

static bool axis_of(const checked *c, const char *name, int rank, int *axis) {
    int64_t a = adze_get_i64(c->op, name);
    *axis = (int)(a >= 0 && a < rank ? a : 0);
    return a >= 0 && a < rank;
}

/* As a set; false when one is out of range or named twice. */
static bool axes_of(const checked *c, int rank, unsigned *set) {
    int64_t axes[ADZE_MAX_RANK];
    int n = adze_get_i64s(c->op, "axes", ADZE_MAX_RANK, axes);
    *set = 0;
    for (int i = 0; i < n; i++) {
        if (n > ADZE_MAX_RANK || axes[i] < 0 || axes[i] >= rank || *set >> axes[i] & 1)
            return false;
        *set |= 1u << axes[i];
    }
    return true;
}

#define BAD_AXIS "its axis is not one of its operand's"
#define BAD_RESULT "the result's extents do not follow from its operands'"
#define BAD_OPERANDS "its operands' extents do not fit together"

/* ---- element by element ---- */

static const char *like_x(const checked *c) { return same(&c->x[0], &c->y[0]) ? NULL : BAD_RESULT; }

static const char *like_x_with_axis(const checked *c) {
    int axis;
    return axis_of(c, "axis", c->x[0].rank, &axis) ? like_x(c) : BAD_AXIS;
}

static const char *broadcast(const checked *c) {
    for (int i = 0; i < c->n_x; i++)
        if (c->has_x[i] && !broadcasts(&c->x[i], &c->y[0]))
            return BAD_RESULT;
    return NULL;
}

static const char *bitcast(const checked *c) {
    if (adze_dtype_get(c->x[0].dtype)->bits != adze_dtype_get(c->y[0].dtype)->bits)
        return "its types are not of the same width";
    return like_x(c);
}

/* scale and zero point: one, one a step of the axis, or one a block along it */
static const char *quantize(const checked *c) {
    int64_t block = adze_get_i64(c->op, "block_size"), given = adze_get_i64(c->op, "axis");
    int axis = -1;
    if (given != -1 && !axis_of(c, "axis", c->x[0].rank, &axis))
        return BAD_AXIS;
    if (block < 0)
        return "a negative block";
    for (int i = 1; i < 3; i++) {
        const adze_shape *s = &c->x[i];
        if (!c->has_x[i] || adze_shape_count(s) == 1)
            continue;
        if (axis < 0)
            return BAD_OPERANDS;
        if (!block && (s->rank != 1 || !same_extent(s, 0, &c->x[0], axis)))
            return BAD_OPERANDS;
        if (block && (!same_but(s, &c->x[0], 1u << axis) || s->dims[axis] < 0 ||
                      c->x[0].dims[axis] < 0 ||
                      s->dims[axis] < c->x[0].dims[axis] / block + (c->x[0].dims[axis] % block != 0)))
            return BAD_OPERANDS;
    }
    return like_x(c);
}

static const char *trilu(const checked *c) { return c->x[0].rank < 2 ? BAD_OPERANDS : like_x(c); }

/* ---- reductions ---- */

static const char *reduced(const checked *c, unsigned set) {
    const adze_shape *x = &c->x[0], *y = &c->y[0];
    int n = 0, at = 0;
    for (int i = 0; i < x->rank; i++)
        n += set >> i & 1;
    bool kept = y->rank == x->rank;
    if (!kept && y->rank != x->rank - n)
        return BAD_RESULT;
    for (int i = 0; i < x->rank; i++) {
        bool gone = set >> i & 1;
        if (gone && kept && y->dims[at] != 1)
            return BAD_RESULT;
        if (!gone && !same_extent(x, i, y, at))
            return BAD_RESULT;
        at += !gone || kept;
    }
    return NULL;
}

static const char *reduce(const checked *c) {
    unsigned set;
    return axes_of(c, c->x[0].rank, &set) ? reduced(c, set) : BAD_AXIS;
}

static const char *arg_reduce(const checked *c) {
    int axis;
    return axis_of(c, "axis", c->x[0].rank, &axis) ? reduced(c, 1u << axis) : BAD_AXIS;
}

static const char *norm(const checked *c) {
    unsigned set;
    const adze_shape *x = &c->x[0];
    if (!axes_of(c, x->rank, &set))
        return BAD_AXIS;
    for (int i = 1; i < 3; i++)
        if (c->has_x[i] && !broadcasts(&c->x[i], x))
            return BAD_OPERANDS;
    for (int i = 1; i < 3; i++) {
        if (!c->has_y[i])
            continue;
        if (!same_but(x, &c->y[i], set))
            return BAD_RESULT;
        for (int d = 0; d < x->rank; d++)
            if (set >> d & 1 && c->y[i].dims[d] != 1)
                return BAD_RESULT;
    }
    return like_x(c);
}

static const char *topk(const checked *c) {
    int axis;
    const adze_shape *x = &c->x[0];
    if (!axis_of(c, "axis", x->rank, &axis))
        return BAD_AXIS;
    for (int i = 0; i < 2; i++)
        if (c->has_y[i] &&
            (!same_but(x, &c->y[i], 1u << axis) || c->y[i].dims[axis] < 0 ||
             (x->dims[axis] >= 0 && c->y[i].dims[axis] > x->dims[axis]) ||
             (i && c->has_y[0] && c->y[1].dims[axis] != c->y[0].dims[axis])))
            return BAD_RESULT;
    return NULL;
}

static const char *matmul(const checked *c) {
    bool ta = adze_get_bool(c->op, "trans_a"), tb = adze_get_bool(c->op, "trans_b");
    const adze_shape *a = &c->x[0], *b = &c->x[1], *y = &c->y[0];
    if (a->rank < 1 || b->rank < 1)
        return BAD_OPERANDS;
    bool rows = a->rank > 1, columns = b->rank > 1;
    int ka = rows ? a->rank - 1 - ta : 0, m = a->rank - 2 + ta;
    int kb = columns ? b->rank - 2 + tb : 0, n = b->rank - 1 - tb;
    if (!same_extent(a, ka, b, kb))
        return BAD_OPERANDS;
    int batch = y->rank - rows - columns;
    if (batch < 0 || (rows && !same_extent(a, m, y, batch)) ||
        (columns && !same_extent(b, n, y, y->rank - 1)))
        return BAD_RESULT;
    adze_shape lead = *y, of;
    lead.rank = batch;
    for (int i = 0; i < 2; i++) {
        of = c->x[i];
        of.rank = of.rank > 2 ? of.rank - 2 : 0;
        if (!broadcasts(&of, &lead))
            return BAD_RESULT;
    }
    if (c->has_x[2] && (c->x[2].rank != 1 || !columns || !same_extent(&c->x[2], 0, b, n)))
        return BAD_OPERANDS;
    return NULL;
}

/* ---- movement ---- */

static const char *slice(const checked *c) {
    const adze_shape *x = &c->x[0], *y = &c->y[0];
    int64_t starts[ADZE_MAX_RANK], steps[ADZE_MAX_RANK];
    if (adze_get_i64s(c->op, "starts", ADZE_MAX_RANK, starts) != x->rank ||
        adze_get_i64s(c->op, "steps", ADZE_MAX_RANK, steps) != x->rank)
        return "starts and steps do not have one entry an axis";
    if (y->rank != x->rank)
        return BAD_RESULT;
    for (int d = 0; d < x->rank; d++) {
        int64_t last, n = y->dims[d];
        if (steps[d] == 0 || steps[d] == INT64_MIN)
            return "a step of 0, or impossibly large";
        if (x->dims[d] < 0 || n < 0) {
            if (starts[d] != 0 || steps[d] != 1 || !same_extent(x, d, y, d))
                return "a bounded extent is not taken as a whole";
            continue;
        }
        if (n == 0)
            continue;
        if (__builtin_mul_overflow(n - 1, steps[d], &last) ||
            __builtin_add_overflow(last, starts[d], &last) || starts[d] < 0 ||
            starts[d] >= x->dims[d] || last < 0 || last >= x->dims[d])
            return "it reaches outside its operand";
    }
    return NULL;
}

static const char *transpose(const checked *c) {
    int64_t perm[ADZE_MAX_RANK];
    const adze_shape *x = &c->x[0], *y = &c->y[0];
    unsigned seen = 0;
    if (adze_get_i64s(c->op, "perm", ADZE_MAX_RANK, perm) != x->rank || y->rank != x->rank)
        return "its permutation does not have one entry an axis";
    for (int i = 0; i < x->rank; i++) {
        if (perm[i] < 0 || perm[i] >= x->rank || seen >> perm[i] & 1)
            return "not a permutation";
        seen |= 1u << perm[i];
        if (!same_extent(y, i, x, (int)perm[i]))
            return BAD_RESULT;
    }
    return NULL;
}

/* The same product of numbers. Where extents are bounded, one may take in others under a name of its own
 * ([T, 2] to [F]), whose value the frontend has tied to theirs: then the numbers are not compared. */
static const char *reshape(const checked *c) {
    const adze_shape *x = &c->x[0], *y = &c->y[0];
    int64_t from = adze_shape_count(x), to = adze_shape_count(y);
    if (from >= 0 && to >= 0)
        return from == to ? NULL : "it changes the number of elements";
    for (int i = 0; i < y->rank; i++) {
        if (y->dims[i] >= 0)
            continue;
        for (int j = 0; j < x->rank; j++)
            if (x->dims[j] < 0)
                return NULL;
    }
    return from < 0 && to < 0 ? NULL : "it changes a bounded extent into a number";
}

static const char *pad(const checked *c) {
    int64_t pads[2 * ADZE_MAX_RANK];
    const adze_shape *x = &c->x[0], *y = &c->y[0];
    const char *mode = adze_get_str(c->ctx, c->op, "mode");
    if (adze_get_i64s(c->op, "pads", 2 * ADZE_MAX_RANK, pads) != 2 * x->rank || y->rank != x->rank)
        return "its pads do not have two entries an axis";
    for (int d = 0; d < x->rank; d++) {
        int64_t begin = pads[d], end = pads[x->rank + d], n = x->dims[d];
        if (n < 0 || y->dims[d] < 0) {
            if (begin || end || !same_extent(x, d, y, d))
                return "a bounded extent is padded";
            continue;
        }
        if (__builtin_add_overflow(n, begin, &n) || __builtin_add_overflow(n, end, &n) ||
            n != y->dims[d] || begin == INT64_MIN)
            return BAD_RESULT;
        if (n > 0 && x->dims[d] == 0 && mode && strcmp(mode, "constant"))
            return "nothing to repeat";
    }
    if (c->has_x[1] && adze_shape_count(&c->x[1]) != 1)
        return BAD_OPERANDS;
    return NULL;
}

static const char *tile(const checked *c) {
    const adze_shape *x = &c->x[0], *y = &c->y[0];
    if (x->rank != y->rank)
        return BAD_RESULT;
    for (int d = 0; d < x->rank; d++) {
        if (same_extent(x, d, y, d) || x->dims[d] == 1)
            continue;
        if (x->dims[d] < 1 || y->dims[d] < 0 || y->dims[d] % x->dims[d])
            return BAD_RESULT;
    }
    return NULL;
}

static const char *gather(const checked *c) {
    int axis;
    const adze_shape *x = &c->x[0], *at = &c->x[1], *y = &c->y[0];
    if (!axis_of(c, "axis", x->rank, &axis))
        return BAD_AXIS;
    if (y->rank != x->rank - 1 + at->rank)
        return BAD_RESULT;
    for (int d = 0; d < y->rank; d++) {
        bool within = d >= axis && d < axis + at->rank;
        if (within ? !same_extent(y, d, at, d - axis)
                   : !same_extent(y, d, x, d < axis ? d : d - at->rank + 1))
            return BAD_RESULT;
    }
    return NULL;
}

/* No axis of the indices but `axis` is longer than x's. */
static bool within_but(const adze_shape *at, const adze_shape *x, int axis) {
    if (at->rank != x->rank)
        return false;
    for (int d = 0; d < x->rank; d++)
        if (d != axis && !same_extent(at, d, x, d) &&
            (at->dims[d] < 0 || x->dims[d] < 0 || at->dims[d] > x->dims[d]))
            return false;
    return true;
}

static const char *gather_elements(const checked *c) {
    int axis;
    if (!axis_of(c, "axis", c->x[0].rank, &axis))
        return BAD_AXIS;
    if (!within_but(&c->x[1], &c->x[0], axis))
        return BAD_OPERANDS;
    return same(&c->x[1], &c->y[0]) ? NULL : BAD_RESULT;
}

static const char *scatter_elements(const checked *c) {
    int axis;
    if (!axis_of(c, "axis", c->x[0].rank, &axis))
        return BAD_AXIS;
    if (!within_but(&c->x[1], &c->x[0], axis) || !same(&c->x[1], &c->x[2]))
        return BAD_OPERANDS;
    return like_x(c);
}

/* `y`: indices' leading axes, then what is left of x behind `skip` axes. */
static bool tuples(const adze_shape *y, const adze_shape *at, const adze_shape *x, int skip) {
    if (at->rank < 1 || skip > x->rank || y->rank != at->rank - 1 + x->rank - skip)
        return false;
    for (int d = 0; d < y->rank; d++)
        if (d < at->rank - 1 ? !same_extent(y, d, at, d)
                             : !same_extent(y, d, x, d - (at->rank - 1) + skip))
            return false;
    return true;
}

static bool tuple_length(const adze_shape *at, const adze_shape *x, int *n) {
    int64_t length = at->rank ? at->dims[at->rank - 1] : -1;
    *n = (int)(length >= 0 && length <= x->rank ? length : 0);
    return length >= 0 && length <= x->rank;
}

static const char *gather_nd(const checked *c) {
    const adze_shape *x = &c->x[0], *at = &c->x[1];
    int64_t batch = adze_get_i64(c->op, "batch_dims");
    int n;
    if (!tuple_length(at, x, &n) || batch < 0 || batch > x->rank - n || batch > at->rank - 1)
        return BAD_OPERANDS;
    for (int d = 0; d < batch; d++)
        if (!same_extent(x, d, at, d))
            return BAD_OPERANDS;
    return tuples(&c->y[0], at, x, (int)batch + n) ? NULL : BAD_RESULT;
}

static const char *scatter_nd(const checked *c) {
    int n;
    if (!tuple_length(&c->x[1], &c->x[0], &n) || !tuples(&c->x[2], &c->x[1], &c->x[0], n))
        return BAD_OPERANDS;
    return like_x(c);
}

static const char *reverse_sequence(const checked *c) {
    int batch, time;
    if (!axis_of(c, "batch_axis", c->x[0].rank, &batch) ||
        !axis_of(c, "time_axis", c->x[0].rank, &time) || batch == time)
        return BAD_AXIS;
    if (c->x[1].rank != 1 || !same_extent(&c->x[1], 0, &c->x[0], batch))
        return BAD_OPERANDS;
    return like_x(c);
}

static const char *one_hot(const checked *c) {
    int axis;
    const adze_shape *at = &c->x[0], *y = &c->y[0];
    if (!axis_of(c, "axis", y->rank, &axis))
        return BAD_AXIS;
    if (c->x[1].rank != 1 || c->x[1].dims[0] != 2)
        return BAD_OPERANDS;
    if (y->rank != at->rank + 1)
        return BAD_RESULT;
    for (int d = 0; d < at->rank; d++)
        if (!same_extent(at, d, y, d + (d >= axis)))
            return BAD_RESULT;
    return NULL;
}

static const char *scalars(const checked *c) {
    for (int i = 0; i < c->n_x; i++)
        if (c->has_x[i] && adze_shape_count(&c->x[i]) != 1)
            return BAD_OPERANDS;
    return NULL;
}

static const char *extent(const checked *c) {
    int axis;
    return axis_of(c, "axis", c->x[0].rank, &axis) ? NULL : BAD_AXIS;
}

static const char *max_unpool(const checked *c) {
    if (!same(&c->x[0], &c->x[1]))
        return BAD_OPERANDS;
    return c->x[0].rank > 2 && c->y[0].rank == c->x[0].rank ? NULL : BAD_RESULT;
}

/* ---- recurrences ---- */

static bool is(const checked *c, int operand, int rank, const int64_t *extents) {
    if (!c->has_x[operand])
        return true;
    const adze_shape *s = &c->x[operand];
    for (int d = 0; s->rank == rank && d < rank; d++)
        if (extents[d] >= 0 ? s->dims[d] != extents[d] : s->dims[d] >= 0)
            return false;
    return s->rank == rank;
}

/* x [T,B,I], w [D,G H,I], r [D,G H,H], b [D,2 G H], lengths [B], h0 c0 [D,B,H], p [D,3 H];
 * without w: x [T,B,D G H], r [D,H,G H], b [D,G H] */
static const char *recurrence(const checked *c) {
    int64_t gates = c->which == ADZE_OP_lstm ? 4 : c->which == ADZE_OP_gru ? 3 : 1;
    const char *direction = adze_get_str(c->ctx, c->op, "direction");
    int64_t h = adze_get_i64(c->op, "hidden"), d = 1;
    if (direction && !strcmp(direction, "bidirectional"))
        d = 2;
    const adze_shape *x = &c->x[0];
    if (h < 1 || h > INT32_MAX || x->rank != 3 || x->dims[2] < 0)
        return "its hidden size, or the rank of x";
    int64_t steps = x->dims[0], batch = x->dims[1];
    bool projected = !c->has_x[1];
    if (projected && x->dims[2] != d * gates * h)
        return BAD_OPERANDS;
    int64_t r[] = {d, projected ? h : gates * h, projected ? gates * h : h};
    if (!is(c, 1, 3, (int64_t[]){d, gates * h, x->dims[2]}) || !is(c, 2, 3, r) ||
        !is(c, 3, 2, (int64_t[]){d, (projected ? 1 : 2) * gates * h}) ||
        !is(c, 4, 1, &batch) || !is(c, 5, 3, (int64_t[]){d, batch, h}) ||
        (gates == 4 && (!is(c, 6, 3, (int64_t[]){d, batch, h}) || !is(c, 7, 2, (int64_t[]){d, 3 * h}))))
        return BAD_OPERANDS;
    for (int i = 0; i < 3; i++) {
        const adze_shape *y = &c->y[i];
        if (!c->has_y[i])
            continue;
        int64_t want[] = {steps, d, batch, h}, *from = i ? want + 1 : want;
        if (y->rank != 4 - (i > 0))
            return BAD_RESULT;
        for (int k = 0; k < y->rank; k++)
            if (from[k] >= 0 ? y->dims[k] != from[k] : y->dims[k] >= 0)
                return BAD_RESULT;
    }
    return NULL;
}

/* q [B,H,S,D], k [B,H,T,D], v [B,H,T,E], y [B,H,S,E], each with its second and third axes exchanged where its layout
 * is heads_last; mask broadcasts to [B,H,S,T] */
static const char *attention(const checked *c) {
    static const char first[] = "heads_first", last[] = "heads_last";
    const adze_shape *shapes[] = {&c->x[0], &c->x[1], &c->x[2], &c->y[0]};
    const char *layout[4];
    int64_t dims[4][4];
    if (adze_get_strs(c->ctx, c->op, "layout", 4, layout) != 4)
        return "its layout";
    for (int i = 0; i < 4; i++) {
        const bool turned = !strcmp(layout[i], last);
        if (!turned && strcmp(layout[i], first))
            return "its layout";
        if (shapes[i]->rank != 4 || shapes[i]->dtype != c->x[0].dtype)
            return i == 3 ? BAD_RESULT : BAD_OPERANDS;
        for (int d = 0; d < 4; d++)
            dims[i][d] = shapes[i]->dims[turned && d ? d == 3 ? 3 : 3 - d : d];
        for (int d = 0; d < 4; d++)
            if (dims[i][d] < 0)
                return "a bounded extent";
    }
    enum { Q, K, V, Y };
    for (int d = 0; d < 2; d++)
        if (dims[Q][d] != dims[K][d] || dims[Q][d] != dims[V][d])
            return BAD_OPERANDS;
    if (dims[K][2] != dims[V][2] || dims[Q][3] != dims[K][3])
        return BAD_OPERANDS;
    adze_shape scores = {.rank = 4, .dims = {dims[Q][0], dims[Q][1], dims[Q][2], dims[K][2]}};
    if (c->has_x[3] && !broadcasts(&c->x[3], &scores))
        return BAD_OPERANDS;
    return dims[Y][0] == dims[Q][0] && dims[Y][1] == dims[Q][1] && dims[Y][2] == dims[Q][2] &&
                   dims[Y][3] == dims[V][3]
               ? NULL
               : BAD_RESULT;
}

static const char *softmax_codes(const checked *c) {
    int64_t m = adze_get_i64(c->op, "multiplier"), s = adze_get_i64(c->op, "shift");
    if (m < 0 || m > INT32_MAX || s < 0 || s > 62)
        return "its multiplier or shift";
    if (adze_dtype_get(c->x[0].dtype)->bits > 8 || c->x[1].rank != 1 || c->x[1].dims[0] < 256)
        return BAD_OPERANDS;
    return like_x_with_axis(c);
}

static const struct {
    adze_op op;
    const char *(*check)(const checked *c);
} rows[] = {
    {ADZE_OP_unary, like_x},
    {ADZE_OP_binary, broadcast},
    {ADZE_OP_where, broadcast},
    {ADZE_OP_cast, like_x},
    {ADZE_OP_bitcast, bitcast},
    {ADZE_OP_quantize, quantize},
    {ADZE_OP_dequantize, quantize},
    {ADZE_OP_dynamic_quantize, like_x},
    {ADZE_OP_matmul, matmul},
    {ADZE_OP_conv, adze_verify_window},
    {ADZE_OP_conv_transpose, adze_verify_window},
    {ADZE_OP_deform_conv, adze_verify_window},
    {ADZE_OP_pool, adze_verify_window},
    {ADZE_OP_col2im, adze_verify_window},
    {ADZE_OP_max_unpool, max_unpool},
    {ADZE_OP_reduce, reduce},
    {ADZE_OP_arg_reduce, arg_reduce},
    {ADZE_OP_cumulate, like_x_with_axis},
    {ADZE_OP_softmax, like_x_with_axis},
    {ADZE_OP_hardmax, like_x_with_axis},
    {ADZE_OP_lp_norm, like_x_with_axis},
    {ADZE_OP_norm, norm},
    {ADZE_OP_attention, attention},
    {ADZE_OP_lrn, like_x},
    {ADZE_OP_rnn, recurrence},
    {ADZE_OP_gru, recurrence},
    {ADZE_OP_lstm, recurrence},
    {ADZE_OP_reshape, reshape},
    {ADZE_OP_transpose, transpose},
    {ADZE_OP_expand, broadcast},
    {ADZE_OP_slice, slice},
    {ADZE_OP_pad, pad},
    {ADZE_OP_tile, tile},
    {ADZE_OP_gather, gather},
    {ADZE_OP_gather_elements, gather_elements},
    {ADZE_OP_gather_nd, gather_nd},
    {ADZE_OP_scatter_elements, scatter_elements},
    {ADZE_OP_scatter_nd, scatter_nd},
    {ADZE_OP_reverse_sequence, reverse_sequence},
    {ADZE_OP_one_hot, one_hot},
    {ADZE_OP_trilu, trilu},
    {ADZE_OP_range, scalars},
    {ADZE_OP_topk, topk},
    {ADZE_OP_extent, extent},
    {ADZE_OP_state_append, extent},
    {ADZE_OP_softmax_codes, softmax_codes},
};

const char *adze_verify_shapes(adze_context *ctx, MlirOperation op, adze_op which) {
    checked c = {.ctx = ctx, .op = op, .which = which};
    size_t row = 0;
    while (row < ADZE_COUNT(rows) && rows[row].op != which)
        row++;
    if (row == ADZE_COUNT(rows))
        return NULL;
    c.n_x = (int)mlirOperationGetNumOperands(op);
    for (int i = 0; i < c.n_x; i++) {
        MlirValue v = mlirOperationGetOperand(op, i);
        if (adze_is_none(v))
            continue;
        if (!adze_value_shape(ctx, v, &c.x[i]) || c.x[i].dtype == ADZE_NO_DTYPE)
            return "an operand is not a ranked tensor of a known element type";
        c.has_x[i] = true;
    }
    for (int i = 0; i < (int)mlirOperationGetNumResults(op); i++) {
        MlirValue v = mlirOperationGetResult(op, i);
        if (mlirTypeEqual(mlirValueGetType(v), ctx->none_type))
            continue;
        if (!adze_value_shape(ctx, v, &c.y[i]) || c.y[i].dtype == ADZE_NO_DTYPE)
            return NULL; /* reported by whoever checks results */
        c.has_y[i] = true;
    }
    if (c.n_x && !c.has_x[0])
        return "its first operand is missing";
    const adze_op_info *info = adze_op_info_of(ctx, which);
    if (info->n_results && !c.has_y[0])
        return which == ADZE_OP_rnn || which == ADZE_OP_gru || which == ADZE_OP_lstm
                   ? recurrence(&c)
                   : "its first result is missing";
    return rows[row].check(&c);
}
