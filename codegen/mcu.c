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

/* A family: what it copies x to, how many neighbours of a run its packed weight holds (0: depthwise, not packed), the
 * channels of a step of a depthwise one, and the most pixels of a block. */
static const struct {
    const char *family;
    adze_dtype work;
    int64_t depth, lanes, rows;
    bool unsigned_too, bias;
} forms[] = {
    {"dsp", ADZE_i16, 4, 0, ADZE_MAX_CARRIED / 4, true, false},
    {"dsp_depthwise", ADZE_i16, 0, 4, ADZE_MAX_CARRIED / 4, true, true},
    {"helium", ADZE_i8, 16, 0, ADZE_MAX_CARRIED / 4, false, true},
    {"helium_depthwise", ADZE_i8, 0, 16, 1, false, true},
};

static size_t form_at(const adze_schedule *s) {
    size_t i = 0;
    while (i < ADZE_COUNT(forms) && strcmp(forms[i].family, s->family))
        i++;
    return i;
}

const char *adze_mcu_unfit(const adze_contraction *c, const adze_schedule *s) {
    const size_t i = form_at(s);
    if (i == ADZE_COUNT(forms))
        return "no such family";
    if ((c->x_type != ADZE_i8 && (c->x_type != ADZE_u8 || !forms[i].unsigned_too)) || c->w_type != ADZE_i8 ||
        c->acc_type != ADZE_i32 || c->zero_w)
        return "it has no form for these types";
    if (s->rows < 1 || s->rows > forms[i].rows || adze_patch_pixels(c) < s->rows)
        return "it has no form for this many rows";
    if (!adze_epilogue_flat(c))
        return "what follows reads elements of other pixels";
    if (forms[i].depth)
        return c->group == 1 ? NULL : "it has groups";
    return c->channels == 1 && c->outputs == 1 && c->n >= 1 && s->lanes == forms[i].lanes &&
                   c->group % s->lanes == 0 && c->out[c->n - 1] >= s->rows
               ? NULL
               : "it is no depthwise convolution of this many channels and pixels";
}

adze_mcu_form adze_mcu_form_of(const adze_contraction *c, const adze_schedule *s) {
    const size_t i = form_at(s);
    const int64_t depth = forms[i].depth;
    return (adze_mcu_form){forms[i].work, depth ? adze_patch_steps(c, depth) * depth * s->rows : adze_staged_elements(c, false),
                           depth};
}

/* Whether weight and bias are as pack_mcu.c leaves them. */
static bool packed_so(adze_gen *g, const adze_contraction *c, const adze_schedule *s, const adze_mcu_form *form) {
    const adze_packing how = {.columns = 2, .depth = form->depth};
    int64_t dims[5], columns = c->group * c->outputs;
    if (form->depth) {
        adze_packed_shape(c, &how, dims);
        columns = dims[0] * dims[3];
    }
    return (form->depth ? adze_packed_is(g->ctx, c->w, ADZE_i8, dims)
                        : mlirAttributeIsNull(adze_get(c->op, "adze.packed"))) &&
           adze_packed_bias_is(g->ctx, c->bias, ADZE_i32, columns) &&
           !(forms[form_at(s)].bias && adze_is_none(c->bias));
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
    else if (mlirAttributeIsNull(adze_get(c->op, "adze.mcu")))
        why = "its operands were not packed for it";
    else
        why = adze_mcu_unfit(c, s);
    *out = (adze_mcu_operands){{NULL}, {NULL}, {NULL}, {NULL}};
    if (!why) {
        const adze_mcu_form form = adze_mcu_form_of(c, s);
        out->x = flat_memory(g, c->x);
        out->w = flat_memory(g, c->w);
        out->work = adze_gen_work(g, form.work, form.elements);
        if (!adze_is_none(c->bias))
            out->bias = flat_memory(g, c->bias);
        if (!out->x.ptr || !out->w.ptr || (!adze_is_none(c->bias) && !out->bias.ptr))
            why = "its operands are not in memory";
        else if (!out->work.ptr || !packed_so(g, c, s, &form))
            why = "its operands are packed in another way";
    }
    return !why || adze_gen_refuse(g, s, why);
}
