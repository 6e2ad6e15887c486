/* Writing an ONNX TensorProto (onnx.proto): dims, data_type, name, then raw_data or string_data. */
#include "driver/job.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void varint(adze_text *out, uint64_t value) {
    do {
        unsigned char byte = (unsigned char)(value & 127) | (value > 127 ? 128 : 0);
        adze_text_append(out, &byte, 1);
        value >>= 7;
    } while (value);
}

enum { VARINT = 0, BYTES = 2 };

static void tag(adze_text *out, unsigned field, unsigned wire) {
    varint(out, field << 3 | wire);
}

static void bytes_field(adze_text *out, unsigned field, const void *data, size_t length) {
    tag(out, field, BYTES);
    varint(out, length);
    adze_text_append(out, data, length);
}

void adze_pb_tensor(const adze_tensor *t, const char *name, adze_text *out) {
    for (int i = 0; i < t->rank; i++) {
        tag(out, 1, VARINT);
        varint(out, (uint64_t)t->dims[i]);
    }
    tag(out, 2, VARINT);
    varint(out, (uint64_t)adze_dtype_get(t->dtype)->onnx);
    if (t->dtype == ADZE_string) {
        const adze_string *s = t->data;
        for (size_t i = 0, n = adze_tensor_count(t); i < n; i++)
            bytes_field(out, 6, s[i].data, s[i].length);
    }
    if (name && *name)
        bytes_field(out, 8, name, strlen(name));
    if (t->dtype != ADZE_string) {
        adze_text raw = {0};
        adze_tensor_pack(t, &raw);
        bytes_field(out, 9, raw.data, raw.length);
        adze_text_free(&raw);
    }
}

bool adze_write_file(adze_context *ctx, const char *path, const void *bytes, size_t length) {
    FILE *f = fopen(path, "wb");
    bool ok = f && (!length || fwrite(bytes, 1, length, f) == length);
    int why = errno;
    ok = f && fclose(f) == 0 && ok;
    return ok || adze_error(&ctx->diags, NULL, "cannot write '%s': %s", path, strerror(why));
}
