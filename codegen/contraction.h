/* Contractions taken apart: a channels-last convolution (a matmul by a constant is one with a window of 1)
 *
 *   y[p, m] = epilogue(bias[m] + sum over taps t, channels c of x[p * stride + t * dilation - pad, c] * w[t, c, m])
 *
 * read by the pass "pack", which lays out its weight, and by the generators of its families.
 *
 *   x  [N, in..., C]      w  [kernel..., C/group, M]      bias [M]      y  [N, out..., M]
 *
 * A window's taps along the last spatial axis are neighbours in memory when its dilation is 1: kw * C elements
 * of x are one run, and so are the rows of w that they meet. */
#ifndef ADZE_CODEGEN_CONTRACTION_H
#define ADZE_CODEGEN_CONTRACTION_H

#include "codegen/gen.h"
#include "ir/schedule.h"

enum { ADZE_MAX_SPATIAL = ADZE_MAX_RANK - 2 };

typedef struct adze_contraction {
    MlirOperation op; /* adze.conv, channels_last */
    MlirValue x, w, bias;
    adze_shape xs, ws, ys; /* ws: of the weight as the model has it, also once it is packed */
    int n;                 /* spatial axes */
    int axis[ADZE_MAX_SPATIAL]; /* of x and y that each is: 1 + d, unless axes were left out */
    int64_t in[ADZE_MAX_SPATIAL], out[ADZE_MAX_SPATIAL], kernel[ADZE_MAX_SPATIAL];
    int64_t strides[ADZE_MAX_SPATIAL], dilations[ADZE_MAX_SPATIAL];
    int64_t pad_begin[ADZE_MAX_SPATIAL], pad_end[ADZE_MAX_SPATIAL];
    int64_t group, channels, outputs; /* per group */
    int64_t zero_x, zero_w;           /* of quantized operands, else 0 */
    adze_dtype x_type, w_type, acc_type;
    bool padded; /* some window reaches outside x */
    bool point;  /* a window of 1, strides 1, no padding: pixel p of y reads pixel p of x */
    /* One run: neighbours in memory of x that one row of the window reads. */
    int64_t run;     /* elements */
    int64_t n_runs;  /* runs of a window: product of the kernel's extents, without the last one if its taps
                        are neighbours */
    bool wide_runs;  /* the last axis' taps are part of the run */
} adze_contraction;

/* False (without a diagnostic) when `op` is not a channels-last convolution with known extents. */
bool adze_contraction_read(adze_context *ctx, MlirOperation op, adze_contraction *out);
/* Leaves out spatial axes on which nothing moves: extents and window of 1. The last one that is left may then have
 * neighbours in memory; the families "contraction" and "winograd" see it so. */
void adze_contraction_squeeze(adze_contraction *c);
/* The contraction of a level-2 kernel: the first adze.conv in its body that can be read. */
bool adze_contraction_of_kernel(adze_context *ctx, MlirOperation kernel, adze_contraction *out);

/* How a weight is packed: panels of `columns` outputs, each run padded with zeros to a multiple of `depth`.
 *
 *   packed [groups][panels][runs][ceil(run / depth)][columns][depth]
 *
 * `columns` is vectors * lanes; `depth` is 1 for floats, 4 for four-way dot products, 2 for pairs (of 16
 * bits, floats too). It stands on the
 * operation as adze.packed = array<i64: columns, depth>, and adze.tile. */
typedef struct adze_packing {
    int64_t columns, depth;
    int64_t tile; /* runs are padded to a multiple of so many steps: 16 for tiles, else 0 */
} adze_packing;

/* False when the operation's weight is not packed. */
bool adze_packing_read(MlirOperation op, adze_packing *out);
/* Steps of a packed run. */
int64_t adze_packed_steps(const adze_contraction *c, const adze_packing *p);
/* Shape of the packed weight: [group * panels, runs, steps, columns, depth]. */
void adze_packed_shape(const adze_contraction *c, const adze_packing *p, int64_t dims[5]);
/* How x reaches the register block, written on the operation by the pass "pack" and read by the generator. */
typedef struct adze_staging {
    bool staged;        /* x is copied to work memory first: padding, another type, room to read beyond a run */
    adze_dtype type;    /* of the copy, or of x */
    int64_t offset;     /* added to every element on the way */
    int64_t fill;       /* what padding holds, in the copy's type */
    bool flat;          /* pixels are one axis, for x, y and the epilogue alike */
    const char *dot;    /* the target's instruction for `depth` neighbours, NULL: multiply and add */
} adze_staging;

/* Whether every value behind the contraction reads its operands either at the very index or by channel only. */
bool adze_epilogue_flat(const adze_contraction *c);
/* Whether also x is read so: the spatial axes may be walked as one. */
bool adze_contraction_flat(adze_context *ctx, const adze_contraction *c);
/* Whether `dot2.bf16` takes pairs of neighbours at this many lanes. */
bool adze_contraction_has_bf16(adze_context *ctx, const adze_target *target, const adze_schedule *s);
/* Element type of the packed weight: as the model has it, or f32 where the target cannot widen vectors of it. */
adze_dtype adze_packed_type(adze_context *ctx, const adze_target *target, const adze_contraction *c,
                            const adze_packing *p, const adze_schedule *s);
/* Decides staging for this packing on this target. */
bool adze_staging_choose(adze_context *ctx, const adze_target *target, const adze_contraction *c,
                         const adze_packing *p, const adze_schedule *schedule, adze_staging *out);
void adze_staging_write(adze_context *ctx, MlirOperation op, const adze_staging *s);
bool adze_staging_read(adze_context *ctx, MlirOperation op, adze_staging *s);
/* Extent along the last spatial axis of a staged row, padding included. */
int64_t adze_staged_width(const adze_contraction *c);
/* Elements of a staged row of windows (flat: of one pixel), without slack. */
int64_t adze_staged_elements(const adze_contraction *c, bool flat);

enum { ADZE_TILE_STEPS = 16 }; /* rows of a tile of w, and of pixels */
/* Scalable vectors take panels of this many columns, however many lanes there are. */
enum { ADZE_SCALABLE_COLUMNS = 64 };
/* Whether a block of this schedule fits the eight tiles: 32 pixels by two tiles of outputs, or 64 by one. */
bool adze_amx_schedule(const adze_schedule *s);
/* Elements of work memory of the whole kernel, for so many threads; 0 when x is not staged. */
int64_t adze_staged_work(const adze_contraction *c, const adze_staging *s, int64_t threads);
/* Elements of a pixel of a flat copy: floats for tiles are padded with zeros. */
int64_t adze_staged_pixel(const adze_contraction *c, const adze_staging *s);
/* Elements of work memory of one part, a multiple of 64: what an instruction reads beyond a run is within it, and two
 * parts do not share a line. Flat: of one pixel, without that. */
int64_t adze_work_elements(const adze_contraction *c, const adze_staging *s);

/* Whether a packed weight has this type and shape; whether there is no bias, or one of the type and of at least so many
 * entries; whether staging is what this module's schedule, packing and target make of it (claims.c). */
bool adze_packed_is(adze_context *ctx, MlirValue w, adze_dtype type, const int64_t dims[5]);
bool adze_packed_bias_is(adze_context *ctx, MlirValue bias, adze_dtype type, int64_t columns);
bool adze_staging_holds(adze_context *ctx, const adze_target *target, const adze_contraction *c, const adze_packing *p,
                        const adze_schedule *s, const adze_staging *said);

/* The element of the weight that packed element (panel, run, k, column, depth) is: its flat index in ws, or -1 for
 * padding. */
int64_t adze_packed_source(const adze_contraction *c, const adze_packing *p, const int64_t at[5]);

#endif
