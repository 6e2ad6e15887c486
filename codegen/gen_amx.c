/* Blocks of a contraction in AMX tiles (Intel SDM, "TDPBSSD", "TDPBF16PS"), 16 rows of 64 bytes each.
 *
 *   tiles 0..3   sums [16 pixels][16 outputs], in rows of one (64 pixels) or two (32 pixels) tiles
 *   4, 5 (7)     x [16 pixels][64 bytes of a run], as x or its copy has them
 *   6, 7         w [16 steps][16 outputs][4 bytes], as it is packed: depth 4 of bytes, 2 of bf16
 *
 *   configure                                   shapes of whole blocks, or of the last, which has fewer rows
 *   sums = bias (a load with stride 0)
 *   for each run, each 64 bytes of it:  load w; for each row of tiles: load x, multiply
 *   store the sums to memory, where the epilogue reads them
 *
 * A run's end is padded with zeros in w. What x is read beyond a run's end meets them: codes may be anything, floats must
 * be zero there too, so their copy is padded (staging.c). Tiles are numbers in the instructions: nothing here is carried by
 * loops. */
#include "codegen/contraction_block.h"
#include "codegen/vector.h"

#include <string.h>

enum { ROWS = 16, ROW_BYTES = 64, FIRST_X = 4, FIRST_W = 6, LAST_X = 7, SHAPE_BYTES = 64 };

static MlirValue constant(adze_block *b, int64_t i) { return adze_index(b->g, i); }
static MlirValue plus(adze_block *b, MlirValue a, int64_t n) { return adze_index_add(b->g, a, constant(b, n)); }

static void instruction(adze_block *b, const char *name, int n, const MlirValue *operands) {
    adze_build_instruction(&b->g->b, name, "void", n, operands, (MlirType){NULL});
}

static void memory(adze_block *b, const char *name, int64_t tile, MlirValue at, MlirValue memref, int64_t stride) {
    instruction(b, name, 4, (MlirValue[]){constant(b, tile), memref, at, constant(b, stride)});
}

static int64_t rows_of_tiles(int64_t rows) { return (rows + ROWS - 1) / ROWS; }

/* With one tile of outputs tile 7 is free: the last row of tiles, which may have fewer pixels, takes it for x. */
static int64_t x_tile(const adze_schedule *s, int64_t r, int64_t n) {
    return s->vectors == 1 && r == n - 1 ? LAST_X : FIRST_X + r % 2;
}

static void shape(const adze_schedule *s, int64_t rows, uint8_t out[SHAPE_BYTES]) {
    enum { BYTES_AT = 16, ROWS_AT = 48 };
    const int64_t n = rows_of_tiles(rows);
    memset(out, 0, SHAPE_BYTES);
    out[0] = 1; /* the palette */
    for (int t = 0; t < 8; t++) {
        out[BYTES_AT + 2 * t] = ROW_BYTES;
        out[ROWS_AT + t] = ROWS;
    }
    for (int64_t r = 0; r < n; r++) {
        const int64_t here = rows - r * ROWS < ROWS ? rows - r * ROWS : ROWS;
        for (int64_t v = 0; v < s->vectors; v++)
            out[ROWS_AT + r * s->vectors + v] = (uint8_t)here;
        out[ROWS_AT + x_tile(s, r, n)] = (uint8_t)here;
    }
}

void adze_amx_shapes(const adze_schedule *s, int64_t rest, uint8_t out[2 * SHAPE_BYTES]) {
    shape(s, s->rows, out);
    shape(s, rest, out + SHAPE_BYTES);
}

void adze_amx_configure(adze_block *b, bool whole) {
    instruction(b, "tile.configure", 2, (MlirValue[]){b->shapes, constant(b, whole ? 0 : SHAPE_BYTES)});
}

void adze_amx_release(adze_block *b) { instruction(b, "tile.release", 0, NULL); }

void adze_amx_block(adze_block *b, int64_t rows, MlirValue pixel) {
    adze_gen *g = b->g;
    const int64_t V = b->s->vectors, R = rows_of_tiles(rows), columns = b->p.columns, depth = b->p.depth;
    const int64_t bytes = adze_dtype_get(b->st.type)->host_bytes, elements = ROW_BYTES / bytes;
    for (int64_t r = 0; r < R; r++)
        for (int64_t v = 0; v < V; v++) {
            MlirValue tile = constant(b, r * V + v);
            if (b->bias.ptr)
                memory(b, "tile.load", r * V + v, adze_block_column(b, constant(b, v * ROWS)), b->bias, 0);
            else
                instruction(b, "tile.zero", 1, &tile);
        }
    adze_taps taps = adze_taps_begin(b, pixel, constant(b, 0), 0, NULL, NULL);
    const int64_t steps = (b->c.run + elements - 1) / elements;
    adze_for along;
    MlirValue k = constant(b, 0);
    if (steps > 1) {
        along = adze_for_begin(g, "k", k, constant(b, steps), constant(b, 1), 0, NULL, NULL);
        k = along.iv;
    }
    MlirValue x_at = adze_index_add(g, taps.x_at, adze_index_mul(g, k, constant(b, elements)));
    MlirValue w_at = adze_index_add(g, taps.w_at, adze_index_mul(g, k, constant(b, ROWS * columns * depth)));
    for (int64_t v = 0; v < V; v++)
        memory(b, "tile.load", FIRST_W + v, plus(b, w_at, v * ROWS * depth), b->w, columns * depth * bytes);
    for (int64_t r = 0; r < R; r++) {
        const int64_t x = x_tile(b->s, r, R);
        memory(b, "tile.load", x, plus(b, x_at, r * ROWS * b->chunk), b->x, b->chunk * bytes);
        for (int64_t v = 0; v < V; v++)
            instruction(b, b->st.dot, 3, (MlirValue[]){constant(b, r * V + v), constant(b, x), constant(b, FIRST_W + v)});
    }
    if (steps > 1)
        adze_for_end(g, &along, NULL, NULL);
    adze_taps_end(b, &taps, NULL);
    for (int64_t r = 0; r < R; r++)
        for (int64_t v = 0; v < V; v++)
            memory(b, "tile.store", r * V + v, constant(b, (r * columns + v) * ROWS), b->tile, columns * 4);
}
