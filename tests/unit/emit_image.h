/* What the tests of the C emitter share: modules of level 3 become a tree, which is built and checks itself. */
#ifndef ADZE_TESTS_EMIT_IMAGE_H
#define ADZE_TESTS_EMIT_IMAGE_H

#include "codegen/tree.h"
#include "ir/weights.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[64];

typedef struct image {
    adze_context *ctx;
    adze_tree_model models[2];
    adze_tree_test tests[2][4];
    adze_target *target;
    int n;
} image;

static adze_tensor tensor(adze_dtype dtype, int64_t n, const void *data) {
    return (adze_tensor){dtype, 1, {n}, data};
}

static image start(const char *target) {
    char err[ADZE_TARGET_ERR];
    image im = {.ctx = adze_context_new(),
                .target = adze_target_load(ADZE_SOURCE_DIR "/targets", target, err)};
    assert_non_null(im.ctx);
    assert_non_null(im.target);
    return im;
}

static void add(image *im, const char *name, const char *text) {
    adze_tree_model *m = &im->models[im->n];
    m->name = name;
    m->module = adze_module_parse(im->ctx, text, name);
    if (mlirModuleIsNull(m->module)) {
        adze_text out = {0};
        adze_diagnostics_print(&im->ctx->diags, &out);
        fail_msg("%s", out.data);
    }
    m->file = "test.mlir";
    m->hash = "0";
    m->test_source = "computed by the test";
    m->tests = im->tests[im->n++];
}

static void add_test(image *im, const char *entry, int n_in, const adze_tensor *in, int n_out,
                     const adze_tensor *out) {
    adze_tree_model *m = &im->models[im->n - 1];
    im->tests[im->n - 1][m->n_tests++] =
        (adze_tree_test){.entry = entry, .reset = m->n_tests == 1, .n_inputs = n_in, .inputs = in,
                         .n_outputs = n_out, .outputs = out};
}

static bool write_tree(image *im, const char *dir, adze_tree_weights weights) {
    adze_tree_options options = {.home = ADZE_SOURCE_DIR, .version = "test", .weights = weights};
    for (int i = 0; i < im->n; i++)
        im->models[i].tests = im->tests[i]; /* the image may have been copied */
    return adze_emit_tree(im->ctx, im->models, im->n, im->target, &options, dir, NULL);
}

static void finish(image *im) {
    adze_target_free(im->target);
    adze_context_free(im->ctx);
}

static int shell(const char *format, ...) {
    char command[2048];
    va_list args;
    va_start(args, format);
    vsnprintf(command, sizeof command, format, args);
    va_end(args);
    int status = system(command);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* Writes, builds with both compilers, and runs the self-test. */
static void check(image *im, const char *name, adze_tree_weights weights) {
    char dir[160];
    snprintf(dir, sizeof dir, "%s/%s", folder, name);
    if (!write_tree(im, dir, weights)) {
        adze_text out = {0};
        adze_diagnostics_print(&im->ctx->diags, &out);
        fail_msg("%s", out.data);
    }
    static const char *const compilers[] = {"gcc", "clang-22"};
    for (size_t i = 0; i < ADZE_COUNT(compilers); i++) {
        if (!adze_target_on_path(compilers[i]))
            continue;
        if (shell("make -s -C %s CC=%s OPT='-O1 -fsanitize=undefined -fno-sanitize-recover=all' "
                  "LDFLAGS=-fsanitize=undefined WERROR=-Werror BUILD=build/%s check > %s/log 2>&1",
                  dir, compilers[i], compilers[i], dir))
            fail_msg("%s with %s: see %s/log (set ADZE_KEEP=1)", name, compilers[i], dir);
    }
}

#endif
