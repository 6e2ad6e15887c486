/* Attention and its relatives, spelled out in matmuls, masks and softmax as the operators' function
 * bodies do (ONNX operator docs, opsets 23-28). */
#include "frontend/onnx/importer.h"

#include <math.h>
#include <string.h>

/* [B,S,H*D] -> [B,H,S,D]; rank 4 stays. */
static val *split_heads(node *n, val *x, int64_t heads) {
    if (!x || x->shape.rank == 4)
        return x;
    if (x->shape.rank != 3 || heads < 1 || !ox_static(n, x) || x->shape.dims[2] % heads) {
        ox_fail(n, "needs operands of rank 3 or 4 whose channels divide by the number of heads");
        return NULL;
    }
    const int64_t *d = x->shape.dims;
    val *y = ox_reshape(n, x, 4, (int64_t[]){d[0], d[1], heads, d[2] / heads});
    return ox_transpose(n, y, (int64_t[]){0, 2, 1, 3});
}

static val *join_heads(node *n, val *x) {
    val *y = ox_transpose(n, x, (int64_t[]){0, 2, 1, 3});
    const int64_t *d = y ? y->shape.dims : NULL;
    return y ? ox_reshape(n, y, 3, (int64_t[]){d[0], d[1], d[2] * d[3]}) : NULL;
}

/* Each key/value head serves `times` query heads in a row. */
static val *repeat_heads(node *n, val *x, int64_t times) {
    if (!x || times == 1)
        return x;
    const int64_t *d = x->shape.dims;
    adze_shape wide = {.rank = 5, .dims = {d[0], d[1], times, d[2], d[3]}};
    wide = ox_with_dtype(n, &wide, x->shape.dtype);
    val *y = ox_expand(n, ox_unsqueeze(n, x, 2), &wide);
    return ox_reshape(n, y, 4, (int64_t[]){d[0], d[1] * times, d[2], d[3]});
}

/* 0, 1, 2 ... count - 1 as i64 along axis `axis` of rank 4. */
static val *positions(node *n, int64_t count, int axis) {
    adze_shape s = ox_shape(n, ADZE_i64, 1, &count);
    val *r = ox_emit(n, "range", VALS(ox_scalar(n, ADZE_i64, 0), ox_scalar(n, ADZE_i64, 1)), &s,
                     NO_ATTRS);
    return ox_place(n, r, 4, axis);
}

/* -inf where `hidden`, else 0. */
static val *mask_of(node *n, val *hidden, adze_dtype dtype) {
    return ox_where(n, hidden, ox_scalar(n, dtype, (double)-INFINITY), ox_scalar(n, dtype, 0));
}

static val *plus(node *n, val *a, val *b) {
    return !a || !b ? NULL : ox_is_absent(a) ? b : ox_binary(n, "add", a, b);
}

static val *product_of_roots(node *n, val *q, val *k, double scale) {
    val *root = ox_number(n, q, (double)sqrtf((float)scale));
    q = ox_binary(n, "mul", q, root);
    k = ox_binary(n, "mul", k, root);
    return ox_matmul(n, q, k, false, true);
}

bool ox_op_attention(node *n) {
    val *q = ox_need(n, 0, "Q"), *k = ox_need(n, 1, "K"), *v = ox_need(n, 2, "V");
    val *mask = ox_in(n, 3), *past_k = ox_in(n, 4), *past_v = ox_in(n, 5), *valid = ox_in(n, 6);
    if (!q || !k || !v || !mask || !past_k || !past_v || !valid || !ox_static(n, q) ||
        !ox_static(n, k) || !ox_static(n, v))
        return false;
    bool flat = q->shape.rank == 3, causal = ox_attr_i(n, "is_causal", 0) != 0;
    q = split_heads(n, q, ox_attr_i(n, "q_num_heads", 0));
    k = split_heads(n, k, ox_attr_i(n, "kv_num_heads", 0));
    v = split_heads(n, v, ox_attr_i(n, "kv_num_heads", 0));
    if (!q || !k || !v)
        return false;
    adze_dtype type = q->shape.dtype;
    int64_t past =
        past_k->kind == VAL_TENSOR && past_k->shape.rank == 4 ? past_k->shape.dims[2] : 0;
    if (past_k->kind == VAL_TENSOR) {
        val *keys[] = {past_k, k}, *values[] = {past_v, v};
        k = ox_concat(n, 2, 2, keys);
        v = ox_concat(n, 2, 2, values);
    }
    if (!ox_out(n, 1, k) || !ox_out(n, 2, v))
        return false;
    int64_t heads = q->shape.dims[1], groups = k->shape.dims[1];
    int64_t rows = q->shape.dims[2], columns = k->shape.dims[2];
    if (!groups || heads % groups)
        return ox_fail(n, "%lld query heads do not divide by %lld key heads", (long long)heads,
                       (long long)groups);
    double scale = ox_attr_f(n, "scale", 0), softcap = ox_attr_f(n, "softcap", 0);
    if (scale == 0)
        scale = 1 / sqrt((double)q->shape.dims[3]);
    if (scale < 0)
        return ox_fail(n, "a negative scale is not supported");
    /* the bias: mask, triangle, padding */
    val *bias = &n->imp->absent;
    if (mask->kind == VAL_TENSOR) {
        bias = mask;
        if (mask->shape.dtype == ADZE_bool)
            bias = ox_where(n, mask, ox_scalar(n, type, 0), ox_scalar(n, type, (double)-INFINITY));
        int last = mask->shape.rank - 1;
        if (!bias || last < 1 || !ox_static(n, bias) || bias->shape.dims[last] > columns)
            return ox_fail(n, "its mask does not fit");
        if (bias->shape.dims[last] < columns) {
            int64_t pads[2 * ADZE_MAX_RANK] = {0};
            pads[2 * last + 1] = columns - bias->shape.dims[last];
            bias = ox_pad(n, bias, pads, "constant",
                          ox_scalar(n, bias->shape.dtype, (double)-INFINITY));
        }
        if (bias && last == 2) /* [B or H,S,T] counts from the right, as numpy does */
            bias = ox_unsqueeze(n, bias, 0);
        bias = ox_cast(n, bias, type);
    }
    val *lengths = &n->imp->absent;
    if (valid->kind == VAL_TENSOR)
        lengths = ox_place(n, ox_cast(n, valid, ADZE_i64), 4, 0);
    if (causal) {
        val *row = positions(n, rows, 2), *shift = ox_scalar(n, ADZE_i64, (double)past);
        if (!ox_is_absent(lengths))
            shift = ox_binary(n, "sub", lengths, ox_scalar(n, ADZE_i64, (double)rows));
        val *hidden =
            ox_binary(n, "less", ox_binary(n, "add", row, shift), positions(n, columns, 3));
        bias = plus(n, bias, mask_of(n, hidden, type));
    }
    if (!ox_is_absent(lengths)) {
        val *hidden = ox_binary(n, "greater_equal", positions(n, columns, 3), lengths);
        bias = plus(n, bias, mask_of(n, hidden, type));
    }
    val *scores = product_of_roots(n, q, repeat_heads(n, k, heads / groups), scale), *stages[4];
    stages[0] = stages[1] = scores;
    if (softcap > 0) {
        val *cap = ox_number(n, scores, softcap);
        scores = ox_unary(n, "tanh", ox_binary(n, "div", scores, cap));
        stages[1] = scores = ox_binary(n, "mul", scores, cap);
    }
    if (!ox_is_absent(bias))
        scores = ox_binary(n, "add", scores, bias);
    stages[2] = scores;
    int64_t precision = ox_attr_i(n, "softmax_precision", 0);
    adze_dtype inner = precision ? adze_dtype_from_onnx(precision) : type;
    val *weights = ox_cast(n, ox_softmax(n, ox_cast(n, scores, inner), 3, false), type);
    if (!bias)
        return false;
    if (!ox_is_absent(bias)) { /* a row without any key attends to nothing */
        val *most = ox_reduce(n, "max", bias, 1, (int64_t[]){bias->shape.rank - 1}, true);
        val *empty = ox_binary(n, "equal", most, ox_scalar(n, type, (double)-INFINITY));
        weights = ox_where(n, empty, ox_scalar(n, type, 0), weights);
    }
    stages[3] = weights;
    int64_t mode = ox_attr_i(n, "qk_matmul_output_mode", 0);
    if (mode < 0 || mode > 3)
        return ox_fail(n, "qk_matmul_output_mode %lld is not supported", (long long)mode);
    val *y = ox_matmul(n, weights, repeat_heads(n, v, heads / groups), false, false);
    return ox_out(n, 0, flat ? join_heads(n, y) : y) &&
           (!ox_wants(n, 3) || ox_out(n, 3, stages[mode]));
}

/* ai.onnx.preview: the scores and the probabilities each pass through a graph. */
bool ox_op_flex_attention(node *n) {
    val *q = ox_need(n, 0, "Q"), *k = ox_need(n, 1, "K"), *v = ox_need(n, 2, "V");
    if (!q || !k || !v || !ox_static(n, q) || !ox_static(n, k) || !ox_static(n, v))
        return false;
    if (q->shape.rank != 4 || k->shape.rank != 4 || v->shape.rank != 4 || !k->shape.dims[1] ||
        q->shape.dims[1] % k->shape.dims[1])
        return ox_fail(n, "needs operands of rank 4 whose heads divide");
    int64_t times = q->shape.dims[1] / k->shape.dims[1];
    adze_dtype type = q->shape.dtype;
    double scale = ox_attr_f(n, "scale", 0);
    int64_t precision = ox_attr_i(n, "softmax_precision", 1);
    adze_dtype inner = adze_dtype_from_onnx(precision);
    if (type == ADZE_f64)
        inner = type;
    if (inner == ADZE_NO_DTYPE || scale < 0)
        return ox_fail(n, "its scale or softmax_precision is not supported");
    if (scale == 0)
        scale = 1 / sqrt((double)q->shape.dims[3]);
    val *scores = ox_cast(n, product_of_roots(n, q, repeat_heads(n, k, times), scale), inner);
    const onnx_AttributeProto *score_mod = ox_attr(n, "score_mod"),
                              *prob_mod = ox_attr(n, "prob_mod");
    if (score_mod && scores &&
        (!score_mod->g ||
         !ox_import_subgraph(n, score_mod->g, "score_mod/", &scores, 1, &scores, 1)))
        return false;
    val *weights = ox_softmax(n, scores, 3, false);
    if (prob_mod && weights &&
        (!prob_mod->g ||
         !ox_import_subgraph(n, prob_mod->g, "prob_mod/", &weights, 1, &weights, 1)))
        return false;
    return ox_out(n, 0,
                  ox_matmul(n, ox_cast(n, weights, type), repeat_heads(n, v, times), false, false));
}

/* ---- rotary embedding ---- */

bool ox_op_rotary_embedding(node *n) {
    val *x = ox_need(n, 0, "X"), *cos = ox_need(n, 1, "cos_cache"),
        *sin = ox_need(n, 2, "sin_cache");
    val *ids = ox_in(n, 3);
    int64_t heads = ox_attr_i(n, "num_heads", 0), width = ox_attr_i(n, "rotary_embedding_dim", 0);
    bool interleaved = ox_attr_i(n, "interleaved", 0) != 0;
    if (!x || !cos || !sin || !ids || !ox_static(n, x))
        return false;
    bool flat = x->shape.rank == 3;
    /* [B,S,H,D] throughout */
    val *y = x;
    if (flat) {
        if (heads < 1 || x->shape.dims[2] % heads)
            return ox_fail(n, "num_heads does not divide its channels");
        y = ox_reshape(
            n, x, 4,
            (int64_t[]){x->shape.dims[0], x->shape.dims[1], heads, x->shape.dims[2] / heads});
    } else if (x->shape.rank == 4) {
        y = ox_transpose(n, x, (int64_t[]){0, 2, 1, 3});
    }
    if (!y || y->shape.rank != 4)
        return ox_fail(n, "needs an input of rank 3 or 4");
    int64_t size = y->shape.dims[3], half;
    width = width ? width : size;
    half = width / 2;
    if (width < 2 || width > size || width % 2)
        return ox_fail(n, "rotary_embedding_dim does not fit the head");
    if (ids->kind == VAL_TENSOR) {
        cos = ox_gather(n, cos, ids, 0);
        sin = ox_gather(n, sin, ids, 0);
    }
    if (!cos || !sin || cos->shape.rank != 3 || sin->shape.rank != 3 || cos->shape.dims[2] < half ||
        sin->shape.dims[2] < half)
        return ox_fail(n, "its caches do not fit the head");
    cos = ox_unsqueeze(n, ox_take(n, cos, 2, 0, half), 2);
    sin = ox_unsqueeze(n, ox_take(n, sin, 2, 0, half), 2);
    val *turned = ox_take(n, y, 3, 0, width), *a, *b;
    const int64_t *d = y->shape.dims;
    if (interleaved) { /* pairs lie side by side */
        val *pairs = ox_reshape(n, turned, 5, (int64_t[]){d[0], d[1], d[2], half, 2});
        a = ox_reshape(n, ox_take(n, pairs, 4, 0, 1), 4, (int64_t[]){d[0], d[1], d[2], half});
        b = ox_reshape(n, ox_take(n, pairs, 4, 1, 1), 4, (int64_t[]){d[0], d[1], d[2], half});
    } else {
        a = ox_take(n, turned, 3, 0, half);
        b = ox_take(n, turned, 3, half, half);
    }
    val *real = ox_binary(n, "sub", ox_binary(n, "mul", cos, a), ox_binary(n, "mul", sin, b));
    val *imaginary = ox_binary(n, "add", ox_binary(n, "mul", sin, a), ox_binary(n, "mul", cos, b));
    if (interleaved) {
        val *pairs[] = {real ? ox_unsqueeze(n, real, 4) : NULL,
                        imaginary ? ox_unsqueeze(n, imaginary, 4) : NULL};
        turned = ox_reshape(n, ox_concat(n, 4, 2, pairs), 4, (int64_t[]){d[0], d[1], d[2], width});
    } else {
        val *halves[] = {real, imaginary};
        turned = ox_concat(n, 3, 2, halves);
    }
    if (width < size) {
        val *parts[] = {turned, ox_take(n, y, 3, width, size - width)};
        turned = ox_concat(n, 3, 2, parts);
    }
    if (!flat)
        turned = ox_transpose(n, turned, (int64_t[]){0, 2, 1, 3});
    return ox_out(n, 0, ox_reshape_to(n, turned, &x->shape));
}

/* ---- linear attention: a state [B,H,Dk,Dv] updated row by row ---- */

static val *row_at(node *n, val *x, int64_t t) {
    val *row = ox_take(n, x, 2, t, 1);
    const int64_t *d = row ? row->shape.dims : NULL;
    return row ? ox_cast(n, ox_reshape(n, row, 3, (int64_t[]){d[0], d[1], d[3]}), ADZE_f32) : NULL;
}

bool ox_op_linear_attention(node *n) {
    enum { MAX_ROWS = 1024 };
    val *q = ox_need(n, 0, "query"), *k = ox_need(n, 1, "key"), *v = ox_need(n, 2, "value");
    val *state = ox_in(n, 3), *decay = ox_in(n, 4), *beta = ox_in(n, 5);
    const char *rule = ox_attr_s(n, "update_rule", "gated_delta");
    int64_t heads = ox_attr_i(n, "q_num_heads", 0), groups = ox_attr_i(n, "kv_num_heads", 0);
    if (!q || !k || !v || !state || !decay || !beta)
        return false;
    bool gated = !strncmp(rule, "gated", 5), delta = strstr(rule, "delta") != NULL;
    if (strcmp(rule, "linear") && strcmp(rule, "gated") && strcmp(rule, "delta") &&
        strcmp(rule, "gated_delta"))
        return ox_fail(n, "update_rule '%s' is not supported", rule);
    adze_dtype type = q->shape.dtype;
    q = split_heads(n, q, heads);
    k = split_heads(n, k, groups);
    v = split_heads(n, v, groups);
    if (!q || !k || !v || (gated && ox_is_absent(decay)) || (delta && ox_is_absent(beta)) ||
        heads % groups)
        return ox_fail(n, "its operands do not fit update_rule '%s'", rule);
    int64_t rows = q->shape.dims[2], batch = q->shape.dims[0], dk = k->shape.dims[3],
            dv = v->shape.dims[3];
    if (rows > MAX_ROWS)
        return ox_fail(n, "sequences above %d rows are not supported", MAX_ROWS);
    if (gated) /* one number per head, or per head and key channel */
        decay = split_heads(n, decay, groups);
    if (delta)
        beta = split_heads(n, beta, beta->shape.dims[beta->shape.rank - 1]);
    double scale = ox_attr_f(n, "scale", 0);
    if (scale == 0)
        scale = 1 / sqrt((double)dk);
    adze_shape s = ox_shape(n, ADZE_f32, 4, (int64_t[]){batch, groups, dk, dv});
    state = ox_is_absent(state) ? ox_full(n, &s, ox_scalar(n, ADZE_f32, 0))
                                : ox_cast(n, state, ADZE_f32);
    val **out = ADZE_NEW_ARRAY(n->ctx->arena, val *, (size_t)rows);
    for (int64_t t = 0; t < rows; t++) {
        val *kt = row_at(n, k, t), *vt = row_at(n, v, t);
        if (gated)
            state = ox_binary(n, "mul", state,
                              ox_unary(n, "exp", ox_unsqueeze(n, row_at(n, decay, t), 3)));
        val *column = ox_unsqueeze(n, kt, 3);
        if (delta) {
            val *known = ox_matmul(n, state, column, true, false);
            known = known ? ox_reshape_to(n, known, &vt->shape) : NULL;
            vt = ox_binary(n, "mul", row_at(n, beta, t), ox_binary(n, "sub", vt, known));
        }
        state = ox_binary(n, "add", state,
                          ox_matmul(n, column, vt ? ox_unsqueeze(n, vt, 2) : NULL, false, false));
        val *read = ox_matmul(n, ox_unsqueeze(n, row_at(n, q, t), 2),
                              repeat_heads(n, state, heads / groups), false, false);
        out[t] = ox_cast(n, ox_binary(n, "mul", read, ox_scalar(n, ADZE_f32, scale)), type);
        if (!out[t])
            return false;
    }
    return ox_out(n, 0, join_heads(n, ox_concat(n, 2, (int)rows, out))) &&
           ox_out(n, 1, ox_cast(n, state, type));
}

/* ---- depthwise causal convolution with the last K - 1 columns kept ---- */

bool ox_op_causal_conv(node *n) {
    val *x = ox_need(n, 0, "input"), *w = ox_need(n, 1, "weight"), *bias = ox_in(n, 2),
        *past = ox_in(n, 3);
    const char *activation = ox_attr_s(n, "activation", "none");
    bool silu = !strcmp(activation, "silu") || !strcmp(activation, "swish");
    if (!x || !w || !bias || !past || !ox_static(n, x) || !ox_static(n, w))
        return false;
    if (x->shape.rank != 3 || w->shape.rank != 3 || w->shape.dims[0] != x->shape.dims[1] ||
        w->shape.dims[1] != 1 || (!silu && strcmp(activation, "none") && *activation))
        return ox_fail(n, "needs [B,C,L], a weight [C,1,K] and activation none or silu");
    int64_t keep = w->shape.dims[2] - 1, channels = x->shape.dims[1];
    if (ox_is_absent(past)) {
        adze_shape s = x->shape;
        s.dims[2] = keep;
        past = ox_full(n, &s, ox_number(n, x, 0));
    }
    val *parts[] = {past, x}, *all = keep ? ox_concat(n, 2, 2, parts) : x;
    if (!all)
        return false;
    adze_shape s = x->shape;
    val *y = ox_emit(n, "conv", VALS(all, w, bias), &s,
                     ATTRS({"strides", adze_i64s(n->ctx, 1, (int64_t[]){1})},
                           {"pads", adze_i64s(n->ctx, 2, (int64_t[]){0, 0})},
                           {"dilations", adze_i64s(n->ctx, 1, (int64_t[]){1})},
                           {"group", adze_i64(n->ctx, channels)},
                           {"layout", adze_str(n->ctx, "channels_first")}));
    if (silu) {
        double alpha = 1;
        y = ox_cast(n, ox_unary_p(n, "swish", ox_cast(n, y, ADZE_f32), 1, &alpha), x->shape.dtype);
    }
    return ox_out(n, 0, y) && ox_out(n, 1, ox_take(n, all, 2, all->shape.dims[2] - keep, keep));
}

bool ox_op_swiglu(node *n) {
    double alpha = ox_attr_f(n, "alpha", 1);
    val *gate = ox_unary_p(n, "swish", ox_need(n, 0, "a"), 1, &alpha);
    return ox_out(n, 0, ox_binary(n, "mul", gate, ox_need(n, 1, "b")));
}
