/* See mcu.h. */
#include "codegen/mcu.h"

#include <mlir-c/BuiltinAttributes.h>
#include <mlir-c/BuiltinTypes.h>

#include <string.h>

static MlirType word_type(adze_gen *g) { return mlirIntegerTypeGet(g->ctx->mlir, 32); }

MlirValue adze_mcu(adze_gen *g, const char *name, const char *type, int n, const MlirValue *operands) {
    return adze_build_instruction(&g->b, name, type, n, operands, word_type(g));
}

MlirValue adze_mcu_ordered(adze_gen *g, const char *name, const char *type, int n, const MlirValue *operands) {
    MlirValue v = adze_mcu(g, name, type, n, operands);
    adze_set(adze_defining(v), "adze.ordered", mlirUnitAttrGet(g->ctx->mlir));
    return v;
}

MlirValue adze_mcu_load(adze_gen *g, MlirValue memref, MlirValue at) {
    return adze_build1(&g->b, "adze.load_word", 2, (MlirValue[]){memref, at}, word_type(g), 0, NULL);
}

MlirValue adze_mcu_word(adze_gen *g, MlirValue memref, MlirValue at) {
    return adze_mcu_ordered(g, "word.load", "u32", 2, (MlirValue[]){memref, at});
}

void adze_mcu_store(adze_gen *g, MlirValue memref, MlirValue at, MlirValue word) {
    adze_build_instruction(&g->b, "word.store", "u32", 3, (MlirValue[]){memref, at, word}, (MlirType){NULL});
}

static MlirValue flat_memory(adze_gen *g, MlirValue tensor) {
    MlirValue memref = adze_gen_memory(tensor);
    return memref.ptr ? adze_gen_flat(g, memref) : memref;
}

bool adze_mcu_open(adze_gen *g, const adze_schedule *s, MlirValue sums, adze_contraction *c,
                   adze_mcu_operands *out) {
    const char *why = NULL;
    if (!sums.ptr || !adze_contraction_read(g->ctx, adze_defining(sums), c))
        why = "what it stores is no channels-last convolution with an elementwise epilogue";
    else if (mlirAttributeIsNull(adze_get(c->op, "adze.mcu")) || s->rows < 1 || s->rows > ADZE_MAX_CARRIED / 4)
        why = "its operands were not packed for it";
    *out = (adze_mcu_operands){{NULL}, {NULL}, {NULL}, {NULL}};
    if (!why) {
        out->x = flat_memory(g, c->x);
        out->w = flat_memory(g, c->w);
        out->work = adze_gen_argument(g, "work");
        if (!adze_is_none(c->bias))
            out->bias = flat_memory(g, c->bias);
        if (!out->x.ptr || !out->w.ptr || (!adze_is_none(c->bias) && !out->bias.ptr))
            why = "its operands are not in memory";
    }
    return !why || adze_gen_refuse(g, s, why);
}
