// Writes the network as ONNX, opset 13 (the field numbers are those of onnx.proto). With a
// quantised network it writes the QDQ form: every encoded value passes through QuantizeLinear and
// DequantizeLinear, weights and biases are stored as integers and pass through DequantizeLinear,
// and the operators between stay float operators, which a compiler or runtime turns into integer
// ones.
#include "digits.h"

#include <assert.h>
#include <string.h>

enum { IR_VERSION = 8, OPSET = 13, NAME_BYTES = 64 };

enum {
    MODEL_IR_VERSION = 1,
    MODEL_PRODUCER = 2,
    MODEL_DOC = 6,
    MODEL_GRAPH = 7,
    MODEL_OPSET = 8,
    OPSET_VERSION = 2,
    GRAPH_NODE = 1,
    GRAPH_NAME = 2,
    GRAPH_INITIALIZER = 5,
    GRAPH_INPUT = 11,
    GRAPH_OUTPUT = 12,
    NODE_INPUT = 1,
    NODE_OUTPUT = 2,
    NODE_NAME = 3,
    NODE_OP_TYPE = 4,
    NODE_ATTRIBUTE = 5,
    ATTRIBUTE_NAME = 1,
    ATTRIBUTE_INT = 3,
    ATTRIBUTE_INTS = 8,
    ATTRIBUTE_TYPE = 20,
    TENSOR_DIM = 1,
    TENSOR_TYPE = 2,
    TENSOR_NAME = 8,
    TENSOR_RAW_DATA = 9,
    VALUE_NAME = 1,
    VALUE_TYPE = 2,
    TYPE_TENSOR = 1,
    TYPE_TENSOR_ELEMENT = 1,
    TYPE_TENSOR_SHAPE = 2,
    SHAPE_DIM = 1,
    DIM_VALUE = 1,
};

enum { ATTRIBUTE_TYPE_INT = 2, ATTRIBUTE_TYPE_INTS = 7 };
enum element { ELEMENT_FLOAT = 1, ELEMENT_INT8 = 3, ELEMENT_INT32 = 6 };

static const char *const op_types[] = {
    [OP_CONV] = "Conv",       [OP_RELU] = "Relu", [OP_MAX_POOL] = "MaxPool", [OP_ADD] = "Add",
    [OP_FLATTEN] = "Flatten", [OP_GEMM] = "Gemm", [OP_SOFTMAX] = "Softmax",
};

struct graph {
    struct message body;
    const float *parameters;
    const struct quantized_net *q; // NULL for the float model
};

struct name {
    char text[NAME_BYTES];
};

static struct name named(const char *base, const char *suffix) {
    struct name name;
    int length = snprintf(name.text, sizeof name.text, "%s%s", base, suffix);
    assert(length > 0 && length < NAME_BYTES);
    (void)length;
    return name;
}

// ---- tensors: raw_data is little-endian on every machine ----

static size_t put_little_endian(uint8_t *at, uint32_t bits, size_t bytes) {
    for (size_t i = 0; i < bytes; i++)
        at[i] = (uint8_t)(bits >> 8 * i);
    return bytes;
}

static struct message tensor(const char *name, enum element type, int rank, const int64_t dims[],
                             const uint8_t *raw, size_t bytes) {
    struct message m = {0};
    for (int d = 0; d < rank; d++)
        put_integer(&m, TENSOR_DIM, (uint64_t)dims[d]);
    put_integer(&m, TENSOR_TYPE, type);
    put_text(&m, TENSOR_NAME, name);
    put_bytes(&m, TENSOR_RAW_DATA, raw, bytes);
    return m;
}

static size_t count_of(int rank, const int64_t dims[]) {
    size_t count = 1;
    for (int d = 0; d < rank; d++)
        count *= (size_t)dims[d];
    return count;
}

static struct message float_tensor(const char *name, int rank, const int64_t dims[],
                                   const float values[]) {
    static_assert(sizeof(float) == 4, "raw_data holds 32-bit floats");
    uint8_t raw[PARAMETERS * 4];
    size_t bytes = 0;
    for (size_t i = 0; i < count_of(rank, dims); i++) {
        uint32_t bits;
        memcpy(&bits, &values[i], sizeof bits);
        bytes += put_little_endian(raw + bytes, bits, 4);
    }
    return tensor(name, ELEMENT_FLOAT, rank, dims, raw, bytes);
}

static struct message code_tensor(const char *name, enum element type, int rank,
                                  const int64_t dims[], const int32_t codes[]) {
    uint8_t raw[PARAMETERS * 4];
    size_t bytes = 0;
    for (size_t i = 0; i < count_of(rank, dims); i++)
        bytes += put_little_endian(raw + bytes, (uint32_t)codes[i], type == ELEMENT_INT8 ? 1 : 4);
    return tensor(name, type, rank, dims, raw, bytes);
}

static void add_initializer(struct graph *g, struct message m) {
    put_message(&g->body, GRAPH_INITIALIZER, &m);
}

// ---- nodes ----

static struct message node_begin(const char *op_type, const char *name, const char *output) {
    struct message m = {0};
    put_text(&m, NODE_OP_TYPE, op_type);
    put_text(&m, NODE_NAME, name);
    put_text(&m, NODE_OUTPUT, output);
    return m;
}

static void put_attribute_int(struct message *node, const char *name, int value) {
    struct message m = {0};
    put_text(&m, ATTRIBUTE_NAME, name);
    put_integer(&m, ATTRIBUTE_TYPE, ATTRIBUTE_TYPE_INT);
    put_integer(&m, ATTRIBUTE_INT, (uint64_t)value);
    put_message(node, NODE_ATTRIBUTE, &m);
}

// A list of `count` equal numbers: kernels, strides and pads here are the same on every side.
static void put_attribute_ints(struct message *node, const char *name, int count, int value) {
    struct message m = {0};
    put_text(&m, ATTRIBUTE_NAME, name);
    put_integer(&m, ATTRIBUTE_TYPE, ATTRIBUTE_TYPE_INTS);
    for (int i = 0; i < count; i++)
        put_integer(&m, ATTRIBUTE_INTS, (uint64_t)value);
    put_message(node, NODE_ATTRIBUTE, &m);
}

static void put_attributes(struct message *m, const struct node *node) {
    if (node->op == OP_CONV || node->op == OP_MAX_POOL) {
        put_attribute_ints(m, "kernel_shape", 2, node->kernel);
        put_attribute_ints(m, "strides", 2, node->stride);
        put_attribute_ints(m, "pads", 4, node->pad);
    }
    if (node->op == OP_CONV)
        put_attribute_int(m, "group", node->groups);
    if (node->op == OP_GEMM)
        put_attribute_int(m, "transB", 1);
    if (node->op == OP_FLATTEN || node->op == OP_SOFTMAX)
        put_attribute_int(m, "axis", 1);
}

// ---- quantisation ----

// BASE_quantized → DequantizeLinear → BASE_dequantized, or `output` where that is given. Operands
// BASE_scale and BASE_zero_point are initializers; int32 has no zero point. `axis` < 0: per tensor.
static void add_dequantize(struct graph *g, const char *base, const char *output, bool zero_point,
                           int axis) {
    struct message m = node_begin("DequantizeLinear", named(base, "_dequantize").text,
                                  output ? output : named(base, "_dequantized").text);
    put_text(&m, NODE_INPUT, named(base, "_quantized").text);
    put_text(&m, NODE_INPUT, named(base, "_scale").text);
    if (zero_point)
        put_text(&m, NODE_INPUT, named(base, "_zero_point").text);
    if (axis >= 0)
        put_attribute_int(&m, "axis", axis);
    put_message(&g->body, GRAPH_NODE, &m);
}

static void add_value_codes(struct graph *g, int n) {
    const char *base = net[n].name;
    int32_t zero_point = g->q->value[n].zero_point;
    add_initializer(g, float_tensor(named(base, "_scale").text, 0, NULL, &g->q->value[n].scale));
    add_initializer(
        g, code_tensor(named(base, "_zero_point").text, ELEMENT_INT8, 0, NULL, &zero_point));

    struct message m =
        node_begin("QuantizeLinear", named(base, "_quantize").text, named(base, "_quantized").text);
    put_text(&m, NODE_INPUT, base);
    put_text(&m, NODE_INPUT, named(base, "_scale").text);
    put_text(&m, NODE_INPUT, named(base, "_zero_point").text);
    put_message(&g->body, GRAPH_NODE, &m);
    add_dequantize(g, base, n == SOFTMAX ? "scores" : NULL, true, -1);
}

// ---- weights and biases ----

static int weight_dims(int n, int64_t dims[4]) {
    const struct node *node = &net[n];
    dims[0] = node->channels;
    dims[1] = node->op == OP_GEMM ? node_fan_in(n) : net[node->input].channels / node->groups;
    dims[2] = dims[3] = node->kernel;
    return node->op == OP_GEMM ? 2 : 4;
}

static void add_parameters(struct graph *g, int n) {
    struct name weight = named(net[n].name, ".weight"), bias = named(net[n].name, ".bias");
    int64_t dims[4];
    int rank = weight_dims(n, dims);
    int weights_at = node_weights_offset(n), bias_at = node_bias_offset(n);
    if (!g->q) {
        add_initializer(g, float_tensor(weight.text, rank, dims, g->parameters + weights_at));
        add_initializer(g, float_tensor(bias.text, 1, dims, g->parameters + bias_at));
        return;
    }
    static const int32_t zero[MAX_CHANNELS];
    add_initializer(g, code_tensor(named(weight.text, "_quantized").text, ELEMENT_INT8, rank, dims,
                                   g->q->code + weights_at));
    add_initializer(
        g, float_tensor(named(weight.text, "_scale").text, 1, dims, g->q->weight_scale[n]));
    add_initializer(
        g, code_tensor(named(weight.text, "_zero_point").text, ELEMENT_INT8, 1, dims, zero));
    add_dequantize(g, weight.text, NULL, true, 0);
    add_initializer(g, code_tensor(named(bias.text, "_quantized").text, ELEMENT_INT32, 1, dims,
                                   g->q->code + bias_at));
    add_initializer(g, float_tensor(named(bias.text, "_scale").text, 1, dims, g->q->bias_scale[n]));
    add_dequantize(g, bias.text, NULL, false, 0);
}

// ---- the model ----

// The name under which other nodes read the result of node `n`.
static struct name value_name(const struct graph *g, int n) {
    bool encoded = g->q && net[n].encoding != ENCODE_NONE;
    return named(net[n].name, encoded ? "_dequantized" : "");
}

static void add_operator(struct graph *g, int n) {
    const struct node *node = &net[n];
    bool is_output = n == SOFTMAX && !g->q;
    struct message m =
        node_begin(op_types[node->op], node->name, is_output ? "scores" : node->name);
    put_text(&m, NODE_INPUT, value_name(g, node->input).text);
    if (node->op == OP_ADD)
        put_text(&m, NODE_INPUT, value_name(g, node->other).text);
    if (node_fan_in(n)) {
        const char *suffix = g->q ? "_dequantized" : "";
        put_text(&m, NODE_INPUT, named(named(node->name, ".weight").text, suffix).text);
        put_text(&m, NODE_INPUT, named(named(node->name, ".bias").text, suffix).text);
    }
    put_attributes(&m, node);
    put_message(&g->body, GRAPH_NODE, &m);
}

static void add_graph_value(struct graph *g, int field, const char *name, int rank,
                            const int64_t dims[]) {
    struct message shape = {0}, tensor_type = {0}, type = {0}, value = {0};
    for (int d = 0; d < rank; d++) {
        struct message dim = {0};
        put_integer(&dim, DIM_VALUE, (uint64_t)dims[d]);
        put_message(&shape, SHAPE_DIM, &dim);
    }
    put_integer(&tensor_type, TYPE_TENSOR_ELEMENT, ELEMENT_FLOAT);
    put_message(&tensor_type, TYPE_TENSOR_SHAPE, &shape);
    put_message(&type, TYPE_TENSOR, &tensor_type);
    put_text(&value, VALUE_NAME, name);
    put_message(&value, VALUE_TYPE, &type);
    put_message(&g->body, field, &value);
}

bool onnx_write_model(const char *path, const float parameters[PARAMETERS],
                      const struct quantized_net *q) {
    struct graph g = {.parameters = parameters, .q = q};
    put_text(&g.body, GRAPH_NAME, q ? "digits_int8" : "digits");
    for (int n = 0; n < NODES; n++) {
        if (node_fan_in(n))
            add_parameters(&g, n);
        if (net[n].op != OP_INPUT)
            add_operator(&g, n);
        if (q && net[n].encoding != ENCODE_NONE)
            add_value_codes(&g, n);
    }
    add_graph_value(&g, GRAPH_INPUT, "image", 4, (int64_t[]){1, 1, IMAGE_SIDE, IMAGE_SIDE});
    add_graph_value(&g, GRAPH_OUTPUT, "scores", 2, (int64_t[]){1, CLASSES});

    struct message opset = {0}, model = {0};
    put_integer(&opset, OPSET_VERSION, OPSET);
    put_integer(&model, MODEL_IR_VERSION, IR_VERSION);
    put_text(&model, MODEL_PRODUCER, "adze examples/digits");
    put_text(&model, MODEL_DOC,
             "Digits 0 to 9 on 28x28 grey images, bright ink on dark paper, pixels from 0 to 1.");
    put_message(&model, MODEL_OPSET, &opset);
    put_message(&model, MODEL_GRAPH, &g.body);
    return message_write(&model, path);
}

bool onnx_write_tensor(const char *path, const char *name, int rank, const int64_t dims[],
                       const float values[]) {
    struct message m = float_tensor(name, rank, dims, values);
    return message_write(&m, path);
}
