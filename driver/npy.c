/* numpy's .npy and .npz (NEP 1): a short text header and raw elements; a zip of such files. */
#include "driver/values.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* descr without its byte order -> element type. numpy writes i1, u1 and b1 with '|'. */
static const struct {
    const char *code;
    adze_dtype dtype;
} npy_types[] = {
    {"f2", ADZE_f16}, {"f4", ADZE_f32},  {"f8", ADZE_f64}, {"i1", ADZE_i8},    {"i2", ADZE_i16},
    {"i4", ADZE_i32}, {"i8", ADZE_i64},  {"u1", ADZE_u8},  {"u2", ADZE_u16},   {"u4", ADZE_u32},
    {"u8", ADZE_u64}, {"b1", ADZE_bool}, {"c8", ADZE_c64}, {"c16", ADZE_c128},
};

typedef struct header {
    adze_dtype dtype;
    bool swap, fortran;
    int rank;
    int64_t dims[ADZE_MAX_RANK];
} header;

/* The text after `'key':` in the header's dictionary, blanks skipped; NULL when it is not there. */
static const char *value_of(const char *text, const char *key) {
    char quoted[32];
    snprintf(quoted, sizeof quoted, "'%s':", key);
    const char *at = strstr(text, quoted);
    if (!at)
        return NULL;
    at += strlen(quoted);
    return at + strspn(at, " ");
}

static bool parse_descr(const char *at, header *h) {
    if (!at || *at++ != '\'')
        return false;
    char order = *at;
    if (order && strchr("<>|=", order))
        at++;
    size_t length = strcspn(at, "'");
    h->swap = order == '>';
    for (size_t i = 0; i < ADZE_COUNT(npy_types); i++)
        if (strlen(npy_types[i].code) == length && !strncmp(npy_types[i].code, at, length))
            h->dtype = npy_types[i].dtype;
    return h->dtype != ADZE_NO_DTYPE;
}

static bool parse_shape(const char *at, header *h) {
    if (!at || *at++ != '(')
        return false;
    for (;;) {
        at += strspn(at, " ,");
        if (*at == ')')
            return true;
        char *end;
        if (*at < '0' || *at > '9' || h->rank == ADZE_MAX_RANK)
            return false;
        h->dims[h->rank] = strtoll(at, &end, 10);
        if (h->dims[h->rank++] == INT64_MAX)
            return false;
        at = end + (*end == 'L');
    }
}

/* Elements in column-major order -> row-major. */
static void from_fortran(const uint8_t *from, uint8_t *to, const header *h, size_t size,
                         size_t count) {
    int64_t index[ADZE_MAX_RANK] = {0};
    for (size_t n = 0; n < count; n++) {
        size_t at = 0, stride = 1;
        for (int i = 0; i < h->rank; i++) {
            at += (size_t)index[i] * stride;
            stride *= (size_t)h->dims[i];
        }
        memcpy(to + n * size, from + at * size, size);
        for (int i = h->rank - 1; i >= 0 && ++index[i] == h->dims[i]; i--)
            index[i] = 0;
    }
}

/* Swaps the bytes of every number; a complex element is two. */
static void swap_bytes(uint8_t *data, size_t bytes, size_t width) {
    for (size_t i = 0; i + width <= bytes; i += width)
        for (size_t a = i, b = i + width - 1; a < b; a++, b--) {
            uint8_t t = data[a];
            data[a] = data[b];
            data[b] = t;
        }
}

bool adze_npy_read(adze_context *ctx, const char *path, const uint8_t *data, size_t bytes,
                   adze_tensor *out) {
    if (bytes < 10 || memcmp(data, "\x93NUMPY", 6))
        return adze_error(&ctx->diags, NULL, "'%s' is not a .npy file", path);
    bool wide = data[6] >= 2;
    size_t start = wide ? 12 : 10;
    if (bytes < start)
        return adze_error(&ctx->diags, NULL, "'%s' is cut short", path);
    size_t length = (size_t)data[8] | (size_t)data[9] << 8;
    if (wide)
        length |= (size_t)data[10] << 16 | (size_t)data[11] << 24;
    if (length > bytes - start)
        return adze_error(&ctx->diags, NULL, "'%s' is cut short in its header", path);
    const char *text = adze_arena_strndup(ctx->arena, (const char *)data + start, length);
    header h = {0};
    if (!parse_descr(value_of(text, "descr"), &h))
        return adze_error(&ctx->diags, NULL, "'%s': element type not supported: %.60s", path, text);
    const char *order = value_of(text, "fortran_order");
    h.fortran = order && !strncmp(order, "True", 4);
    if (!parse_shape(value_of(text, "shape"), &h))
        return adze_error(&ctx->diags, NULL, "'%s': cannot read its shape", path);
    if (!adze_tensor_new(ctx->arena, h.dtype, h.rank, h.dims, out))
        return adze_error(&ctx->diags, NULL, "'%s': its shape is too large", path);
    size_t need = adze_tensor_host_bytes(out), have = bytes - start - length;
    if (need > have)
        return adze_error(&ctx->diags, NULL, "'%s' is cut short: %zu bytes of elements, %zu needed",
                          path, have, need);
    const adze_dtype_info *info = adze_dtype_get(h.dtype);
    uint8_t *to = adze_tensor_data(out);
    if (h.fortran && h.rank > 1)
        from_fortran(data + start + length, to, &h, info->host_bytes, adze_tensor_count(out));
    else if (need)
        memcpy(to, data + start + length, need);
    if (h.swap)
        swap_bytes(to, need, info->cls == 'C' ? info->host_bytes / 2 : info->host_bytes);
    return true;
}

bool adze_npz_read(adze_context *ctx, const char *path, const char *name, adze_tensor *out) {
    const adze_file *zip = adze_file_map(ctx, path);
    const uint8_t *data;
    size_t bytes;
    const char *member = name ? adze_arena_printf(ctx->arena, "%s.npy", name) : NULL;
    return zip && adze_zip_member(ctx, zip, member, &data, &bytes) &&
           adze_npy_read(ctx, path, data, bytes, out);
}
