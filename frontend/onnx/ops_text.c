/* TfIdfVectorizer over integers: how often each n-gram of a pool occurs, with gaps of up to a bound
 * between its members. Windows are gathered and compared with the pool; sums of matches are counts.
 */
#include "frontend/onnx/importer.h"

#include <string.h>

/* Occurrences of `count` grams of n members in x [B,C]: f32 [B,count]; NULL after an error. */
static val *count_grams(node *n, val *x, const int64_t *pool, int64_t count, int members,
                        int64_t skips) {
    int64_t batch = x->shape.dims[0], length = x->shape.dims[1];
    adze_shape s = ox_shape(n, ADZE_f32, 2, (int64_t[]){batch, count});
    val *total = ox_full(n, &s, ox_scalar(n, ADZE_f32, 0));
    val *grams = ox_reshape(n, ox_cast(n, ox_ints(n, (int)(count * members), pool), x->shape.dtype),
                            4, (int64_t[]){1, 1, count, members});
    if (members == 1)
        skips = 0;
    for (int64_t gap = 1; gap <= skips + 1; gap++) {
        int64_t windows = length - gap * (members - 1);
        if (windows < 1)
            break;
        int64_t *at = ADZE_NEW_ARRAY(n->ctx->arena, int64_t, (size_t)(windows * members));
        for (int64_t w = 0; w < windows; w++)
            for (int m = 0; m < members; m++)
                at[w * members + m] = w + m * gap;
        val *seen = ox_gather(n, x, ox_ints(n, (int)(windows * members), at), 1);
        seen = ox_reshape(n, seen, 4, (int64_t[]){batch, windows, 1, members});
        val *equal = ox_cast(n, ox_binary(n, "equal", seen, grams), ADZE_f32);
        val *match = ox_reduce(n, "min", equal, 1, (int64_t[]){3}, false);
        total = ox_binary(n, "add", total, ox_reduce(n, "sum", match, 1, (int64_t[]){1}, false));
    }
    return total;
}

bool ox_op_tfidf(node *n) {
    enum { MAX_WORK = 1 << 16 };
    val *x = ox_need(n, 0, "X");
    const int64_t *starts, *columns, *pool;
    const float *weights = NULL;
    int n_starts = ox_attr_all_ints(n, "ngram_counts", &starts);
    int n_columns = ox_attr_all_ints(n, "ngram_indexes", &columns);
    int n_pool = ox_attr_all_ints(n, "pool_int64s", &pool);
    int n_weights = ox_attr_floats(n, "weights", &weights);
    int64_t low = ox_attr_i(n, "min_gram_length", 1), high = ox_attr_i(n, "max_gram_length", 1);
    int64_t skips = ox_attr_i(n, "max_skip_count", 0);
    const char *mode = ox_attr_s(n, "mode", "TF");
    bool tf = !strcmp(mode, "TF"), idf = !strcmp(mode, "IDF"), both = !strcmp(mode, "TFIDF");
    if (!x || n->failed)
        return false;
    if (ox_attr(n, "pool_strings") || x->shape.dtype == ADZE_string)
        return ox_fail(n, "strings are not supported");
    if (n_starts < 1 || n_columns < 1 || n_pool < 0 || (n_weights >= 0 && n_weights != n_columns) ||
        low < 1 || high < low || high > n_starts || skips < 0 || skips > 64 ||
        (!tf && !idf && !both))
        return ox_fail(n, "its attributes do not fit together");
    if (!ox_static(n, x) || x->shape.rank < 1 || x->shape.rank > 2)
        return ox_fail(n, "needs an input of rank 1 or 2");
    bool flat = x->shape.rank == 1;
    if (flat)
        x = ox_unsqueeze(n, x, 0);
    if (!x)
        return false;
    int64_t width = 0, column = 0;
    for (int i = 0; i < n_columns; i++) {
        if (columns[i] < 0 || columns[i] > 1 << 24)
            return ox_fail(n, "column %lld is out of range", (long long)columns[i]);
        width = columns[i] >= width ? columns[i] + 1 : width;
    }
    if ((int64_t)n_pool * (skips + 1) > MAX_WORK)
        return ox_fail(n, "a pool above %d numbers is not supported", MAX_WORK);
    /* One vector of counts in the pool's order; then each column gathers its own (or a zero). */
    val *parts[ADZE_MAX_RANK * 4];
    int n_parts = 0;
    int64_t *from = ADZE_NEW_ARRAY(n->ctx->arena, int64_t, (size_t)width), placed = 0;
    for (int64_t i = 0; i < width; i++)
        from[i] = -1;
    for (int g = 0; g < n_starts && g < (int)ADZE_COUNT(parts) - 1; g++) {
        int64_t begin = starts[g], end = g + 1 < n_starts ? starts[g + 1] : n_pool;
        if (begin < 0 || end < begin || end > n_pool || (end - begin) % (g + 1) ||
            column + (end - begin) / (g + 1) > n_columns)
            return ox_fail(n, "its ngram_counts do not fit its pool");
        int64_t count = (end - begin) / (g + 1);
        if (g + 1 >= low && g + 1 <= high && count) {
            parts[n_parts++] = count_grams(n, x, pool + begin, count, g + 1, skips);
            for (int64_t i = 0; i < count; i++)
                from[columns[column + i]] = placed++;
        }
        column += count;
    }
    int64_t batch = x->shape.dims[0];
    adze_shape one = ox_shape(n, ADZE_f32, 2, (int64_t[]){batch, 1});
    parts[n_parts++] = ox_full(n, &one, ox_scalar(n, ADZE_f32, 0));
    for (int64_t i = 0; i < width; i++)
        from[i] = from[i] < 0 ? placed : from[i];
    val *y = ox_gather(n, ox_concat(n, 1, n_parts, parts), ox_ints(n, (int)width, from), 1);
    if (idf) /* present or not */
        y = ox_cast(n, ox_binary(n, "greater", y, ox_scalar(n, ADZE_f32, 0)), ADZE_f32);
    if (!tf && n_weights > 0) {
        adze_tensor w;
        if (!ox_new_tensor(n, ADZE_f32, 1, &width, &w))
            return false;
        for (int i = 0; i < n_columns; i++)
            adze_tensor_set_f64(&w, (size_t)columns[i], (double)weights[i]);
        y = ox_binary(n, "mul", y, ox_tensor_val(n->imp, &w));
    }
    return ox_out(n, 0, flat ? ox_reshape(n, y, 1, &width) : y);
}
