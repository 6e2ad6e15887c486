/* See lanes.h. */
#include "codegen/lanes.h"
#include "codegen/vector.h"

#include <mlir-c/BuiltinAttributes.h>

#include <string.h>

bool gn_lanes_make(adze_gen *g, adze_dtype dtype, int64_t lanes, bool scalable, gn_lanes *out) {
    MlirType element = adze_scalar_type(g->ctx, dtype);
    *out = (gn_lanes){.g = g, .dtype = dtype, .element = element, .type = element, .lanes = 1};
    if (lanes <= 1 && !scalable)
        return true;
    MlirType type = adze_vector_of(element, lanes, scalable), two[] = {type, type, type};
    if (!g->target || !adze_vector_has_type(g->ctx, g->target, type) ||
        !adze_vector_memory_row(g->target, false, false, type) ||
        !adze_vector_memory_row(g->target, true, false, type) ||
        !adze_vector_has(g->ctx, g->target, "arith.mulf", type, 2, two) ||
        !adze_vector_has(g->ctx, g->target, "arith.addf", type, 2, two) ||
        !adze_vector_has(g->ctx, g->target, "vector.broadcast", type, 1, &element) ||
        (scalable && (!adze_vector_has_active(g->ctx, g->target, type) ||
                      !adze_target_instruction(g->target, "vector.lanes",
                                               adze_vector_spelling(g->ctx, type, 's')))))
        return false;
    out->type = type;
    out->lanes = lanes;
    out->scalable = scalable;
    out->vector = true;
    out->fma = adze_vector_has(g->ctx, g->target, "math.fma", type, 3, two);
    return true;
}

gn_lanes gn_lanes_narrower(const gn_lanes *l) {
    gn_lanes out = *l;
    for (int64_t lanes = l->lanes / 2; !gn_lanes_make(l->g, l->dtype, lanes, false, &out); lanes /= 2)
        continue;
    return out;
}

MlirValue gn_lanes_load(const gn_lanes *l, MlirValue memref, MlirValue at) {
    return adze_build1(&l->g->b, l->vector ? "vector.load" : "memref.load", 2, (MlirValue[]){memref, at}, l->type,
                       0, NULL);
}

void gn_lanes_store(const gn_lanes *l, MlirValue value, MlirValue memref, MlirValue at) {
    adze_build(&l->g->b, l->vector ? "vector.store" : "memref.store", 3, (MlirValue[]){value, memref, at}, 0, NULL, 0,
               NULL, 0);
    l->g->stale_reads = l->g->n_reads;
}

MlirValue gn_lanes_splat(const gn_lanes *l, MlirValue scalar) {
    return l->vector ? adze_build1(&l->g->b, "vector.broadcast", 1, &scalar, l->type, 0, NULL) : scalar;
}

MlirValue gn_lanes_number(const gn_lanes *l, double value) {
    return gn_lanes_splat(l, adze_scalar_f64(&l->g->b, l->dtype, value).value);
}

MlirValue gn_lanes_spread(const gn_lanes *l, MlirValue memref, MlirValue at) {
    return gn_lanes_splat(l, adze_load(l->g, memref, &at).value);
}

MlirValue gn_lanes_binary(const gn_lanes *l, const char *op, MlirValue a, MlirValue b) {
    return adze_build1(&l->g->b, op, 2, (MlirValue[]){a, b}, l->type, 0, NULL);
}

MlirValue gn_lanes_fma(const gn_lanes *l, MlirValue a, MlirValue b, MlirValue acc) {
    if (l->fma)
        return adze_build1(&l->g->b, "math.fma", 3, (MlirValue[]){a, b, acc}, l->type, 0, NULL);
    return gn_lanes_binary(l, "arith.addf", acc, gn_lanes_binary(l, "arith.mulf", a, b));
}

MlirValue gn_lanes_across(const gn_lanes *l, const char *kind, MlirValue v) {
    if (!l->vector)
        return v;
    adze_named attr = {"kind", adze_parse_attr(l->g->ctx, adze_arena_printf(l->g->ctx->arena,
                                                                            "#vector.kind<%s>", kind))};
    return adze_build1(&l->g->b, "vector.reduction", 1, &v, l->element, 1, &attr);
}

static adze_named type_of(const gn_lanes *l) {
    return (adze_named){"type", adze_str(l->g->ctx, adze_vector_spelling(l->g->ctx, l->type, 's'))};
}

MlirValue gn_lanes_count(const gn_lanes *l) {
    adze_named type = type_of(l);
    return l->scalable ? adze_build1(&l->g->b, "adze.lanes", 0, NULL, adze_index_type(l->g->ctx), 1, &type)
                       : adze_index(l->g, l->lanes);
}

void gn_lanes_active(const gn_lanes *l, MlirValue remaining) {
    adze_named type = type_of(l);
    adze_build1(&l->g->b, "adze.active", 1, &remaining, adze_index_type(l->g->ctx), 1, &type);
}

void gn_block_sum(const gn_lanes *l, const gn_block *b, MlirValue *acc) {
    adze_gen *g = l->g;
    const int n = (int)(b->rows * b->vectors);
    const char *names[ADZE_MAX_CARRIED];
    MlirValue w[ADZE_MAX_CARRIED];
    for (int i = 0; i < n; i++)
        names[i] = adze_arena_printf(g->ctx->arena, "acc%d_%d", i / (int)b->vectors, i % (int)b->vectors);
    adze_for loop = adze_for_begin(g, "k", adze_index(g, 0), adze_index(g, b->depth), adze_index(g, 1), n, acc, names);
    memcpy(acc, loop.carried, (size_t)n * sizeof *acc);
    MlirValue w_at = adze_index_add(g, b->w_at, adze_index_mul(g, loop.iv, adze_index(g, b->w_step)));
    MlirValue x_at = adze_index_add(g, b->x_at, adze_index_mul(g, loop.iv, adze_index(g, b->x_step)));
    for (int64_t v = 0; v < b->vectors; v++)
        w[v] = gn_lanes_load(l, b->w, adze_index_add(g, w_at, adze_index(g, v * l->lanes)));
    for (int64_t r = 0; r < b->rows; r++) {
        MlirValue x = gn_lanes_spread(l, b->x, adze_index_add(g, x_at, adze_index(g, r * b->x_row)));
        for (int64_t v = 0; v < b->vectors; v++)
            acc[r * b->vectors + v] = gn_lanes_fma(l, x, w[v], acc[r * b->vectors + v]);
    }
    adze_for_end(g, &loop, acc, acc);
}

void gn_columns(const gn_lanes *wide, int64_t vectors, int64_t first, int64_t count, gn_columns_f *block, void *user) {
    adze_gen *g = wide->g;
    if (wide->scalable) {
        MlirValue end = adze_index(g, first + count);
        adze_for loop = adze_for_begin(g, "column", adze_index(g, first), end, gn_lanes_count(wide), 0, NULL, NULL);
        gn_lanes_active(wide, adze_index_sub(g, end, loop.iv));
        block(user, wide, 1, loop.iv);
        adze_for_end(g, &loop, NULL, NULL);
        return;
    }
    for (gn_lanes l = *wide; count > 0; l = gn_lanes_narrower(&l)) {
        int64_t all = count / l.lanes, rest = all % vectors, step = vectors * l.lanes, end = first + all / vectors * step;
        if (end > first) {
            adze_for loop = adze_for_begin(g, "column", adze_index(g, first), adze_index(g, end), adze_index(g, step), 0,
                                           NULL, NULL);
            block(user, &l, vectors, loop.iv);
            adze_for_end(g, &loop, NULL, NULL);
        }
        if (rest)
            block(user, &l, rest, adze_index(g, end));
        first += all * l.lanes;
        count -= all * l.lanes;
    }
}

MlirValue gn_memory(MlirValue tensor) {
    MlirOperation op = adze_defining(tensor);
    return mlirOperationIsNull(op) || !adze_is_op(op, "bufferization.to_tensor") ? (MlirValue){NULL}
                                                                                 : mlirOperationGetOperand(op, 0);
}
