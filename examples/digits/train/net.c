// The network as a table, and its parameters: one array of floats, node after node, weights in ONNX
// order ([out, in/groups, ky, kx] for Conv, [out, in] for Gemm) and then the biases.
//
// A plain convolution, a depthwise-separable one, one with a residual connection, and a classifier:
// small enough for a microcontroller, with the operators that real vision networks are made of.
#include "digits.h"

#include <math.h>
#include <string.h>

// clang-format off
const struct node net[NODES] = {
    //            name         op           input     other    c   h   w    k  s  p  groups  encoding
    [IMAGE]    = {"image",     OP_INPUT,    -1,       -1,      1,  28, 28,  0, 0, 0, 0,      ENCODE_UNIT_255},
    [CONV1]    = {"conv1",     OP_CONV,     IMAGE,    -1,      16, 28, 28,  3, 1, 1, 1,      ENCODE_NONE},
    [RELU1]    = {"relu1",     OP_RELU,     CONV1,    -1,      16, 28, 28,  0, 0, 0, 0,      ENCODE_RANGE},
    [POOL1]    = {"pool1",     OP_MAX_POOL, RELU1,    -1,      16, 14, 14,  2, 2, 0, 0,      ENCODE_AS_INPUT},
    [CONV2_DW] = {"conv2_dw",  OP_CONV,     POOL1,    -1,      16, 14, 14,  3, 1, 1, 16,     ENCODE_NONE},
    [RELU2_DW] = {"relu2_dw",  OP_RELU,     CONV2_DW, -1,      16, 14, 14,  0, 0, 0, 0,      ENCODE_RANGE},
    [CONV2_PW] = {"conv2_pw",  OP_CONV,     RELU2_DW, -1,      32, 14, 14,  1, 1, 0, 1,      ENCODE_NONE},
    [RELU2_PW] = {"relu2_pw",  OP_RELU,     CONV2_PW, -1,      32, 14, 14,  0, 0, 0, 0,      ENCODE_RANGE},
    [POOL2]    = {"pool2",     OP_MAX_POOL, RELU2_PW, -1,      32, 7,  7,   2, 2, 0, 0,      ENCODE_AS_INPUT},
    [CONV3]    = {"conv3",     OP_CONV,     POOL2,    -1,      32, 7,  7,   3, 1, 1, 1,      ENCODE_RANGE},
    [ADD3]     = {"add3",      OP_ADD,      CONV3,    POOL2,   32, 7,  7,   0, 0, 0, 0,      ENCODE_NONE},
    [RELU3]    = {"relu3",     OP_RELU,     ADD3,     -1,      32, 7,  7,   0, 0, 0, 0,      ENCODE_RANGE},
    [POOL3]    = {"pool3",     OP_MAX_POOL, RELU3,    -1,      32, 3,  3,   3, 2, 0, 0,      ENCODE_AS_INPUT},
    [FLATTEN]  = {"flatten",   OP_FLATTEN,  POOL3,    -1,      288, 1, 1,   0, 0, 0, 0,      ENCODE_AS_INPUT},
    [FC]       = {"fc",        OP_GEMM,     FLATTEN,  -1,      10, 1,  1,   0, 0, 0, 0,      ENCODE_RANGE},
    [SOFTMAX]  = {"softmax",   OP_SOFTMAX,  FC,       -1,      10, 1,  1,   0, 0, 0, 0,      ENCODE_UNIT_256},
};
// clang-format on

int node_values(int n) {
    return net[n].channels * net[n].height * net[n].width;
}

int node_fan_in(int n) {
    const struct node *node = &net[n];
    if (node->op == OP_CONV)
        return net[node->input].channels / node->groups * node->kernel * node->kernel;
    return node->op == OP_GEMM ? node_values(node->input) : 0;
}

int node_weights(int n) {
    return net[n].channels * node_fan_in(n);
}

int node_parameters(int n) {
    return node_fan_in(n) ? node_weights(n) + net[n].channels : 0;
}

int node_weights_offset(int n) {
    int offset = 0;
    for (int i = 0; i < n; i++)
        offset += node_parameters(i);
    return offset;
}

int node_bias_offset(int n) {
    return node_weights_offset(n) + node_weights(n);
}

void net_initialise(float parameters[PARAMETERS], uint64_t seed) {
    struct random r = random_seed(seed, 0);
    memset(parameters, 0, PARAMETERS * sizeof *parameters);
    for (int n = 0; n < NODES; n++) {
        float *weight = parameters + node_weights_offset(n);
        for (int i = 0; i < node_weights(n); i++)
            weight[i] = sqrtf(2.0f / (float)node_fan_in(n)) * random_normal(&r);
    }
}

bool net_save(const char *path, const float parameters[PARAMETERS]) {
    FILE *file = fopen(path, "wb");
    if (!file) {
        perror(path);
        return false;
    }
    bool ok = fwrite(parameters, sizeof *parameters, PARAMETERS, file) == PARAMETERS;
    return fclose(file) == 0 && ok;
}

bool net_load(const char *path, float parameters[PARAMETERS]) {
    FILE *file = fopen(path, "rb");
    if (!file) {
        perror(path);
        return false;
    }
    bool ok = fread(parameters, sizeof *parameters, PARAMETERS, file) == PARAMETERS;
    fclose(file);
    return ok;
}
