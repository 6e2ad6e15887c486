/* Random level-1 modules as text. See kernels.h. */
#include "tests/kernels/kernels.h"

#include "ir/weights.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const net_value net_none = {.id = -1};

/* ---- random choices ---- */

uint64_t net_random(net *n) { /* splitmix64 */
    uint64_t z = n->random += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}
int64_t net_pick(net *n, int64_t low, int64_t high) {
    return high <= low ? low : low + (int64_t)(net_random(n) % (uint64_t)(high - low + 1));
}
bool net_chance(net *n, int percent) { return net_pick(n, 1, 100) <= percent; }
double net_uniform(net *n, double low, double high) {
    return low + (high - low) * ((double)(net_random(n) >> 11) / 0x1p53);
}
int64_t net_size(net *n, int64_t most) {
    if (most <= 1)
        return 1;
    if (net_chance(n, 50))
        return net_pick(n, 1, most);
    int64_t power = 1;
    while (power * 2 <= most && net_chance(n, 75))
        power *= 2;
    int64_t size = power + net_pick(n, -1, 1);
    return size < 1 ? 1 : size > most ? most : size;
}

/* ---- text ---- */

const char *net_text(net *n, const char *format, ...) {
    char text[4096];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return adze_arena_strdup(n->ctx->arena, text);
}
const char *net_list(net *n, int count, const int64_t *values) {
    adze_text t = {0};
    adze_text_puts(&t, "array<i64");
    for (int i = 0; i < count; i++)
        adze_text_printf(&t, "%s%" PRId64, i ? ", " : ": ", values[i]);
    adze_text_puts(&t, ">");
    const char *out = adze_arena_strdup(n->ctx->arena, t.data);
    adze_text_free(&t);
    return out;
}
void net_type(const net_value *v, adze_text *out) {
    if (v->id == -1) {
        adze_text_puts(out, "!adze.absent");
        return;
    }
    adze_text_puts(out, "tensor<");
    for (int i = 0; i < v->rank; i++)
        adze_text_printf(out, "%" PRId64 "x", v->dims[i]);
    adze_text_printf(out, "%s>", v->element ? v->element : adze_dtype_get(v->dtype)->mlir);
}

/* ---- values ---- */

net_value net_shape(adze_dtype dtype, int rank, const int64_t *dims) {
    net_value v = {.id = -2, .dtype = dtype, .rank = rank};
    memcpy(v.dims, dims, (size_t)rank * sizeof *dims);
    return v;
}
net_value net_quantized(net_value shape, adze_dtype storage, const char *element) {
    shape.dtype = storage;
    shape.element = element;
    return shape;
}
const char *net_quant(net *n, adze_dtype storage, double scale, int64_t zero_point) {
    return net_text(n, "!quant.uniform<%s:f32, %.17e:%" PRId64 ">", storage == ADZE_u8 ? "u8" : "i8",
                    (double)(float)scale, zero_point);
}

net_value net_input_of(net *n, net_value shape, data_kind kind, double low, double high) {
    if (n->n_inputs == MAX_INPUTS)
        abort();
    shape.id = n->n_values++;
    adze_text_printf(&n->arguments, "%s%%v%d: ", n->n_inputs ? ", " : "", shape.id);
    net_type(&shape, &n->arguments);
    adze_text_printf(&n->arguments, " {adze.name = \"x%d\"}", n->n_inputs);
    n->inputs[n->n_inputs++] = (net_input){shape, kind, low, high};
    return shape;
}

net_value net_weight(net *n, net_value shape, double spread) {
    enum { ZERO = 8, EXTREME = 16, TINY = 24 };
    adze_tensor t;
    adze_text packed = {0};
    if (!adze_tensor_new(n->ctx->arena, shape.dtype, shape.rank, shape.dims, &t))
        abort();
    const char cls = adze_dtype_get(shape.dtype)->cls;
    const int64_t kind = net_pick(n, 1, 100), bits = adze_dtype_get(shape.dtype)->bits;
    const bool whole = spread == 0;
    const int64_t top = !whole ? (int64_t)spread : cls == 'U' ? (1ll << bits) - 1 : (1ll << (bits - 1)) - 1;
    for (size_t i = 0, count = adze_tensor_count(&t); i < count; i++) {
        const double u = net_uniform(n, -1, 1);
        if (cls == 'F')
            adze_tensor_set_f64(&t, i,
                                kind <= ZERO      ? 0
                                : kind <= EXTREME ? (u < 0 ? -spread : spread)
                                : kind <= TINY    ? u * 1e-41
                                                  : u * spread);
        else if (cls == 'U')
            adze_tensor_set_i64(&t, i, kind <= ZERO ? 0 : kind <= EXTREME ? (u < 0 ? 0 : top) : net_pick(n, 0, top));
        else
            adze_tensor_set_i64(&t, i,
                                kind <= ZERO      ? 0
                                : kind <= EXTREME ? (u < 0 ? -top - whole : top)
                                                  : net_pick(n, -top - whole, top));
    }
    adze_tensor_pack(&t, &packed);
    const char *blob = adze_blob_add(n->ctx, packed.data, packed.length);
    int number = n->n_weights++;
    adze_text_printf(&n->weights, "  \"adze.weight\"() {sym_name = \"w%d\", type = ", number);
    net_type(&shape, &n->weights);
    adze_text_printf(&n->weights, ", file = \"%s\", offset = 0 : i64, bytes = %zu : i64, hash = \"%s\"} : () -> ()\n",
                     blob, packed.length, strchr(blob, '/') + 1);
    adze_text_free(&packed);
    return net_op(n, "adze.get_weight", net_text(n, "weight = \"w%d\"", number), 0, NULL, shape);
}

void net_ops(net *n, const char *op, const char *attrs, int n_operands, const net_value *operands, int n_results,
             net_value *results) {
    adze_text *t = &n->body;
    const int id = n->n_values;
    for (int i = 0; i < n_results; i++)
        n->n_values++;
    adze_text_puts(t, "    ");
    for (int i = 0; i < n_results; i++)
        adze_text_printf(t, "%s%%v%d", i ? ", " : "", id + i);
    adze_text_printf(t, " = \"%s\"(", op);
    for (int i = 0; i < n_operands; i++)
        if (operands[i].id == -1)
            adze_text_printf(t, "%s%%none", i ? ", " : "");
        else
            adze_text_printf(t, "%s%%v%d", i ? ", " : "", operands[i].id);
    adze_text_printf(t, ") {adze.node = \"n%d\"%s%s} : (", id, *attrs ? ", " : "", attrs);
    for (int i = 0; i < n_operands; i++) {
        adze_text_puts(t, i ? ", " : "");
        net_type(&operands[i], t);
    }
    adze_text_puts(t, ") -> (");
    for (int i = 0; i < n_results; i++) {
        adze_text_puts(t, i ? ", " : "");
        net_type(&results[i], t);
        if (results[i].id != -1)
            results[i].id = id + i;
    }
    adze_text_puts(t, ")\n");
}

net_value net_op(net *n, const char *op, const char *attrs, int n_operands, const net_value *operands,
                 net_value result) {
    net_ops(n, op, attrs, n_operands, operands, 1, &result);
    return result;
}

net_value net_bitcast(net *n, net_value x, net_value result) {
    return net_op(n, "adze.bitcast", "", 1, &x, result);
}

void net_output(net *n, net_value v) {
    if (n->n_outputs == MAX_OUTPUTS)
        abort();
    n->outputs[n->n_outputs++] = v;
}

net_value net_concat(net *n, int axis, net_value a, net_value b, net_value result) {
    adze_text *t = &n->body;
    result.id = n->n_values++;
    adze_text_printf(t, "    %%v%d = tensor.concat dim(%d) %%v%d, %%v%d {adze.node = \"n%d\"} : (", result.id, axis, a.id, b.id,
                     result.id);
    net_type(&a, t);
    adze_text_puts(t, ", ");
    net_type(&b, t);
    adze_text_puts(t, ") -> ");
    net_type(&result, t);
    adze_text_puts(t, "\n");
    return result;
}
