/* Reading one value: which format, then making it what the model wants. See values.h. */
#include "driver/values.h"

#include "frontend/onnx/import.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- shapes ---- */

static const char *show_dims(adze_context *ctx, int rank, const int64_t *dims) {
    adze_text text = {0};
    adze_text_puts(&text, "[");
    for (int i = 0; i < rank; i++)
        if (dims[i] < 0)
            adze_text_printf(&text, "%s?", i ? "," : "");
        else
            adze_text_printf(&text, "%s%lld", i ? "," : "", (long long)dims[i]);
    adze_text_puts(&text, "]");
    const char *out = adze_arena_strdup(ctx->arena, text.data);
    adze_text_free(&text);
    return out;
}

static bool in_bounds(const adze_wanted *want, int axis, int64_t extent) {
    return want->dims[axis] >= 0 ? want->dims[axis] == extent
                                 : extent >= want->lo[axis] && extent <= want->hi[axis];
}

/* Matches want's axes from `i` with the file's from `j`; ones on either side may be left out, which
 * never moves an element. Fills dims. */
static bool match_from(const adze_wanted *want, int i, const adze_tensor *t, int j, int64_t *dims) {
    if (i == want->rank) {
        for (; j < t->rank; j++)
            if (t->dims[j] != 1)
                return false;
        return true;
    }
    if (j < t->rank && in_bounds(want, i, t->dims[j])) {
        dims[i] = t->dims[j];
        if (match_from(want, i + 1, t, j + 1, dims))
            return true;
    }
    if (j < t->rank && t->dims[j] == 1 && match_from(want, i, t, j + 1, dims))
        return true;
    dims[i] = 1;
    return in_bounds(want, i, 1) && match_from(want, i + 1, t, j, dims);
}

/* A run of numbers without a shape: at most one extent may follow from the count. */
static bool match_flat(const adze_wanted *want, size_t count, int64_t *dims) {
    int unknown = -1;
    size_t known = 1;
    for (int i = 0; i < want->rank; i++) {
        dims[i] = want->dims[i];
        if (dims[i] >= 0) {
            if (!adze_mul_size(known, (size_t)dims[i], &known))
                return false;
        } else if (unknown >= 0)
            return false;
        else
            unknown = i;
    }
    if (unknown < 0)
        return known == count;
    if (!known || count % known)
        return false;
    dims[unknown] = (int64_t)(count / known);
    return in_bounds(want, unknown, dims[unknown]);
}

/* ---- element types ---- */

static bool is_float(adze_dtype d) {
    return adze_dtype_get(d)->cls == 'F';
}
static bool is_number(adze_dtype d) {
    return strchr("FIUB", adze_dtype_get(d)->cls) != NULL;
}

/* One integer that a type must hold exactly: set, read back, compare. u64 compares as bits. */
static bool store_integer(adze_tensor *out, size_t i, int64_t value, bool from_unsigned) {
    adze_tensor_set_i64(out, i, value);
    if (value < 0 && from_unsigned != (adze_dtype_get(out->dtype)->cls == 'U' &&
                                       adze_dtype_get(out->dtype)->bits == 64))
        return false;
    return adze_tensor_get_i64(out, i) == value;
}

static bool convert(adze_context *ctx, const char *file, const adze_tensor *t,
                    const adze_wanted *want, adze_tensor *out) {
    const char *from = adze_dtype_get(t->dtype)->name, *to = adze_dtype_get(want->dtype)->name;
    if (!is_number(t->dtype) || !is_number(want->dtype))
        return adze_error(&ctx->diags, NULL, "'%s' holds %s, input '%s' wants %s", file, from,
                          want->name, to);
    if (!adze_tensor_new(ctx->arena, want->dtype, t->rank, t->dims, out))
        return adze_error(&ctx->diags, NULL, "'%s' is too large", file);
    size_t count = adze_tensor_count(t);
    bool unsigned64 = t->dtype == ADZE_u64;
    for (size_t i = 0; i < count; i++) {
        if (is_float(want->dtype)) {
            adze_tensor_set_f64(out, i, adze_tensor_get_f64(t, i));
            continue;
        }
        double value = adze_tensor_get_f64(t, i);
        bool fits = is_float(t->dtype)
                        ? value == trunc(value) && fabs(value) < 0x1p63 &&
                              store_integer(out, i, (int64_t)value, false)
                        : store_integer(out, i, adze_tensor_get_i64(t, i), unsigned64);
        if (want->dtype == ADZE_bool)
            fits = value == 0 || value == 1;
        if (!fits)
            return adze_error(&ctx->diags, NULL,
                              "'%s': %g (element %zu) is not a value of %s, the "
                              "type of input '%s'",
                              file, value, i, to, want->name);
    }
    return true;
}

bool adze_value_fit(adze_context *ctx, const char *file, const adze_tensor *t,
                    const adze_wanted *want, adze_tensor *out) {
    *out = *t;
    if (want->rank >= 0) {
        int64_t dims[ADZE_MAX_RANK] = {0};
        if (!match_from(want, 0, t, 0, dims))
            return adze_error(&ctx->diags, NULL, "'%s' has the shape %s, input '%s' wants %s", file,
                              show_dims(ctx, t->rank, t->dims), want->name,
                              show_dims(ctx, want->rank, want->dims));
        out->rank = want->rank;
        memcpy(out->dims, dims, sizeof dims);
    }
    if (t->dtype == want->dtype)
        return true;
    adze_tensor shaped = *out;
    return convert(ctx, file, &shaped, want, out);
}

/* ---- numbers as text ---- */

/* Numbers separated by blanks or commas -> i64 [n] when all are integers, else f64 [n]. False when
 * something else stands there, without a diagnostic. */
static bool parse_numbers(adze_context *ctx, const char *text, adze_tensor *out) {
    static const char between[] = ", \t\r\n;";
    int64_t count = 0;
    bool integers = true;
    for (const char *p = text + strspn(text, between); *p; p += strspn(p, between)) {
        char *end_i, *end_f;
        errno = 0;
        strtoll(p, &end_i, 10);
        integers = integers && errno == 0;
        strtod(p, &end_f);
        if (end_f == p || (*end_f && !strchr(between, *end_f)))
            return false;
        integers = integers && end_i == end_f;
        p = end_f;
        count++;
    }
    if (!count || !adze_tensor_new(ctx->arena, integers ? ADZE_i64 : ADZE_f64, 1, &count, out))
        return false;
    size_t i = 0;
    for (const char *p = text + strspn(text, between); *p; p += strspn(p, between)) {
        char *end;
        if (integers)
            adze_tensor_set_i64(out, i++, strtoll(p, &end, 10));
        else
            adze_tensor_set_f64(out, i++, strtod(p, &end));
        p = end;
    }
    return true;
}

/* Gives numbers without a shape the wanted one, then the wanted type. */
static bool fit_flat(adze_context *ctx, const char *file, adze_tensor *t, const adze_wanted *want,
                     adze_tensor *out) {
    size_t count = adze_tensor_count(t);
    int64_t dims[ADZE_MAX_RANK];
    if (!match_flat(want, count, dims))
        return adze_error(&ctx->diags, NULL, "'%s' has %zu numbers, input '%s' wants %s", file,
                          count, want->name, show_dims(ctx, want->rank, want->dims));
    t->rank = want->rank;
    memcpy(t->dims, dims, sizeof(int64_t) * (size_t)want->rank);
    return adze_value_fit(ctx, file, t, want, out);
}

/* ---- formats ---- */

static bool read_numbers(adze_context *ctx, const char *path, const adze_wanted *want,
                         adze_tensor *out) {
    const adze_file *file = adze_file_map(ctx, path);
    if (!file)
        return false;
    adze_tensor t;
    const char *text = adze_arena_strndup(ctx->arena, (const char *)file->data, file->bytes);
    if (strlen(text) != file->bytes || !parse_numbers(ctx, text, &t))
        return adze_error(&ctx->diags, NULL, "'%s' holds something that is not a number", path);
    return fit_flat(ctx, path, &t, want, out);
}

static bool read_raw(adze_context *ctx, const char *path, const adze_wanted *want,
                     adze_tensor *out) {
    const adze_file *file = adze_file_map(ctx, path);
    if (!file)
        return false;
    int bits = adze_dtype_get(want->dtype)->bits;
    size_t need;
    if (bits < 8) { /* the padding bits hide the count, so it must follow from the type */
        size_t count = 1;
        for (int i = 0; i < want->rank; i++)
            if (want->dims[i] < 0 || !adze_mul_size(count, (size_t)want->dims[i], &count))
                return adze_error(&ctx->diags, NULL, "'%s': raw bytes need a fixed shape", path);
        if (!adze_dtype_packed_bytes(want->dtype, count, &need) || need != file->bytes ||
            !adze_tensor_unpack(ctx->arena, want->dtype, want->rank, want->dims, file->data,
                                file->bytes, out))
            return adze_error(&ctx->diags, NULL, "'%s' has %zu bytes, input '%s' wants %s of %s",
                              path, file->bytes, want->name, show_dims(ctx, want->rank, want->dims),
                              adze_dtype_get(want->dtype)->name);
        return true;
    }
    size_t width = (size_t)bits / 8;
    int64_t dims[ADZE_MAX_RANK];
    if (want->dtype == ADZE_string || file->bytes % width ||
        !match_flat(want, file->bytes / width, dims) ||
        !adze_tensor_unpack(ctx->arena, want->dtype, want->rank, dims, file->data, file->bytes,
                            out))
        return adze_error(&ctx->diags, NULL, "'%s' has %zu bytes, input '%s' wants %s of %s", path,
                          file->bytes, want->name, show_dims(ctx, want->rank, want->dims),
                          adze_dtype_get(want->dtype)->name);
    return true;
}

static bool read_npy(adze_context *ctx, const char *path, const adze_wanted *want,
                     adze_tensor *out) {
    const adze_file *file = adze_file_map(ctx, path);
    adze_tensor t;
    return file && adze_npy_read(ctx, path, file->data, file->bytes, &t) &&
           adze_value_fit(ctx, path, &t, want, out);
}

/* With one array in the archive its name does not matter. */
static bool read_npz(adze_context *ctx, const char *path, const adze_wanted *want,
                     adze_tensor *out) {
    size_t before = ctx->diags.count;
    adze_tensor t;
    if (!adze_npz_read(ctx, path, want->name, &t)) {
        ctx->diags.count = before;
        if (!adze_npz_read(ctx, path, NULL, &t)) {
            ctx->diags.count = before;
            return adze_npz_read(ctx, path, want->name, &t); /* for its message */
        }
    }
    return adze_value_fit(ctx, path, &t, want, out);
}

static bool read_pb(adze_context *ctx, const char *path, const adze_wanted *want,
                    adze_tensor *out) {
    adze_tensor t;
    return adze_onnx_read_tensor_file(ctx, path, &t, NULL) &&
           adze_value_fit(ctx, path, &t, want, out);
}

static bool read_sound(adze_context *ctx, const char *path, const adze_wanted *want,
                       adze_tensor *out) {
    adze_tensor t, scaled;
    if (!adze_wav_read(ctx, path, &t))
        return false;
    if (t.dtype == ADZE_i16 && is_float(want->dtype) && !want->keep_scale) {
        if (!adze_tensor_new(ctx->arena, ADZE_f32, 1, t.dims, &scaled))
            return adze_error(&ctx->diags, NULL, "'%s' is too long", path);
        for (size_t i = 0, n = adze_tensor_count(&t); i < n; i++)
            adze_tensor_set_f64(&scaled, i, adze_tensor_get_f64(&t, i) / 32768.0);
        t = scaled;
    }
    return adze_value_fit(ctx, path, &t, want, out);
}

static bool channels_fit(int64_t n) {
    return n == 1 || n == 3 || n == 4;
}

/* [..,C,H,W] before [..,H,W,C], since that is ONNX's own order; [H,W] is grey. */
static bool read_image(adze_context *ctx, const char *path, const adze_wanted *want,
                       adze_tensor *out) {
    int rank = want->rank;
    const int64_t *d = want->dims;
    bool planar = rank >= 3 && channels_fit(d[rank - 3]) && d[rank - 1] > 4;
    bool packed = !planar && rank >= 3 && channels_fit(d[rank - 1]);
    int channels = planar ? (int)d[rank - 3] : packed ? (int)d[rank - 1] : 1;
    if (!planar && !packed && rank != 2)
        return adze_error(&ctx->diags, NULL, "'%s': input '%s' of shape %s is not a picture", path,
                          want->name, show_dims(ctx, rank, d));
    adze_tensor pixels, values;
    if (!adze_image_read(ctx, path, channels, &pixels))
        return false;
    int64_t h = pixels.dims[0], w = pixels.dims[1], c = pixels.dims[2];
    int64_t dims[3] = {planar ? c : h, planar ? h : w, planar ? w : c};
    if (!adze_tensor_new(ctx->arena, is_float(want->dtype) ? ADZE_f32 : ADZE_i32, 3, dims, &values))
        return adze_error(&ctx->diags, NULL, "'%s' is too large", path);
    for (int64_t y = 0; y < h; y++)
        for (int64_t x = 0; x < w; x++)
            for (int64_t k = 0; k < c; k++) {
                double v = adze_tensor_get_f64(&pixels, (size_t)((y * w + x) * c + k));
                if (is_float(want->dtype) && !want->keep_scale)
                    v /= 255.0;
                else if (want->dtype == ADZE_i8 && !want->keep_scale)
                    v -= 128;
                size_t at = (size_t)(planar ? (k * h + y) * w + x : (y * w + x) * c + k);
                adze_tensor_set_f64(&values, at, v);
            }
    return adze_value_fit(ctx, path, &values, want, out);
}

static const struct {
    const char *ending;
    bool (*read)(adze_context *, const char *, const adze_wanted *, adze_tensor *);
} formats[] = {
    {".npy", read_npy},     {".npz", read_npz},    {".pb", read_pb},     {".png", read_image},
    {".jpg", read_image},   {".jpeg", read_image}, {".wav", read_sound}, {".txt", read_numbers},
    {".csv", read_numbers}, {".bin", read_raw},    {".raw", read_raw},
};

bool adze_value_read(adze_context *ctx, const char *text, const adze_wanted *want,
                     adze_tensor *out) {
    const char *dot = strrchr(text, '.');
    for (size_t i = 0; dot && i < ADZE_COUNT(formats); i++)
        if (!strcasecmp(dot, formats[i].ending))
            return formats[i].read(ctx, text, want, out);
    adze_tensor t;
    if (parse_numbers(ctx, text, &t))
        return fit_flat(ctx, text, &t, want, out);
    return adze_error(&ctx->diags, NULL,
                      "'%s': neither numbers nor a file of a known kind — hint: .npy .npz .pb .png "
                      ".jpg .wav .txt .csv .bin .raw",
                      text);
}

/* "2x3:" in front of numbers. Returns the text after it, or `text` where there is none. */
static const char *parse_shape(const char *text, int *rank, int64_t *dims) {
    const char *p = text;
    *rank = 0;
    while (*p >= '0' && *p <= '9' && *rank < ADZE_MAX_RANK) {
        char *end;
        dims[(*rank)++] = strtoll(p, &end, 10);
        if (*end == ':')
            return end + 1;
        if (*end != 'x')
            break;
        p = end + 1;
    }
    *rank = -1;
    return text;
}

bool adze_value_bind(adze_context *ctx, const char *text, const adze_wanted *want,
                     adze_tensor *out) {
    if (*text == '@')
        return adze_value_read(ctx, text + 1, want, out);
    int rank;
    int64_t dims[ADZE_MAX_RANK];
    const char *numbers = parse_shape(text, &rank, dims);
    adze_tensor t;
    if (!parse_numbers(ctx, numbers, &t))
        return adze_error(&ctx->diags, NULL, "--bind %s=%s: neither numbers nor @FILE", want->name,
                          text);
    size_t count = adze_tensor_count(&t), product = 1;
    if (rank < 0)
        return want->rank < 0 ? adze_value_fit(ctx, text, &t, want, out)
                              : fit_flat(ctx, text, &t, want, out);
    for (int i = 0; i < rank; i++)
        if (!adze_mul_size(product, (size_t)dims[i], &product))
            return adze_error(&ctx->diags, NULL, "--bind %s: shape too large", want->name);
    if (product != count)
        return adze_error(&ctx->diags, NULL, "--bind %s: %zu numbers for %zu elements", want->name,
                          count, product);
    t.rank = rank;
    memcpy(t.dims, dims, sizeof(int64_t) * (size_t)rank);
    return adze_value_fit(ctx, text, &t, want, out);
}
