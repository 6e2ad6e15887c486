/* TensorProto -> host tensor: raw bytes, typed fields, external files, sparse tensors.
 * Every count is checked against the data that is there. Format: onnx.proto, TensorProto. */
#include "frontend/onnx/importer.h"

#include <string.h>

/* How the elements of a type are held when they are not raw bytes. */
typedef enum typed_field {
    IN_FLOAT,
    IN_DOUBLE,
    IN_INT32,
    IN_INT64,
    IN_UINT64,
    IN_STRING
} typed_field;

static typed_field field_of(adze_dtype dtype) {
    switch (dtype) {
    case ADZE_f32:
    case ADZE_c64:
        return IN_FLOAT;
    case ADZE_f64:
    case ADZE_c128:
        return IN_DOUBLE;
    case ADZE_i64:
        return IN_INT64;
    case ADZE_u32:
    case ADZE_u64:
        return IN_UINT64;
    case ADZE_string:
        return IN_STRING;
    default:
        return IN_INT32;
    }
}

static const char *tensor_name(adze_context *ctx, const onnx_TensorProto *t) {
    return adze_arena_strndup(ctx->arena, t->name.data, t->name.length);
}

static bool bad(adze_context *ctx, const onnx_TensorProto *t, const char *what) {
    return adze_error(&ctx->diags, NULL, "tensor '%s' %s", tensor_name(ctx, t), what);
}

bool adze_onnx_tensor_shape(adze_context *ctx, const onnx_TensorProto *t, adze_tensor *out) {
    *out = (adze_tensor){.dtype = adze_dtype_from_onnx(t->data_type)};
    if (out->dtype == ADZE_NO_DTYPE)
        return adze_error(&ctx->diags, NULL, "tensor '%s' has unknown element type %lld",
                          tensor_name(ctx, t), (long long)t->data_type);
    if (t->segment.length)
        return bad(ctx, t, "is in segments, or is a sequence or optional: that is not supported");
    if (t->dims.count > ADZE_MAX_RANK)
        return adze_error(&ctx->diags, NULL,
                          "tensor '%s' has %zu dimensions; at most %d are supported",
                          tensor_name(ctx, t), t->dims.count, ADZE_MAX_RANK);
    const int64_t *dims = adze_onnx_ints(ctx->arena, &t->dims);
    size_t count = 1;
    out->rank = (int)t->dims.count;
    for (int i = 0; i < out->rank; i++) {
        if (dims[i] < 0)
            return bad(ctx, t, "has a negative dimension");
        if (!adze_mul_size(count, dims[i] ? (size_t)dims[i] : 1, &count) || count > (size_t)1 << 40)
            return bad(ctx, t, "is impossibly large");
        out->dims[i] = dims[i];
    }
    return true;
}

/* ---- external data ---- */

static bool parse_size(adze_string s, size_t *out) {
    size_t value = 0;
    if (!s.length)
        return false;
    for (size_t i = 0; i < s.length; i++) {
        if (s.data[i] < '0' || s.data[i] > '9' || !adze_mul_size(value, 10, &value) ||
            !adze_add_size(value, (size_t)(s.data[i] - '0'), &value))
            return false;
    }
    *out = value;
    return true;
}

/* A relative path that stays below the model's folder. */
static bool stays_below(adze_string path) {
    if (!path.length || path.data[0] == '/' || memchr(path.data, 0, path.length) ||
        memchr(path.data, '\\', path.length))
        return false;
    size_t start = 0;
    for (size_t i = 0; i <= path.length; i++)
        if (i == path.length || path.data[i] == '/') {
            if (i - start == 2 && !memcmp(path.data + start, "..", 2))
                return false;
            start = i + 1;
        }
    return true;
}

static bool external_span(adze_context *ctx, const char *model_path, const onnx_TensorProto *t,
                          onnx_span *out) {
    adze_string location = {0};
    size_t offset = 0, length = 0;
    bool has_length = false;
    for (size_t i = 0; i < t->external_data.count; i++) {
        const onnx_StringStringEntryProto *e = t->external_data.items[i];
        if (adze_string_is(e->key, "location"))
            location = e->value;
        else if (adze_string_is(e->key, "offset") && !parse_size(e->value, &offset))
            return bad(ctx, t, "has an external offset that is no number");
        else if (adze_string_is(e->key, "length")) {
            if (!parse_size(e->value, &length))
                return bad(ctx, t, "has an external length that is no number");
            has_length = true;
        }
    }
    if (!stays_below(location))
        return bad(ctx, t, "has external data outside the model's folder");
    const char *slash = strrchr(model_path, '/');
    int folder = slash ? (int)(slash - model_path) + 1 : 0;
    const char *path = adze_arena_printf(ctx->arena, "%.*s%.*s", folder, model_path,
                                         (int)location.length, location.data);
    const adze_file *file = adze_file_map(ctx, path);
    if (!file)
        return bad(ctx, t, "needs a file that cannot be read");
    if (offset > file->bytes || (has_length && length > file->bytes - offset))
        return bad(ctx, t, "reaches beyond the end of its external file");
    *out = (onnx_span){path, (int64_t)offset, file->data + offset,
                       has_length ? length : file->bytes - offset};
    return true;
}

/* ---- dense ---- */

bool adze_onnx_tensor_span(adze_context *ctx, const char *model_path, const onnx_TensorProto *t,
                           const adze_tensor *shape, onnx_span *out) {
    size_t packed;
    *out = (onnx_span){0};
    if (!adze_dtype_packed_bytes(shape->dtype, adze_tensor_count(shape), &packed))
        return bad(ctx, t, "is impossibly large");
    if (t->data_location == 1) {
        if (shape->dtype == ADZE_string)
            return bad(ctx, t, "holds strings in an external file");
        if (!external_span(ctx, model_path, t, out))
            return false;
    } else if (ONNX_HAS(t, 9) && (t->raw_data.length || !packed)) {
        if (shape->dtype == ADZE_string)
            return bad(ctx, t, "holds strings as raw data");
        *out = (onnx_span){model_path, 0, (const uint8_t *)t->raw_data.data, t->raw_data.length};
    } else {
        /* Packed floats are little-endian bytes in the file already. */
        const onnx_scalars *s = shape->dtype == ADZE_f32   ? &t->float_data
                                : shape->dtype == ADZE_f64 ? &t->double_data
                                                           : NULL;
        if (!s || s->n_runs != 1)
            return true;
        *out = (onnx_span){model_path, 0, (const uint8_t *)s->runs[0].data, s->runs[0].length};
    }
    if (out->length != packed)
        return adze_error(&ctx->diags, NULL,
                          "tensor '%s' holds %zu bytes of data; its shape needs %zu",
                          tensor_name(ctx, t), out->length, packed);
    return true;
}

static bool wrong_count(adze_context *ctx, const onnx_TensorProto *t, size_t has, size_t needs) {
    return adze_error(&ctx->diags, NULL, "tensor '%s' holds %zu elements; its shape needs %zu",
                      tensor_name(ctx, t), has, needs);
}

/* int32_data holds one element a number, or, below eight bits, one packed byte a number. */
static bool from_int32(adze_context *ctx, const onnx_TensorProto *t, adze_tensor *out) {
    const adze_dtype_info *info = adze_dtype_get(out->dtype);
    size_t count = adze_tensor_count(out), packed;
    if (!adze_dtype_packed_bytes(out->dtype, count, &packed))
        return bad(ctx, t, "is impossibly large");
    size_t size = info->bits < 8 ? 1 : info->host_bytes, needs = packed / size;
    if (t->int32_data.count != needs)
        return wrong_count(ctx, t, t->int32_data.count, needs);
    const int64_t *values = adze_onnx_ints(ctx->arena, &t->int32_data);
    uint8_t *bytes = adze_arena_alloc(ctx->arena, packed);
    for (size_t i = 0; i < needs; i++)
        memcpy(bytes + i * size, &values[i], size); /* little-endian host */
    adze_tensor shape = *out;
    return adze_tensor_unpack(ctx->arena, shape.dtype, shape.rank, shape.dims, bytes, packed,
                              out) ||
           bad(ctx, t, "cannot be unpacked");
}

static bool from_strings(adze_context *ctx, const onnx_TensorProto *t, adze_tensor *out) {
    if (t->string_data.count != adze_tensor_count(out))
        return wrong_count(ctx, t, t->string_data.count, adze_tensor_count(out));
    out->data = t->string_data.items;
    return true;
}

static bool from_typed(adze_context *ctx, const onnx_TensorProto *t, adze_tensor *out) {
    typed_field where = field_of(out->dtype);
    if (where == IN_STRING)
        return from_strings(ctx, t, out);
    if (where == IN_INT32)
        return from_int32(ctx, t, out);
    size_t needs = adze_tensor_count(out);
    if (out->dtype == ADZE_c64 || out->dtype == ADZE_c128)
        needs *= 2;
    const onnx_scalars *s = where == IN_FLOAT    ? &t->float_data
                            : where == IN_DOUBLE ? &t->double_data
                            : where == IN_INT64  ? &t->int64_data
                                                 : &t->uint64_data;
    if (s->count != needs)
        return wrong_count(ctx, t, s->count, needs);
    if (where == IN_FLOAT)
        out->data = adze_onnx_floats(ctx->arena, s);
    else if (where == IN_DOUBLE)
        out->data = adze_onnx_doubles(ctx->arena, s);
    else if (out->dtype != ADZE_u32)
        out->data = adze_onnx_ints(ctx->arena, s);
    else {
        const int64_t *wide = adze_onnx_ints(ctx->arena, s);
        uint32_t *narrow = ADZE_NEW_ARRAY(ctx->arena, uint32_t, needs);
        for (size_t i = 0; i < needs; i++)
            narrow[i] = (uint32_t)wide[i];
        out->data = narrow;
    }
    return true;
}

bool adze_onnx_tensor(adze_context *ctx, const char *model_path, const onnx_TensorProto *t,
                      adze_tensor *out) {
    onnx_span span;
    if (!adze_onnx_tensor_shape(ctx, t, out) ||
        !adze_onnx_tensor_span(ctx, model_path, t, out, &span))
        return false;
    if (!span.bytes)
        return from_typed(ctx, t, out);
    adze_tensor shape = *out;
    return adze_tensor_unpack(ctx->arena, shape.dtype, shape.rank, shape.dims, span.bytes,
                              span.length, out) ||
           bad(ctx, t, "cannot be unpacked");
}

/* ---- sparse ---- */

bool adze_onnx_sparse_tensor(adze_context *ctx, const char *model_path,
                             const onnx_SparseTensorProto *s, adze_tensor *out) {
    adze_tensor values, indices;
    if (!s->values || !s->indices)
        return adze_error(&ctx->diags, NULL, "a sparse tensor lacks its values or its indices");
    onnx_TensorProto dense = *s->values;
    dense.dims = s->dims;
    adze_tensor shape;
    if (!adze_onnx_tensor(ctx, model_path, s->values, &values) ||
        !adze_onnx_tensor(ctx, model_path, s->indices, &indices) ||
        !adze_onnx_tensor_shape(ctx, &dense, &shape))
        return false;
    bool linear = indices.rank == 1;
    if (values.rank != 1 || values.dtype == ADZE_string || indices.dtype != ADZE_i64 ||
        indices.rank < 1 || indices.rank > 2 || indices.dims[0] != values.dims[0] ||
        (!linear && indices.dims[1] != shape.rank))
        return bad(ctx, s->values,
                   "is a sparse tensor whose values and indices do not fit together");
    /* A few bytes of file must not ask for terabytes. */
    if (adze_tensor_count(&shape) > (size_t)1 << 28 ||
        !adze_tensor_new(ctx->arena, shape.dtype, shape.rank, shape.dims, out))
        return bad(ctx, s->values, "is a sparse tensor that is impossibly large");
    size_t size = adze_dtype_get(shape.dtype)->host_bytes, count = adze_tensor_count(out);
    for (size_t i = 0; i < (size_t)values.dims[0]; i++) {
        uint64_t at = linear ? (uint64_t)adze_tensor_get_i64(&indices, i) : 0;
        for (int d = 0; !linear && d < shape.rank; d++) {
            int64_t index = adze_tensor_get_i64(&indices, i * (size_t)shape.rank + (size_t)d);
            if (index < 0 || index >= shape.dims[d])
                return bad(ctx, s->values, "has a sparse index out of range");
            at = at * (uint64_t)shape.dims[d] + (uint64_t)index;
        }
        if (at >= count)
            return bad(ctx, s->values, "has a sparse index out of range");
        memcpy((char *)adze_tensor_data(out) + at * size, (const char *)values.data + i * size,
               size);
    }
    return true;
}

/* ---- files ---- */

bool adze_onnx_read_model(adze_context *ctx, const char *path, const onnx_ModelProto **out) {
    ctx->diags.file = adze_arena_strdup(ctx->arena, path);
    const adze_file *file = adze_file_map(ctx, path);
    if (!file)
        return false;
    onnx_ModelProto *model = ADZE_NEW(ctx->arena, onnx_ModelProto);
    *out = model;
    return adze_onnx_parse_model(ctx->arena, &ctx->diags, file->data, file->bytes, model);
}

bool adze_onnx_read_tensor_file(adze_context *ctx, const char *path, adze_tensor *out,
                                const char **name) {
    const char *before = ctx->diags.file;
    ctx->diags.file = adze_arena_strdup(ctx->arena, path);
    const adze_file *file = adze_file_map(ctx, path);
    onnx_TensorProto proto;
    bool ok = file &&
              adze_onnx_parse_tensor(ctx->arena, &ctx->diags, file->data, file->bytes, &proto) &&
              adze_onnx_tensor(ctx, path, &proto, out);
    if (file && !ok) /* SequenceProto and OptionalProto read as broken tensors */
        adze_error(&ctx->diags, NULL,
                   "the file holds no plain tensor; sequences and optionals are not supported");
    if (ok && name)
        *name = tensor_name(ctx, &proto);
    ctx->diags.file = before;
    return ok;
}
