/* A bounded, iterative protobuf reader: bytes in memory -> structs made from schema.def.
 *
 * Strings and tensor bytes are slices of the input, never copied. Depth, lengths and counts are
 * checked; unknown fields are skipped. The structs live in an arena.
 * Format: https://protobuf.dev/programming-guides/encoding and onnx.proto. */
#ifndef ADZE_FRONTEND_ONNX_WIRE_H
#define ADZE_FRONTEND_ONNX_WIRE_H

#include "ir/base.h"
#include "ir/tensor.h"

/* Repeated scalars stay encoded: runs of packed elements (an unpacked element is a run of one). */
typedef struct onnx_scalars {
    adze_string *runs;
    size_t n_runs, capacity;
    size_t count; /* elements in all runs */
} onnx_scalars;

typedef struct onnx_strings {
    adze_string *items;
    size_t count, capacity;
} onnx_strings;

#define MESSAGE(name) typedef struct onnx_##name onnx_##name;
#define FIELD(message, number, kind, type, member)
#define END(name)
#include "frontend/onnx/schema.def"
#undef MESSAGE
#undef FIELD

#define ONNX_INT(type, member) int64_t member;
#define ONNX_F32(type, member) float member;
#define ONNX_BYTES(type, member) adze_string member;
#define ONNX_MSG(type, member) onnx_##type *member;
#define ONNX_REP_BYTES(type, member) onnx_strings member;
#define ONNX_REP_INT(type, member) onnx_scalars member;
#define ONNX_REP_F32(type, member) onnx_scalars member;
#define ONNX_REP_F64(type, member) onnx_scalars member;
#define ONNX_REP_MSG(type, member)                                                                 \
    struct {                                                                                       \
        onnx_##type **items;                                                                       \
        size_t count, capacity;                                                                    \
    } member;
/* Every struct starts with `present`: bit number % 64 of each field seen. */
#define MESSAGE(name)                                                                              \
    struct onnx_##name {                                                                           \
        uint64_t present;
#define FIELD(message, number, kind, type, member) ONNX_##kind(type, member)
#undef END
#define END(name)                                                                                  \
    }                                                                                              \
    ;
#include "frontend/onnx/schema.def"
#undef MESSAGE
#undef FIELD
#undef END
#undef ONNX_INT
#undef ONNX_F32
#undef ONNX_BYTES
#undef ONNX_MSG
#undef ONNX_REP_BYTES
#undef ONNX_REP_INT
#undef ONNX_REP_F32
#undef ONNX_REP_F64
#undef ONNX_REP_MSG

#define ONNX_HAS(message, number) (((message)->present >> (number)) & 1)

enum { ADZE_ONNX_MAX_DEPTH = 64 };

/* Read `length` bytes as one message. Structs go to `arena`, slices point into `bytes`. False after
 * a diagnostic with the byte offset and the message's name. */
bool adze_onnx_parse_model(adze_arena *arena, adze_diagnostics *diags, const void *bytes,
                           size_t length, onnx_ModelProto *out);
bool adze_onnx_parse_tensor(adze_arena *arena, adze_diagnostics *diags, const void *bytes,
                            size_t length, onnx_TensorProto *out);

/* All elements of a varint / 4-byte / 8-byte list, in a new array of `s->count`. */
int64_t *adze_onnx_ints(adze_arena *arena, const onnx_scalars *s);
float *adze_onnx_floats(adze_arena *arena, const onnx_scalars *s);
double *adze_onnx_doubles(adze_arena *arena, const onnx_scalars *s);

bool adze_string_is(adze_string s, const char *text);

#endif
