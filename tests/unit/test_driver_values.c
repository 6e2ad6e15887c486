/* Input files: what each format reads to, and that a damaged file is an error and not a crash. The
 * files are made here, byte by byte. One test alone: give its name as the argument. */
#include "driver/job.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static adze_context *ctx;
static char work[] = "/tmp/adze-test-values-XXXXXX";
static int n_files;

static int setup(void **state) {
    (void)state;
    ctx = adze_context_new();
    return ctx && mkdtemp(work) ? 0 : -1;
}

static int teardown(void **state) {
    (void)state;
    char command[128];
    adze_context_free(ctx);
    snprintf(command, sizeof command, "rm -rf %s", work);
    return system(command);
}

/* A new file every time: the context keeps mappings by name. */
static const char *file(const char *ending, const void *bytes, size_t length) {
    const char *path = adze_arena_printf(ctx->arena, "%s/%d%s", work, n_files++, ending);
    assert_true(adze_write_file(ctx, path, bytes, length));
    return path;
}

static adze_wanted want(adze_dtype dtype, int rank, const int64_t *dims) {
    adze_wanted w = {.name = "x", .dtype = dtype, .rank = rank};
    for (int i = 0; i < rank; i++) {
        w.dims[i] = dims[i];
        w.hi[i] = 100;
    }
    return w;
}

static bool reads(const char *text, const adze_wanted *w, adze_tensor *out) {
    size_t before = ctx->diags.count;
    bool ok = adze_value_read(ctx, text, w, out);
    if (ok != (ctx->diags.count == before))
        fail_msg("'%s': %s", text, ok ? "read with an error" : "refused without one");
    ctx->diags.count = before;
    return ok;
}

static void expect(const adze_tensor *t, size_t n, const double *values) {
    assert_int_equal(adze_tensor_count(t), n);
    for (size_t i = 0; i < n; i++)
        if (adze_tensor_get_f64(t, i) != values[i])
            fail_msg("element %zu is %g, not %g", i, adze_tensor_get_f64(t, i), values[i]);
}

/* ---- numbers ---- */

static void test_numbers(void **state) {
    (void)state;
    adze_tensor t;
    adze_wanted f = want(ADZE_f32, 2, (int64_t[]){2, 2}), i = want(ADZE_i64, 0, NULL);
    adze_wanted any = want(ADZE_i8, 2, (int64_t[]){-1, 2});
    assert_true(reads("1, 2.5,-3 4e1", &f, &t));
    expect(&t, 4, (double[]){1, 2.5, -3, 40});
    assert_true(reads("16000", &i, &t));
    expect(&t, 1, (double[]){16000});
    assert_true(reads("9223372036854775807", &i, &t));
    assert_true(adze_tensor_get_i64(&t, 0) == INT64_MAX);
    assert_true(reads("1,2,3,4,5,6", &any, &t));
    assert_int_equal(t.dims[0], 3);
    assert_false(reads("1,2,3", &f, &t));
    assert_false(reads("1,2,x,4", &f, &t));
    assert_false(reads("1.5", &i, &t));
    assert_false(reads("1,2,3,200", &any, &t));
    assert_false(reads("1,2,3", &any, &t));
    assert_true(reads(file(".txt", "1 2\n3\t4\n", 8), &f, &t));
    expect(&t, 4, (double[]){1, 2, 3, 4});
    assert_false(reads(file(".txt", "1 2 three 4", 11), &f, &t));
    assert_false(reads(file(".txt", "1 2\0003 4", 7), &f, &t));
}

static void test_bind(void **state) {
    (void)state;
    adze_tensor t;
    adze_wanted w = {.name = "x", .dtype = ADZE_i32, .rank = -1};
    assert_true(adze_value_bind(ctx, "7", &w, &t));
    assert_true(adze_value_bind(ctx, "2x3:1,2,3,4,5,6", &w, &t));
    assert_int_equal(t.rank, 2);
    assert_int_equal(t.dims[1], 3);
    assert_false(adze_value_bind(ctx, "2x3:1,2", &w, &t));
    assert_false(adze_value_bind(ctx, "99999999999x99999999999:1", &w, &t));
    assert_false(adze_value_bind(ctx, "@/no/such/file.npy", &w, &t));
    assert_false(adze_value_bind(ctx, "", &w, &t));
    ctx->diags.count = 0;
}

/* ---- .npy ---- */

static const char *npy(const char *header, const void *data, size_t bytes, size_t *length) {
    adze_text text = {0};
    size_t n = strlen(header);
    unsigned char start[10] = {
        0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, (unsigned char)n, (unsigned char)(n >> 8)};
    adze_text_append(&text, start, sizeof start);
    adze_text_append(&text, header, n);
    adze_text_append(&text, data, bytes);
    const char *out = adze_arena_strndup(ctx->arena, text.data, text.length);
    *length = text.length;
    adze_text_free(&text);
    return out;
}

static void test_npy(void **state) {
    (void)state;
    const float little[] = {1, 2, 3, 4, 5, 6};
    const unsigned char big[] = {0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 1, 0};
    adze_wanted w = want(ADZE_f32, 3, (int64_t[]){1, 2, 3});
    adze_tensor t;
    size_t n;
    const char *bytes =
        npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }\n", little, 24, &n);
    assert_true(reads(file(".npy", bytes, n), &w, &t));
    expect(&t, 6, (double[]){1, 2, 3, 4, 5, 6});
    assert_int_equal(t.rank, 3);
    for (size_t cut = 0; cut < n; cut++)
        assert_false(reads(file(".npy", bytes, cut), &w, &t));
    bytes = npy("{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }\n", little, 24, &n);
    assert_true(reads(file(".npy", bytes, n), &w, &t));
    expect(&t, 6, (double[]){1, 3, 5, 2, 4, 6});
    bytes = npy("{'descr': '>i2', 'fortran_order': False, 'shape': (6,), }\n", big, 12, &n);
    adze_wanted flat = want(ADZE_f32, 1, (int64_t[]){6});
    assert_true(reads(file(".npy", bytes, n), &flat, &t));
    expect(&t, 6, (double[]){1, 2, 3, 4, 5, 256});
    static const char *const bad[] = {
        "{'descr': '|O', 'fortran_order': False, 'shape': (6,), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-6,), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (9223372036854775807, 9), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,), }",
        "{'descr': '<f4', 'shape': (1,1,1,1,1,1,1,1,1,1,1,1,1,1,6), }",
        "{'descr': '<f4', 'fortran_order': False, }",
        "{'descr': '<f4', 'shape': (",
        "",
    };
    for (size_t i = 0; i < ADZE_COUNT(bad); i++) {
        bytes = npy(bad[i], little, 24, &n);
        assert_false(reads(file(".npy", bytes, n), &flat, &t));
    }
}

/* ---- .npz: one stored member, put together by hand ---- */

static void put(adze_text *out, uint32_t value, int bytes) {
    for (int i = 0; i < bytes; i++) {
        unsigned char byte = (unsigned char)(value >> (8 * i));
        adze_text_append(out, &byte, 1);
    }
}

static void test_npz(void **state) {
    (void)state;
    const float values[] = {1, 2};
    size_t n;
    const char *member =
        npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }\n", values, 8, &n);
    adze_text zip = {0};
    put(&zip, 0x04034b50, 4);
    for (int i = 0; i < 7; i++)
        put(&zip, 0, 2); /* version, flags, method, time, date, crc */
    put(&zip, (uint32_t)n, 4);
    put(&zip, (uint32_t)n, 4);
    put(&zip, 5, 2);
    put(&zip, 0, 2);
    adze_text_append(&zip, "x.npy", 5);
    adze_text_append(&zip, member, n);
    uint32_t directory = (uint32_t)zip.length;
    put(&zip, 0x02014b50, 4);
    for (int i = 0; i < 8; i++)
        put(&zip, 0, 2);
    put(&zip, (uint32_t)n, 4);
    put(&zip, (uint32_t)n, 4);
    put(&zip, 5, 2);
    for (int i = 0; i < 8; i++)
        put(&zip, 0, 2); /* extra, comment, disk, attributes, offset */
    adze_text_append(&zip, "x.npy", 5);
    uint32_t directory_bytes = (uint32_t)zip.length - directory;
    put(&zip, 0x06054b50, 4);
    put(&zip, 0, 4);
    put(&zip, 1, 2);
    put(&zip, 1, 2);
    put(&zip, directory_bytes, 4);
    put(&zip, directory, 4);
    put(&zip, 0, 2);
    adze_wanted w = want(ADZE_f32, 1, (int64_t[]){2});
    adze_tensor t;
    assert_true(reads(file(".npz", zip.data, zip.length), &w, &t));
    expect(&t, 2, (double[]){1, 2});
    for (size_t cut = 0; cut < zip.length; cut++)
        assert_false(reads(file(".npz", zip.data, cut), &w, &t));
    /* Any one byte wrong: an error or another value, never more. */
    for (size_t i = 0; i < zip.length; i++) {
        char old = zip.data[i];
        zip.data[i] = (char)0xff;
        adze_value_read(ctx, file(".npz", zip.data, zip.length), &w, &t);
        zip.data[i] = old;
    }
    ctx->diags.count = 0;
    adze_text_free(&zip);
}

/* ---- sound and pictures ---- */

static void test_wav(void **state) {
    (void)state;
    static const unsigned char wav[] = {'R', 'I', 'F', 'F', 40,  0,  0, 0, 'W', 'A', 'V', 'E',
                                        'f', 'm', 't', ' ', 16,  0,  0, 0, 1,   0,   1,   0,
                                        64,  31,  0,   0,   128, 62, 0, 0, 2,   0,   16,  0,
                                        'd', 'a', 't', 'a', 4,   0,  0, 0, 0,   64,  0,   128};
    adze_wanted w = want(ADZE_f32, 2, (int64_t[]){1, 2});
    adze_tensor t;
    assert_true(reads(file(".wav", wav, sizeof wav), &w, &t));
    expect(&t, 2, (double[]){0.5, -1});
    w.keep_scale = true;
    assert_true(reads(file(".wav", wav, sizeof wav), &w, &t));
    expect(&t, 2, (double[]){16384, -32768});
    for (size_t cut = 0; cut < sizeof wav; cut++)
        assert_false(reads(file(".wav", wav, cut), &w, &t));
    unsigned char stereo[sizeof wav];
    memcpy(stereo, wav, sizeof wav);
    stereo[22] = 2;
    assert_false(reads(file(".wav", stereo, sizeof stereo), &w, &t));
}

static void test_png(void **state) {
    (void)state;
    static const unsigned char pixels[] = {255, 0, 51, 0, 102, 255}; /* 1 x 2, RGB */
    png_image image = {
        .version = PNG_IMAGE_VERSION, .width = 2, .height = 1, .format = PNG_FORMAT_RGB};
    unsigned char bytes[4096];
    png_alloc_size_t n = sizeof bytes;
    assert_true(png_image_write_to_memory(&image, bytes, &n, 0, pixels, 0, NULL) != 0);
    adze_tensor t;
    adze_wanted packed = want(ADZE_u8, 4, (int64_t[]){1, 1, 2, 3});
    assert_true(reads(file(".png", bytes, n), &packed, &t));
    expect(&t, 6, (double[]){255, 0, 51, 0, 102, 255});
    packed.dtype = ADZE_i8;
    assert_true(reads(file(".png", bytes, n), &packed, &t));
    expect(&t, 6, (double[]){127, -128, -77, -128, -26, 127});
    packed.dtype = ADZE_f64;
    assert_true(reads(file(".png", bytes, n), &packed, &t));
    assert_true(adze_tensor_get_f64(&t, 2) > 0.1999 && adze_tensor_get_f64(&t, 2) < 0.2001);
    adze_wanted other = want(ADZE_u8, 4, (int64_t[]){1, 1, 3, 3});
    assert_false(reads(file(".png", bytes, n), &other, &t));
    adze_wanted vector = want(ADZE_u8, 1, (int64_t[]){6});
    assert_false(reads(file(".png", bytes, n), &vector, &t));
    packed.dtype = ADZE_u8;
    for (size_t cut = 0; cut < n - 12; cut++)
        assert_false(reads(file(".png", bytes, cut), &packed, &t));
}

/* ---- raw bytes and names ---- */

static void test_raw(void **state) {
    (void)state;
    static const unsigned char bytes[] = {1, 0, 2, 0, 255, 255};
    adze_tensor t;
    adze_wanted w = want(ADZE_i16, 1, (int64_t[]){3}), any = want(ADZE_u8, 2, (int64_t[]){-1, 2});
    assert_true(reads(file(".bin", bytes, 6), &w, &t));
    expect(&t, 3, (double[]){1, 2, -1});
    assert_false(reads(file(".bin", bytes, 5), &w, &t));
    assert_true(reads(file(".raw", bytes, 6), &any, &t));
    assert_int_equal(t.dims[0], 3);
    assert_false(reads(file(".raw", bytes, 5), &any, &t));
    assert_false(reads("/no/such/file.bin", &w, &t));
    assert_false(reads("something.tiff", &w, &t));
}

/* What is written as TensorProto reads back. */
static void test_pb(void **state) {
    (void)state;
    static const adze_dtype types[] = {ADZE_f32, ADZE_i64, ADZE_u8, ADZE_bool, ADZE_f16, ADZE_i4};
    for (size_t k = 0; k < ADZE_COUNT(types); k++) {
        int64_t dims[] = {1, 3};
        adze_tensor t, back;
        assert_true(adze_tensor_new(ctx->arena, types[k], 2, dims, &t));
        for (size_t i = 0; i < 3; i++)
            adze_tensor_set_i64(&t, i, (int64_t)i % 2);
        adze_text text = {0};
        adze_pb_tensor(&t, "x", &text);
        adze_wanted w = want(types[k], 2, dims);
        assert_true(reads(file(".pb", text.data, text.length), &w, &back));
        expect(&back, 3, (double[]){0, 1, 0});
        for (size_t cut = 0; cut < text.length; cut++)
            adze_value_read(ctx, file(".pb", text.data, cut), &w, &back);
        ctx->diags.count = 0;
        adze_text_free(&text);
    }
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers), cmocka_unit_test(test_bind), cmocka_unit_test(test_npy),
        cmocka_unit_test(test_npz),     cmocka_unit_test(test_wav),  cmocka_unit_test(test_png),
        cmocka_unit_test(test_raw),     cmocka_unit_test(test_pb),
    };
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests_name("driver values", tests, setup, teardown);
}
