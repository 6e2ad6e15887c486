/* The ONNX reader on good and on hostile bytes: each buffer is written here, field by field. */
#include "frontend/onnx/importer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- writing protobuf ---- */

static void put_varint(adze_text *t, uint64_t v) {
    do {
        uint8_t byte = (uint8_t)(v & 127) | (v > 127 ? 128 : 0);
        adze_text_append(t, &byte, 1);
        v >>= 7;
    } while (v);
}

static void put_int(adze_text *t, unsigned field, uint64_t v) {
    put_varint(t, (uint64_t)field << 3);
    put_varint(t, v);
}

static void put_bytes(adze_text *t, unsigned field, const void *bytes, size_t length) {
    put_varint(t, (uint64_t)field << 3 | 2);
    put_varint(t, length);
    adze_text_append(t, bytes, length);
}

static void put_string(adze_text *t, unsigned field, const char *s) {
    put_bytes(t, field, s, strlen(s));
}

/* Appends `inner` as a message and frees it. */
static void put_message(adze_text *t, unsigned field, adze_text *inner) {
    put_bytes(t, field, inner->data ? inner->data : "", inner->length);
    adze_text_free(inner);
}

/* A graph y = Add(x, w) with x [2] and w an initializer. */
static adze_text small_model(void) {
    adze_text model = {0}, graph = {0}, node = {0}, weight = {0}, value = {0}, opset = {0};
    static const float w[] = {1.5f, -2};
    put_string(&node, 1, "x");
    put_string(&node, 1, "w");
    put_string(&node, 2, "y");
    put_string(&node, 3, "add");
    put_string(&node, 4, "Add");
    put_message(&graph, 1, &node);
    put_string(&graph, 2, "g");
    put_int(&weight, 1, 2);
    put_int(&weight, 2, 1);
    put_string(&weight, 8, "w");
    put_bytes(&weight, 9, w, sizeof w);
    put_message(&graph, 5, &weight);
    for (int i = 0; i < 2; i++) {
        adze_text type = {0}, tensor = {0}, shape = {0}, dim = {0};
        put_int(&dim, 1, 2);
        put_message(&shape, 1, &dim);
        put_int(&tensor, 1, 1);
        put_message(&tensor, 2, &shape);
        put_message(&type, 1, &tensor);
        put_string(&value, 1, i ? "y" : "x");
        put_message(&value, 2, &type);
        put_message(&graph, i ? 12 : 11, &value);
    }
    put_int(&model, 1, 8);
    put_int(&opset, 2, 17);
    put_message(&model, 8, &opset);
    put_message(&model, 7, &graph);
    return model;
}

/* ---- one reader per test ---- */

typedef struct fixture {
    adze_context ctx; /* without MLIR: the reader needs an arena and diagnostics only */
    onnx_ModelProto model;
    onnx_TensorProto tensor;
} fixture;

static int set_up(void **state) {
    fixture *f = calloc(1, sizeof *f);
    f->ctx.arena = f->ctx.diags.arena = adze_arena_new();
    *state = f;
    return 0;
}

static int tear_down(void **state) {
    fixture *f = *state;
    adze_arena_free(f->ctx.arena);
    free(f);
    return 0;
}

static bool read_model(fixture *f, const adze_text *t) {
    return adze_onnx_parse_model(f->ctx.arena, &f->ctx.diags, t->data, t->length, &f->model);
}

/* Reads `t` as a TensorProto and decodes it. */
static bool read_tensor(fixture *f, const adze_text *t, adze_tensor *out) {
    return adze_onnx_parse_tensor(f->ctx.arena, &f->ctx.diags, t->data, t->length, &f->tensor) &&
           adze_onnx_tensor(&f->ctx, "folder/model.onnx", &f->tensor, out);
}

static void expect_error(fixture *f, const char *part) {
    assert_int_not_equal(f->ctx.diags.count, 0);
    const char *cause = f->ctx.diags.items[f->ctx.diags.count - 1].cause;
    if (!strstr(cause, part))
        fail_msg("the error says \"%s\", not \"%s\"", cause, part);
}

/* ---- reading ---- */

static void reads_a_model(void **state) {
    fixture *f = *state;
    adze_text t = small_model();
    assert_true(read_model(f, &t));
    const onnx_GraphProto *g = f->model.graph;
    assert_int_equal(f->model.ir_version, 8);
    assert_int_equal(f->model.opset_import.items[0]->version, 17);
    assert_int_equal(g->node.count, 1);
    assert_int_equal(g->node.items[0]->input.count, 2);
    assert_true(adze_string_is(g->node.items[0]->op_type, "Add"));
    assert_true(adze_string_is(g->input.items[0]->name, "x"));
    assert_int_equal(g->input.items[0]->type->tensor_type->shape->dim.items[0]->dim_value, 2);
    const onnx_TensorProto *w = g->initializer.items[0];
    assert_ptr_equal(w->raw_data.data >= t.data && w->raw_data.data < t.data + t.length, 1);
    adze_tensor value;
    assert_true(adze_onnx_tensor(&f->ctx, "m", w, &value));
    assert_float_equal(adze_tensor_get_f64(&value, 1), -2, 0);
    adze_text_free(&t);
}

static void refuses_every_truncation(void **state) {
    fixture *f = *state;
    adze_text t = small_model();
    for (size_t step = 0; step < 64; step++) {
        adze_text cut = {.data = t.data, .length = t.length * step / 64};
        if (read_model(f, &cut))
            fail_msg("%zu of %zu bytes were read as a model", cut.length, t.length);
    }
    adze_text_free(&t);
}

static void refuses_a_million_levels(void **state) {
    fixture *f = *state;
    /* TypeProto.sequence_type.elem_type.sequence_type ..., written from the inside out, backwards
     */
    enum { LEVELS = 1000000, ROOM = LEVELS * 6 };
    uint8_t *bytes = malloc(ROOM), *at = bytes + ROOM;
    static const uint8_t outer[] = {2, 11, 7}; /* ValueInfo.type, Graph.input, Model.graph */
    for (int i = 0; i < LEVELS + 3; i++) {
        adze_text head = {0};
        unsigned field = i < LEVELS ? (i % 2 ? 4 : 1) : outer[i - LEVELS];
        put_varint(&head, (uint64_t)field << 3 | 2);
        put_varint(&head, (uint64_t)(bytes + ROOM - at));
        at -= head.length;
        memcpy(at, head.data, head.length);
        adze_text_free(&head);
    }
    adze_text t = {.data = (char *)at, .length = (size_t)(bytes + ROOM - at)};
    assert_false(read_model(f, &t));
    expect_error(f, "nested deeper");
    free(bytes);
}

static void refuses_what_is_not_a_model(void **state) {
    fixture *f = *state;
    static const struct {
        const char *what, *bytes;
        size_t length;
        const char *error;
    } cases[] = {
        {"nothing", "", 0, "empty"},
        {"a picture", "\x89PNG\r\n\x1a\n\0\0\0\rIHDR", 16, "byte"},
        {"text", "digraph { a -> b }\n", 19, "byte"},
        {"no graph", "\x08\x07", 2, "no graph"},
        {"field 0", "\x00\x01", 2, "field number"},
        {"a group", "\x0b\x0c", 2, "wire type"},
        {"wire type 7", "\x0f", 1, "wire type"},
        {"graph as a number", "\x38\x01", 2, "graph has wire type 0"},
        {"a length of 2^63", "\x3a\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 11, "longer"},
        {"a length of 2^64", "\x3a\x80\x80\x80\x80\x80\x80\x80\x80\x80\x02", 11, "length"},
        {"an endless number", "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12, "number"},
        {"half a number", "\x08\x80", 2, "number"},
        {"half a double", "\xf9\x01\x00\x00", 4, "truncated"},
    };
    for (size_t i = 0; i < ADZE_COUNT(cases); i++) {
        adze_text t = {.data = (char *)(uintptr_t)cases[i].bytes, .length = cases[i].length};
        if (read_model(f, &t))
            fail_msg("%s was read as a model", cases[i].what);
        expect_error(f, cases[i].error);
    }
}

static void names_a_field_of_the_wrong_type(void **state) {
    fixture *f = *state;
    adze_text t = {0};
    put_int(&t, 7, 1);
    assert_false(read_model(f, &t));
    expect_error(f, "ModelProto.graph has wire type 0 at byte 0");
    adze_text_free(&t);
}

static void reads_packed_and_unpacked_alike(void **state) {
    fixture *f = *state;
    static const float values[6] = {0, 1, 2, 3, 4, 5};
    for (int packed = 0; packed < 2; packed++) {
        adze_text t = {0};
        if (packed) {
            put_bytes(&t, 1, "\x02\x03", 2);
            put_bytes(&t, 4, values, sizeof values);
        } else {
            put_int(&t, 1, 2);
            put_int(&t, 1, 3);
            for (int i = 0; i < 6; i++) {
                put_varint(&t, 4 << 3 | 5);
                adze_text_append(&t, &values[i], 4);
            }
        }
        put_int(&t, 2, 1);
        adze_tensor out;
        assert_true(read_tensor(f, &t, &out));
        assert_int_equal(out.rank, 2);
        assert_int_equal(out.dims[1], 3);
        assert_float_equal(adze_tensor_get_f64(&out, 5), 5, 0);
        adze_text_free(&t);
    }
}

/* ---- tensors ---- */

static void decodes_typed_fields(void **state) {
    fixture *f = *state;
    static const struct {
        int type, field;
        int64_t numbers[4]; /* in the file */
        int n_numbers, n_elements;
        double elements[4];
    } cases[] = {
        {3, 5, {-1, 127}, 2, 2, {-1, 127}},       /* int8 */
        {9, 5, {1, 0}, 2, 2, {1, 0}},             /* bool */
        {10, 5, {0x3C00, 0xC000}, 2, 2, {1, -2}}, /* float16 */
        {16, 5, {0x3F80, 0xC000}, 2, 2, {1, -2}}, /* bfloat16 */
        {17, 5, {0x38, 0xB8}, 2, 2, {1, -1}},     /* float8e4m3fn */
        {22, 5, {0x1F, 0x08}, 2, 3, {-1, 1, -8}}, /* int4, two a byte, low first */
        {21, 5, {0x1F, 0x08}, 2, 3, {15, 1, 8}},  /* uint4 */
        {7, 7, {-5, INT64_MAX}, 2, 2, {-5, 9223372036854775807.0}}, /* int64 */
        {12, 11, {4294967295, 7}, 2, 2, {4294967295, 7}},           /* uint32 */
        {6, 5, {-70000}, 1, 1, {-70000}},                           /* int32 */
    };
    for (size_t i = 0; i < ADZE_COUNT(cases); i++) {
        adze_text t = {0};
        put_int(&t, 1, (uint64_t)cases[i].n_elements);
        put_int(&t, 2, (uint64_t)cases[i].type);
        for (int k = 0; k < cases[i].n_numbers; k++)
            put_int(&t, (unsigned)cases[i].field, (uint64_t)cases[i].numbers[k]);
        adze_tensor out;
        if (!read_tensor(f, &t, &out))
            fail_msg("element type %d: %s", cases[i].type,
                     f->ctx.diags.items[f->ctx.diags.count - 1].cause);
        for (int k = 0; k < cases[i].n_elements; k++)
            assert_float_equal(adze_tensor_get_f64(&out, (size_t)k), cases[i].elements[k], 0);
        adze_text_free(&t);
    }
}

static void checks_sizes_against_shapes(void **state) {
    fixture *f = *state;
    static const struct {
        const char *what;
        uint64_t dims[3];
        int n_dims, type, raw; /* raw: bytes of raw_data */
        const char *error;
    } cases[] = {
        {"too few bytes", {4}, 1, 1, 12, "12 bytes"},
        {"too many bytes", {2}, 1, 1, 12, "12 bytes"},
        {"no data", {4}, 1, 1, -1, "0 elements"},
        {"a negative extent", {(uint64_t)-1}, 1, 1, 4, "negative"},
        {"a product that overflows", {1ull << 32, 1ull << 32, 1ull << 32}, 3, 1, 4, "large"},
        {"an unknown type", {1}, 1, 99, 4, "element type 99"},
        {"raw strings", {1}, 1, 8, 4, "strings"},
    };
    for (size_t i = 0; i < ADZE_COUNT(cases); i++) {
        adze_text t = {0};
        for (int k = 0; k < cases[i].n_dims; k++)
            put_int(&t, 1, cases[i].dims[k]);
        put_int(&t, 2, (uint64_t)cases[i].type);
        if (cases[i].raw >= 0)
            put_bytes(&t, 9, "................", (size_t)cases[i].raw);
        adze_tensor out;
        if (read_tensor(f, &t, &out))
            fail_msg("%s was decoded", cases[i].what);
        expect_error(f, cases[i].error);
        adze_text_free(&t);
    }
}

static void keeps_external_data_in_its_folder(void **state) {
    fixture *f = *state;
    static const char *const paths[] = {"/etc/passwd", "../secret", "a/../../b", "", "a\\b", ".."};
    for (size_t i = 0; i < ADZE_COUNT(paths); i++) {
        adze_text t = {0}, entry = {0};
        put_int(&t, 1, 1);
        put_int(&t, 2, 1);
        put_string(&entry, 1, "location");
        put_string(&entry, 2, paths[i]);
        put_message(&t, 13, &entry);
        put_int(&t, 14, 1);
        adze_tensor out;
        if (read_tensor(f, &t, &out))
            fail_msg("'%s' was read", paths[i]);
        expect_error(f, "outside the model's folder");
        adze_text_free(&t);
    }
}

/* ---- importing ---- */

/* A file in the temporary folder with one graph: x [2] f32 in, y out, `nodes` as rows
 * "name op input,input output". */
static const char *write_model(const char *const *nodes, size_t count, const char *dim_param) {
    static char path[64];
    adze_text model = {0}, graph = {0}, opset = {0};
    for (size_t i = 0; i < count; i++) {
        char name[32], op[32], inputs[64], output[32];
        adze_text node = {0};
        if (sscanf(nodes[i], "%31s %31s %63s %31s", name, op, inputs, output) != 4)
            abort();
        for (char *in = strtok(inputs, ","); in; in = strtok(NULL, ","))
            put_string(&node, 1, in);
        put_string(&node, 2, output);
        put_string(&node, 3, name);
        put_string(&node, 4, op);
        put_message(&graph, 1, &node);
    }
    for (int i = 0; i < 2; i++) {
        adze_text value = {0}, type = {0}, tensor = {0}, shape = {0}, dim = {0};
        if (dim_param)
            put_string(&dim, 2, dim_param);
        else
            put_int(&dim, 1, 2);
        put_message(&shape, 1, &dim);
        put_int(&tensor, 1, 1);
        put_message(&tensor, 2, &shape);
        put_message(&type, 1, &tensor);
        put_string(&value, 1, i ? "y" : "x");
        put_message(&value, 2, &type);
        put_message(&graph, i ? 12 : 11, &value);
    }
    put_int(&opset, 2, 17);
    put_message(&model, 8, &opset);
    put_message(&model, 7, &graph);
    strcpy(path, "/tmp/adze-reader-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0 && write(fd, model.data, model.length) == (ssize_t)model.length);
    close(fd);
    adze_text_free(&model);
    return path;
}

static void refuses_broken_graphs(void **state) {
    (void)state;
    static const struct {
        const char *what, *nodes[3], *dim, *node, *error;
    } cases[] = {
        {"a cycle",
         {"a Add x,c b", "b Relu b c", "c Relu c y"},
         NULL,
         "a",
         "made only later, by node 'b'"},
        {"a node that feeds itself", {"a Add x,y y"}, NULL, "a", "cycle"},
        {"a missing tensor", {"a Add x,w y"}, NULL, "a", "'w' is missing"},
        {"an unknown operator",
         {"a Frobnicate x y"},
         NULL,
         "a",
         "Frobnicate (opset 17) is not supported"},
        {"two makers of one value",
         {"a Relu x y", "b Relu x y"},
         NULL,
         "b",
         "something else makes too"},
        {"an output that nothing makes", {"a Relu x z"}, NULL, "", "'y' is made by no node"},
        {"an extent without a number", {"a Relu x y"}, "N", "", "the extent of axis 0 is 'N'"},
    };
    for (size_t i = 0; i < ADZE_COUNT(cases); i++) {
        size_t count = 0;
        while (count < 3 && cases[i].nodes[count])
            count++;
        const char *path = write_model(cases[i].nodes, count, cases[i].dim);
        adze_context *ctx = adze_context_new();
        MlirModule module;
        if (adze_onnx_import(ctx, path, NULL, &module))
            fail_msg("%s was imported", cases[i].what);
        const adze_diagnostic *d = &ctx->diags.items[ctx->diags.count - 1];
        if (strcmp(d->node, cases[i].node) || !strstr(d->cause, cases[i].error))
            fail_msg("%s: the error says '%s' \"%s\", not '%s' \"%s\"", cases[i].what, d->node,
                     d->cause, cases[i].node, cases[i].error);
        adze_context_free(ctx);
        unlink(path);
    }
}

static void imports_with_a_bounded_dimension(void **state) {
    (void)state;
    static const char *const nodes[] = {"a Relu x z", "b Add z,x y"};
    const char *path = write_model(nodes, 2, "N");
    adze_context *ctx = adze_context_new();
    adze_onnx_dim dim = {"N", 1, 8};
    adze_onnx_options opts = {.name = "m", .dims = &dim, .n_dims = 1};
    MlirModule module;
    assert_true(adze_onnx_import(ctx, path, &opts, &module));
    assert_true(adze_module_verify(ctx, module));
    MlirOperation symbol = adze_symbol(module, "adze.dim", "N");
    assert_false(mlirOperationIsNull(symbol));
    assert_int_equal(adze_get_i64(symbol, "hi"), 8);
    adze_text text = {0};
    adze_module_print(module, &text);
    assert_non_null(strstr(text.data, "tensor<?xf32, {dims = [\"N\"]}>"));
    assert_non_null(strstr(text.data, "adze.node = \"b\""));
    adze_text_free(&text);
    mlirModuleDestroy(module);
    adze_context_free(ctx);
    unlink(path);
}

/* The table of operators is searched by halves: it must be sorted, its ranges apart. */
static void finds_operators_by_name(void **state) {
    (void)state;
    const ox_row *rows;
    size_t count = adze_onnx_rows(&rows);
    for (size_t i = 1; i < count; i++) {
        int c = strcmp(rows[i - 1].domain, rows[i].domain);
        c = c ? c : strcmp(rows[i - 1].op, rows[i].op);
        if (c > 0 || (c == 0 && rows[i - 1].high >= rows[i].low))
            fail_msg("%s (%d..%d) stands out of order", rows[i].op, rows[i].low, rows[i].high);
        assert_ptr_equal(ox_find_row(rows[i].domain, rows[i].op, rows[i].low, NULL), &rows[i]);
    }
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(reads_a_model),
        TEST(refuses_every_truncation),
        TEST(refuses_a_million_levels),
        TEST(refuses_what_is_not_a_model),
        TEST(names_a_field_of_the_wrong_type),
        TEST(reads_packed_and_unpacked_alike),
        TEST(decodes_typed_fields),
        TEST(checks_sizes_against_shapes),
        TEST(keeps_external_data_in_its_folder),
        cmocka_unit_test(refuses_broken_graphs),
        cmocka_unit_test(imports_with_a_bounded_dimension),
        cmocka_unit_test(finds_operators_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
