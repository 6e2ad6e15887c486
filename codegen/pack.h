/* What the pass "pack" does to one kernel and its call: the tools of pack.c, for it and for families that lay out
 * their weights in their own way (pack_mcu.c). */
#ifndef ADZE_CODEGEN_PACK_H
#define ADZE_CODEGEN_PACK_H

#include "codegen/contraction.h"

typedef struct adze_pack_site {
    adze_context *ctx;
    MlirModule module;
    const adze_target *target;
    MlirOperation kernel, call; /* the one call of it */
    const char *family;         /* the schedule's, for diagnostics */
    adze_tensor w, bias;        /* the weight as the model has it; the bias when has_bias */
    bool has_bias;
    const char *symbol, *bias_symbol; /* weight symbols; the bias' may be NULL */
    int w_arg, b_arg;                 /* arguments of the kernel; b_arg -1: none */
} adze_pack_site;

/* False with a diagnostic that names the kernel. */
bool adze_pack_refuse(const adze_pack_site *site, const char *why);
/* Finds the call and the constants of c's weight and bias (ctx, module, target, kernel and family are set). False with
 * a diagnostic when they are not constant or the call is not the only one. */
bool adze_pack_open(adze_pack_site *site, const adze_contraction *c);
/* A new weight symbol for a tensor. */
const char *adze_pack_add_weight(const adze_pack_site *site, const char *name, const adze_tensor *t);
/* The kernel reads weight `symbol` of this shape instead of its weight. */
void adze_pack_weight(adze_pack_site *site, const char *symbol, const adze_shape *shape);
/* Argument `index` of the call becomes another weight of the same type. */
void adze_pack_table(adze_pack_site *site, int index, const char *name, const adze_tensor *t);
/* The kernel gets a constant more, its argument `name`, of weight symbol `symbol`. */
void adze_pack_constant(adze_pack_site *site, const char *name, const char *symbol, const adze_tensor *t);
/* The convolution gets this bias instead of its own or none. */
void adze_pack_bias(adze_pack_site *site, const adze_contraction *c, const adze_tensor *bias);
/* The kernel gets work memory, a last argument `work`. */
void adze_pack_work(adze_pack_site *site, adze_dtype type, int64_t elements);
adze_shape adze_pack_shape(adze_context *ctx, adze_dtype dtype, int rank, const int64_t *dims);

/* Families with a layout of their own: weight, bias and work memory of a kernel. */
bool adze_pack_winograd(adze_pack_site *site, const adze_schedule *s);
bool adze_pack_winograd_rows(adze_pack_site *site, const adze_schedule *s);
bool adze_pack_mcu(adze_pack_site *site, const adze_schedule *s);

#endif
