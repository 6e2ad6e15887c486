// Quantises the trained network after training (Jacob et al., "Quantization and training of neural
// networks for efficient integer-arithmetic-only inference", 2018, section 2). Weights are
// symmetric int8, one scale for each output channel; values between the operators are int8 with one
// scale and zero point for each tensor, from the range seen on drawn calibration images; biases are
// int32 at the scale of the products they are added to.
#include "digits.h"

#include <math.h>
#include <stdlib.h>

enum { CALIBRATION_IMAGES = 512, CODE_MIN = -128, CODE_MAX = 127, WEIGHT_MAX = 127 };

static int saturate(float code) {
    return (int)fminf(fmaxf(code, CODE_MIN), CODE_MAX);
}

float affine_round_trip(struct affine a, float x) {
    int code = saturate(rintf(x / a.scale) + (float)a.zero_point); // rintf rounds half to even
    return (float)(code - a.zero_point) * a.scale;
}

// The range must hold 0, so that zero padding and Relu's floor have a code of their own.
static struct affine affine_of_range(float low, float high) {
    low = fminf(low, 0.0f);
    high = fmaxf(high, 0.0f);
    float scale = high > low ? (high - low) / (float)(CODE_MAX - CODE_MIN) : 1.0f;
    return (struct affine){scale, saturate(rintf((float)CODE_MIN - low / scale))};
}

static void calibrate(const float parameters[PARAMETERS], struct activations *a,
                      struct quantized_net *q) {
    float low[NODES] = {0}, high[NODES] = {0};
    for (int i = 0; i < CALIBRATION_IMAGES; i++) {
        struct sample sample;
        float image[IMAGE_PIXELS];
        draw_sample(STREAM_CALIBRATE, (uint64_t)i, &sample);
        reference_image(&sample, image);
        reference_run(parameters, NULL, image, a);
        for (int n = 0; n < NODES; n++)
            for (int v = 0; v < node_values(n); v++) {
                low[n] = fminf(low[n], a->node[n][v]);
                high[n] = fmaxf(high[n], a->node[n][v]);
            }
    }
    for (int n = 0; n < NODES; n++)
        switch (net[n].encoding) {
        case ENCODE_NONE:
            break;
        case ENCODE_RANGE:
            q->value[n] = affine_of_range(low[n], high[n]);
            break;
        case ENCODE_AS_INPUT:
            q->value[n] = q->value[net[n].input];
            break;
        case ENCODE_UNIT_255:
            q->value[n] = (struct affine){1.0f / 255.0f, CODE_MIN};
            break;
        case ENCODE_UNIT_256:
            q->value[n] = (struct affine){1.0f / 256.0f, CODE_MIN};
            break;
        }
}

static void quantize_node(const float parameters[PARAMETERS], int n, struct quantized_net *q) {
    int fan_in = node_fan_in(n);
    for (int c = 0; c < net[n].channels; c++) {
        int row = node_weights_offset(n) + c * fan_in, bias = node_bias_offset(n) + c;
        float top = 0.0f;
        for (int i = row; i < row + fan_in; i++)
            top = fmaxf(top, fabsf(parameters[i]));
        // Where the weights all but vanish, the scale must still let the bias fit into int32.
        float in_scale = q->value[net[n].input].scale;
        float scale = fmaxf(top / WEIGHT_MAX, fabsf(parameters[bias]) / (in_scale * 0x1p30f));
        if (scale == 0.0f)
            scale = 1.0f;
        float bias_scale = in_scale * scale;
        q->weight_scale[n][c] = scale;
        q->bias_scale[n][c] = bias_scale;
        for (int i = row; i < row + fan_in; i++) {
            q->code[i] = (int32_t)rintf(parameters[i] / scale);
            q->dequantized[i] = (float)q->code[i] * scale;
        }
        q->code[bias] = (int32_t)rintf(parameters[bias] / bias_scale);
        q->dequantized[bias] = (float)q->code[bias] * bias_scale;
    }
}

bool quantize(const float parameters[PARAMETERS], struct quantized_net *q) {
    struct activations *a = malloc(sizeof *a);
    if (!a)
        return false;
    calibrate(parameters, a, q);
    for (int n = 0; n < NODES; n++)
        if (node_fan_in(n))
            quantize_node(parameters, n, q);
    free(a);
    return true;
}
