/* What the generators of rnn, gru and lstm share: an operation taken apart, and its activations. */
#ifndef ADZE_CODEGEN_RECURRENCE_H
#define ADZE_CODEGEN_RECURRENCE_H

#include "codegen/gen_math.h"

enum { GN_MAX_GATES = 4, GN_LSTM_I = 0, GN_LSTM_O, GN_LSTM_F, GN_LSTM_C };

typedef struct gn_activation {
    const struct gn_activation_row *row;
    double params[2];
} gn_activation;

/* One row of `hidden` elements: a local array, or a row of a result. */
typedef struct gn_row {
    MlirValue memref;
    MlirValue prefix[3];
    int n;
} gn_row;

typedef struct gn_recurrence {
    MlirOperation op;
    const char *const *gate_names;
    int gates, n_directions, direction; /* direction: the present one */
    bool backwards;
    int64_t hidden;
    double clip;
    adze_dtype work;
    adze_shape xs;
    MlirValue x, w, r, bias, lengths, h0, c0, peephole; /* null: absent; w: x holds its products */
    MlirValue y, y_h, y_c;                              /* memrefs; null: unused */
    gn_activation activations[6];
    const gn_activation *act; /* of the present direction */
    MlirValue b, t;        /* present sequence and step */
    gn_row h, next, c, z, gated;
} gn_recurrence;

/* Operands, attributes and destinations of `op`; `n_activations`: per direction. False with a diagnostic. */
bool gn_read_recurrence(adze_gen *g, MlirOperation op, int gates, const char *const *gate_names,
                        int n_activations, gn_recurrence *s);
adze_scalar gn_activate(adze_gen *g, const gn_activation *a, adze_scalar x);
/* The activation of the sum of a gate, clipped as the operation says; `name`: of the result. */
adze_scalar gn_gate(adze_gen *g, const gn_recurrence *s, const char *name, const gn_activation *a,
                    adze_scalar x);

/* Without w (gen_recurrence_blocks.c). */
bool gn_projected_rnn(adze_gen *g, gn_recurrence *s);
bool gn_projected_gru(adze_gen *g, gn_recurrence *s);
bool gn_projected_lstm(adze_gen *g, gn_recurrence *s);

#endif
