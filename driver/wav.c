/* RIFF WAVE: 16-bit PCM or 32-bit float, one channel. */
#include "driver/values.h"

#include <string.h>

static uint32_t u16(const uint8_t *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8;
}
static uint32_t u32(const uint8_t *p) {
    return u16(p) | u16(p + 2) << 16;
}

enum { PCM = 1, IEEE_FLOAT = 3, EXTENSIBLE = 0xFFFE };

bool adze_wav_read(adze_context *ctx, const char *path, adze_tensor *out) {
    const adze_file *f = adze_file_map(ctx, path);
    if (!f)
        return false;
    const uint8_t *p = f->data;
    if (f->bytes < 12 || memcmp(p, "RIFF", 4) || memcmp(p + 8, "WAVE", 4))
        return adze_error(&ctx->diags, NULL, "'%s' is not a WAVE file", path);
    uint32_t format = 0, channels = 0, bits = 0;
    for (size_t at = 12; f->bytes - at >= 8;) {
        size_t length = u32(p + at + 4), left = f->bytes - at - 8;
        const uint8_t *body = p + at + 8;
        if (!memcmp(p + at, "fmt ", 4) && length >= 16 && left >= 16) {
            format = u16(body);
            channels = u16(body + 2);
            bits = u16(body + 14);
            if (format == EXTENSIBLE && length >= 26 && left >= 26)
                format = u16(body + 24);
        } else if (!memcmp(p + at, "data", 4)) {
            if (length > left) /* streamed files do not know their length */
                length = left;
            bool pcm16 = format == PCM && bits == 16, float32 = format == IEEE_FLOAT && bits == 32;
            if (!pcm16 && !float32)
                return adze_error(&ctx->diags, NULL,
                                  "'%s': sound format %u with %u bits is not supported — hint: "
                                  "16-bit PCM or 32-bit float",
                                  path, format, bits);
            if (channels != 1)
                return adze_error(&ctx->diags, NULL, "'%s' has %u channels — hint: mix it to one",
                                  path, channels);
            int64_t frames = (int64_t)(length / (bits / 8));
            if (!adze_tensor_new(ctx->arena, pcm16 ? ADZE_i16 : ADZE_f32, 1, &frames, out))
                return adze_error(&ctx->diags, NULL, "'%s' is too long", path);
            if (frames)
                memcpy(adze_tensor_data(out), body, (size_t)frames * (bits / 8));
            return true;
        }
        if (length + (length & 1) > left)
            break;
        at += 8 + length + (length & 1);
    }
    return adze_error(&ctx->diags, NULL, "'%s' holds no sound data", path);
}
