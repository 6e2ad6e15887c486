/* Values: constants that become operations on first use, and the two faces of quantized integers.
 */
#include "frontend/onnx/importer.h"

#include <string.h>

bool ox_is_absent(const val *v) {
    return v && v->kind == VAL_ABSENT;
}

static adze_shape tensor_shape(adze_context *ctx, const adze_tensor *t) {
    adze_shape s = {
        .element = adze_element_type(ctx, t->dtype), .dtype = t->dtype, .rank = t->rank};
    memcpy(s.dims, t->dims, sizeof s.dims);
    return s;
}

val *ox_tensor_val(importer *imp, const adze_tensor *t) {
    val *v = ADZE_NEW(imp->ctx->arena, val);
    adze_tensor *copy = ADZE_NEW(imp->ctx->arena, adze_tensor);
    *copy = *t;
    *v = (val){
        .kind = VAL_TENSOR, .is_const = true, .known = copy, .shape = tensor_shape(imp->ctx, t)};
    return v;
}

bool ox_new_tensor(node *n, adze_dtype dtype, int rank, const int64_t *dims, adze_tensor *out) {
    enum { MOST = 1 << 28 };
    adze_tensor like = {.dtype = dtype, .rank = rank};
    size_t bytes = adze_dtype_get(dtype)->host_bytes;
    for (int i = 0; i < rank; i++) {
        like.dims[i] = dims[i];
        if (dims[i] < 0 || !adze_mul_size(bytes, dims[i] ? (size_t)dims[i] : 1, &bytes) ||
            bytes > MOST)
            return ox_fail(n, "its result is impossibly large");
    }
    return adze_tensor_new(n->ctx->arena, dtype, rank, like.dims, out) ||
           ox_fail(n, "its result is impossibly large");
}

val *ox_reshaped_constant(importer *imp, const val *x, const adze_shape *shape) {
    val *v = ADZE_NEW(imp->ctx->arena, val);
    *v = (val){
        .kind = VAL_TENSOR, .is_const = true, .name = x->name, .proto = x->proto, .shape = *shape};
    if (x->known) {
        adze_tensor *t = ADZE_NEW(imp->ctx->arena, adze_tensor);
        *t = *x->known;
        t->rank = shape->rank;
        memcpy(t->dims, shape->dims, sizeof t->dims);
        v->known = t;
    }
    return v;
}

/* A weight symbol over the initializer's own bytes in its file. */
static bool weight_in_file(importer *imp, const val *v, MlirType type, const char **name) {
    adze_tensor shape;
    onnx_span span;
    if (!adze_onnx_tensor_shape(imp->ctx, v->proto, &shape) ||
        !adze_onnx_tensor_span(imp->ctx, imp->path, v->proto, &shape, &span) || !span.bytes)
        return false;
    if (span.file == imp->path)
        span.offset = span.bytes - imp->file->data;
    *name = adze_weight_add(imp->ctx, imp->module, v->name, type, span.file, span.offset,
                            (int64_t)span.length, span.bytes);
    return true;
}

/* The bytes of an initializer, read once. A reshaped one has the same bytes and its own dims. */
static bool decode(importer *imp, val *v) {
    if (v->known)
        return true;
    adze_tensor *t = ADZE_NEW(imp->ctx->arena, adze_tensor);
    if (!adze_onnx_tensor(imp->ctx, imp->path, v->proto, t))
        return false;
    t->rank = v->shape.rank;
    memcpy(t->dims, v->shape.dims, sizeof t->dims);
    v->known = t;
    return true;
}

/* Constants stand at the end of the entry's block as it is now: what is built after them, in this
 * block or in a branch that is attached later, sees them. */
static MlirValue make_constant(importer *imp, val *v) {
    adze_builder b = adze_at_end(imp->ctx, imp->entry);
    const char *name = v->name && *v->name ? v->name : "constant";
    enum { INLINE_BYTES = 64 };
    MlirType type = adze_tensor_type(imp->ctx, &v->shape);
    size_t packed = 0;
    adze_tensor like = {.dtype = v->shape.dtype, .rank = v->shape.rank};
    memcpy(like.dims, v->shape.dims, sizeof like.dims);
    adze_dtype_packed_bytes(like.dtype, adze_tensor_count(&like), &packed);
    b.name = name;
    const char *weight;
    if (v->proto && packed > INLINE_BYTES && weight_in_file(imp, v, type, &weight)) {
        adze_named attr = {"weight", adze_str(imp->ctx, weight)};
        return adze_build1(&b, "adze.get_weight", 0, NULL, type, 1, &attr);
    }
    if (!decode(imp, v))
        return (MlirValue){0};
    return adze_build_constant(&b, imp->module, v->known, name, v->shape.element);
}

MlirValue ox_value(importer *imp, val *v) {
    if (v->kind == VAL_ABSENT) {
        if (mlirValueIsNull(imp->none)) {
            adze_builder b = adze_at_end(imp->ctx, imp->entry);
            imp->none = adze_none_value(&b);
        }
        return imp->none;
    }
    if (!mlirValueIsNull(v->mlir) &&
        (mlirBlockIsNull(v->block) || !v->quantized || mlirBlockEqual(v->block, imp->block)))
        return v->mlir;
    if (v->is_const)
        return v->mlir = make_constant(imp, v);
    if (!v->quantized)
        return v->mlir;
    /* The plain face of a quantized value, made where it is wanted. */
    adze_builder b = adze_at_end(imp->ctx, imp->block);
    b.name = v->name;
    MlirValue q = ox_value(imp, v->quantized);
    v->mlir =
        adze_build1(&b, "adze.bitcast", 1, &q, adze_tensor_type(imp->ctx, &v->shape), 0, NULL);
    v->block = imp->block;
    return v->mlir;
}

const adze_tensor *ox_known(node *n, val *v) {
    if (!v || v->kind != VAL_TENSOR || !v->is_const)
        return NULL;
    if (!decode(n->imp, v)) {
        n->failed = true;
        return NULL;
    }
    return v->known;
}

/* ---- quantized faces ---- */

bool ox_quant_element(node *n, val *scale, val *zero, adze_dtype storage, int axis, MlirType *out) {
    const adze_tensor *s = ox_known(n, scale);
    const adze_tensor *z = ox_is_absent(zero) ? NULL : ox_known(n, zero);
    if (!s || s->dtype != ADZE_f32 || (!ox_is_absent(zero) && !z))
        return false;
    size_t count = adze_tensor_count(s);
    if (!count || (axis < 0 && count != 1) || (z && adze_tensor_count(z) != count) ||
        count > 1 << 20)
        return false;
    double *scales = ADZE_NEW_ARRAY(n->ctx->arena, double, count);
    int64_t *zeros = ADZE_NEW_ARRAY(n->ctx->arena, int64_t, count);
    for (size_t i = 0; i < count; i++) {
        scales[i] = adze_tensor_get_f64(s, i);
        zeros[i] = z ? adze_tensor_get_i64(z, i) : 0;
    }
    adze_quant q = {storage, axis, (int)count, scales, zeros};
    return adze_quant_type(n->ctx, &q, out);
}

val *ox_as_quantized(node *n, val *x, MlirType element) {
    if (!x)
        return NULL;
    if (x->quantized && mlirTypeEqual(x->quantized->shape.element, element))
        return x->quantized;
    adze_shape shape = x->shape;
    shape.element = element;
    if (x->is_const) {
        val *q = ADZE_NEW(n->ctx->arena, val);
        *q = (val){.kind = VAL_TENSOR,
                   .name = x->name,
                   .shape = shape,
                   .is_const = true,
                   .known = x->known,
                   .proto = x->proto};
        return x->quantized = q;
    }
    val *q = ox_emit(n, "bitcast", VALS(x), &shape, NO_ATTRS);
    /* Only a face made in this block may be found again from it. */
    if (q && mlirBlockEqual(n->imp->block, n->imp->entry) && !x->quantized)
        x->quantized = q;
    return q;
}

val *ox_plain(node *n, val *quantized) {
    if (!quantized)
        return NULL;
    val *v = ADZE_NEW(n->ctx->arena, val);
    adze_shape shape = quantized->shape;
    shape.element = adze_element_type(n->ctx, shape.dtype);
    *v = (val){.kind = VAL_TENSOR,
               .name = n->result_name,
               .shape = shape,
               .quantized = quantized,
               .is_const = quantized->is_const,
               .known = quantized->known,
               .proto = quantized->proto};
    return v;
}
