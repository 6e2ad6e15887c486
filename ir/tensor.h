/* Element types and host tensors: how values look outside the IR (constants, reference evaluation,
 * test data). The table of element types is dtype.def. */
#ifndef ADZE_IR_TENSOR_H
#define ADZE_IR_TENSOR_H

#include "ir/base.h"

typedef enum adze_dtype {
    ADZE_NO_DTYPE,
#define DTYPE(id, bits, cls, onnx, mlir, c) ADZE_##id,
#include "ir/dtype.def"
#undef DTYPE
    ADZE_N_DTYPES
} adze_dtype;

typedef struct adze_dtype_info {
    const char *name, *mlir, *c_type;
    int bits; /* in a file; a host tensor uses host_bytes */
    char cls; /* F I U B C S */
    int onnx; /* TensorProto.DataType */
    size_t host_bytes;
} adze_dtype_info;

const adze_dtype_info *adze_dtype_get(adze_dtype dtype);
/* ADZE_NO_DTYPE when unknown. */
adze_dtype adze_dtype_from_onnx(int64_t onnx);
adze_dtype adze_dtype_from_name(const char *name);
/* Bytes of `count` elements as stored in a file or in generated code (sub-byte types packed). */
bool adze_dtype_packed_bytes(adze_dtype dtype, size_t count, size_t *bytes);

typedef struct adze_string {
    const char *data;
    size_t length;
} adze_string;

enum { ADZE_MAX_RANK = 12 };

/* A dense, row-major host tensor. `data` holds count * host_bytes bytes, little-endian; it is owned
 * by whoever made it (usually an arena) and may point into a mapped file: never write to it. */
typedef struct adze_tensor {
    adze_dtype dtype;
    int rank;
    int64_t dims[ADZE_MAX_RANK];
    const void *data;
} adze_tensor;

/* Number of elements; dims are trusted (checked by whoever made the tensor). Rank 0 gives 1. */
size_t adze_tensor_count(const adze_tensor *t);
size_t adze_tensor_host_bytes(const adze_tensor *t);
/* A zeroed tensor in `arena`; false when the product of dims overflows or exceeds 2^40 bytes. */
bool adze_tensor_new(adze_arena *arena, adze_dtype dtype, int rank, const int64_t *dims,
                     adze_tensor *out);
/* Writable access to a tensor this caller just made with adze_tensor_new. */
void *adze_tensor_data(adze_tensor *t);

/* One element as a double / an int64 (floats truncate, 64-bit ints keep all bits); complex: real part. */
double adze_tensor_get_f64(const adze_tensor *t, size_t index);
int64_t adze_tensor_get_i64(const adze_tensor *t, size_t index);
/* Stores with one rounding (nearest, ties to even); integers wrap, like C's conversion of int64. */
void adze_tensor_set_f64(adze_tensor *t, size_t index, double value);
void adze_tensor_set_i64(adze_tensor *t, size_t index, int64_t value);

/* Packed file bytes -> host tensor. When no unpacking is needed the result borrows `bytes`
 * (must be aligned and outlive it), else it is copied into `arena`. */
bool adze_tensor_unpack(adze_arena *arena, adze_dtype dtype, int rank, const int64_t *dims,
                        const void *bytes, size_t n_bytes, adze_tensor *out);
/* Host tensor -> packed bytes appended to `out`. */
void adze_tensor_pack(const adze_tensor *t, adze_text *out);

/* Conversions between a double and the small float formats, by their defining specification
 * (IEEE 754 binary16, bfloat16, OCP FP8/FP4/E8M0); nearest-even. `saturate` as in ONNX Cast. */
double adze_float_decode(adze_dtype dtype, uint32_t bits);
uint32_t adze_float_encode(adze_dtype dtype, double value, bool saturate);

#endif
