// The exact forward pass, one image at a time. The accuracies and the reference outputs of the ONNX
// models come from here, so it follows the ONNX definition of each operator and shares no code with
// the trainer.
#include "digits.h"

#include <math.h>
#include <string.h>

static void conv(const struct node *node, const float *weight, const float *bias, const float *in,
                 float *out) {
    int height = node->height, width = node->width;
    int in_per_group = net[node->input].channels / node->groups;
    int out_per_group = node->channels / node->groups;
    for (int o = 0; o < node->channels; o++, weight += in_per_group * node->kernel * node->kernel) {
        const float *group = in + o / out_per_group * in_per_group * height * width;
        for (int y = 0; y < height; y++)
            for (int x = 0; x < width; x++) {
                double sum = bias[o];
                const float *w = weight;
                for (int i = 0; i < in_per_group; i++)
                    for (int ky = 0; ky < node->kernel; ky++)
                        for (int kx = 0; kx < node->kernel; kx++, w++) {
                            int r = y + ky - node->pad, c = x + kx - node->pad;
                            if (r >= 0 && r < height && c >= 0 && c < width)
                                sum += (double)*w * group[(i * height + r) * width + c];
                        }
                *out++ = (float)sum;
            }
    }
}

static void max_pool(const struct node *node, const float *in, float *out) {
    const struct node *from = &net[node->input];
    for (int c = 0; c < node->channels; c++, in += from->height * from->width)
        for (int y = 0; y < node->height; y++)
            for (int x = 0; x < node->width; x++) {
                const float *corner = in + y * node->stride * from->width + x * node->stride;
                float top = *corner;
                for (int ky = 0; ky < node->kernel; ky++)
                    for (int kx = 0; kx < node->kernel; kx++)
                        top = fmaxf(top, corner[ky * from->width + kx]);
                *out++ = top;
            }
}

static void gemm(int rows, int columns, const float *weight, const float *bias, const float *in,
                 float *out) {
    for (int o = 0; o < rows; o++) {
        double sum = bias[o];
        for (int i = 0; i < columns; i++)
            sum += (double)weight[o * columns + i] * in[i];
        out[o] = (float)sum;
    }
}

static void softmax(const float *in, float *out) {
    double power[CLASSES], sum = 0.0;
    float top = in[0];
    for (int c = 1; c < CLASSES; c++)
        top = fmaxf(top, in[c]);
    for (int c = 0; c < CLASSES; c++) {
        power[c] = exp((double)in[c] - top);
        sum += power[c];
    }
    for (int c = 0; c < CLASSES; c++)
        out[c] = (float)(power[c] / sum);
}

void reference_run(const float parameters[PARAMETERS], const struct quantized_net *q,
                   const float image[IMAGE_PIXELS], struct activations *a) {
    if (q)
        parameters = q->dequantized;
    for (int n = 0; n < NODES; n++) {
        const struct node *node = &net[n];
        const float *weight = parameters + node_weights_offset(n);
        const float *bias = parameters + node_bias_offset(n);
        const float *in = node->op == OP_INPUT ? image : a->node[node->input];
        float *out = a->node[n];
        int values = node_values(n);
        switch (node->op) {
        case OP_INPUT:
        case OP_FLATTEN:
            memcpy(out, in, (size_t)values * sizeof *out);
            break;
        case OP_CONV:
            conv(node, weight, bias, in, out);
            break;
        case OP_RELU:
            for (int i = 0; i < values; i++)
                out[i] = fmaxf(in[i], 0.0f);
            break;
        case OP_MAX_POOL:
            max_pool(node, in, out);
            break;
        case OP_ADD:
            for (int i = 0; i < values; i++)
                out[i] = in[i] + a->node[node->other][i];
            break;
        case OP_GEMM:
            gemm(node->channels, node_fan_in(n), weight, bias, in, out);
            break;
        case OP_SOFTMAX:
            softmax(in, out);
            break;
        }
        if (q && node->encoding != ENCODE_NONE)
            for (int i = 0; i < values; i++)
                out[i] = affine_round_trip(q->value[n], out[i]);
    }
}

void reference_image(const struct sample *sample, float image[IMAGE_PIXELS]) {
    for (int i = 0; i < IMAGE_PIXELS; i++)
        image[i] = pixel_value(sample->pixel[i]);
}

int reference_class(const struct activations *a) {
    int best = 0;
    for (int c = 1; c < CLASSES; c++)
        if (a->node[SOFTMAX][c] > a->node[SOFTMAX][best])
            best = c;
    return best;
}
