/* Operators that move elements without computing: reshapes, slices, joins; and those that make
 * shapes and constants. */
#include "frontend/onnx/importer.h"

#include <string.h>

/* ---- shape vectors with bounded entries ---- */

/* An i64 value as a shape: numbers, or the symbols of bounded dimensions. */
static bool as_extents(node *n, int i, const char *what, adze_shape *out) {
    val *v = ox_need(n, i, what);
    if (!v)
        return false;
    int64_t values[ADZE_MAX_RANK];
    if (v->partly && v->shape.rank == 1) {
        out->rank = (int)v->shape.dims[0];
        for (int k = 0; k < out->rank; k++) {
            out->dims[k] = v->part_dims[k];
            out->symbols[k] = v->part_symbols[k];
        }
        return true;
    }
    const adze_tensor *t = ox_known(n, v);
    if (t && adze_tensor_count(t) > ADZE_MAX_RANK)
        return ox_fail(n, "'%s' has %zu entries; at most %d are supported", what,
                       adze_tensor_count(t), ADZE_MAX_RANK);
    int count = ox_const_ints(n, i, what, ADZE_MAX_RANK, values);
    if (count < 0)
        return false;
    out->rank = count;
    for (int k = 0; k < count; k++) {
        out->dims[k] = values[k];
        out->symbols[k] = NULL;
    }
    return true;
}

/* Gives y the entries of x's known and bounded numbers picked by index; -1 symbols stay symbols. */
static val *with_parts(val *y, int count, const int64_t *dims, const char *const *symbols) {
    if (!y || y->is_const || count > ADZE_MAX_RANK)
        return y;
    y->partly = true;
    for (int i = 0; i < count; i++) {
        y->part_dims[i] = dims[i];
        y->part_symbols[i] = symbols[i];
    }
    return y;
}

/* The numbers of an i64 vector or scalar that is constant or partly so. */
static bool parts_of(node *n, val *v, int *count, int64_t *dims, const char **symbols) {
    if (!v || v->kind != VAL_TENSOR || v->shape.rank > 1)
        return false;
    *count = v->shape.rank ? (int)v->shape.dims[0] : 1;
    if (v->shape.rank && (v->shape.dims[0] < 0 || v->shape.dims[0] > ADZE_MAX_RANK))
        return false;
    const adze_tensor *t = v->partly ? NULL : ox_known(n, v);
    if (!v->partly && (!t || t->dtype != ADZE_i64))
        return false;
    for (int i = 0; i < *count; i++) {
        dims[i] = t ? adze_tensor_get_i64(t, (size_t)i) : v->part_dims[i];
        symbols[i] = t ? NULL : v->part_symbols[i];
    }
    return true;
}

/* When no entry is a symbol the value is known after all. */
static val *settle(node *n, val *y) {
    if (!y || !y->partly)
        return y;
    int count = y->shape.rank ? (int)y->shape.dims[0] : 1;
    for (int i = 0; i < count; i++)
        if (y->part_symbols[i])
            return y;
    val *c = ox_ints(n, count, y->part_dims);
    return y->shape.rank ? c : ox_reshape(n, c, 0, NULL);
}

/* ---- reshape and friends ---- */

bool ox_op_reshape(node *n) {
    val *x = ox_need(n, 0, "data");
    adze_shape s = {0};
    if (!x || !as_extents(n, 1, "shape", &s))
        return false;
    bool keep_zero = ox_attr_i(n, "allowzero", 0) != 0;
    int rest = -1;
    for (int i = 0; i < s.rank; i++) {
        if (s.symbols[i])
            continue;
        if (s.dims[i] == 0 && !keep_zero) {
            if (i >= x->shape.rank)
                return ox_fail(n, "axis %d of the new shape copies one that is not there", i);
            ox_set_dim(&s, i, &x->shape, i);
        } else if (s.dims[i] == -1) {
            if (rest >= 0)
                return ox_fail(n, "two axes of the new shape are -1");
            rest = i;
        } else if (s.dims[i] < 0) {
            return ox_fail(n, "the new shape has a negative extent");
        }
    }
    if (rest >= 0) { /* what is left over: numbers divide, one symbol may remain */
        int64_t before = 1, after = 1;
        int taken[ADZE_MAX_RANK] = {0}, left = -1, n_left = 0;
        for (int i = 0; i < x->shape.rank; i++)
            if (x->shape.dims[i] >= 0)
                before *= x->shape.dims[i];
        for (int i = 0; i < s.rank; i++) {
            if (i == rest)
                continue;
            if (s.dims[i] >= 0) {
                if (__builtin_mul_overflow(after, s.dims[i], &after))
                    return ox_fail(n, "the new shape is impossibly large");
                continue;
            }
            for (int j = 0; j < x->shape.rank; j++)
                if (!taken[j] && x->shape.dims[j] < 0 && ox_same_dim(&s, i, &x->shape, j)) {
                    taken[j] = 1;
                    break;
                }
        }
        for (int j = 0; j < x->shape.rank; j++)
            if (x->shape.dims[j] < 0 && !taken[j])
                left = j, n_left++;
        if (after == 0 || before % after || n_left > 1 || (n_left && before != after))
            return ox_fail(n, "the extent that -1 stands for cannot be worked out");
        if (n_left)
            ox_set_dim(&s, rest, &x->shape, left);
        else {
            s.dims[rest] = before / after;
            s.symbols[rest] = NULL;
        }
    }
    val *y = ox_reshape_to(n, x, &s);
    int count;
    int64_t dims[ADZE_MAX_RANK];
    const char *symbols[ADZE_MAX_RANK];
    if (y != x && x->partly && y && y->shape.rank <= 1 && parts_of(n, x, &count, dims, symbols))
        y = settle(n, with_parts(y, count, dims, symbols));
    return ox_out(n, 0, y);
}

bool ox_op_flatten(node *n) {
    val *x = ox_need(n, 0, "input");
    if (!x)
        return false;
    int64_t axis = ox_attr_i(n, "axis", 1);
    if (axis < -x->shape.rank || axis > x->shape.rank)
        return ox_fail(n, "axis %lld is out of range", (long long)axis);
    return ox_out(n, 0, ox_flatten(n, x, (int)(axis < 0 ? axis + x->shape.rank : axis)));
}

bool ox_op_transpose(node *n) {
    val *x = ox_need(n, 0, "data");
    int64_t perm[ADZE_MAX_RANK];
    if (!x)
        return false;
    int count = ox_attr_ints(n, "perm", ADZE_MAX_RANK, perm);
    if (count < 0)
        for (int i = 0; i < x->shape.rank; i++)
            perm[i] = x->shape.rank - 1 - i;
    else if (count != x->shape.rank)
        return ox_fail(n, "perm has %d entries for a rank of %d", count, x->shape.rank);
    return ox_out(n, 0, ox_transpose(n, x, perm));
}

/* Axes as an attribute (before opset 13) or as operand 1: a bit set; false after an error. */
static bool axes_set(node *n, int rank, unsigned *set, bool *given) {
    int64_t axes[ADZE_MAX_RANK];
    int count = n->opset < 13 ? ox_attr_ints(n, "axes", ADZE_MAX_RANK, axes)
                              : ox_const_ints(n, 1, "axes", ADZE_MAX_RANK, axes);
    if (n->failed)
        return false;
    *given = count >= 0;
    *set = 0;
    for (int i = 0; i < count; i++) {
        int64_t axis = ox_axis(n, axes[i], rank);
        if (n->failed)
            return false;
        if (*set >> axis & 1)
            return ox_fail(n, "names axis %lld twice", (long long)axis);
        *set |= 1u << axis;
    }
    return true;
}

static bool reshaped_out(node *n, val *x, const adze_shape *s) {
    int count;
    int64_t dims[ADZE_MAX_RANK];
    const char *symbols[ADZE_MAX_RANK];
    val *y = ox_reshape_to(n, x, s);
    if (y != x && x->partly && s->rank <= 1 && parts_of(n, x, &count, dims, symbols))
        y = settle(n, with_parts(y, count, dims, symbols));
    return ox_out(n, 0, y);
}

bool ox_op_squeeze(node *n) {
    val *x = ox_need(n, 0, "data");
    unsigned set;
    bool given;
    adze_shape s = {0};
    if (!x || !axes_set(n, x->shape.rank, &set, &given))
        return false;
    for (int i = 0; i < x->shape.rank; i++) {
        bool drop = given ? set >> i & 1 : x->shape.dims[i] == 1;
        if (drop && x->shape.dims[i] != 1)
            return ox_fail(n, "axis %d is not 1", i);
        if (!drop)
            ox_set_dim(&s, s.rank++, &x->shape, i);
    }
    return reshaped_out(n, x, &s);
}

bool ox_op_unsqueeze(node *n) {
    val *x = ox_need(n, 0, "data");
    if (!x)
        return false;
    int64_t axes[ADZE_MAX_RANK];
    int count = n->opset < 13 ? ox_attr_ints(n, "axes", ADZE_MAX_RANK, axes)
                              : ox_const_ints(n, 1, "axes", ADZE_MAX_RANK, axes);
    unsigned set;
    bool given;
    if (n->failed || count < 0 || x->shape.rank + count > ADZE_MAX_RANK)
        return ox_fail(n, count < 0 ? "has no axes" : "a result of rank above 12 is not supported");
    adze_shape s = {.rank = x->shape.rank + count};
    if (!axes_set(n, s.rank, &set, &given))
        return false;
    for (int i = 0, from = 0; i < s.rank; i++) {
        if (set >> i & 1)
            s.dims[i] = 1;
        else
            ox_set_dim(&s, i, &x->shape, from++);
    }
    return reshaped_out(n, x, &s);
}

/* ---- joining and cutting ---- */

bool ox_op_concat(node *n) {
    val *first = ox_need(n, 0, "inputs");
    if (!first)
        return false;
    if (!first->shape.rank)
        return ox_fail(n, "scalars cannot be joined");
    int axis = (int)ox_axis(n, ox_attr_i(n, "axis", 1), first->shape.rank);
    val **items = ADZE_NEW_ARRAY(n->ctx->arena, val *, (size_t)n->n_in);
    for (int i = 0; i < n->n_in; i++)
        items[i] = ox_need(n, i, "inputs");
    val *y = n->failed ? NULL : ox_concat(n, axis, n->n_in, items);
    int64_t dims[ADZE_MAX_RANK];
    const char *symbols[ADZE_MAX_RANK];
    int total = 0;
    bool parts = y && !y->is_const && y->shape.rank == 1 && y->shape.dtype == ADZE_i64 &&
                 y->shape.dims[0] >= 0 && y->shape.dims[0] <= ADZE_MAX_RANK;
    for (int i = 0; parts && i < n->n_in; i++) {
        int count;
        parts = parts_of(n, items[i], &count, dims + total, symbols + total);
        total += count;
    }
    if (parts && n->n_in > 1)
        y = settle(n, with_parts(y, total, dims, symbols));
    return ox_out(n, 0, y);
}

bool ox_op_split(node *n) {
    val *x = ox_need(n, 0, "input");
    if (!x)
        return false;
    int axis = (int)ox_axis(n, ox_attr_i(n, "axis", 0), x->shape.rank);
    if (n->failed)
        return false;
    int64_t extent = x->shape.dims[axis],
            *sizes = ADZE_NEW_ARRAY(n->ctx->arena, int64_t, (size_t)n->n_out);
    int count = n->opset < 13 ? ox_attr_ints(n, "split", n->n_out, sizes)
                              : ox_const_ints(n, 1, "split", n->n_out, sizes);
    int64_t parts = ox_attr_i(n, "num_outputs", n->n_out);
    if (n->failed || extent < 0)
        return ox_static(n, x) && false;
    if (count < 0) { /* equal pieces, the last one smaller */
        if (parts < 1 || parts > 1 << 16)
            return ox_fail(n, "num_outputs is %lld", (long long)parts);
        int64_t size = n->opset < 18 ? extent / parts : (extent + parts - 1) / parts;
        for (int i = 0; i < n->n_out; i++) {
            int64_t left = extent - size * i;
            sizes[i] = left < size ? left : size;
        }
        if (parts != n->n_out || (n->opset < 18 && size * parts != extent))
            return ox_fail(n, "cannot split %lld into %d parts", (long long)extent, n->n_out);
    } else if (count != n->n_out) {
        return ox_fail(n, "has %d sizes for %d outputs", count, n->n_out);
    }
    int64_t at = 0;
    for (int i = 0; i < n->n_out; i++) {
        if (sizes[i] < 0 || sizes[i] > extent - at)
            return ox_fail(n, "its sizes do not add up to %lld", (long long)extent);
        if (ox_wants(n, i)) {
            n->result_name = ox_intern(n->imp, n->proto->output.items[i]);
            if (!ox_out(n, i, ox_take(n, x, axis, at, sizes[i])))
                return false;
        }
        at += sizes[i];
    }
    return at == extent || ox_fail(n, "its sizes do not add up to %lld", (long long)extent);
}

static int64_t clamp(int64_t v, int64_t low, int64_t high) {
    return v < low ? low : v > high ? high : v;
}

bool ox_op_slice(node *n) {
    val *x = ox_need(n, 0, "data");
    if (!x)
        return false;
    int64_t starts[ADZE_MAX_RANK], ends[ADZE_MAX_RANK], axes[ADZE_MAX_RANK], steps[ADZE_MAX_RANK];
    int n_starts, n_ends, n_axes, n_steps = -1, rank = x->shape.rank;
    if (n->opset < 10) {
        n_starts = ox_attr_ints(n, "starts", ADZE_MAX_RANK, starts);
        n_ends = ox_attr_ints(n, "ends", ADZE_MAX_RANK, ends);
        n_axes = ox_attr_ints(n, "axes", ADZE_MAX_RANK, axes);
    } else {
        n_starts = ox_const_ints(n, 1, "starts", ADZE_MAX_RANK, starts);
        n_ends = ox_const_ints(n, 2, "ends", ADZE_MAX_RANK, ends);
        n_axes = ox_const_ints(n, 3, "axes", ADZE_MAX_RANK, axes);
        n_steps = ox_const_ints(n, 4, "steps", ADZE_MAX_RANK, steps);
    }
    if (n->failed)
        return false;
    if (n_starts < 0 || n_ends != n_starts || (n_axes >= 0 && n_axes != n_starts) ||
        (n_steps >= 0 && n_steps != n_starts) || n_starts > rank)
        return ox_fail(n, "its starts, ends, axes and steps do not fit together");
    int64_t from[ADZE_MAX_RANK] = {0}, counts[ADZE_MAX_RANK], by[ADZE_MAX_RANK];
    for (int i = 0; i < rank; i++) {
        counts[i] = x->shape.dims[i];
        by[i] = 1;
    }
    for (int i = 0; i < n_starts; i++) {
        int axis = (int)ox_axis(n, n_axes < 0 ? i : axes[i], rank);
        int64_t step = n_steps < 0 ? 1 : steps[i], d = x->shape.dims[axis];
        if (n->failed)
            return false;
        if (!step || step == INT64_MIN)
            return ox_fail(n, "a step of %lld", (long long)step);
        if (d < 0) {
            if (starts[i] == 0 && step == 1 && ends[i] >= INT32_MAX)
                continue; /* all of it, however long */
            return ox_static(n, x) && false;
        }
        /* numpy's rule: negative counts from the end, then clamp */
        int64_t start = clamp(starts[i] < 0 && starts[i] >= -d ? starts[i] + d : starts[i],
                              step < 0 ? -1 : 0, step < 0 ? d - 1 : d);
        int64_t end =
            clamp(ends[i] < 0 && ends[i] >= -d ? ends[i] + d : ends[i], step < 0 ? -1 : 0, d);
        if (ends[i] < -d)
            end = step < 0 ? -1 : 0;
        if (starts[i] < -d)
            start = step < 0 ? -1 : 0;
        int64_t span = step < 0 ? start - end : end - start, stride = step < 0 ? -step : step;
        counts[axis] = span <= 0 ? 0 : (span - 1) / stride + 1;
        from[axis] = counts[axis] ? start : 0;
        by[axis] = counts[axis] > 1 ? step : 1;
    }
    val *y = ox_slice(n, x, from, counts, by);
    int count;
    int64_t dims[ADZE_MAX_RANK], picked[ADZE_MAX_RANK];
    const char *symbols[ADZE_MAX_RANK], *names[ADZE_MAX_RANK];
    if (y != x && x->partly && x->shape.rank == 1 && parts_of(n, x, &count, dims, symbols)) {
        for (int i = 0; i < counts[0]; i++) {
            picked[i] = dims[from[0] + i * by[0]];
            names[i] = symbols[from[0] + i * by[0]];
        }
        y = settle(n, with_parts(y, (int)counts[0], picked, names));
    }
    return ox_out(n, 0, y);
}

/* Gather belongs to indexing, but picks entries of shapes all the time. */
bool ox_op_gather(node *n) {
    val *x = ox_need(n, 0, "data"), *indices = ox_need(n, 1, "indices");
    if (!x || !indices)
        return false;
    int axis = (int)ox_axis(n, ox_attr_i(n, "axis", 0), x->shape.rank);
    if (n->failed)
        return false;
    const adze_tensor *t = ox_known(n, indices);
    for (size_t i = 0; t && x->shape.dims[axis] >= 0 && i < adze_tensor_count(t); i++) {
        int64_t k = adze_tensor_get_i64(t, i);
        if (k < -x->shape.dims[axis] || k >= x->shape.dims[axis])
            return ox_fail(n, "index %lld is out of range for an extent of %lld", (long long)k,
                           (long long)x->shape.dims[axis]);
    }
    val *y = ox_gather(n, x, indices, axis);
    int count;
    int64_t dims[ADZE_MAX_RANK], picked[ADZE_MAX_RANK];
    const char *symbols[ADZE_MAX_RANK], *names[ADZE_MAX_RANK];
    if (t && x->partly && y && y->shape.rank <= 1 && adze_tensor_count(t) <= ADZE_MAX_RANK &&
        parts_of(n, x, &count, dims, symbols)) {
        for (size_t i = 0; i < adze_tensor_count(t); i++) {
            int64_t k = adze_tensor_get_i64(t, i);
            picked[i] = dims[k < 0 ? k + count : k];
            names[i] = symbols[k < 0 ? k + count : k];
        }
        y = settle(n, with_parts(y, (int)adze_tensor_count(t), picked, names));
    }
    return ox_out(n, 0, y);
}

bool ox_op_pad(node *n) {
    val *x = ox_need(n, 0, "data"), *value = &n->imp->absent;
    if (!x)
        return false;
    int rank = x->shape.rank, count;
    int64_t pads[2 * ADZE_MAX_RANK], axes[ADZE_MAX_RANK], all[2 * ADZE_MAX_RANK] = {0};
    const char *mode = ox_attr_s(n, "mode", "constant");
    if (n->opset < 11) {
        count = ox_attr_ints(n, "pads", 2 * ADZE_MAX_RANK, pads);
        if (ox_attr(n, "value"))
            value = ox_number(n, x, ox_attr_f(n, "value", 0));
    } else {
        count = ox_const_ints(n, 1, "pads", 2 * ADZE_MAX_RANK, pads);
        value = ox_in(n, 2);
        if (value && value->kind == VAL_TENSOR)
            value = ox_reshape(n, value, 0, NULL);
    }
    int n_axes = n->opset < 18 ? -1 : ox_const_ints(n, 3, "axes", ADZE_MAX_RANK, axes);
    if (n->failed)
        return false;
    if (n_axes < 0) {
        n_axes = rank;
        for (int i = 0; i < rank; i++)
            axes[i] = i;
    }
    if (count != 2 * n_axes)
        return ox_fail(n, "has %d paddings for %d axes", count, n_axes);
    for (int i = 0; i < n_axes; i++) {
        int64_t axis = ox_axis(n, axes[i], rank);
        all[axis] = pads[i];
        all[rank + axis] = pads[n_axes + i];
    }
    if (strcmp(mode, "constant") && strcmp(mode, "reflect") && strcmp(mode, "edge") &&
        strcmp(mode, "wrap"))
        return ox_fail(n, "mode '%s' is not supported", mode);
    return !n->failed && ox_out(n, 0, ox_pad(n, x, all, mode, value));
}

bool ox_op_expand(node *n) {
    val *x = ox_need(n, 0, "input");
    adze_shape s = {0};
    if (!x || !as_extents(n, 1, "shape", &s))
        return false;
    for (int i = 0; i < s.rank; i++)
        if (s.dims[i] < 0 && !s.symbols[i])
            return ox_fail(n, "the new shape has a negative extent");
    return ox_out(n, 0, ox_expand(n, x, &s));
}

bool ox_op_tile(node *n) {
    val *x = ox_need(n, 0, "input");
    int64_t repeats[ADZE_MAX_RANK];
    if (!x || !ox_need(n, 1, "repeats"))
        return false;
    int count = ox_const_ints(n, 1, "repeats", ADZE_MAX_RANK, repeats);
    if (count < 0 || !ox_static(n, x))
        return false;
    adze_shape s = x->shape;
    bool same = true;
    for (int i = 0; i < s.rank && count == s.rank; i++) {
        same &= repeats[i] == 1;
        if (repeats[i] < 0 || __builtin_mul_overflow(s.dims[i], repeats[i], &s.dims[i]))
            return ox_fail(n, "repeats an axis %lld times", (long long)repeats[i]);
    }
    if (count != s.rank)
        return ox_fail(n, "has %d repeats for a rank of %d", count, s.rank);
    return ox_out(n, 0, same ? x : ox_emit(n, "tile", VALS(x), &s, NO_ATTRS));
}

/* ---- shapes and constants ---- */

bool ox_op_shape(node *n) {
    val *x = ox_need(n, 0, "data");
    if (!x)
        return false;
    int rank = x->shape.rank;
    int64_t start = ox_attr_i(n, "start", 0), end = ox_attr_i(n, "end", rank);
    start = clamp(start < 0 ? start + rank : start, 0, rank);
    end = clamp(end < 0 ? end + rank : end, 0, rank);
    int count = end > start ? (int)(end - start) : 0;
    bool bounded = false;
    for (int i = 0; i < count; i++)
        bounded |= x->shape.dims[start + i] < 0;
    if (!bounded)
        return ox_out(n, 0, ox_ints(n, count, x->shape.dims + start));
    val *parts[ADZE_MAX_RANK];
    adze_shape scalar = ox_shape(n, ADZE_i64, 0, NULL);
    for (int i = 0; i < count; i++) {
        int64_t d = x->shape.dims[start + i];
        parts[i] = d >= 0 ? ox_ints(n, 1, &d)
                          : ox_unsqueeze(n,
                                         ox_emit(n, "extent", VALS(x), &scalar,
                                                 ATTRS({"axis", adze_i64(n->ctx, start + i)})),
                                         0);
    }
    val *y = ox_concat(n, 0, count, parts);
    return ox_out(n, 0, with_parts(y, count, x->shape.dims + start, x->shape.symbols + start));
}

bool ox_op_size(node *n) {
    val *x = ox_need(n, 0, "data");
    return x && ox_static(n, x) &&
           ox_out(n, 0,
                  ox_reshape(n, ox_ints(n, 1, (int64_t[]){adze_shape_count(&x->shape)}), 0, NULL));
}

bool ox_op_constant(node *n) {
    static const char *const forms[] = {"value",         "value_float", "value_floats",
                                        "value_int",     "value_ints",  "value_string",
                                        "value_strings", "sparse_value"};
    const onnx_AttributeProto *a = NULL;
    for (size_t i = 0; i < ADZE_COUNT(forms); i++) {
        const onnx_AttributeProto *b = ox_attr(n, forms[i]);
        if (a && b)
            return ox_fail(n, "has two values");
        a = b ? b : a;
    }
    if (!a)
        return ox_fail(n, "has no value");
    if (adze_string_is(a->name, "value") || a->t)
        return a->t ? ox_out(n, 0, ox_attr_tensor(n, "value"))
                    : ox_fail(n, "attribute 'value' holds no tensor");
    adze_tensor t = {.dtype = ADZE_i64, .rank = 1};
    if (a->sparse_tensor) {
        if (!adze_onnx_sparse_tensor(n->ctx, n->imp->path, a->sparse_tensor, &t))
            return n->failed = true, false;
    } else if (ONNX_HAS(a, 2)) {
        t = (adze_tensor){.dtype = ADZE_f32, .data = &a->f};
    } else if (ONNX_HAS(a, 3)) {
        t = (adze_tensor){.dtype = ADZE_i64, .data = &a->i};
    } else if (ONNX_HAS(a, 4)) {
        t = (adze_tensor){.dtype = ADZE_string, .data = &a->s};
    } else if (a->floats.count) {
        t.dtype = ADZE_f32;
        t.dims[0] = (int64_t)a->floats.count;
        t.data = adze_onnx_floats(n->ctx->arena, &a->floats);
    } else if (a->strings.count) {
        t.dtype = ADZE_string;
        t.dims[0] = (int64_t)a->strings.count;
        t.data = a->strings.items;
    } else {
        t.dims[0] = (int64_t)a->ints.count;
        t.data = adze_onnx_ints(n->ctx->arena, &a->ints);
        if (a->type == 6) /* an empty list of floats */
            t.dtype = ADZE_f32;
    }
    return ox_out(n, 0, ox_tensor_val(n->imp, &t));
}

bool ox_op_constant_of_shape(node *n) {
    adze_shape s = {0};
    val *value = ox_attr_tensor(n, "value");
    if (n->failed || !as_extents(n, 0, "input", &s))
        return false;
    for (int i = 0; i < s.rank; i++)
        if (s.dims[i] < 0 && !s.symbols[i])
            return ox_fail(n, "the shape has a negative extent");
    return ox_out(n, 0, ox_full(n, &s, value ? value : ox_scalar(n, ADZE_f32, 0)));
}

bool ox_op_range(node *n) {
    const adze_tensor *start = ox_const(n, 0, "start"), *limit = ox_const(n, 1, "limit"),
                      *delta = ox_const(n, 2, "delta");
    if (!start || !limit || !delta)
        return false;
    double count;
    if (adze_tensor_count(start) != 1 || adze_tensor_count(limit) != 1 ||
        adze_tensor_count(delta) != 1 || adze_tensor_get_f64(delta, 0) == 0)
        return ox_fail(n, "needs three numbers, the last one not zero");
    if (adze_dtype_get(start->dtype)->cls == 'F') {
        double d = (adze_tensor_get_f64(limit, 0) - adze_tensor_get_f64(start, 0)) /
                   adze_tensor_get_f64(delta, 0);
        count = d > 0 ? __builtin_ceil(d) : 0;
    } else {
        __int128 a = adze_tensor_get_i64(start, 0), b = adze_tensor_get_i64(limit, 0),
                 d = adze_tensor_get_i64(delta, 0);
        __int128 span = d > 0 ? b - a : a - b, step = d > 0 ? d : -d;
        count = span > 0 ? (double)((span + step - 1) / step) : 0;
    }
    if (!(count <= 1e9))
        return ox_fail(n, "is impossibly long");
    adze_shape s = ox_shape(n, start->dtype, 1, (int64_t[]){(int64_t)count});
    return ox_out(n, 0,
                  ox_emit(n, "range",
                          VALS(ox_reshape(n, n->in[0], 0, NULL), ox_reshape(n, n->in[2], 0, NULL)),
                          &s, NO_ATTRS));
}

/* ---- blocks of space and depth ---- */

bool ox_op_depth_to_space(node *n) {
    val *x = ox_need(n, 0, "input");
    int64_t b = ox_attr_i(n, "blocksize", 0);
    const char *mode = ox_attr_s(n, "mode", "DCR");
    bool crd = !strcmp(mode, "CRD");
    if (!x || !ox_static(n, x))
        return false;
    const int64_t *d = x->shape.dims;
    if (x->shape.rank != 4 || b < 1 || b > 1 << 15 || d[1] % (b * b) ||
        (!crd && strcmp(mode, "DCR")))
        return ox_fail(n, "needs four axes and channels that divide by blocksize²");
    int64_t c = d[1] / (b * b);
    val *y = crd ? ox_reshape(n, x, 6, (int64_t[]){d[0], c, b, b, d[2], d[3]})
                 : ox_reshape(n, x, 6, (int64_t[]){d[0], b, b, c, d[2], d[3]});
    y = ox_transpose(n, y, crd ? (int64_t[]){0, 1, 4, 2, 5, 3} : (int64_t[]){0, 3, 4, 1, 5, 2});
    return ox_out(n, 0, ox_reshape(n, y, 4, (int64_t[]){d[0], c, d[2] * b, d[3] * b}));
}

bool ox_op_space_to_depth(node *n) {
    val *x = ox_need(n, 0, "input");
    int64_t b = ox_attr_i(n, "blocksize", 0);
    if (!x || !ox_static(n, x))
        return false;
    const int64_t *d = x->shape.dims;
    if (x->shape.rank != 4 || b < 1 || b > 1 << 15 || d[2] % b || d[3] % b)
        return ox_fail(n, "needs four axes, the last two divisible by blocksize");
    val *y = ox_reshape(n, x, 6, (int64_t[]){d[0], d[1], d[2] / b, b, d[3] / b, b});
    y = ox_transpose(n, y, (int64_t[]){0, 3, 5, 1, 2, 4});
    return ox_out(n, 0, ox_reshape(n, y, 4, (int64_t[]){d[0], d[1] * b * b, d[2] / b, d[3] / b}));
}

/* Crops or zero-pads axes around their centre. */
bool ox_op_center_crop_pad(node *n) {
    val *x = ox_need(n, 0, "input_data");
    int64_t target[ADZE_MAX_RANK], axes[ADZE_MAX_RANK];
    if (!x || !ox_need(n, 1, "shape") || !ox_static(n, x))
        return false;
    int rank = x->shape.rank, count = ox_const_ints(n, 1, "shape", ADZE_MAX_RANK, target);
    int n_axes = ox_attr_ints(n, "axes", ADZE_MAX_RANK, axes);
    if (n->failed)
        return false;
    if (n_axes < 0)
        for (n_axes = 0; n_axes < rank; n_axes++)
            axes[n_axes] = n_axes;
    if (count != n_axes)
        return ox_fail(n, "has %d extents for %d axes", count, n_axes);
    int64_t starts[ADZE_MAX_RANK] = {0}, counts[ADZE_MAX_RANK], steps[ADZE_MAX_RANK];
    int64_t pads[2 * ADZE_MAX_RANK] = {0};
    for (int i = 0; i < rank; i++) {
        counts[i] = x->shape.dims[i];
        steps[i] = 1;
    }
    for (int i = 0; i < count; i++) {
        int64_t axis = ox_axis(n, axes[i], rank), d = x->shape.dims[axis];
        if (n->failed || target[i] < 0)
            return ox_fail(n, "a negative extent");
        if (target[i] < d) {
            starts[axis] = (d - target[i]) / 2;
            counts[axis] = target[i];
        } else {
            pads[axis] = (target[i] - d) / 2;
            pads[rank + axis] = target[i] - d - pads[axis];
        }
    }
    val *y = ox_slice(n, x, starts, counts, steps);
    return ox_out(n, 0, ox_pad(n, y, pads, "constant", &n->imp->absent));
}
