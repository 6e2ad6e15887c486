/* One member of a zip archive (APPNOTE.TXT 6.3): stored or deflated, sizes below 4 GB. */
#include "driver/values.h"

#include <string.h>
#include <zlib.h>

static uint32_t u16(const uint8_t *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8;
}
static uint32_t u32(const uint8_t *p) {
    return u16(p) | u16(p + 2) << 16;
}

enum { END_BYTES = 22, ENTRY_BYTES = 46, LOCAL_BYTES = 30, MAX_MEMBER = 1 << 30 };

/* The end record: the last one whose comment reaches exactly to the file's end. */
static const uint8_t *find_end(const adze_file *zip) {
    if (zip->bytes < END_BYTES)
        return NULL;
    size_t last = zip->bytes - END_BYTES, first = last > 65535 ? last - 65535 : 0;
    for (size_t at = last + 1; at-- > first;)
        if (u32(zip->data + at) == 0x06054b50 &&
            at + END_BYTES + u16(zip->data + at + 20) == zip->bytes)
            return zip->data + at;
    return NULL;
}

static bool inflate_raw(const uint8_t *from, size_t from_bytes, uint8_t *to, size_t to_bytes) {
    z_stream z = {.next_in = (Bytef *)(uintptr_t)from,
                  .avail_in = (uInt)from_bytes,
                  .next_out = to,
                  .avail_out = (uInt)to_bytes};
    if (inflateInit2(&z, -MAX_WBITS) != Z_OK)
        return false;
    int status = inflate(&z, Z_FINISH);
    bool ok = status == Z_STREAM_END && z.total_out == to_bytes;
    inflateEnd(&z);
    return ok;
}

/* The bytes of the member whose central entry is at `entry`. */
static bool extract(adze_context *ctx, const adze_file *zip, const uint8_t *entry,
                    const uint8_t **data, size_t *bytes) {
    uint32_t method = u16(entry + 10), packed = u32(entry + 20), size = u32(entry + 24);
    size_t local = u32(entry + 42);
    if (local > zip->bytes || zip->bytes - local < LOCAL_BYTES ||
        u32(zip->data + local) != 0x04034b50)
        return adze_error(&ctx->diags, NULL, "'%s': damaged zip archive", zip->path);
    size_t start = local + LOCAL_BYTES + u16(zip->data + local + 26) + u16(zip->data + local + 28);
    if (start > zip->bytes || packed > zip->bytes - start || size > MAX_MEMBER)
        return adze_error(&ctx->diags, NULL, "'%s': zip member out of bounds", zip->path);
    *bytes = size;
    if (method == 0 && packed == size) {
        *data = zip->data + start;
        return true;
    }
    /* Deflate cannot pack better than 1032:1; more is a lie about the size. */
    if (method != 8 || size / 1032 > packed)
        return adze_error(&ctx->diags, NULL, "'%s': zip method %u not supported", zip->path,
                          method);
    uint8_t *to = adze_arena_alloc(ctx->arena, size ? size : 1);
    if (!inflate_raw(zip->data + start, packed, to, size))
        return adze_error(&ctx->diags, NULL, "'%s': damaged compressed data", zip->path);
    *data = to;
    return true;
}

bool adze_zip_member(adze_context *ctx, const adze_file *zip, const char *name,
                     const uint8_t **data, size_t *bytes) {
    const uint8_t *end = find_end(zip);
    if (!end)
        return adze_error(&ctx->diags, NULL, "'%s' is not a zip archive", zip->path);
    uint32_t count = u16(end + 10);
    size_t at = u32(end + 16);
    if (!name && count != 1)
        return adze_error(&ctx->diags, NULL,
                          "'%s' holds %u arrays — hint: say which input it is "
                          "for, as NAME=FILE",
                          zip->path, count);
    for (uint32_t i = 0; i < count; i++) {
        if (at > zip->bytes || zip->bytes - at < ENTRY_BYTES || u32(zip->data + at) != 0x02014b50)
            return adze_error(&ctx->diags, NULL, "'%s': damaged zip directory", zip->path);
        const uint8_t *entry = zip->data + at;
        size_t length = u16(entry + 28);
        size_t whole = ENTRY_BYTES + length + u16(entry + 30) + u16(entry + 32);
        if (whole > zip->bytes - at)
            return adze_error(&ctx->diags, NULL, "'%s': damaged zip directory", zip->path);
        if (!name || (length == strlen(name) && !memcmp(entry + ENTRY_BYTES, name, length)))
            return extract(ctx, zip, entry, data, bytes);
        at += whole;
    }
    return adze_error(&ctx->diags, NULL, "'%s' has no array '%s'", zip->path, name);
}
