/* See fit.h. */
#include "codegen/fit.h"
#include "codegen/contraction.h"
#include "codegen/vector.h"

#include <string.h>

/* Can vectors of `lanes` of the accumulator's type be multiplied, added, loaded and stored? */
static bool has_lanes(adze_context *ctx, const adze_target *target, adze_dtype acc, const adze_schedule *s) {
    if (s->lanes <= 1 && !s->scalable)
        return true;
    MlirType v = adze_vector_of(adze_scalar_type(ctx, acc), s->lanes, s->scalable != 0);
    const bool is_float = acc == ADZE_f32;
    MlirType pair[] = {v, v};
    return target && !mlirTypeIsNull(v) && adze_vector_has_type(ctx, target, v) &&
           adze_vector_has(ctx, target, is_float ? "arith.mulf" : "arith.muli", v, 2, pair) &&
           adze_vector_has(ctx, target, is_float ? "arith.addf" : "arith.addi", v, 2, pair) &&
           adze_vector_memory_row(target, false, false, v) && adze_vector_memory_row(target, true, false, v);
}

/* Can `depth` neighbours be multiplied and added at once? What staging would choose. */
static bool has_depth(adze_context *ctx, const adze_target *target, const adze_contraction *c, const adze_schedule *s) {
    adze_packing p = {.columns = s->vectors * s->lanes, .depth = s->depth};
    adze_staging stage;
    return s->depth <= 1 || (!s->scalable && adze_staging_choose(ctx, target, c, &p, s, &stage));
}

static const char *describe(adze_context *ctx, const adze_schedule *s) {
    return adze_arena_printf(ctx->arena, "%s of %lld%s lanes, depth %lld", s->family, (long long)s->lanes,
                             s->scalable ? " scalable" : "", (long long)(s->depth ? s->depth : 1));
}

bool adze_schedule_fit(adze_context *ctx, const adze_target *target, MlirOperation kernel, adze_schedule *s) {
    enum { FEW_REGISTERS = 16 };
    static const char *const families[] = {"contraction", "amx", "winograd"};
    bool ours = false;
    for (size_t i = 0; i < ADZE_COUNT(families); i++)
        ours |= !strcmp(families[i], s->family);
    adze_contraction c;
    if (!ours || !adze_contraction_of_kernel(ctx, kernel, &c) || s->lanes < 1 || s->vectors < 1)
        return false;
    const adze_schedule asked = *s;
    adze_contraction squeezed = c;
    adze_contraction_squeeze(&squeezed);
    if (!strcmp(s->family, "amx") && !has_depth(ctx, target, &squeezed, s)) { /* to registers */
        const int64_t registers = target && target->vectors.count ? target->vectors.count : FEW_REGISTERS;
        s->family = "contraction";
        s->vectors = 2;
        s->rows = (registers - 4) / 2 < s->rows ? (registers - 4) / 2 : s->rows;
    }
    if (!has_lanes(ctx, target, c.acc_type, s)) {
        /* from fixed lanes to scalable ones, where the target has those, or the other way */
        s->scalable = target && target->vectors.scalable && !asked.scalable;
        s->lanes = 16;
        if (s->scalable) {
            s->vectors = s->depth = 1;
            while (s->lanes > 1 && !has_lanes(ctx, target, c.acc_type, s))
                s->lanes /= 2;
            s->scalable = s->lanes > 1;
        } else if (!asked.scalable) {
            s->lanes = asked.lanes;
        }
    }
    while (!has_lanes(ctx, target, c.acc_type, s))
        s->lanes /= 2;
    while (s->depth > 1 && !has_depth(ctx, target, &c, s))
        s->depth /= 2;
    if ((s->lanes == 1 || s->scalable) && !strcmp(s->family, "winograd"))
        s->family = "contraction";
    if (s->lanes == asked.lanes && s->depth == asked.depth && s->scalable == asked.scalable &&
        !strcmp(s->family, asked.family))
        return false;
    adze_set(kernel, "adze.schedule", adze_schedule_write(ctx, s));
    adze_set(kernel, "adze.fallback",
             adze_str(ctx, adze_arena_printf(ctx->arena, "asked for a %s; %s has it as a %s", describe(ctx, &asked),
                                             target ? target->name : "portable C", describe(ctx, s))));
    return true;
}
