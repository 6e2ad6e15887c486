/* Writes the model files of tests/input.sh into a folder: bad_models FOLDER GOOD.onnx
 *
 * A protobuf writer that builds messages from the back: field() puts a tag and a length before what is
 * there already, so nesting costs nothing. Field numbers are onnx.proto's. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CAPACITY = 64 << 20 };
static unsigned char *memory;
static size_t at = CAPACITY; /* the message so far is memory[at..CAPACITY) */
static const char *folder;
static int fill;       /* the byte that weights are made of */
static int version = 13; /* of the operators in the models that follow */

static void byte(unsigned b) { memory[--at] = (unsigned char)b; }
static void varint(uint64_t v) {
    unsigned char bytes[10];
    int n = 0;
    do
        bytes[n++] = (unsigned char)((v & 127) | (v > 127 ? 128 : 0));
    while (v >>= 7);
    while (n)
        byte(bytes[--n]);
}
static void number(int field, uint64_t v) {
    varint(v);
    varint((uint64_t)field << 3);
}
static void text(int field, const char *s) {
    size_t n = strlen(s);
    at -= n;
    memcpy(memory + at, s, n);
    varint(n);
    varint((uint64_t)field << 3 | 2);
}
/* What was written since `end` becomes field `field`. */
static void field(int number, size_t end) {
    varint(end - at);
    varint((uint64_t)number << 3 | 2);
}
static void put(const char *name, const void *bytes, size_t n) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(bytes, 1, n, f) != n || fclose(f)) {
        perror(path);
        exit(1);
    }
}

/* ---- parts of a model, each written before what is already there ---- */

/* NodeProto in a graph; inputs and outputs separated by blanks. */
static void words(int number, const char *list) {
    const char *end = list + strlen(list);
    while (end > list) {
        const char *start = end;
        while (start > list && start[-1] != ' ')
            start--;
        char word[64];
        snprintf(word, sizeof word, "%.*s", (int)(end - start), start);
        text(number, word);
        end = start > list ? start - 1 : list;
    }
}
/* AttributeProto in a node: one integer, or a list of them separated by blanks. */
static void attribute(const char *name, const char *values, int is_list) {
    size_t end = at;
    number(20, is_list ? 7 : 2);
    for (const char *p = values + strlen(values); p > values;) {
        const char *start = p;
        while (start > values && start[-1] != ' ')
            start--;
        number(is_list ? 8 : 3, strtoull(start, NULL, 10));
        p = start > values ? start - 1 : values;
    }
    text(1, name);
    field(5, end);
}
static void node_fields(const char *op, const char *name, const char *inputs, const char *outputs,
                        size_t end) {
    text(4, op);
    text(3, name);
    words(2, outputs);
    words(1, inputs);
    field(1, end);
}
static void node(const char *op, const char *name, const char *inputs, const char *outputs) {
    node_fields(op, name, inputs, outputs, at);
}
/* A node over [1, 1, extents] with a kernel (NULL: the weight's) and pads. */
static void window(const char *op, const char *name, const char *inputs, const char *outputs,
                   const char *kernel, const char *pads) {
    size_t end = at;
    attribute("pads", pads, 1);
    if (kernel)
        attribute("kernel_shape", kernel, 1);
    node_fields(op, name, inputs, outputs, end);
}
/* ValueInfoProto, float; a dimension is a number or a name. */
static void value(int number_, const char *name, const char *dims) {
    size_t end = at;
    const char *p = dims + strlen(dims);
    while (p > dims) {
        const char *start = p;
        while (start > dims && start[-1] != ' ')
            start--;
        size_t dim = at;
        char word[64];
        snprintf(word, sizeof word, "%.*s", (int)(p - start), start);
        if (word[0] >= '0' && word[0] <= '9')
            number(1, strtoull(word, NULL, 10));
        else
            text(2, word);
        field(1, dim);
        p = start > dims ? start - 1 : dims;
    }
    field(2, end); /* shape */
    number(1, 1);  /* float */
    field(1, end); /* tensor_type */
    field(2, end); /* type */
    text(1, name);
    field(number_, end);
}
/* TensorProto, float, with `bytes` of raw data, whatever its dims say. */
static void tensor(const char *name, int n_dims, const uint64_t *dims, size_t bytes) {
    size_t end = at;
    at -= bytes;
    memset(memory + at, fill, bytes);
    varint(bytes);
    varint(9 << 3 | 2);
    text(8, name);
    number(2, 1);
    while (n_dims)
        number(1, dims[--n_dims]);
    field(5, end);
}
static void external_tensor(const char *name, const char *location) {
    size_t end = at, entry;
    number(14, 1); /* data_location = EXTERNAL */
    entry = at;
    text(2, location);
    text(1, "location");
    field(13, entry);
    text(8, name);
    number(2, 1);
    number(1, 4);
    field(5, end);
}
static void model(const char *file, size_t graph_end) {
    field(7, graph_end);
    size_t opset = at;
    number(2, (uint64_t)version);
    text(1, "");
    field(8, opset);
    number(1, 8); /* ir_version */
    put(file, memory + at, CAPACITY - at);
    at = CAPACITY;
}

/* Small files that ask for terabytes or for years, and kernels far larger than their input. */
static void greedy(void) {
    window("Conv", "wide", "x w", "y", NULL, "50000 50000 50000 50000");
    value(12, "y", "1 1 100004 100004"), value(11, "x", "1 1 4 4");
    tensor("w", 4, (const uint64_t[]){1, 1, 1, 1}, 4);
    model("huge_conv.onnx", CAPACITY);

    node("ReduceSum", "sum", "t", "y"), node("Add", "outer", "a b", "t");
    value(12, "y", "1 1"), value(11, "b", "1 100000"), value(11, "a", "100000 1");
    model("huge_between.onnx", CAPACITY);

    node("Relu", "r", "x", "y");
    value(12, "y", "100000 100000"), value(11, "x", "100000 100000");
    model("huge_input.onnx", CAPACITY);

    version = 17;
    size_t end = at;
    attribute("axis", "1", 0);
    node_fields("DFT", "years", "x", "y", end);
    value(12, "y", "1 1048576 2"), value(11, "x", "1 1048576 1");
    model("huge_dft.onnx", CAPACITY);
    version = 13;

    window("AveragePool", "empty", "x", "y", "2", "3 3");
    value(12, "y", "1 1 9"), value(11, "x", "1 1 4");
    model("pool_of_padding.onnx", CAPACITY);

    window("AveragePool", "tall", "x", "y", "2147483647", "1073741824 1073741824");
    value(12, "y", "1 1 6"), value(11, "x", "1 1 4");
    model("tall_kernel.onnx", CAPACITY);

    fill = 0x3d; /* a scale of 0.046 */
    node("DequantizeLinear", "d1", "pq s", "y"), node("QuantizeLinear", "q1", "p s", "pq");
    window("AveragePool", "tall", "xd", "p", "2147483647", "1073741824 1073741824");
    node("DequantizeLinear", "d0", "xq s", "xd"), node("QuantizeLinear", "q0", "x s", "xq");
    value(12, "y", "1 1 6"), value(11, "x", "1 1 4");
    tensor("s", 0, NULL, 4);
    model("tall_kernel_int8.onnx", CAPACITY);
    fill = 0;
}

/* A million messages in each other: graph { node { attribute { g { node ... */
static void deep(void) {
    static const int numbers[] = {1, 5, 6};
    for (int i = 0; i < 1000000; i++)
        field(numbers[(999999 - i) % 3], CAPACITY);
    model("deep.onnx", CAPACITY);
}

int main(int argc, char **argv) {
    if (argc != 3 || !(memory = malloc(CAPACITY)))
        return 2;
    folder = argv[1];
    static unsigned char good[1 << 20];
    FILE *f = fopen(argv[2], "rb");
    size_t n = f ? fread(good, 1, sizeof good, f) : 0;
    if (n < 1000)
        return 2;
    put("truncated.onnx", good, n / 2);
    put("one_byte_short.onnx", good, n - 1);
    put("empty.onnx", good, 0);
    put("text.onnx", "This is a letter, not a network.\n", 33);
    memset(good, 0xff, 4096);
    put("ones.onnx", good, 4096);
    deep();

    node("Relu", "second", "y", "z"), node("Add", "first", "x z", "y");
    value(12, "z", "4"), value(11, "x", "4");
    model("cycle.onnx", CAPACITY);

    node("Add", "lonely", "x nowhere", "y");
    value(12, "y", "4"), value(11, "x", "4");
    model("missing.onnx", CAPACITY);

    node("Frobnicate", "strange", "x", "y");
    value(12, "y", "4"), value(11, "x", "4");
    model("unsupported.onnx", CAPACITY);

    node("Relu", "r", "x", "y");
    value(12, "y", "batch 4"), value(11, "x", "batch 4");
    model("unbound.onnx", CAPACITY);

    node("Add", "a", "x w", "y");
    value(12, "y", "4"), value(11, "x", "4");
    tensor("w", 1, (const uint64_t[]){1ull << 40}, 16);
    model("short_weight.onnx", CAPACITY);

    node("Add", "a", "x w", "y");
    value(12, "y", "4"), value(11, "x", "4");
    tensor("w", 3, (const uint64_t[]){1ull << 32, 1ull << 32, 1ull << 32}, 16);
    model("overflow.onnx", CAPACITY);

    node("Add", "a", "x w", "y");
    value(12, "y", "4"), value(11, "x", "4");
    tensor("w", 1, (const uint64_t[]){-4ull}, 16);
    model("negative.onnx", CAPACITY);

    node("Add", "a", "x w", "y");
    value(12, "y", "4"), value(11, "x", "4");
    external_tensor("w", "../../../../../../etc/passwd");
    model("outside.onnx", CAPACITY);

    node("MatMul", "m", "x w", "y");
    value(12, "y", "2 5"), value(11, "x", "2 3");
    tensor("w", 2, (const uint64_t[]){4, 5}, 80);
    model("shapes.onnx", CAPACITY);

    node("Softmax", "s2", "y", "z"), node("Softmax", "s1", "x", "y");
    value(12, "z", "1 4096 2048"), value(11, "x", "1 4096 2048");
    model("big.onnx", CAPACITY);
    greedy();
    return 0;
}
