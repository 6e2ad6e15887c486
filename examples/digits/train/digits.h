// The shared header of the digits example: draw images, train a network on them, quantise it, write
// it as ONNX. One section for each file, in the order in which the data flows.
//
//     glyphs.c ─ draw.c ─ train.c ─ weights.f32 ─┬─ reference.c ─┬─ evaluate.c   accuracy
//                         net.c                  └─ quantize.c ──┴─ export.c     models
#ifndef DIGITS_H
#define DIGITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { IMAGE_SIDE = 28, IMAGE_PIXELS = IMAGE_SIDE * IMAGE_SIDE, CLASSES = 10, GLYPH_STYLES = 5 };

// Streams of drawn images. Image i of a stream is a function of (stream, i) alone, so any thread
// can draw it, and images held out from training stay the same ones for ever.
enum { STREAM_TRAIN = 1, STREAM_CALIBRATE = 2, STREAM_HELD_OUT = 3 };

// ---- random.c: splitmix64, one state per image or per initialisation ----

struct random {
    uint64_t state;
};

struct random random_seed(uint64_t stream, uint64_t index);
uint32_t random_below(struct random *r, uint32_t bound);
float random_uniform(struct random *r, float low, float high);
float random_normal(struct random *r);
bool random_chance(struct random *r, float probability);

// ---- glyphs.c: the strokes of the digits, as text ----

// A path in a box 60 wide and 100 high, y downwards. M x y moves, L x y draws a line,
// C x1 y1 x2 y2 x y a cubic Bézier curve, E cx cy rx ry from to an elliptical arc in degrees
// (0 right, 90 down) as a stroke of its own; e is E joined to the stroke before it.
extern const char *const glyphs[CLASSES][GLYPH_STYLES];

// ---- draw.c: one grey image of one digit ----

struct sample {
    uint8_t pixel[IMAGE_PIXELS]; // [28,28] row-major, ink is bright
    uint8_t label;
};

// Image `index` of `stream`. The label is index modulo 10, so every run of ten images has each
// digit.
void draw_sample(uint64_t stream, uint64_t index, struct sample *sample);

// What the network reads: pixels from 0 to 1.
static inline float pixel_value(uint8_t pixel) {
    return (float)pixel / 255.0f;
}

// ---- net.c: the network as a table ----

enum op { OP_INPUT, OP_CONV, OP_RELU, OP_MAX_POOL, OP_ADD, OP_FLATTEN, OP_GEMM, OP_SOFTMAX };

// How the int8 model stores a node's result.
enum encoding {
    ENCODE_NONE,     // not at all: the Relu that follows is fused with the node
    ENCODE_RANGE,    // its own scale and zero point, from the range seen in calibration
    ENCODE_AS_INPUT, // the operator only moves values, so its input's scale and zero point stay
    ENCODE_UNIT_255, // [0,1] in steps of 1/255: exact for pixels
    ENCODE_UNIT_256, // [0,1) in steps of 1/256: customary for Softmax
};

// One operator. Results are [channels, height, width] row-major for one image.
struct node {
    const char *name;
    enum op op;
    int input, other; // node numbers; `other` is the second operand of Add
    int channels, height, width;
    int kernel, stride, pad, groups;
    enum encoding encoding;
};

enum {
    IMAGE,
    CONV1,
    RELU1,
    POOL1,
    CONV2_DW,
    RELU2_DW,
    CONV2_PW,
    RELU2_PW,
    POOL2,
    CONV3,
    ADD3,
    RELU3,
    POOL3,
    FLATTEN,
    FC,
    SOFTMAX,
    NODES
};
enum { MAX_CHANNELS = 288, MAX_VALUES = 16 * IMAGE_PIXELS, PARAMETERS = 13002 };

extern const struct node net[NODES];

int node_values(int n);         // values in the node's result
int node_fan_in(int n);         // weights for each output channel; 0 for a node without weights
int node_weights(int n);        // weights in all, biases not counted
int node_parameters(int n);     // weights and biases
int node_weights_offset(int n); // where its weights start in the parameter array
int node_bias_offset(int n);    // where its biases start

void net_initialise(float parameters[PARAMETERS], uint64_t seed); // He initialisation
// A weights file is the parameter array as it lies in memory: 32-bit floats, little-endian.
bool net_save(const char *path, const float parameters[PARAMETERS]);
bool net_load(const char *path, float parameters[PARAMETERS]);

// ---- train.c ----

struct training {
    int steps;
    float learning_rate; // at the start; falls to 0 along a cosine
    uint64_t seed;
};

// Trains in place from the given start on STREAM_TRAIN, and reports the cross-entropy to `log`.
bool train(float parameters[PARAMETERS], const struct training *options, FILE *log);

// ---- quantize.c ----

struct affine {
    float scale;
    int zero_point; // real = (code - zero_point) * scale
};

struct quantized_net {
    struct affine value[NODES];              // of each node's result; unused for ENCODE_NONE
    float weight_scale[NODES][MAX_CHANNELS]; // for each output channel
    float bias_scale[NODES][MAX_CHANNELS];   // the input's scale times weight_scale
    int32_t code[PARAMETERS];                // weights within int8, biases int32
    float dequantized[PARAMETERS];           // code times scale, as DequantizeLinear computes it
};

float affine_round_trip(struct affine a, float x); // QuantizeLinear, then DequantizeLinear
bool quantize(const float parameters[PARAMETERS], struct quantized_net *q);

// ---- reference.c: the exact forward pass ----

struct activations {
    float node[NODES][MAX_VALUES];
};

// The network on one image: products summed in double, each result rounded once to float. With `q`,
// the int8 model as ONNX defines it: weights are the dequantised ones and every encoded result goes
// through QuantizeLinear and DequantizeLinear; `parameters` is then not read.
void reference_run(const float parameters[PARAMETERS], const struct quantized_net *q,
                   const float image[IMAGE_PIXELS], struct activations *out);
void reference_image(const struct sample *sample, float image[IMAGE_PIXELS]);
int reference_class(const struct activations *a);

// ---- evaluate.c ----

bool evaluate(const float parameters[PARAMETERS], const struct quantized_net *q, int images,
              FILE *out);

// ---- protobuf.c: the few encodings that ONNX needs ----

// A growing message. After a failed allocation it stays empty and `failed` is set.
struct message {
    uint8_t *data;
    size_t bytes, capacity;
    bool failed;
};

void put_integer(struct message *m, int field, uint64_t value);
void put_bytes(struct message *m, int field, const void *data, size_t bytes);
void put_text(struct message *m, int field, const char *text);
void put_message(struct message *m, int field, struct message *inner); // frees `inner`
bool message_write(struct message *m, const char *path);               // frees `m`

// ---- onnx_write.c ----

// The float model, or with `q` the QDQ model.
bool onnx_write_model(const char *path, const float parameters[PARAMETERS],
                      const struct quantized_net *q);
// One float tensor as a TensorProto file.
bool onnx_write_tensor(const char *path, const char *name, int rank, const int64_t dims[],
                       const float values[]);

// ---- export.c ----

// Writes DIR/float, DIR/int8 (model and test data), DIR/samples and DIR/labels.csv.
bool export_all(const char *dir, const float parameters[PARAMETERS], const struct quantized_net *q);
// Writes the first `count` held-out images as DIR/NNNNN.png, and DIR/labels.csv.
bool export_images(const char *dir, int count);

#endif
