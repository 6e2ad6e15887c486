/* docs/ir.txt tells every operation and kind of the tables, word for word. A failing run writes what the
 * page should hold to the file named in the message. */
#include "ir/ir.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name, *meaning;
    int params;
} unary[] = {
#define UNARY(kind, n, meaning) {#kind, meaning, n},
#define BINARY(kind, result)
#include "ir/kinds.def"
#undef UNARY
#undef BINARY
};
static const char *const binary[] = {
#define UNARY(kind, n, meaning)
#define BINARY(kind, result) #kind,
#include "ir/kinds.def"
#undef UNARY
#undef BINARY
};

static void write_op(adze_text *t, const adze_op_info *op) {
    adze_text_printf(t, "  %s(", op->name);
    for (int i = 0; i < op->n_operands; i++)
        adze_text_printf(t, "%s%s%s", i ? ", " : "", op->operands[i], op->optional[i] ? "?" : "");
    adze_text_puts(t, ")");
    for (int i = 0; i < op->n_results; i++)
        adze_text_printf(t, "%s%s", i ? ", " : " -> ", op->results[i]);
    for (int i = 0; i < op->n_attrs; i++)
        adze_text_printf(t, "%s%s:%s", i ? " " : "   {", op->attrs[i].name, op->attrs[i].kind);
    adze_text_puts(t, op->n_attrs ? "}\n" : "\n");
    if (*op->doc)
        adze_text_printf(t, "      %s\n", op->doc);
}

static void page_holds_the_tables(void **state) {
    (void)state;
    adze_context *ctx = adze_context_new();
    assert_non_null(ctx);
    adze_text want = {0};
    for (int i = 0; i < ADZE_N_OPS; i++)
        write_op(&want, adze_op_info_of(ctx, (adze_op)i));
    adze_text_puts(&want, "\n  unary kinds:");
    for (size_t i = 0; i < ADZE_COUNT(unary); i++) {
        adze_text_printf(&want, "\n    %s", unary[i].name);
        if (*unary[i].meaning)
            adze_text_printf(&want, " (%s)", unary[i].meaning);
    }
    adze_text_puts(&want, "\n  binary kinds:");
    for (size_t i = 0; i < ADZE_COUNT(binary); i++)
        adze_text_printf(&want, "%s%s", i % 8 ? " " : "\n    ", binary[i]);
    adze_text_puts(&want, "\n");

    const char *path = ADZE_SOURCE_DIR "/docs/ir.txt";
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    char *page = calloc(1, 1 << 20);
    size_t n = fread(page, 1, (1 << 20) - 1, f);
    fclose(f);
    assert_true(n > 0);
    if (!strstr(page, want.data)) {
        const char *out = "ir-table.txt";
        f = fopen(out, "wb");
        if (f) {
            fwrite(want.data, 1, want.length, f);
            fclose(f);
        }
        fail_msg("docs/ir.txt section 8 differs from ir/ops.def and ir/kinds.def; the right text is in %s",
                 out);
    }
    free(page);
    adze_text_free(&want);
    adze_context_free(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(page_holds_the_tables)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
