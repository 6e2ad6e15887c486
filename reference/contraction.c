/* matmul and einsum, as loop nests over doubles or, for wide integers, int64.
 *
 * Operands of at most 16 bits have products and sums that doubles hold exactly, so quantized and
 * small integer contractions run through the same loops as float ones, on centred values
 * (x - zero point); ref_store_accumulators then applies the integer definition. */
#include "reference/internal.h"

#include <string.h>

static bool wide_integer(const adze_tensor *t) {
    return strchr("IU", ref_class(t->dtype)) && adze_dtype_get(t->dtype)->bits > 16;
}

/* One operand of a matmul: [batch.., rows, columns] with the strides that transposition leaves. */
typedef struct matrix {
    int batch_rank;
    int64_t rows, columns, row_stride, column_stride;
    int64_t batch_dims[ADZE_MAX_RANK], batch_strides[ADZE_MAX_RANK];
} matrix;

static matrix matrix_of(const adze_tensor *t, bool transpose, bool left) {
    matrix m = {0};
    if (t->rank == 1) { /* numpy: a row on the left, a column on the right */
        m.rows = left ? 1 : t->dims[0];
        m.columns = left ? t->dims[0] : 1;
        m.row_stride = left ? 0 : 1;
        m.column_stride = left ? 1 : 0;
        return m;
    }
    int64_t strides[ADZE_MAX_RANK];
    ref_strides(t->rank, t->dims, strides);
    const int r = t->rank - 2, k = t->rank - 1;
    m.rows = t->dims[transpose ? k : r];
    m.columns = t->dims[transpose ? r : k];
    m.row_stride = strides[transpose ? k : r];
    m.column_stride = strides[transpose ? r : k];
    m.batch_rank = r;
    memcpy(m.batch_dims, t->dims, (size_t)r * sizeof(int64_t));
    memcpy(m.batch_strides, strides, (size_t)r * sizeof(int64_t));
    return m;
}

/* The offset of batch `index` (of `rank` axes) in an operand broadcast to it. */
static int64_t batch_offset(const matrix *m, int rank, const int64_t *index) {
    int64_t at = 0;
    for (int d = 0; d < m->batch_rank; d++)
        if (m->batch_dims[d] != 1)
            at += index[rank - m->batch_rank + d] * m->batch_strides[d];
    return at;
}

bool ref_matmul(ref_call *c) {
    const adze_tensor *a = c->in[0], *b = c->in[1];
    if (a->rank < 1 || b->rank < 1)
        return ref_fail(c, "an operand has rank 0");
    const matrix ma = matrix_of(a, ref_bool(c, "trans_a"), true);
    const matrix mb = matrix_of(b, ref_bool(c, "trans_b"), false);
    if (ma.columns != mb.rows)
        return ref_fail(c, "%lld columns meet %lld rows", (long long)ma.columns,
                        (long long)mb.rows);
    adze_tensor batch_a = {.rank = ma.batch_rank}, batch_b = {.rank = mb.batch_rank};
    memcpy(batch_a.dims, ma.batch_dims, sizeof batch_a.dims);
    memcpy(batch_b.dims, mb.batch_dims, sizeof batch_b.dims);
    const adze_tensor *const batches[2] = {&batch_a, &batch_b};
    int batch_rank;
    int64_t dims[ADZE_MAX_RANK];
    if (!ref_broadcast(c, batches, 2, &batch_rank, dims))
        return false;
    const size_t n_batches = ref_product(dims, 0, batch_rank);
    const int64_t m = ma.rows, n = mb.columns, k = ma.columns;
    int rank = batch_rank;
    if (a->rank > 1)
        dims[rank++] = m;
    if (b->rank > 1)
        dims[rank++] = n;
    if (!ref_out(c, 0, rank, dims) ||
        !ref_charge(c, (double)n_batches * (double)m * (double)n * (double)k))
        return false;

    if (ref_has(c, 2) && adze_tensor_count(c->in[2]) != (size_t)n)
        return ref_fail(c, "bias has %zu elements for %lld columns", adze_tensor_count(c->in[2]),
                        (long long)n);
    const size_t count = n_batches * (size_t)m * (size_t)n;
    int64_t index[ADZE_MAX_RANK] = {0};
    if (!ref_any_quant(c) && (wide_integer(a) || wide_integer(b))) {
        const int64_t *va = ref_i64s(c, a), *vb = ref_i64s(c, b);
        const int64_t *bias = ref_has(c, 2) ? ref_i64s(c, c->in[2]) : NULL;
        int64_t *out = ref_alloc(c, count, sizeof *out), *y = out;
        for (size_t batch = 0; batch < n_batches; batch++, ref_next(batch_rank, dims, index)) {
            const int64_t *pa = va + batch_offset(&ma, batch_rank, index);
            const int64_t *pb = vb + batch_offset(&mb, batch_rank, index);
            for (int64_t i = 0; i < m; i++)
                for (int64_t j = 0; j < n; j++, y++) {
                    *y = bias ? bias[j] : 0;
                    for (int64_t l = 0; l < k; l++)
                        *y = (int64_t)((uint64_t)*y +
                                       (uint64_t)pa[i * ma.row_stride + l * ma.column_stride] *
                                           (uint64_t)pb[l * mb.row_stride + j * mb.column_stride]);
                }
        }
        ref_put_i64s(&c->out[0], out);
        return true;
    }
    const double *va = ref_factor(c, 0), *vb = ref_factor(c, 1);
    double *out = ref_alloc(c, count, sizeof *out);
    for (size_t batch = 0; batch < n_batches; batch++, ref_next(batch_rank, dims, index)) {
        const double *pa = va + batch_offset(&ma, batch_rank, index);
        const double *pb = vb + batch_offset(&mb, batch_rank, index);
        double *py = out + batch * (size_t)(m * n);
        for (int64_t i = 0; i < m; i++)
            for (int64_t l = 0; l < k; l++) {
                const double x = pa[i * ma.row_stride + l * ma.column_stride];
                const double *row = pb + l * mb.row_stride;
                double *y = py + i * n;
                if (mb.column_stride == 1)
                    for (int64_t j = 0; j < n; j++)
                        y[j] += x * row[j];
                else
                    for (int64_t j = 0; j < n; j++)
                        y[j] += x * row[j * mb.column_stride];
            }
    }
    /* the column of each result, for a bias and for scales per column of b */
    adze_quant q;
    const bool per_column = ref_quant_in(c, 1, &q) && q.n > 1;
    const int column_axis = b->rank == 1 || ref_bool(c, "trans_b") ? b->rank - 2 : b->rank - 1;
    if (per_column && q.axis != column_axis)
        return ref_fail(c, "b is quantized along an axis that is summed over");
    size_t *channel = NULL;
    if (per_column || ref_has(c, 2)) {
        channel = ref_alloc(c, count, sizeof *channel);
        for (size_t i = 0; i < count; i++)
            channel[i] = i % (size_t)n;
    }
    return ref_store_accumulators(c, out, channel);
}

/* ---- einsum ---- */

/* A letter's extent, and its stride in a, b and y (0 where it does not appear; the sum of both
 * where it appears twice: a diagonal). */
typedef struct letter {
    char name;
    int64_t extent, stride[3];
} letter;

static bool read_term(ref_call *c, const char *text, size_t length, const adze_tensor *t, int which,
                      letter *letters, int *n) {
    if ((int)length != t->rank)
        return ref_fail(c, "term '%.*s' does not have the %d letters of its operand", (int)length,
                        text, t->rank);
    int64_t strides[ADZE_MAX_RANK];
    ref_strides(t->rank, t->dims, strides);
    for (int d = 0; d < t->rank; d++) {
        int k = 0;
        while (k < *n && letters[k].name != text[d])
            k++;
        if (k == *n) {
            if (*n == 2 * ADZE_MAX_RANK)
                return ref_fail(c, "too many letters");
            letters[(*n)++] = (letter){.name = text[d], .extent = t->dims[d]};
        }
        if (letters[k].extent != t->dims[d])
            return ref_fail(c, "letter '%c' has extents %lld and %lld", text[d],
                            (long long)letters[k].extent, (long long)t->dims[d]);
        letters[k].stride[which] += strides[d];
    }
    return true;
}

bool ref_einsum(ref_call *c) {
    const char *equation = ref_str(c, "equation");
    const char *arrow = strstr(equation, "->"), *comma = strchr(equation, ',');
    const bool two = ref_has(c, 1);
    if (!arrow || two != (comma && comma < arrow))
        return ref_fail(c, "'%s' is not an explicit equation of %d operands", equation,
                        two ? 2 : 1);
    if (ref_any_quant(c))
        return ref_fail(c, "is not defined on quantized values");
    letter letters[2 * ADZE_MAX_RANK] = {0};
    int n = 0;
    const char *end_a = two ? comma : arrow;
    if (!read_term(c, equation, (size_t)(end_a - equation), c->in[0], 0, letters, &n) ||
        (two && !read_term(c, comma + 1, (size_t)(arrow - comma - 1), c->in[1], 1, letters, &n)))
        return false;
    const char *term = arrow + 2;
    const int rank = (int)strlen(term);
    int64_t dims[ADZE_MAX_RANK];
    if (rank > ADZE_MAX_RANK)
        return ref_fail(c, "the result's rank is too high");
    for (int d = 0; d < rank; d++) {
        int k = 0;
        while (k < n && letters[k].name != term[d])
            k++;
        if (k == n)
            return ref_fail(c, "letter '%c' of the result is in no operand", term[d]);
        dims[d] = letters[k].extent;
    }
    if (!ref_out(c, 0, rank, dims) || !read_term(c, term, (size_t)rank, &c->out[0], 2, letters, &n))
        return false;

    int64_t extents[2 * ADZE_MAX_RANK], index[2 * ADZE_MAX_RANK] = {0};
    bool empty = false;
    double work = 4;
    for (int k = 0; k < n; k++) {
        extents[k] = letters[k].extent;
        work *= (double)extents[k];
        empty |= extents[k] == 0;
    }
    if (!ref_charge(c, work))
        return false;
    const bool exact = !ref_is_float(&c->out[0]);
    const size_t count = adze_tensor_count(&c->out[0]);
    double *sum = ref_alloc(c, count, sizeof *sum);
    uint64_t *sum_i = ref_alloc(c, count, sizeof *sum_i);
    const double *a = ref_f64s(c, c->in[0]), *b = two ? ref_f64s(c, c->in[1]) : NULL;
    const int64_t *ai = ref_i64s(c, c->in[0]), *bi = two ? ref_i64s(c, c->in[1]) : NULL;
    if (!empty)
        do {
            int64_t at[3] = {0};
            for (int k = 0; k < n; k++)
                for (int w = 0; w < 3; w++)
                    at[w] += index[k] * letters[k].stride[w];
            if (exact)
                sum_i[at[2]] += (uint64_t)ai[at[0]] * (two ? (uint64_t)bi[at[1]] : 1);
            else
                sum[at[2]] += a[at[0]] * (two ? b[at[1]] : 1);
        } while (ref_next(n, extents, index));
    if (exact)
        ref_put_i64s(&c->out[0], (const int64_t *)sum_i);
    else
        ref_put_f64s(&c->out[0], sum);
    return true;
}
