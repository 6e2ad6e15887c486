/* Short ways to make L1 operations: each infers its result's type, checks that the operands fit,
 * and folds when they are all constant. See importer.h. */
#include "frontend/onnx/importer.h"

#include <stdio.h>
#include <string.h>

/* ---- shapes ---- */

adze_shape ox_shape(node *n, adze_dtype dtype, int rank, const int64_t *dims) {
    adze_shape s = {.element = adze_element_type(n->ctx, dtype), .dtype = dtype, .rank = rank};
    for (int i = 0; i < rank; i++)
        s.dims[i] = dims[i];
    return s;
}

adze_shape ox_with_dtype(node *n, const adze_shape *s, adze_dtype dtype) {
    adze_shape out = *s;
    out.dtype = dtype;
    out.element = adze_element_type(n->ctx, dtype);
    return out;
}

bool ox_same_dim(const adze_shape *a, int i, const adze_shape *b, int j) {
    if (a->dims[i] >= 0 || b->dims[j] >= 0)
        return a->dims[i] == b->dims[j];
    return a->symbols[i] && b->symbols[j] && !strcmp(a->symbols[i], b->symbols[j]);
}

void ox_set_dim(adze_shape *to, int i, const adze_shape *from, int j) {
    to->dims[i] = from->dims[j];
    to->symbols[i] = from->symbols[j];
}

bool ox_static(node *n, const val *x) {
    if (!x)
        return false;
    for (int i = 0; i < x->shape.rank; i++)
        if (x->shape.dims[i] < 0)
            return ox_fail(
                n,
                "does not support the bounded dimension '%s' of '%s' — hint: give it one "
                "extent with --dim %s=N",
                x->shape.symbols[i], x->name ? x->name : "its operand", x->shape.symbols[i]);
    return true;
}

int64_t ox_axis(node *n, int64_t axis, int rank) {
    if (axis < -rank || axis >= rank) {
        ox_fail(n, "axis %lld is out of range for rank %d", (long long)axis, rank);
        return 0;
    }
    return axis < 0 ? axis + rank : axis;
}

static const char *shape_text(node *n, const adze_shape *s) {
    adze_text t = {0};
    adze_text_puts(&t, "[");
    for (int i = 0; i < s->rank; i++) {
        if (s->dims[i] < 0)
            adze_text_printf(&t, "%s%s", i ? "," : "", s->symbols[i] ? s->symbols[i] : "?");
        else
            adze_text_printf(&t, "%s%lld", i ? "," : "", (long long)s->dims[i]);
    }
    adze_text_puts(&t, "]");
    const char *copy = adze_arena_strdup(n->ctx->arena, t.data);
    adze_text_free(&t);
    return copy;
}

/* ---- one operation ---- */

static size_t result_bytes(const adze_shape *s) {
    size_t bytes = s->dtype == ADZE_NO_DTYPE ? 0 : adze_dtype_get(s->dtype)->host_bytes;
    for (int i = 0; i < s->rank; i++)
        if (s->dims[i] < 0 || !adze_mul_size(bytes, (size_t)s->dims[i], &bytes))
            return SIZE_MAX;
    return bytes;
}

/* Operations whose work grows faster than their operands: a small file must not ask for hours. */
static bool is_heavy(const char *op) {
    static const char *const heavy[] = {
        "adze.conv",   "adze.conv_transpose", "adze.deform_conv", "adze.matmul",
        "adze.einsum", "adze.lstm",           "adze.gru",         "adze.rnn",
        "adze.dft",    "adze.stft",           "adze.pool"};
    for (size_t i = 0; i < ADZE_COUNT(heavy); i++)
        if (!strcmp(op, heavy[i]))
            return true;
    return false;
}

/* Folding must not unpack what is stored small: dequantized weights stay integers. */
static bool worth_folding(node *n, const char *op, int n_in, val *const *in, int n_results,
                          const adze_shape *results) {
    enum { SMALL = 64 << 10 };
    size_t before = 0, after = 0;
    if (!n->imp->opts->fold || !strcmp(op, "adze.dequantize"))
        return false;
    for (int i = 0; i < n_in; i++) {
        if (in[i]->kind == VAL_ABSENT)
            continue;
        if (!in[i]->is_const)
            return false;
        size_t bytes = result_bytes(&in[i]->shape);
        if (bytes == SIZE_MAX || !adze_add_size(before, bytes, &before))
            return false;
    }
    for (int i = 0; i < n_results; i++) {
        size_t bytes = result_bytes(&results[i]);
        if (bytes == SIZE_MAX || !adze_add_size(after, bytes, &after))
            return false;
    }
    return (after <= SMALL || after <= before) && (!is_heavy(op) || before <= 1 << 20);
}

static bool same_result(const adze_tensor *t, const adze_shape *s) {
    if (t->dtype != s->dtype || t->rank != s->rank)
        return false;
    for (int i = 0; i < s->rank; i++)
        if (t->dims[i] != s->dims[i])
            return false;
    return true;
}

static bool fold(node *n, MlirOperation op, int n_in, val *const *in, int n_results,
                 const adze_shape *results, val **out) {
    const adze_tensor *operands[64];
    adze_tensor values[4] = {0};
    if (n_in > (int)ADZE_COUNT(operands) || n_results > (int)ADZE_COUNT(values))
        return false;
    for (int i = 0; i < n_in; i++) {
        operands[i] = in[i]->kind == VAL_ABSENT ? NULL : ox_known(n, in[i]);
        if (in[i]->kind != VAL_ABSENT && !operands[i])
            return false;
    }
    size_t n_diags = n->ctx->diags.count;
    if (!n->imp->opts->fold(n->ctx, n->imp->module, op, operands, values)) {
        n->ctx->diags.count = n_diags; /* it stays an operation, no harm */
        return false;
    }
    for (int i = 0; i < n_results; i++) {
        if (results[i].dtype == ADZE_NO_DTYPE) {
            out[i] = &n->imp->absent;
            continue;
        }
        if (!same_result(&values[i], &results[i]))
            return ox_fail(n, "the evaluator's result is not of the inferred shape %s",
                           shape_text(n, &results[i]));
        out[i] = ox_tensor_val(n->imp, &values[i]);
        out[i]->shape.element = results[i].element;
        out[i]->name = n->result_name;
    }
    return true;
}

bool ox_emit_many(node *n, const char *op, int n_in, val *const *in, int n_results,
                  const adze_shape *results, val **out, int n_attrs, const adze_named *attrs) {
    importer *imp = n->imp;
    for (int i = 0; i < n_in; i++)
        if (!in[i])
            return false;
    if (n->failed)
        return false;
    char name[64];
    snprintf(name, sizeof name, "%s%s", strchr(op, '.') ? "" : "adze.", op);
    for (int i = 0; i < n_results; i++)
        if (results[i].dtype != ADZE_NO_DTYPE && result_bytes(&results[i]) == SIZE_MAX &&
            adze_shape_count(&results[i]) >= 0)
            return ox_fail(n, "its result %s is impossibly large", shape_text(n, &results[i]));
    MlirValue *operands = ADZE_NEW_ARRAY(n->ctx->arena, MlirValue, n_in ? (size_t)n_in : 1);
    for (int i = 0; i < n_in; i++) {
        operands[i] = ox_value(imp, in[i]);
        if (mlirValueIsNull(operands[i]))
            return n->failed = true, false;
    }
    MlirType types[4];
    for (int i = 0; i < n_results; i++)
        types[i] = results[i].dtype == ADZE_NO_DTYPE ? adze_none_type(n->ctx)
                                                     : adze_tensor_type(n->ctx, &results[i]);
    adze_named all[16];
    memcpy(all, attrs ? attrs : all, (size_t)n_attrs * sizeof *all);
    all[n_attrs] = (adze_named){"adze.node", adze_str(n->ctx, n->label)};
    adze_builder b = adze_at_end(n->ctx, imp->block);
    b.name = n->result_name;
    MlirOperation made =
        adze_build(&b, name, n_in, operands, n_results, types, n_attrs + 1, all, 0);
    if (worth_folding(n, name, n_in, in, n_results, results) &&
        fold(n, made, n_in, in, n_results, results, out)) {
        mlirOperationDestroy(made);
        return true;
    }
    if (n->failed)
        return false;
    for (int i = 0; i < n_results; i++) {
        if (results[i].dtype == ADZE_NO_DTYPE) {
            out[i] = &imp->absent;
            continue;
        }
        /* A shape computed from an input becomes known when that input is bound: hints say so. */
        const char *input = NULL;
        bool small = adze_dtype_get(results[i].dtype)->cls != 'F' ||
                     (results[i].rank < 2 && adze_shape_count(&results[i]) <= ADZE_MAX_RANK);
        for (int k = 0; k < n_in && small && !input; k++)
            input = in[k]->input;
        out[i] = ADZE_NEW(n->ctx->arena, val);
        *out[i] = (val){.input = input,
                        .kind = VAL_TENSOR,
                        .name = n->result_name,
                        .shape = results[i],
                        .mlir = adze_result(made, i)};
    }
    return true;
}

val *ox_emit(node *n, const char *op, int n_in, val *const *in, const adze_shape *result,
             int n_attrs, const adze_named *attrs) {
    val *out = NULL;
    return ox_emit_many(n, op, n_in, in, 1, result, &out, n_attrs, attrs) ? out : NULL;
}

/* ---- elementwise ---- */

val *ox_unary_p(node *n, const char *kind, val *x, int n_params, const double *params) {
    if (!x)
        return NULL;
    adze_shape s = x->shape;
    if (!strcmp(kind, "is_nan") || !strcmp(kind, "is_inf"))
        s = ox_with_dtype(n, &s, ADZE_bool);
    return ox_emit(
        n, "unary", VALS(x), &s,
        ATTRS({"kind", adze_str(n->ctx, kind)}, {"params", adze_f64s(n->ctx, n_params, params)}));
}

val *ox_unary(node *n, const char *kind, val *x) {
    return ox_unary_p(n, kind, x, 0, NULL);
}

/* numpy's broadcasting of the dims of b into `out`, which starts as those of a. */
static bool broadcast(node *n, adze_shape *out, const adze_shape *b) {
    adze_shape a = *out;
    int rank = a.rank > b->rank ? a.rank : b->rank;
    out->rank = rank;
    for (int i = 0; i < rank; i++) {
        int ia = i - (rank - a.rank), ib = i - (rank - b->rank);
        if (ib < 0 || (ia >= 0 && (b->dims[ib] == 1 || ox_same_dim(&a, ia, b, ib))))
            ox_set_dim(out, i, &a, ia);
        else if (ia < 0 || a.dims[ia] == 1)
            ox_set_dim(out, i, b, ib);
        else
            return ox_fail(n, "shapes %s and %s do not broadcast", shape_text(n, &a),
                           shape_text(n, b));
    }
    return true;
}

static bool is_comparison(const char *kind) {
#define UNARY(kind, params, meaning)
#define BINARY(name, result)                                                                       \
    if (!strcmp(kind, #name))                                                                      \
        return !strcmp(#result, "bool");
#include "ir/kinds.def"
#undef UNARY
#undef BINARY
    return false;
}

val *ox_binary(node *n, const char *kind, val *a, val *b) {
    if (!a || !b)
        return NULL;
    if (a->shape.dtype != b->shape.dtype && strcmp(kind, "pow")) {
        ox_fail(n, "its operands have different element types, %s and %s",
                adze_dtype_get(a->shape.dtype)->name, adze_dtype_get(b->shape.dtype)->name);
        return NULL;
    }
    adze_shape s = a->shape;
    if (!broadcast(n, &s, &b->shape))
        return NULL;
    if (is_comparison(kind))
        s = ox_with_dtype(n, &s, ADZE_bool);
    return ox_emit(n, "binary", VALS(a, b), &s, ATTRS({"kind", adze_str(n->ctx, kind)}));
}

val *ox_where(node *n, val *cond, val *a, val *b) {
    if (!cond || !a || !b)
        return NULL;
    if (a->shape.dtype != b->shape.dtype || cond->shape.dtype != ADZE_bool) {
        ox_fail(n, "needs a bool condition and two values of one element type");
        return NULL;
    }
    adze_shape s = a->shape;
    if (!broadcast(n, &s, &b->shape) || !broadcast(n, &s, &cond->shape))
        return NULL;
    return ox_emit(n, "where", VALS(cond, a, b), &s, NO_ATTRS);
}

val *ox_cast(node *n, val *x, adze_dtype dtype) {
    if (!x || x->shape.dtype == dtype)
        return x;
    adze_shape s = ox_with_dtype(n, &x->shape, dtype);
    val *y = ox_emit(n, "cast", VALS(x), &s, ATTRS({"saturate", adze_bool(n->ctx, true)}));
    if (y && x->partly && !y->is_const && dtype == ADZE_i64) {
        y->partly = true;
        memcpy(y->part_dims, x->part_dims, sizeof y->part_dims);
        memcpy(y->part_symbols, x->part_symbols, sizeof y->part_symbols);
    }
    return y;
}

/* ---- movement ---- */

val *ox_reshape_to(node *n, val *x, const adze_shape *shape) {
    if (!x)
        return NULL;
    adze_shape s = *shape;
    s.element = x->shape.element;
    s.dtype = x->shape.dtype;
    /* Bounded extents: the fixed parts and the symbols must be the same on both sides. */
    int64_t before = 1, after = 1;
    int bounded = 0;
    for (int i = 0; i < x->shape.rank; i++) {
        if (x->shape.dims[i] < 0)
            bounded++;
        else if (__builtin_mul_overflow(before, x->shape.dims[i], &before))
            before = -1;
    }
    for (int i = 0; i < s.rank; i++) {
        if (s.dims[i] < 0)
            bounded--;
        else if (__builtin_mul_overflow(after, s.dims[i], &after))
            after = -2;
    }
    if (before != after || bounded) {
        ox_fail(n, "cannot reshape %s to %s", shape_text(n, &x->shape), shape_text(n, &s));
        return NULL;
    }
    bool same = x->shape.rank == s.rank;
    for (int i = 0; same && i < s.rank; i++)
        same = ox_same_dim(&x->shape, i, &s, i);
    if (same)
        return x;
    return x->is_const ? ox_reshaped_constant(n->imp, x, &s)
                       : ox_emit(n, "reshape", VALS(x), &s, NO_ATTRS);
}

val *ox_reshape(node *n, val *x, int rank, const int64_t *dims) {
    adze_shape s = {.rank = rank};
    for (int i = 0; i < rank; i++)
        s.dims[i] = dims[i];
    return ox_reshape_to(n, x, &s);
}

val *ox_place(node *n, val *x, int rank, int at) {
    if (!x)
        return NULL;
    adze_shape s = {.rank = rank};
    for (int i = 0; i < rank; i++)
        s.dims[i] = 1;
    for (int i = 0; i < x->shape.rank; i++)
        ox_set_dim(&s, at + i, &x->shape, i);
    return ox_reshape_to(n, x, &s);
}

val *ox_unsqueeze(node *n, val *x, int axis) {
    if (!x)
        return NULL;
    if (x->shape.rank == ADZE_MAX_RANK) {
        ox_fail(n, "a tensor of rank %d is not supported", ADZE_MAX_RANK + 1);
        return NULL;
    }
    adze_shape s = x->shape;
    s.rank++;
    for (int i = s.rank - 1; i > axis; i--)
        ox_set_dim(&s, i, &s, i - 1);
    s.dims[axis] = 1;
    s.symbols[axis] = NULL;
    return ox_reshape_to(n, x, &s);
}

val *ox_flatten(node *n, val *x, int axis) {
    if (!x)
        return NULL;
    adze_shape s = {.rank = 2, .dims = {1, 1}};
    for (int i = 0; i < x->shape.rank; i++) {
        int to = i >= axis;
        if (s.dims[to] == 1) {
            ox_set_dim(&s, to, &x->shape, i);
        } else if (x->shape.dims[i] != 1) {
            if (s.dims[to] < 0 || x->shape.dims[i] < 0) {
                ox_static(n, x);
                return NULL;
            }
            s.dims[to] *= x->shape.dims[i];
        }
    }
    return ox_reshape_to(n, x, &s);
}

val *ox_transpose(node *n, val *x, const int64_t *perm) {
    if (!x)
        return NULL;
    adze_shape s = x->shape;
    unsigned seen = 0;
    bool identity = true;
    for (int i = 0; i < s.rank; i++) {
        if (perm[i] < 0 || perm[i] >= s.rank || seen >> perm[i] & 1) {
            ox_fail(n, "its permutation is none");
            return NULL;
        }
        seen |= 1u << perm[i];
        identity &= perm[i] == i;
        ox_set_dim(&s, i, &x->shape, (int)perm[i]);
    }
    if (identity)
        return x;
    return ox_emit(n, "transpose", VALS(x), &s, ATTRS({"perm", adze_i64s(n->ctx, s.rank, perm)}));
}

val *ox_expand(node *n, val *x, const adze_shape *shape) {
    if (!x)
        return NULL;
    adze_shape s = x->shape;
    if (!broadcast(n, &s, shape))
        return NULL;
    bool same = s.rank == x->shape.rank;
    for (int i = 0; same && i < s.rank; i++)
        same = ox_same_dim(&s, i, &x->shape, i);
    return same ? x : ox_emit(n, "expand", VALS(x), &s, NO_ATTRS);
}

val *ox_slice(node *n, val *x, const int64_t *starts, const int64_t *counts, const int64_t *steps) {
    if (!x)
        return NULL;
    adze_shape s = x->shape;
    bool same = true;
    for (int i = 0; i < s.rank; i++) {
        same &= starts[i] == 0 && steps[i] == 1 && counts[i] == s.dims[i];
        if (x->shape.dims[i] >= 0)
            s.dims[i] = counts[i];
    }
    if (same)
        return x;
    return ox_emit(n, "slice", VALS(x), &s,
                   ATTRS({"starts", adze_i64s(n->ctx, s.rank, starts)},
                         {"steps", adze_i64s(n->ctx, s.rank, steps)}));
}

val *ox_take(node *n, val *x, int axis, int64_t start, int64_t count) {
    if (!x)
        return NULL;
    int64_t starts[ADZE_MAX_RANK] = {0}, counts[ADZE_MAX_RANK], steps[ADZE_MAX_RANK];
    for (int i = 0; i < x->shape.rank; i++) {
        counts[i] = x->shape.dims[i];
        steps[i] = 1;
    }
    if (x->shape.dims[axis] < 0) {
        ox_static(n, x);
        return NULL;
    }
    starts[axis] = start;
    counts[axis] = count;
    return ox_slice(n, x, starts, counts, steps);
}

val *ox_concat(node *n, int axis, int count, val *const *items) {
    if (count < 1 || !items[0])
        return NULL;
    adze_shape s = items[0]->shape;
    if (count == 1)
        return items[0];
    for (int k = 1; k < count; k++) {
        if (!items[k])
            return NULL;
        const adze_shape *t = &items[k]->shape;
        bool fits = t->rank == s.rank && t->dtype == s.dtype;
        for (int i = 0; fits && i < s.rank; i++)
            fits = i == axis ? t->dims[i] >= 0 && s.dims[i] >= 0 : ox_same_dim(&s, i, t, i);
        if (!fits || __builtin_add_overflow(s.dims[axis], t->dims[axis], &s.dims[axis])) {
            ox_fail(n, "cannot join %s and %s along axis %d", shape_text(n, &items[0]->shape),
                    shape_text(n, t), axis);
            return NULL;
        }
    }
    return ox_emit(n, "tensor.concat", count, items, &s, ATTRS({"dim", adze_i64(n->ctx, axis)}));
}

val *ox_gather(node *n, val *x, val *indices, int axis) {
    if (!x || !indices)
        return NULL;
    adze_shape s = x->shape;
    s.rank = x->shape.rank - 1 + indices->shape.rank;
    if (s.rank > ADZE_MAX_RANK || !x->shape.rank) {
        ox_fail(n, "a result of rank %d is not supported", s.rank);
        return NULL;
    }
    for (int i = 0; i < indices->shape.rank; i++)
        ox_set_dim(&s, axis + i, &indices->shape, i);
    for (int i = axis + 1; i < x->shape.rank; i++)
        ox_set_dim(&s, i - 1 + indices->shape.rank, &x->shape, i);
    return ox_emit(n, "gather", VALS(x, indices), &s, ATTRS({"axis", adze_i64(n->ctx, axis)}));
}

val *ox_pad(node *n, val *x, const int64_t *pads, const char *mode, val *value) {
    if (!x)
        return NULL;
    adze_shape s = x->shape;
    bool none = true;
    for (int i = 0; i < s.rank; i++) {
        int64_t both;
        if (__builtin_add_overflow(pads[i], pads[s.rank + i], &both) || (both && s.dims[i] < 0) ||
            (s.dims[i] >= 0 &&
             (__builtin_add_overflow(s.dims[i], both, &s.dims[i]) || s.dims[i] < 0))) {
            ox_fail(n, "its padding does not fit the shape %s", shape_text(n, &x->shape));
            return NULL;
        }
        none &= !pads[i] && !pads[s.rank + i];
    }
    if (none)
        return x;
    return ox_emit(
        n, "pad", VALS(x, value), &s,
        ATTRS({"pads", adze_i64s(n->ctx, 2 * s.rank, pads)}, {"mode", adze_str(n->ctx, mode)}));
}

/* ---- contractions and reductions ---- */

val *ox_reduce(node *n, const char *kind, val *x, int n_axes, const int64_t *axes, bool keep) {
    if (!x)
        return NULL;
    adze_shape s = x->shape;
    unsigned reduced = 0;
    for (int i = 0; i < n_axes; i++)
        reduced |= 1u << axes[i];
    s.rank = 0;
    for (int i = 0; i < x->shape.rank; i++) {
        if (!(reduced >> i & 1))
            ox_set_dim(&s, s.rank++, &x->shape, i);
        else if (keep) {
            s.symbols[s.rank] = NULL;
            s.dims[s.rank++] = 1;
        }
    }
    int64_t sorted[ADZE_MAX_RANK];
    int count = 0;
    for (int i = 0; i < x->shape.rank; i++)
        if (reduced >> i & 1)
            sorted[count++] = i;
    return ox_emit(
        n, "reduce", VALS(x), &s,
        ATTRS({"kind", adze_str(n->ctx, kind)}, {"axes", adze_i64s(n->ctx, count, sorted)}));
}

val *ox_softmax(node *n, val *x, int axis, bool log) {
    if (!x)
        return NULL;
    return ox_emit(n, "softmax", VALS(x), &x->shape,
                   ATTRS({"axis", adze_i64(n->ctx, axis)}, {"log", adze_bool(n->ctx, log)}));
}

/* ---- constants ---- */

val *ox_scalar(node *n, adze_dtype dtype, double value) {
    adze_tensor t;
    if (!adze_tensor_new(n->ctx->arena, dtype, 0, NULL, &t))
        return NULL;
    adze_tensor_set_f64(&t, 0, value);
    return ox_tensor_val(n->imp, &t);
}

val *ox_number(node *n, const val *like, double value) {
    return like ? ox_scalar(n, like->shape.dtype, value) : NULL;
}

val *ox_ints(node *n, int count, const int64_t *values) {
    adze_tensor t;
    int64_t dims[1] = {count};
    if (!adze_tensor_new(n->ctx->arena, ADZE_i64, 1, dims, &t))
        return NULL;
    if (count)
        memcpy(adze_tensor_data(&t), values, (size_t)count * sizeof *values);
    return ox_tensor_val(n->imp, &t);
}

val *ox_full(node *n, const adze_shape *shape, val *value) {
    if (!value)
        return NULL;
    val *scalar = ox_reshape(n, value, 0, NULL);
    return ox_expand(n, scalar, shape);
}
