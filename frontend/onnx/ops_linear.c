/* Contractions: MatMul, Gemm, Einsum, Conv, ConvTranspose and their integer forms. */
#include "frontend/onnx/window.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* ---- matmul ---- */

bool ox_matmul_shape(node *n, const adze_shape *a0, const adze_shape *b0, bool trans_a,
                     bool trans_b, adze_shape *out) {
    adze_shape a = *a0, b = *b0;
    if (a.rank < 1 || b.rank < 1)
        return ox_fail(n, "scalars cannot be multiplied as matrices");
    int ra = a.rank, rb = b.rank;
    int m = ra > 1 ? (trans_a ? ra - 1 : ra - 2) : -1, ka = ra > 1 && trans_a ? ra - 2 : ra - 1;
    int kb = rb > 1 ? (trans_b ? rb - 1 : rb - 2) : 0,
        c = rb > 1 ? (trans_b ? rb - 2 : rb - 1) : -1;
    if (!ox_same_dim(&a, ka, &b, kb))
        return ox_fail(n, "the inner extents differ: %lld and %lld", (long long)a.dims[ka],
                       (long long)b.dims[kb]);
    int batch_a = ra > 2 ? ra - 2 : 0, batch_b = rb > 2 ? rb - 2 : 0;
    int batch = batch_a > batch_b ? batch_a : batch_b;
    *out = a;
    out->rank = 0;
    for (int i = 0; i < batch; i++) {
        int ia = i - (batch - batch_a), ib = i - (batch - batch_b);
        if (ia < 0 || (ib >= 0 && a.dims[ia] == 1))
            ox_set_dim(out, out->rank++, &b, ib);
        else if (ib < 0 || b.dims[ib] == 1 || ox_same_dim(&a, ia, &b, ib))
            ox_set_dim(out, out->rank++, &a, ia);
        else
            return ox_fail(n, "the batch extents do not broadcast");
    }
    if (m >= 0)
        ox_set_dim(out, out->rank++, &a, m);
    if (c >= 0)
        ox_set_dim(out, out->rank++, &b, c);
    return true;
}

/* a * b, with `bias` [N] (or the absent value) added to every row. */
static val *matmul_bias(node *n, val *a, val *b, val *bias, bool trans_a, bool trans_b) {
    if (!a || !b)
        return NULL;
    adze_shape s;
    if (a->shape.dtype != b->shape.dtype) {
        ox_fail(n, "its operands have different element types");
        return NULL;
    }
    if (!ox_matmul_shape(n, &a->shape, &b->shape, trans_a, trans_b, &s))
        return NULL;
    return ox_emit(
        n, "matmul", VALS(a, b, bias), &s,
        ATTRS({"trans_a", adze_bool(n->ctx, trans_a)}, {"trans_b", adze_bool(n->ctx, trans_b)}));
}

val *ox_matmul(node *n, val *a, val *b, bool trans_a, bool trans_b) {
    return matmul_bias(n, a, b, &n->imp->absent, trans_a, trans_b);
}

bool ox_op_matmul(node *n) {
    return ox_out(n, 0, ox_matmul(n, ox_need(n, 0, "A"), ox_need(n, 1, "B"), false, false));
}

bool ox_op_gemm(node *n) {
    val *a = ox_need(n, 0, "A"), *b = ox_need(n, 1, "B"), *c = ox_in(n, 2);
    if (!a || !b || !c)
        return false;
    if (a->shape.rank != 2 || b->shape.rank != 2)
        return ox_fail(n, "needs two matrices");
    double alpha = ox_attr_f(n, "alpha", 1), beta = ox_attr_f(n, "beta", 1);
    bool trans_a = ox_attr_i(n, "transA", 0) != 0, trans_b = ox_attr_i(n, "transB", 0) != 0;
    int64_t columns = b->shape.dims[trans_b ? 0 : 1];
    if (alpha == 1 && beta == 1 && c->kind == VAL_TENSOR && c->shape.rank == 1 &&
        c->shape.dims[0] == columns && c->shape.dtype == a->shape.dtype)
        return ox_out(n, 0, matmul_bias(n, a, b, c, trans_a, trans_b));
    val *y = ox_matmul(n, a, b, trans_a, trans_b);
    if (alpha != 1)
        y = ox_binary(n, "mul", y, ox_number(n, y, alpha));
    if (c->kind == VAL_TENSOR && beta != 0) {
        if (beta != 1)
            c = ox_binary(n, "mul", c, ox_number(n, c, beta));
        y = ox_binary(n, "add", y, c);
    }
    return ox_out(n, 0, y);
}

/* ConvInteger and MatMulInteger: plain integers less their zero points, as !quant values of
 * scale 1. */
static val *with_scale_one(node *n, val *x, val *zero, int axis) {
    MlirType element;
    size_t count = 1;
    if (!x || !zero)
        return NULL;
    const adze_tensor *z = ox_is_absent(zero) ? NULL : ox_known(n, zero);
    if (!ox_is_absent(zero) && !z) {
        ox_fail(n, "needs a constant zero point%s%s",
                zero->input ? " — hint: bind it with --bind " : "",
                zero->input ? adze_arena_printf(n->ctx->arena, "%s=VALUE", zero->input) : "");
        return NULL;
    }
    if (z)
        count = adze_tensor_count(z);
    if (count == 1)
        axis = -1;
    if (count > 1 << 20 || (axis >= 0 && (int64_t)count != x->shape.dims[axis])) {
        ox_fail(n, "its zero points do not fit its operand");
        return NULL;
    }
    double *scales = ADZE_NEW_ARRAY(n->ctx->arena, double, count);
    int64_t *zeros = ADZE_NEW_ARRAY(n->ctx->arena, int64_t, count);
    for (size_t i = 0; i < count; i++) {
        scales[i] = 1;
        zeros[i] = z ? adze_tensor_get_i64(z, i) : 0;
    }
    adze_quant q = {x->shape.dtype, axis, (int)count, scales, zeros};
    if (!adze_quant_type(n->ctx, &q, &element)) {
        ox_fail(n, "its element type cannot be quantized");
        return NULL;
    }
    return ox_as_quantized(n, x, element);
}

/* Axis of the zero points: per row of A, per column of B. */
bool ox_op_matmul_integer(node *n) {
    val *a = ox_need(n, 0, "A"), *b = ox_need(n, 1, "B"), *za = ox_in(n, 2), *zb = ox_in(n, 3);
    if (!a || !b || !za || !zb)
        return false;
    a = with_scale_one(n, a, za, a->shape.rank > 1 ? a->shape.rank - 2 : 0);
    b = with_scale_one(n, b, zb, b->shape.rank - 1);
    adze_shape s;
    if (!a || !b || !ox_matmul_shape(n, &a->shape, &b->shape, false, false, &s))
        return false;
    s = ox_with_dtype(n, &s, ADZE_i32);
    return ox_out(n, 0,
                  ox_emit(n, "matmul", VALS(a, b, &n->imp->absent), &s,
                          ATTRS({"trans_a", adze_bool(n->ctx, false)},
                                {"trans_b", adze_bool(n->ctx, false)})));
}

/* ---- windows ---- */

bool ox_window_attrs(node *n, int n_spatial, const int64_t *kernel, ox_window *w) {
    *w = (ox_window){.n = n_spatial};
    int count = ox_attr_ints(n, "kernel_shape", ADZE_MAX_RANK, w->kernel);
    if (kernel) {
        for (int i = 0; i < n_spatial; i++)
            if (count >= 0 && (count != n_spatial || w->kernel[i] != kernel[i]))
                return ox_fail(n, "kernel_shape is not the weight's shape");
        memcpy(w->kernel, kernel, (size_t)n_spatial * sizeof *kernel);
    } else if (count != n_spatial) {
        return ox_fail(n, "kernel_shape has %d entries for %d axes", count, n_spatial);
    }
    int n_strides = ox_attr_ints(n, "strides", ADZE_MAX_RANK, w->strides);
    int n_dilations = ox_attr_ints(n, "dilations", ADZE_MAX_RANK, w->dilations);
    int n_pads = ox_attr_ints(n, "pads", 2 * ADZE_MAX_RANK, w->pads);
    if (n->failed)
        return false;
    for (int i = 0; i < n_spatial; i++) {
        if (n_strides < 0)
            w->strides[i] = 1;
        if (n_dilations < 0)
            w->dilations[i] = 1;
    }
    if ((n_strides >= 0 && n_strides != n_spatial) ||
        (n_dilations >= 0 && n_dilations != n_spatial) || (n_pads >= 0 && n_pads != 2 * n_spatial))
        return ox_fail(n, "its strides, dilations or pads do not have one entry an axis");
    for (int i = 0; i < n_spatial; i++) {
        if (w->strides[i] < 1 || w->dilations[i] < 1 || w->kernel[i] < 1 ||
            w->strides[i] > INT32_MAX || w->dilations[i] > INT32_MAX || w->kernel[i] > INT32_MAX)
            return ox_fail(n, "a stride, dilation or kernel extent below 1 or impossibly large");
        for (int e = 0; e < 2; e++)
            if (w->pads[e * n_spatial + i] < -INT32_MAX || w->pads[e * n_spatial + i] > INT32_MAX)
                return ox_fail(n, "an impossible padding");
    }
    return true;
}

/* floor or ceil of (in + pads - reach) / stride + 1; ONNX drops a last window that would start in
 * the end padding (operator docs of MaxPool, auto_pad and ceil_mode). */
bool ox_window_read(node *n, int n_spatial, const int64_t *in, const int64_t *kernel,
                    bool ceil_mode, ox_window *w) {
    if (!ox_window_attrs(n, n_spatial, kernel, w))
        return false;
    const char *auto_pad = ox_attr_s(n, "auto_pad", "NOTSET");
    bool same = !strncmp(auto_pad, "SAME_", 5), valid = !strcmp(auto_pad, "VALID");
    if (!same && !valid && strcmp(auto_pad, "NOTSET") && *auto_pad)
        return ox_fail(n, "auto_pad '%s' is not supported", auto_pad);
    for (int i = 0; i < n_spatial; i++) {
        int64_t reach = (w->kernel[i] - 1) * w->dilations[i] + 1, stride = w->strides[i];
        int64_t *begin = &w->pads[i], *end = &w->pads[n_spatial + i];
        if (same) {
            w->out[i] = (in[i] + stride - 1) / stride;
            int64_t total = (w->out[i] - 1) * stride + reach - in[i];
            total = total < 0 ? 0 : total;
            bool lower = !strcmp(auto_pad, "SAME_LOWER");
            *begin = lower ? total - total / 2 : total / 2;
            *end = total - *begin;
            continue;
        }
        if (valid)
            *begin = *end = 0;
        int64_t room = in[i] + *begin + *end - reach;
        if (room < 0)
            return ox_fail(n, "a window of %lld does not fit an extent of %lld", (long long)reach,
                           (long long)(in[i] + *begin + *end));
        w->out[i] = (ceil_mode ? (room + stride - 1) / stride : room / stride) + 1;
        if (ceil_mode && (w->out[i] - 1) * stride >= in[i] + *begin)
            w->out[i]--;
    }
    return true;
}

/* ---- convolution ---- */

val *ox_conv(node *n, val *x, val *w, val *bias, MlirType element, adze_dtype dtype) {
    if (!x || !w || !bias)
        return NULL;
    int rank = x->shape.rank;
    int64_t group = ox_attr_i(n, "group", 1);
    if (rank < 3 || w->shape.rank != rank || group < 1) {
        ox_fail(n, "needs an input of rank 3 or more and a weight of the same rank");
        return NULL;
    }
    for (int i = 1; i < rank; i++) /* the batch alone may be bounded */
        if (x->shape.dims[i] < 0 && !ox_static(n, x))
            return NULL;
    const int64_t *wd = w->shape.dims;
    if (!ox_static(n, w))
        return NULL;
    if (wd[1] * group != x->shape.dims[1] || wd[0] % group ||
        (bias->kind == VAL_TENSOR && (bias->shape.rank != 1 || bias->shape.dims[0] != wd[0]))) {
        ox_fail(n, "its channels, groups and bias do not fit together");
        return NULL;
    }
    ox_window win;
    if (!ox_window_read(n, rank - 2, x->shape.dims + 2, wd + 2, false, &win))
        return NULL;
    adze_shape s = x->shape;
    s.element = element;
    s.dtype = dtype;
    s.dims[1] = wd[0];
    for (int i = 0; i < win.n; i++)
        s.dims[2 + i] = win.out[i];
    return ox_emit(n, "conv", VALS(x, w, bias), &s,
                   ATTRS({"strides", adze_i64s(n->ctx, win.n, win.strides)},
                         {"pads", adze_i64s(n->ctx, 2 * win.n, win.pads)},
                         {"dilations", adze_i64s(n->ctx, win.n, win.dilations)},
                         {"group", adze_i64(n->ctx, group)},
                         {"layout", adze_str(n->ctx, "channels_first")}));
}

bool ox_op_conv(node *n) {
    val *x = ox_need(n, 0, "X");
    return x &&
           ox_out(n, 0,
                  ox_conv(n, x, ox_need(n, 1, "W"), ox_in(n, 2), x->shape.element, x->shape.dtype));
}

bool ox_op_conv_integer(node *n) {
    val *x = ox_need(n, 0, "x"), *w = ox_need(n, 1, "w");
    x = with_scale_one(n, x, ox_in(n, 2), 1);
    w = with_scale_one(n, w, ox_in(n, 3), 0);
    return ox_out(n, 0,
                  ox_conv(n, x, w, &n->imp->absent, adze_element_type(n->ctx, ADZE_i32), ADZE_i32));
}

bool ox_op_conv_transpose(node *n) {
    val *x = ox_need(n, 0, "X"), *w = ox_need(n, 1, "W"), *bias = ox_in(n, 2);
    if (!x || !w || !bias || !ox_static(n, x) || !ox_static(n, w))
        return false;
    int rank = x->shape.rank, ns = rank - 2;
    int64_t group = ox_attr_i(n, "group", 1), extra[ADZE_MAX_RANK] = {0}, wanted[ADZE_MAX_RANK];
    if (rank < 3 || w->shape.rank != rank || group < 1 || w->shape.dims[0] != x->shape.dims[1] ||
        x->shape.dims[1] % group)
        return ox_fail(n, "its channels, groups and weight do not fit together");
    ox_window win;
    if (!ox_window_attrs(n, ns, w->shape.dims + 2, &win))
        return false;
    const char *auto_pad = ox_attr_s(n, "auto_pad", "NOTSET");
    int n_extra = ox_attr_ints(n, "output_padding", ADZE_MAX_RANK, extra);
    int n_wanted = ox_attr_ints(n, "output_shape", ADZE_MAX_RANK, wanted);
    if (n->failed || (n_extra >= 0 && n_extra != ns) || (n_wanted >= 0 && n_wanted < ns))
        return ox_fail(n, "output_padding or output_shape does not have one entry an axis");
    bool upper = !strcmp(auto_pad, "SAME_UPPER"), lower = !strcmp(auto_pad, "SAME_LOWER");
    if (!upper && !lower && strcmp(auto_pad, "NOTSET") && strcmp(auto_pad, "VALID"))
        return ox_fail(n, "auto_pad '%s' is not supported", auto_pad);
    adze_shape s = x->shape;
    if (__builtin_mul_overflow(w->shape.dims[1], group, &s.dims[1]))
        return ox_fail(n, "impossibly many channels");
    for (int i = 0; i < ns; i++) {
        /* below 2^31 each: the extents below cannot overflow 64 bits */
        if (x->shape.dims[2 + i] > INT32_MAX || extra[i] < 0 || extra[i] > INT32_MAX ||
            (n_wanted >= 0 && wanted[n_wanted - ns + i] > INT32_MAX))
            return ox_fail(n, "an impossibly large extent or output_padding");
        int64_t in = x->shape.dims[2 + i], *begin = &win.pads[i], *end = &win.pads[ns + i];
        int64_t full =
            win.strides[i] * (in - 1) + extra[i] + (win.kernel[i] - 1) * win.dilations[i] + 1;
        if (n_wanted < 0 && !upper && !lower) {
            s.dims[2 + i] = full - *begin - *end;
        } else { /* the output is given, the padding follows */
            s.dims[2 + i] = n_wanted >= 0 ? wanted[n_wanted - ns + i] : in * win.strides[i];
            int64_t total = full - s.dims[2 + i];
            total = total < 0 ? 0 : total;
            *begin = upper ? total / 2 : total - total / 2;
            *end = total - *begin;
        }
        if (s.dims[2 + i] < 1)
            return ox_fail(n, "an empty output");
    }
    return ox_out(n, 0,
                  ox_emit(n, "conv_transpose", VALS(x, w, bias), &s,
                          ATTRS({"strides", adze_i64s(n->ctx, ns, win.strides)},
                                {"pads", adze_i64s(n->ctx, 2 * ns, win.pads)},
                                {"dilations", adze_i64s(n->ctx, ns, win.dilations)},
                                {"group", adze_i64(n->ctx, group)},
                                {"layout", adze_str(n->ctx, "channels_first")})));
}

bool ox_op_deform_conv(node *n) {
    val *x = ox_need(n, 0, "X"), *w = ox_need(n, 1, "W"), *offset = ox_need(n, 2, "offset");
    val *bias = ox_in(n, 3), *mask = ox_in(n, 4);
    if (!x || !w || !offset || !bias || !mask || !ox_static(n, x) || !ox_static(n, w))
        return false;
    int64_t group = ox_attr_i(n, "group", 1), offset_group = ox_attr_i(n, "offset_group", 1);
    if (x->shape.rank != 4 || w->shape.rank != 4 || group < 1 || offset_group < 1)
        return ox_fail(n, "is supported over two spatial axes only");
    ox_window win;
    if (!ox_window_read(n, 2, x->shape.dims + 2, w->shape.dims + 2, false, &win))
        return false;
    adze_shape s = x->shape;
    s.dims[1] = w->shape.dims[0];
    s.dims[2] = win.out[0];
    s.dims[3] = win.out[1];
    return ox_out(n, 0,
                  ox_emit(n, "deform_conv", VALS(x, w, offset, bias, mask), &s,
                          ATTRS({"strides", adze_i64s(n->ctx, 2, win.strides)},
                                {"pads", adze_i64s(n->ctx, 4, win.pads)},
                                {"dilations", adze_i64s(n->ctx, 2, win.dilations)},
                                {"group", adze_i64(n->ctx, group)},
                                {"offset_group", adze_i64(n->ctx, offset_group)})));
}

/* ---- Einsum ---- */

enum { MAX_TERMS = 2 };

/* One operand's subscripts with the ellipsis written out in letters that the equation does not use.
 */
static bool expand_term(node *n, const char *term, size_t length, int rank, const char *fresh,
                        int *n_dots, char *out) {
    int letters = 0, at = 0;
    bool dots = false;
    for (size_t i = 0; i < length; i++) {
        if (term[i] == '.') {
            if (dots || i + 2 >= length || term[i + 1] != '.' || term[i + 2] != '.')
                return ox_fail(n, "equation: a misplaced '.'");
            dots = true;
            i += 2;
        } else if (isalpha((unsigned char)term[i])) {
            letters++;
        } else {
            return ox_fail(n, "equation: unexpected '%c'", term[i]);
        }
    }
    if (rank >= 0) {
        *n_dots = rank - letters;
        if (*n_dots < 0 || (!dots && *n_dots) || rank > ADZE_MAX_RANK)
            return ox_fail(n, "equation: a term of %d letters for a rank of %d", letters, rank);
    } else if (letters > ADZE_MAX_RANK) {
        return ox_fail(n, "equation: a term of %d letters", letters);
    }
    for (size_t i = 0; i < length; i++) {
        if (term[i] != '.') {
            out[at++] = term[i];
            continue;
        }
        for (int k = 0; k < *n_dots; k++) /* aligned at the right: fresh[12 - n ...] */
            out[at++] = fresh[ADZE_MAX_RANK - *n_dots + k];
        i += 2;
    }
    out[at] = '\0';
    return true;
}

bool ox_op_einsum(node *n) {
    const char *given = ox_attr_s(n, "equation", NULL);
    if (!given)
        return ox_fail(n, "has no equation");
    if (n->n_in < 1 || n->n_in > MAX_TERMS)
        return ox_fail(n, "is supported for one or two operands, not %d", n->n_in);
    char *equation = adze_arena_alloc(n->ctx->arena, strlen(given) + 1), fresh[ADZE_MAX_RANK + 1];
    size_t length = 0, used = 0;
    for (const char *p = given; *p; p++)
        if (!isspace((unsigned char)*p))
            equation[length++] = *p;
    for (char c = 'A'; used < ADZE_MAX_RANK; c = c == 'Z' ? 'a' : (char)(c + 1)) {
        if (c > 'z')
            return ox_fail(n, "equation: too many letters");
        if (!strchr(equation, c))
            fresh[used++] = c;
    }
    char *arrow = strstr(equation, "->"), *left = equation;
    if (arrow)
        *arrow = '\0';
    char terms[MAX_TERMS][2 * ADZE_MAX_RANK + 1], out[2 * ADZE_MAX_RANK + 1];
    val *operands[MAX_TERMS] = {&n->imp->absent, &n->imp->absent};
    int most_dots = 0;
    adze_shape extents[128] = {0}; /* by letter: one axis */
    for (int i = 0; i < n->n_in; i++) {
        char *comma = strchr(left, ',');
        size_t term = comma ? (size_t)(comma - left) : strlen(left);
        int dots = 0;
        operands[i] = ox_need(n, i, "Inputs");
        if (!operands[i] || (i + 1 < n->n_in) != (comma != NULL))
            return ox_fail(n, "equation: the number of terms is not the number of operands");
        if (!expand_term(n, left, term, operands[i]->shape.rank, fresh, &dots, terms[i]))
            return false;
        most_dots = dots > most_dots ? dots : most_dots;
        left = comma ? comma + 1 : left + term;
    }
    for (int i = 0; i < n->n_in; i++)
        for (int k = 0; terms[i][k]; k++) {
            adze_shape *e = &extents[(int)terms[i][k]];
            if (!e->rank || e->dims[0] == 1)
                ox_set_dim(e, 0, &operands[i]->shape, k);
            else if (operands[i]->shape.dims[k] != 1 && !ox_same_dim(e, 0, &operands[i]->shape, k))
                return ox_fail(n, "equation: '%c' has two extents", terms[i][k]);
            e->rank = 1;
        }
    if (arrow) {
        if (!expand_term(n, arrow + 2, strlen(arrow + 2), -1, fresh, &most_dots, out))
            return false;
    } else { /* implicit: the ellipsis, then every letter that occurs once, sorted */
        int at = 0;
        for (int k = 0; k < most_dots; k++)
            out[at++] = fresh[ADZE_MAX_RANK - most_dots + k];
        for (int c = 'A'; c <= 'z'; c++) {
            int count = 0;
            for (int i = 0; i < n->n_in; i++)
                for (int k = 0; terms[i][k]; k++)
                    count += terms[i][k] == c;
            bool is_fresh =
                most_dots && memchr(fresh + ADZE_MAX_RANK - most_dots, c, (size_t)most_dots);
            if (count == 1 && !is_fresh)
                out[at++] = (char)c;
        }
        out[at] = '\0';
    }
    adze_shape s = operands[0]->shape;
    s.rank = (int)strlen(out);
    if (s.rank > ADZE_MAX_RANK)
        return ox_fail(n, "equation: a result of rank %d", s.rank);
    for (int k = 0; k < s.rank; k++) {
        if (!extents[(int)out[k]].rank)
            return ox_fail(n, "equation: '%c' is in the result only", out[k]);
        ox_set_dim(&s, k, &extents[(int)out[k]], 0);
    }
    const char *full = adze_arena_printf(n->ctx->arena, "%s%s%s->%s", terms[0],
                                         n->n_in > 1 ? "," : "", n->n_in > 1 ? terms[1] : "", out);
    return ox_out(n, 0,
                  ox_emit(n, "einsum", VALS(operands[0], operands[1]), &s,
                          ATTRS({"equation", adze_str(n->ctx, full)})));
}

/* ---- Col2Im ---- */

bool ox_op_col2im(node *n) {
    val *x = ox_need(n, 0, "input");
    int64_t image[ADZE_MAX_RANK], block[ADZE_MAX_RANK], strides[ADZE_MAX_RANK],
        dilations[ADZE_MAX_RANK], pads[2 * ADZE_MAX_RANK] = {0};
    if (!x || !ox_need(n, 1, "image_shape") || !ox_need(n, 2, "block_shape") || !ox_static(n, x))
        return false;
    int ns = ox_const_ints(n, 1, "image_shape", ADZE_MAX_RANK - 2, image);
    int nb = ox_const_ints(n, 2, "block_shape", ADZE_MAX_RANK - 2, block);
    int n_strides = ox_attr_ints(n, "strides", ADZE_MAX_RANK, strides);
    int n_dilations = ox_attr_ints(n, "dilations", ADZE_MAX_RANK, dilations);
    int n_pads = ox_attr_ints(n, "pads", 2 * ADZE_MAX_RANK, pads);
    if (n->failed || ns < 1 || nb != ns || x->shape.rank != 3 ||
        (n_strides >= 0 && n_strides != ns) || (n_dilations >= 0 && n_dilations != ns) ||
        (n_pads >= 0 && n_pads != 2 * ns))
        return ox_fail(n, "its shapes and attributes do not fit together");
    int64_t area = 1;
    adze_shape s = x->shape;
    s.rank = 2 + ns;
    for (int i = 0; i < ns; i++) {
        if (block[i] < 1 || image[i] < 1 || __builtin_mul_overflow(area, block[i], &area))
            return ox_fail(n, "an extent below 1");
        s.dims[2 + i] = image[i];
        strides[i] = n_strides < 0 ? 1 : strides[i];
        dilations[i] = n_dilations < 0 ? 1 : dilations[i];
        if (strides[i] < 1 || dilations[i] < 1)
            return ox_fail(n, "a stride or dilation below 1");
    }
    if (x->shape.dims[1] % area)
        return ox_fail(n, "its columns do not divide by the block");
    s.dims[1] = x->shape.dims[1] / area;
    return ox_out(n, 0,
                  ox_emit(n, "col2im", VALS(x), &s,
                          ATTRS({"block", adze_i64s(n->ctx, ns, block)},
                                {"strides", adze_i64s(n->ctx, ns, strides)},
                                {"pads", adze_i64s(n->ctx, 2 * ns, pads)},
                                {"dilations", adze_i64s(n->ctx, ns, dilations)})));
}

/* ---- Det ---- */

static val *entry(node *n, val *x, int row, int column) {
    int rank = x->shape.rank;
    adze_shape s = x->shape;
    s.rank -= 2;
    val *v = ox_take(n, ox_take(n, x, rank - 2, row, 1), rank - 1, column, 1);
    return v ? ox_reshape_to(n, v, &s) : NULL;
}

/* x[r0,c0] * x[r1,c1] - x[r0,c1] * x[r1,c0] */
static val *minor2(node *n, val *x, int r0, int r1, int c0, int c1) {
    return ox_binary(n, "sub", ox_binary(n, "mul", entry(n, x, r0, c0), entry(n, x, r1, c1)),
                     ox_binary(n, "mul", entry(n, x, r0, c1), entry(n, x, r1, c0)));
}

bool ox_op_det(node *n) {
    val *x = ox_need(n, 0, "X");
    if (!x || !ox_static(n, x))
        return false;
    int rank = x->shape.rank;
    int64_t size = rank < 2 ? 0 : x->shape.dims[rank - 1];
    if (rank < 2 || x->shape.dims[rank - 2] != size || size < 1 || size > 3)
        return ox_fail(n, "is supported for square matrices of up to 3 rows");
    if (size == 1)
        return ox_out(n, 0, entry(n, x, 0, 0));
    if (size == 2)
        return ox_out(n, 0, minor2(n, x, 0, 1, 0, 1));
    val *sum = ox_binary(n, "mul", entry(n, x, 0, 0), minor2(n, x, 1, 2, 1, 2));
    sum =
        ox_binary(n, "sub", sum, ox_binary(n, "mul", entry(n, x, 0, 1), minor2(n, x, 1, 2, 0, 2)));
    return ox_out(
        n, 0,
        ox_binary(n, "add", sum, ox_binary(n, "mul", entry(n, x, 0, 2), minor2(n, x, 1, 2, 0, 1))));
}
