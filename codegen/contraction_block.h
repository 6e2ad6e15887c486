/* What the contraction family's loops (gen_contraction.c) share with the tiles that may compute their blocks
 * (gen_amx.c): where they are, and what they compute with. */
#ifndef ADZE_CODEGEN_CONTRACTION_BLOCK_H
#define ADZE_CODEGEN_CONTRACTION_BLOCK_H

#include "codegen/contraction.h"

typedef struct adze_block {
    adze_gen *g;
    const adze_schedule *s;
    adze_contraction c;
    adze_packing p;
    adze_staging st;
    MlirValue sums, value, memref; /* the convolution's result, what is stored, and where */
    MlirValue x, w, bias, tile;    /* flat; x: what the block reads, bias may be null */
    MlirType acc, step;            /* accumulator; what one load of w gives */
    bool is_float, vectors, fma;
    bool amx;                      /* blocks are tiles */
    MlirValue y;                   /* flat, when the sums are stored as they are; else null */
    MlirValue shapes;              /* amx: tile configurations, of whole blocks and of the last */
    int64_t panels, chunk;         /* per group; elements of x from one pixel of y to the next */
    /* where we are */
    MlirValue batch, at[ADZE_MAX_SPATIAL], low[ADZE_MAX_SPATIAL], high[ADZE_MAX_SPATIAL];
    MlirValue group, panel;
    MlirValue work_at; /* where this part's work memory begins */
    /* What threads share: tiles of pixels, or panels; null bounds: all of them. */
    adze_parallel tiles, shared_panels;
} adze_block;

/* Loops over the taps of a window that are no run, around `n` carried values. */
typedef struct adze_taps {
    adze_for loops[ADZE_MAX_SPATIAL];
    bool real[ADZE_MAX_SPATIAL];
    int n_taps;
    MlirValue x_at, w_at; /* elements of x and w where the run begins */
} adze_taps;
adze_taps adze_taps_begin(adze_block *b, MlirValue pixel, MlirValue column, int n, MlirValue *acc,
                          const char *const *names);
void adze_taps_end(adze_block *b, adze_taps *taps, MlirValue *acc);
/* Element of the packed bias, or column of all panels, that column `column` of the panel at hand is. */
MlirValue adze_block_column(adze_block *b, MlirValue column);

/* ---- tiles (gen_amx.c) ---- */

/* Sets the shapes of tiles for whole blocks, or for the last ones of pixels. */
void adze_amx_configure(adze_block *b, bool whole);
void adze_amx_release(adze_block *b);
/* Sums of `rows` pixels from `pixel` on to b->tile. */
void adze_amx_block(adze_block *b, int64_t rows, MlirValue pixel);
/* The two configurations, 64 bytes each, for blocks of s->rows pixels and of the last `rest` ones, to `out`. */
void adze_amx_shapes(const adze_schedule *s, int64_t rest, uint8_t out[128]);

#endif
