/* Pictures: PNG through libpng's simplified interface, JPEG through libjpeg. No resizing: a picture
 * has the size that the model wants, or is an error. */
#include "driver/values.h"

#include <png.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

/* jpeglib.h needs size_t and FILE to be known before it. */
#include <jpeglib.h>

enum { MAX_SIDE = 1 << 15 };

static bool new_pixels(adze_context *ctx, const char *path, int64_t height, int64_t width,
                       int channels, adze_tensor *out) {
    int64_t dims[] = {height, width, channels};
    if (height < 1 || width < 1 || height > MAX_SIDE || width > MAX_SIDE ||
        !adze_tensor_new(ctx->arena, ADZE_u8, 3, dims, out))
        return adze_error(&ctx->diags, NULL, "'%s': a picture of %lld x %lld is too large", path,
                          (long long)width, (long long)height);
    return true;
}

static bool read_png(adze_context *ctx, const char *path, int channels, adze_tensor *out) {
    png_image image = {.version = PNG_IMAGE_VERSION};
    if (!png_image_begin_read_from_file(&image, path))
        return adze_error(&ctx->diags, NULL, "'%s': %s", path, image.message);
    image.format = channels == 1   ? PNG_FORMAT_GRAY
                   : channels == 3 ? PNG_FORMAT_RGB
                                   : PNG_FORMAT_RGBA;
    if (!new_pixels(ctx, path, image.height, image.width, channels, out)) {
        png_image_free(&image);
        return false;
    }
    if (!png_image_finish_read(&image, NULL, adze_tensor_data(out), 0, NULL)) {
        png_image_free(&image);
        return adze_error(&ctx->diags, NULL, "'%s': %s", path, image.message);
    }
    return true;
}

typedef struct jpeg_trap {
    struct jpeg_error_mgr base;
    jmp_buf out;
    char message[JMSG_LENGTH_MAX];
} jpeg_trap;

static void jpeg_failed(j_common_ptr jpeg) {
    jpeg_trap *trap = (jpeg_trap *)jpeg->err;
    jpeg->err->format_message(jpeg, trap->message);
    longjmp(trap->out, 1);
}

static void jpeg_quiet(j_common_ptr jpeg) {
    (void)jpeg;
}

/* The part between setjmp and its return: nothing here has a destructor but `jpeg` itself. */
static bool decode_jpeg(adze_context *ctx, const char *path, struct jpeg_decompress_struct *jpeg,
                        const adze_file *file, int channels, adze_tensor *out) {
    jpeg_create_decompress(jpeg);
    jpeg_mem_src(jpeg, file->data, (unsigned long)file->bytes);
    jpeg_read_header(jpeg, TRUE);
    jpeg->out_color_space = channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
    jpeg_start_decompress(jpeg);
    if (!new_pixels(ctx, path, jpeg->output_height, jpeg->output_width, channels, out))
        return false;
    uint8_t *rows = adze_tensor_data(out);
    size_t row_bytes = (size_t)jpeg->output_width * (size_t)channels;
    while (jpeg->output_scanline < jpeg->output_height) {
        JSAMPROW row = rows + jpeg->output_scanline * row_bytes;
        jpeg_read_scanlines(jpeg, &row, 1);
    }
    jpeg_finish_decompress(jpeg);
    return true;
}

static bool read_jpeg(adze_context *ctx, const char *path, int channels, adze_tensor *out) {
    const adze_file *file = adze_file_map(ctx, path);
    if (!file)
        return false;
    if (channels == 4)
        return adze_error(&ctx->diags, NULL, "'%s': a JPEG picture has no fourth channel", path);
    struct jpeg_decompress_struct jpeg = {0};
    jpeg_trap trap = {.message = ""};
    jpeg.err = jpeg_std_error(&trap.base);
    trap.base.error_exit = jpeg_failed;
    trap.base.output_message = jpeg_quiet;
    volatile bool ok = false;
    if (setjmp(trap.out) == 0)
        ok = decode_jpeg(ctx, path, &jpeg, file, channels, out);
    else
        adze_error(&ctx->diags, NULL, "'%s': %s", path, trap.message);
    jpeg_destroy_decompress(&jpeg);
    return ok;
}

bool adze_image_read(adze_context *ctx, const char *path, int channels, adze_tensor *out) {
    if (channels != 1 && channels != 3 && channels != 4)
        return adze_error(&ctx->diags, NULL, "'%s': a picture cannot give %d channels", path,
                          channels);
    const adze_file *file = adze_file_map(ctx, path);
    if (!file)
        return false;
    if (file->bytes >= 3 && !memcmp(file->data, "\xff\xd8\xff", 3))
        return read_jpeg(ctx, path, channels, out);
    return read_png(ctx, path, channels, out);
}
