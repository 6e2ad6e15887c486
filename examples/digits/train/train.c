// Trains the network: forward, backward, Adam.
//
// Sixteen images lie side by side: the innermost index of every value is the image, so one vector
// instruction serves sixteen images, whatever the shape of the layer. A batch is four such groups;
// two threads take two each. Gradients are kept per group and summed in a fixed order, so the
// result does not depend on which thread was faster. Each image is drawn when it is needed and seen
// once.
#include "digits.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { LANES = 16, GROUPS = 4, THREADS = 2, BATCH = LANES * GROUPS };
#define SMOOTHING 0.1f

typedef float lanes __attribute__((vector_size(LANES * sizeof(float))));

struct worker {
    const float *parameters;
    int step, first_group; // takes groups first_group, first_group + THREADS, ...
    lanes *value[NODES];
    lanes *grad[NODES]; // derivative of the loss by each value
    uint8_t label[LANES];
    float parameter_grad[GROUPS][PARAMETERS]; // only the worker's own groups are filled
    double loss;
};

typedef int32_t mask __attribute__((vector_size(LANES * sizeof(int32_t))));

static lanes lanes_where(mask m, lanes a) {
    return (lanes)(m & (mask)a);
}

static lanes lanes_max(lanes a, lanes b) {
    mask m = a > b;
    return (lanes)((m & (mask)a) | (~m & (mask)b));
}

static float lanes_sum(lanes a) {
    float sum = 0.0f;
    for (int l = 0; l < LANES; l++)
        sum += a[l];
    return sum;
}

// ---- convolution: for each pair of channels and each tap, a row of outputs meets a row of inputs
// ----

// The rows and columns of the output for which tap `k` stays inside the input.
struct span {
    int first, end;
};

static struct span tap_span(int k, int pad, int extent) {
    int first = pad - k, end = extent + pad - k;
    return (struct span){first < 0 ? 0 : first, end > extent ? extent : end};
}

static void conv_forward(const struct node *node, const float *weight, const float *bias,
                         const lanes *in, lanes *out) {
    int height = node->height, width = node->width, plane = height * width;
    int in_per_group = net[node->input].channels / node->groups;
    int out_per_group = node->channels / node->groups;
    for (int o = 0; o < node->channels; o++) {
        lanes *y_plane = out + o * plane;
        for (int i = 0; i < plane; i++)
            y_plane[i] = (lanes){0} + bias[o];
        const lanes *x_plane = in + o / out_per_group * in_per_group * plane;
        for (int i = 0; i < in_per_group; i++, x_plane += plane)
            for (int ky = 0; ky < node->kernel; ky++)
                for (int kx = 0; kx < node->kernel; kx++) {
                    float w = *weight++;
                    struct span rows = tap_span(ky, node->pad, height);
                    struct span columns = tap_span(kx, node->pad, width);
                    for (int r = rows.first; r < rows.end; r++) {
                        lanes *y = y_plane + r * width;
                        const lanes *x = x_plane + (r + ky - node->pad) * width + kx - node->pad;
                        for (int c = columns.first; c < columns.end; c++)
                            y[c] += w * x[c];
                    }
                }
    }
}

static void conv_backward(const struct node *node, const float *weight, const lanes *in,
                          const lanes *out_grad, lanes *in_grad, float *weight_grad,
                          float *bias_grad) {
    int height = node->height, width = node->width, plane = height * width;
    int in_per_group = net[node->input].channels / node->groups;
    int out_per_group = node->channels / node->groups;
    for (int o = 0; o < node->channels; o++) {
        const lanes *dy_plane = out_grad + o * plane;
        lanes bias_sum = {0};
        for (int i = 0; i < plane; i++)
            bias_sum += dy_plane[i];
        bias_grad[o] = lanes_sum(bias_sum);
        int offset = o / out_per_group * in_per_group * plane;
        for (int i = 0; i < in_per_group; i++, offset += plane)
            for (int ky = 0; ky < node->kernel; ky++)
                for (int kx = 0; kx < node->kernel; kx++) {
                    float w = *weight++;
                    lanes sum = {0};
                    struct span rows = tap_span(ky, node->pad, height);
                    struct span columns = tap_span(kx, node->pad, width);
                    for (int r = rows.first; r < rows.end; r++) {
                        const lanes *dy = dy_plane + r * width;
                        int shifted = offset + (r + ky - node->pad) * width + kx - node->pad;
                        for (int c = columns.first; c < columns.end; c++) {
                            sum += dy[c] * in[shifted + c];
                            in_grad[shifted + c] += w * dy[c];
                        }
                    }
                    *weight_grad++ = lanes_sum(sum);
                }
    }
}

// ---- the other operators ----

static void gemm_forward(int rows, int columns, const float *weight, const float *bias,
                         const lanes *in, lanes *out) {
    for (int o = 0; o < rows; o++) {
        lanes sum = (lanes){0} + bias[o];
        for (int i = 0; i < columns; i++)
            sum += weight[o * columns + i] * in[i];
        out[o] = sum;
    }
}

static void gemm_backward(int rows, int columns, const float *weight, const lanes *in,
                          const lanes *out_grad, lanes *in_grad, float *weight_grad,
                          float *bias_grad) {
    for (int o = 0; o < rows; o++) {
        for (int i = 0; i < columns; i++) {
            weight_grad[o * columns + i] = lanes_sum(out_grad[o] * in[i]);
            in_grad[i] += weight[o * columns + i] * out_grad[o];
        }
        bias_grad[o] = lanes_sum(out_grad[o]);
    }
}

static void pool_forward(const struct node *node, const lanes *in, lanes *out) {
    const struct node *from = &net[node->input];
    for (int c = 0; c < node->channels; c++, in += from->height * from->width)
        for (int y = 0; y < node->height; y++)
            for (int x = 0; x < node->width; x++) {
                const lanes *corner = in + y * node->stride * from->width + x * node->stride;
                lanes top = *corner;
                for (int ky = 0; ky < node->kernel; ky++)
                    for (int kx = 0; kx < node->kernel; kx++)
                        top = lanes_max(top, corner[ky * from->width + kx]);
                *out++ = top;
            }
}

// The gradient goes to the first input that equals the maximum.
static void pool_backward(const struct node *node, const lanes *in, const lanes *out,
                          const lanes *out_grad, lanes *in_grad) {
    const struct node *from = &net[node->input];
    int plane = from->height * from->width;
    for (int c = 0; c < node->channels; c++, in += plane, in_grad += plane)
        for (int y = 0; y < node->height; y++)
            for (int x = 0; x < node->width; x++, out++, out_grad++) {
                int corner = y * node->stride * from->width + x * node->stride;
                lanes rest = *out_grad;
                for (int ky = 0; ky < node->kernel; ky++)
                    for (int kx = 0; kx < node->kernel; kx++) {
                        int i = corner + ky * from->width + kx;
                        lanes share = lanes_where(in[i] == *out, rest);
                        in_grad[i] += share;
                        rest -= share;
                    }
            }
}

static void softmax_forward(const lanes *in, lanes *out) {
    lanes top = in[0], sum = {0};
    for (int c = 1; c < CLASSES; c++)
        top = lanes_max(top, in[c]);
    for (int c = 0; c < CLASSES; c++) {
        for (int l = 0; l < LANES; l++)
            out[c][l] = expf(in[c][l] - top[l]);
        sum += out[c];
    }
    for (int c = 0; c < CLASSES; c++)
        out[c] /= sum;
}

// ---- the network ----

static void forward(struct worker *w) {
    for (int n = 1; n < NODES; n++) {
        const struct node *node = &net[n];
        const float *weight = w->parameters + node_weights_offset(n);
        const float *bias = w->parameters + node_bias_offset(n);
        const lanes *in = w->value[node->input];
        lanes *out = w->value[n];
        int values = node_values(n);
        switch (node->op) {
        case OP_INPUT:
            break;
        case OP_CONV:
            conv_forward(node, weight, bias, in, out);
            break;
        case OP_RELU:
            for (int i = 0; i < values; i++)
                out[i] = lanes_max(in[i], (lanes){0});
            break;
        case OP_MAX_POOL:
            pool_forward(node, in, out);
            break;
        case OP_ADD:
            for (int i = 0; i < values; i++)
                out[i] = in[i] + w->value[node->other][i];
            break;
        case OP_FLATTEN:
            memcpy(out, in, (size_t)values * sizeof *out);
            break;
        case OP_GEMM:
            gemm_forward(node->channels, node_fan_in(n), weight, bias, in, out);
            break;
        case OP_SOFTMAX:
            softmax_forward(in, out);
            break;
        }
    }
}

// Cross-entropy after Softmax: the derivative by the logits is the scores less the target. The
// target keeps a little for the wrong digits (label smoothing, Szegedy et al. 2016, section 7), so
// the logits stay small: their int8 steps are fine, and the scores of the reference sets are not
// just 0 and 1.
static void loss_backward(struct worker *w) {
    const lanes *score = w->value[SOFTMAX];
    lanes *logit_grad = w->grad[FC];
    for (int l = 0; l < LANES; l++) {
        w->loss -= logf(score[w->label[l]][l] + 1e-12f);
        for (int c = 0; c < CLASSES; c++) {
            float target = SMOOTHING / CLASSES + (c == w->label[l] ? 1.0f - SMOOTHING : 0.0f);
            logit_grad[c][l] = (score[c][l] - target) / BATCH;
        }
    }
}

static void backward(struct worker *w, float *parameter_grad) {
    for (int n = 0; n < NODES; n++)
        memset(w->grad[n], 0, (size_t)node_values(n) * sizeof(lanes));
    loss_backward(w);
    for (int n = FC; n > 0; n--) {
        const struct node *node = &net[n];
        const float *weight = w->parameters + node_weights_offset(n);
        float *weight_grad = parameter_grad + node_weights_offset(n);
        float *bias_grad = parameter_grad + node_bias_offset(n);
        const lanes *in = w->value[node->input], *out = w->value[n], *out_grad = w->grad[n];
        lanes *in_grad = w->grad[node->input];
        int values = node_values(n);
        switch (node->op) {
        case OP_INPUT:
        case OP_SOFTMAX:
            break;
        case OP_CONV:
            conv_backward(node, weight, in, out_grad, in_grad, weight_grad, bias_grad);
            break;
        case OP_RELU:
            for (int i = 0; i < values; i++)
                in_grad[i] += lanes_where(in[i] > 0.0f, out_grad[i]);
            break;
        case OP_MAX_POOL:
            pool_backward(node, in, out, out_grad, in_grad);
            break;
        case OP_ADD:
            for (int i = 0; i < values; i++) {
                in_grad[i] += out_grad[i];
                w->grad[node->other][i] += out_grad[i];
            }
            break;
        case OP_FLATTEN:
            for (int i = 0; i < values; i++)
                in_grad[i] += out_grad[i];
            break;
        case OP_GEMM:
            gemm_backward(node->channels, node_fan_in(n), weight, in, out_grad, in_grad,
                          weight_grad, bias_grad);
            break;
        }
    }
}

static void *run_worker(void *argument) {
    struct worker *w = argument;
    w->loss = 0.0;
    for (int g = w->first_group; g < GROUPS; g += THREADS) {
        uint64_t first = ((uint64_t)w->step * GROUPS + (uint64_t)g) * LANES;
        for (int l = 0; l < LANES; l++) {
            struct sample sample;
            draw_sample(STREAM_TRAIN, first + (uint64_t)l, &sample);
            w->label[l] = sample.label;
            for (int i = 0; i < IMAGE_PIXELS; i++)
                w->value[IMAGE][i][l] = pixel_value(sample.pixel[i]);
        }
        forward(w);
        backward(w, w->parameter_grad[g]);
    }
    return NULL;
}

// ---- Adam (Kingma and Ba, 2015, algorithm 1) ----

struct adam {
    float mean[PARAMETERS], square[PARAMETERS];
};

static void adam_step(struct adam *a, float *parameters, const struct worker workers[THREADS],
                      int t, float rate) {
    const float beta1 = 0.9f, beta2 = 0.999f, epsilon = 1e-8f;
    float correct1 = 1.0f - powf(beta1, (float)t), correct2 = 1.0f - powf(beta2, (float)t);
    for (int i = 0; i < PARAMETERS; i++) {
        float grad = 0.0f;
        for (int g = 0; g < GROUPS; g++)
            grad += workers[g % THREADS].parameter_grad[g][i];
        a->mean[i] = beta1 * a->mean[i] + (1.0f - beta1) * grad;
        a->square[i] = beta2 * a->square[i] + (1.0f - beta2) * grad * grad;
        parameters[i] -=
            rate * (a->mean[i] / correct1) / (sqrtf(a->square[i] / correct2) + epsilon);
    }
}

static bool allocate(struct worker *w) {
    for (int n = 0; n < NODES; n++) {
        size_t bytes = (size_t)node_values(n) * sizeof(lanes);
        w->value[n] = aligned_alloc(sizeof(lanes), bytes);
        w->grad[n] = aligned_alloc(sizeof(lanes), bytes);
        if (!w->value[n] || !w->grad[n])
            return false;
    }
    return true;
}

static void release(struct worker *w) {
    for (int n = 0; n < NODES; n++) {
        free(w->value[n]);
        free(w->grad[n]);
    }
}

static bool train_step(struct worker workers[THREADS], int step) {
    pthread_t thread[THREADS];
    int started = 1;
    for (int t = 0; t < THREADS; t++)
        workers[t].step = step;
    while (started < THREADS &&
           pthread_create(&thread[started], NULL, run_worker, &workers[started]) == 0)
        started++;
    run_worker(&workers[0]);
    for (int t = 1; t < started; t++)
        pthread_join(thread[t], NULL);
    return started == THREADS;
}

bool train(float parameters[PARAMETERS], const struct training *options, FILE *log) {
    enum { REPORT = 250 };
    struct worker *workers = calloc(THREADS, sizeof *workers);
    struct adam *adam = calloc(1, sizeof *adam);
    bool ok = workers && adam;
    for (int t = 0; ok && t < THREADS; t++) {
        workers[t].parameters = parameters;
        workers[t].first_group = t;
        ok = allocate(&workers[t]);
    }
    double loss = 0.0;
    for (int step = 0; ok && step < options->steps; step++) {
        ok = train_step(workers, step);
        float progress = (float)step / (float)options->steps;
        float rate = options->learning_rate * 0.5f * (1.0f + cosf(3.14159265f * progress));
        adam_step(adam, parameters, workers, step + 1, rate);
        for (int t = 0; t < THREADS; t++)
            loss += workers[t].loss;
        if ((step + 1) % REPORT == 0) {
            fprintf(log, "step %5d of %d  cross-entropy %.4f\n", step + 1, options->steps,
                    loss / (REPORT * BATCH));
            fflush(log);
            loss = 0.0;
        }
    }
    for (int t = 0; workers && t < THREADS; t++)
        release(&workers[t]);
    free(workers);
    free(adam);
    return ok;
}
