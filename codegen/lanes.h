/* Values of register blocks: vectors of one width, or scalars where that is 1, with what is done to them. For
 * generators of floating-point kernels; widths come from the schedule. */
#ifndef ADZE_CODEGEN_LANES_H
#define ADZE_CODEGEN_LANES_H

#include "codegen/gen.h"

typedef struct gn_lanes {
    adze_gen *g;
    adze_dtype dtype;
    MlirType element, type;
    int64_t lanes; /* times vscale when scalable */
    bool scalable, vector, fma;
} gn_lanes;

/* False when the target lacks such vectors or what is done to them here; 1 lane is always there. */
bool gn_lanes_make(adze_gen *g, adze_dtype dtype, int64_t lanes, bool scalable, gn_lanes *out);
/* The next narrower ones: half the lanes, or a quarter ... or scalars. */
gn_lanes gn_lanes_narrower(const gn_lanes *l);

/* From element `at` of a memref of one axis on. */
MlirValue gn_lanes_load(const gn_lanes *l, MlirValue memref, MlirValue at);
void gn_lanes_store(const gn_lanes *l, MlirValue value, MlirValue memref, MlirValue at);
MlirValue gn_lanes_splat(const gn_lanes *l, MlirValue scalar);
MlirValue gn_lanes_number(const gn_lanes *l, double value);
/* The same scalar of memory in every lane. */
MlirValue gn_lanes_spread(const gn_lanes *l, MlirValue memref, MlirValue at);
MlirValue gn_lanes_fma(const gn_lanes *l, MlirValue a, MlirValue b, MlirValue acc); /* a * b + acc */
MlirValue gn_lanes_binary(const gn_lanes *l, const char *op, MlirValue a, MlirValue b); /* arith.* */
/* All lanes to a scalar; kind: add maximumf */
MlirValue gn_lanes_across(const gn_lanes *l, const char *kind, MlirValue v);
/* adze.lanes and adze.active of scalable vectors. */
MlirValue gn_lanes_count(const gn_lanes *l);
void gn_lanes_active(const gn_lanes *l, MlirValue remaining);

/* A register block: acc[rows][vectors] += sum over k of x[x_at + r * x_row + k * x_step] * w[w_at + k * w_step + ..],
 * the second side by side in lanes. acc: what it starts from, then the sums. */
typedef struct gn_block {
    int64_t rows, vectors, depth;
    MlirValue x, x_at;
    int64_t x_row, x_step;
    MlirValue w, w_at;
    int64_t w_step;
} gn_block;
void gn_block_sum(const gn_lanes *l, const gn_block *b, MlirValue *acc);
/* Builds `block` for all columns [first, first + count): `vectors` vectors at a time, then fewer, then narrower ones. */
typedef void gn_columns_f(void *user, const gn_lanes *l, int64_t vectors, MlirValue column);
void gn_columns(const gn_lanes *wide, int64_t vectors, int64_t first, int64_t count, gn_columns_f *block, void *user);

/* The memory behind a tensor of the kernel's body; null: it is computed. */
MlirValue gn_memory(MlirValue tensor);

#endif
