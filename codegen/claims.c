/* What a level-2 module says about packed operands against what the generators will read and write: the pass "pack"
 * writes these things so that they agree, but a dump is anybody's. */
#include "codegen/contraction.h"
#include "codegen/family.h"

#include <string.h>

bool adze_packed_is(adze_context *ctx, MlirValue w, adze_dtype type, const int64_t dims[5]) {
    adze_shape have;
    return adze_value_shape(ctx, w, &have) && have.dtype == type && have.rank == 5 &&
           !memcmp(have.dims, dims, 5 * sizeof *dims);
}

bool adze_packed_bias_is(adze_context *ctx, MlirValue bias, adze_dtype type, int64_t columns) {
    adze_shape have;
    return adze_is_none(bias) || (adze_value_shape(ctx, bias, &have) && have.dtype == type && have.rank == 1 &&
                                  have.dims[0] >= columns);
}

MlirValue adze_gen_work(adze_gen *g, adze_dtype type, int64_t elements) {
    MlirValue work = adze_gen_argument(g, "work");
    adze_shape have;
    bool ok = work.ptr && adze_value_shape(g->ctx, work, &have) && have.dtype == type && have.rank == 1 &&
              elements >= 0 && have.dims[0] >= elements;
    return ok ? work : (MlirValue){NULL};
}

bool adze_staging_holds(adze_context *ctx, const adze_target *target, const adze_contraction *c, const adze_packing *p,
                        const adze_schedule *s, const adze_staging *said) {
    adze_staging due;
    return adze_staging_choose(ctx, target, c, p, s, &due) && due.staged == said->staged && due.type == said->type &&
           due.offset == said->offset && due.fill == said->fill && due.flat == said->flat && !due.dot == !said->dot &&
           (!due.dot || !strcmp(due.dot, said->dot));
}
