/* Default schedules of products whose factors are known only when the network runs: matmul and einsum, attention, and
 * recurrences whose input was multiplied before. See schedule.h. */
#include "passes/schedule.h"

#include <string.h>

/* ---- products of two values ---- */

/* Which extents the result's columns and one more of its axes have, and the axis that is summed; are the columns
 * no neighbours in b? */
typedef struct product {
    int64_t m, n, k;
    bool turned;
} product;

static bool matmul(MlirOperation op, const adze_shape *b, const adze_shape *c, product *p) {
    if (!adze_is_none(mlirOperationGetOperand(op, 2)))
        return false;
    p->turned = adze_get_bool(op, "trans_b");
    p->m = c->dims[c->rank - 2];
    p->n = c->dims[c->rank - 1];
    p->k = b->dims[b->rank - (p->turned ? 1 : 2)];
    return true;
}

/* "bqhd,bkhd->bhqk": the last letter of the result stands in b alone, another in a alone, and one is summed. */
static bool einsum(adze_context *ctx, MlirOperation op, const adze_shape *b, const adze_shape *c, product *p) {
    const char *a_of = adze_get_str(ctx, op, "equation"), *b_of = strchr(a_of, ','), *c_of = strchr(a_of, '>');
    if (!b_of++ || !c_of++ || (int)strlen(c_of) != c->rank || c_of - b_of != b->rank + 2)
        return false;
    const size_t a_rank = (size_t)(b_of - 1 - a_of), b_rank = (size_t)b->rank;
    const char n = c_of[c->rank - 1];
    int summed = 0, rows = 0;
    for (size_t i = 0; i < b_rank; i++) {
        if (memchr(b_of + i + 1, b_of[i], b_rank - i - 1))
            return false; /* a diagonal */
        if (!strchr(c_of, b_of[i])) {
            p->k = b->dims[i];
            summed += memchr(a_of, b_of[i], a_rank) ? 1 : 2;
        }
        if (b_of[i] == n)
            p->n = b->dims[i];
    }
    for (size_t i = 0; i < a_rank; i++) {
        if (memchr(a_of + i + 1, a_of[i], a_rank - i - 1))
            return false;
        if (!memchr(b_of, a_of[i], b_rank)) {
            const char *in_c = strchr(c_of, a_of[i]);
            if (!in_c)
                return false; /* summed in a alone */
            p->m = c->dims[in_c - c_of];
            rows++;
        }
    }
    p->turned = b_of[b_rank - 1] != n;
    return summed == 1 && rows && memchr(b_of, n, b_rank) && !memchr(a_of, n, a_rank);
}

bool adze_schedule_product(adze_context *ctx, const adze_target *target, const adze_group *group, MlirOperation op,
                           adze_schedule *s) {
    enum { FEWEST_PRODUCTS = 256, FEWEST_COLUMNS = 4, PANEL_BYTES = 1 << 16, SCALABLE_COLUMNS = 64,
           SCALABLE_ROWS = 8, FAR_APART = 1024, MANY_ROWS = 32 };
    adze_shape a, b, c;
    product p = {0};
    bool is_einsum = adze_is_op(op, "adze.einsum");
    if ((!is_einsum && !adze_is_op(op, "adze.matmul")) || !target || target->bare || !target->vectors.count ||
        !mlirOperationEqual(group->ops[0], op) || !adze_value_shape(ctx, mlirOperationGetOperand(op, 0), &a) ||
        !adze_value_shape(ctx, mlirOperationGetOperand(op, 1), &b) || !adze_value_shape(ctx, adze_result(op, 0), &c) ||
        a.rank < 2 || b.rank < 2 || a.dtype != ADZE_f32 || b.dtype != ADZE_f32 || c.dtype != ADZE_f32 ||
        adze_shape_count(&a) < 1 || adze_shape_count(&b) < 1 ||
        !(is_einsum ? einsum(ctx, op, &b, &c, &p) : matmul(op, &b, &c, &p)))
        return false;
    adze_shape last;
    bool keeps_sums = adze_value_shape(ctx, adze_result(group->ops[group->n - 1], 0), &last) && last.dtype == ADZE_f32;
    for (int i = 1; i < group->n; i++) {
        adze_fuse_class cls = adze_fuse_class_of(ctx, group->ops[i]);
        if (cls != ADZE_FUSE_POINTWISE && !adze_is_op(group->ops[i], "adze.transpose"))
            return false;
        int64_t perm[ADZE_MAX_RANK];
        if (cls != ADZE_FUSE_POINTWISE && (adze_get_i64s(group->ops[i], "perm", ADZE_MAX_RANK, perm) != c.rank ||
                                           perm[c.rank - 1] != c.rank - 1))
            keeps_sums = false;
    }
    const bool turned = p.turned;
    const int64_t m = p.m, n = p.n, k = p.k;
    if (n < FEWEST_COLUMNS || m * n * k < FEWEST_PRODUCTS)
        return false;
    adze_schedule_lanes(target, "f32", n, s);
    if (s->lanes < 2)
        return false;
    if (s->scalable) {
        s->vectors = 1;
        s->rows = m < SCALABLE_ROWS ? m : SCALABLE_ROWS;
    } else {
        adze_register_block(n, m, s->lanes, target->vectors.count, s);
    }
    /* b's panel is copied where its columns are no neighbours, or its rows share few sets of a cache: a part of k at a
     * time, with the sums so far in c */
    bool copy = turned || (n >= FAR_APART && m >= MANY_ROWS);
    int64_t most = PANEL_BYTES / (int64_t)sizeof(float) / (s->scalable ? SCALABLE_COLUMNS : s->vectors * s->lanes);
    if (copy && most < k && !keeps_sums) {
        if (turned)
            return false;
        copy = false;
    }
    s->k_block = !copy ? 0 : k < most ? k : most;
    s->family = "matmul";
    return true;
}

/* Register blocks of both products: queries by vectors of keys, or of the result's elements. */
bool adze_schedule_attention(adze_context *ctx, const adze_target *target, MlirOperation op, adze_schedule *s) {
    enum { KEYS = 64, FEW_KEYS = 96, SCALABLE_ROWS = 8 };
    adze_shape q, k;
    const char *layout[4];
    if (!adze_is_op(op, "adze.attention") || !target || !target->vectors.count ||
        !adze_value_shape(ctx, mlirOperationGetOperand(op, 0), &q) ||
        !adze_value_shape(ctx, mlirOperationGetOperand(op, 1), &k) ||
        adze_get_strs(ctx, op, "layout", 4, layout) != 4)
        return false;
    int64_t queries = q.dims[strcmp(layout[0], "heads_last") ? 2 : 1];
    int64_t keys = k.dims[strcmp(layout[1], "heads_last") ? 2 : 1];
    s->k_block = keys <= FEW_KEYS ? keys : KEYS;
    adze_schedule_lanes(target, "f32", s->k_block, s);
    if (s->lanes > 1 && !s->scalable)
        adze_register_block(s->k_block, queries, s->lanes, target->vectors.count, s);
    if (s->scalable)
        s->rows = queries < SCALABLE_ROWS ? queries : SCALABLE_ROWS;
    return true;
}

/* ---- recurrences ---- */

/* Register blocks of the product with the state, where the input's is made before: sequences by vectors of gates. */
bool adze_schedule_recurrence(adze_context *ctx, const adze_target *target, MlirOperation op, adze_schedule *s) {
    enum { SCALABLE_ROWS = 4 };
    adze_shape x, r;
    if ((!adze_is_op(op, "adze.lstm") && !adze_is_op(op, "adze.gru") && !adze_is_op(op, "adze.rnn")) ||
        !adze_is_none(mlirOperationGetOperand(op, 1)) || !target || !target->vectors.count ||
        !adze_value_shape(ctx, mlirOperationGetOperand(op, 0), &x) ||
        !adze_value_shape(ctx, mlirOperationGetOperand(op, 2), &r) || x.rank != 3 || r.dtype != ADZE_f32)
        return false;
    int64_t batch = x.dims[1] < 1 ? 1 : x.dims[1], gates = r.dims[2];
    adze_schedule_lanes(target, "f32", gates, s);
    if (s->lanes > 1 && !s->scalable)
        adze_register_block(gates, batch, s->lanes, target->vectors.count, s);
    if (s->scalable)
        s->rows = batch < SCALABLE_ROWS ? batch : SCALABLE_ROWS;
    return true;
}
