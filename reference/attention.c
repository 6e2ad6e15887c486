/* attention: softmax(scale * q k' + mask) v, in double. */
#include "reference/internal.h"

#include <math.h>
#include <string.h>

enum { Q, K, V, MASK, Y = 3 };

/* Steps from one batch, head and position to the next. */
typedef struct place {
    size_t batch, head, position, heads, positions, width;
} place;

static place place_of(const int64_t *dims, const char *layout) {
    const bool last = !strcmp(layout, "heads_last");
    place p = {.width = (size_t)dims[3], .heads = (size_t)dims[last ? 2 : 1], .positions = (size_t)dims[last ? 1 : 2]};
    p.batch = p.heads * p.positions * p.width;
    p.head = (last ? 1 : p.positions) * p.width;
    p.position = (last ? p.heads : 1) * p.width;
    return p;
}

bool ref_attention(ref_call *c) {
    const char *layout[4];
    if (ref_any_quant(c))
        return ref_fail(c, "is not defined on quantized values");
    if (adze_get_strs(c->ctx, c->op, "layout", 4, layout) != 4)
        return ref_fail(c, "needs a layout for each of q, k, v and y");
    if (!ref_out(c, 0, 4, NULL))
        return false;
    const place q = place_of(c->in[Q]->dims, layout[Q]), k = place_of(c->in[K]->dims, layout[K]),
                v = place_of(c->in[V]->dims, layout[V]), y = place_of(c->out[0].dims, layout[Y]);
    const size_t batch = (size_t)c->in[Q]->dims[0], S = q.positions, T = k.positions;
    if (!ref_charge(c, (double)batch * (double)q.heads * (double)S * (double)T * (double)(q.width + v.width)))
        return false;
    const double scale = ref_f64(c, "scale");
    const double *qs = ref_f64s(c, c->in[Q]), *ks = ref_f64s(c, c->in[K]), *vs = ref_f64s(c, c->in[V]);
    const double *mask = NULL;
    size_t *map = NULL;
    if (ref_has(c, MASK)) {
        const int64_t scores[] = {(int64_t)batch, (int64_t)q.heads, (int64_t)S, (int64_t)T};
        mask = ref_f64s(c, c->in[MASK]);
        map = ref_broadcast_map(c, c->in[MASK], 4, scores);
    }
    double *p = ref_alloc(c, T ? T : 1, sizeof *p);
    for (size_t b = 0; b < batch; b++)
        for (size_t h = 0; h < q.heads; h++)
            for (size_t s = 0; s < S; s++) {
                const double *row = qs + b * q.batch + h * q.head + s * q.position;
                double most = -INFINITY, sum = 0;
                for (size_t t = 0; t < T; t++) {
                    const double *key = ks + b * k.batch + h * k.head + t * k.position;
                    p[t] = 0;
                    for (size_t d = 0; d < q.width; d++)
                        p[t] += row[d] * key[d];
                    p[t] *= scale;
                    if (mask)
                        p[t] += mask[ref_at(map, ((b * q.heads + h) * S + s) * T + t)];
                    most = p[t] > most || isnan(p[t]) ? p[t] : most;
                }
                for (size_t t = 0; t < T; t++)
                    sum += p[t] = exp(p[t] - most);
                for (size_t e = 0; e < v.width; e++) {
                    double x = 0;
                    for (size_t t = 0; t < T; t++)
                        x += p[t] * vs[b * v.batch + h * v.head + t * v.position + e];
                    adze_tensor_set_f64(&c->out[0], b * y.batch + h * y.head + s * y.position + e, x / sum);
                }
            }
    return true;
}
