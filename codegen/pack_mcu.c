/* What the pass "pack" does for the families of microcontrollers (gen_dsp.c): weights in the order of their
 * inner loops, the input's zero point folded into the bias (padding holds the zero point's code), work memory for patches.
 *
 *   dsp   packed [ceil(M / 2)][runs][ceil(run / 4)][8]: two outputs, four neighbours in the order 0 2 1 3
 *         plain    w[m][0] w[m][1] w[m][2] w[m][3]  w[m+1][0] ... : widening puts them in that order
 *         paired   w[m][0] h[0]  w[m][2] h[2]   w[m][1] h[1]  w[m][3] h[3],  where the half is 256 * w[m+1] + w[m] */
#include "codegen/mcu.h"
#include "codegen/pack.h"

#include <mlir-c/BuiltinAttributes.h>

#include <stdlib.h>
#include <string.h>

/* Weight of output m at (run, k); 0 for padding. */
static int weight_at(const adze_pack_site *site, const adze_contraction *c, int64_t m, int64_t run, int64_t k) {
    if (m >= c->outputs || k >= c->run)
        return 0;
    return ((const int8_t *)site->w.data)[(run * c->run + k) * c->outputs + m];
}

/* Largest |code| of x, as it is stored. */
static int64_t largest_code(const adze_contraction *c) { return c->x_type == ADZE_u8 ? 255 : 128; }

/* Whether two outputs can share words: see gen_dsp.c. */
static bool pairs(const adze_pack_site *site, const adze_contraction *c) {
    for (int64_t m = 1; m < c->outputs; m += 2) {
        int64_t sum = 0;
        for (int64_t run = 0; run < c->n_runs; run++)
            for (int64_t k = 0; k < c->run; k++) {
                int low = weight_at(site, c, m - 1, run, k), high = weight_at(site, c, m, run, k);
                if (high == -128 && low < 0)
                    return false;
                sum += abs(high);
            }
        if (sum * largest_code(c) >= 1 << 23)
            return false;
    }
    return true;
}

static void pack_step(const adze_pack_site *site, const adze_contraction *c, int64_t m, int64_t run, int64_t k,
                      bool paired, int8_t *to) {
    for (int j = 0; j < 4; j++) {
        int first = weight_at(site, c, m, run, k + j), second = weight_at(site, c, m + 1, run, k + j);
        if (paired) {
            int at = 4 * (j % 2) + 2 * (j / 2);
            to[at] = (int8_t)first;
            to[at + 1] = (int8_t)(second - (first < 0));
        } else {
            to[j] = (int8_t)first;
            to[4 + j] = (int8_t)second;
        }
    }
}

/* bias - zero_x * (sum of weights), `columns` of them with zeros at the end. */
static bool fold_bias(adze_pack_site *site, const adze_contraction *c, int64_t columns, adze_tensor *out) {
    if (!adze_tensor_new(site->ctx->arena, ADZE_i32, 1, &columns, out))
        return adze_pack_refuse(site, "its bias is too large");
    int32_t *to = adze_tensor_data(out);
    const int64_t all = c->group * c->outputs, per_output = adze_tensor_count(&site->w) / (size_t)all;
    for (int64_t m = 0; m < columns; m++) {
        int64_t sum = 0;
        for (int64_t k = 0; m < all && k < per_output; k++)
            sum += ((const int8_t *)site->w.data)[k * all + m];
        int64_t value = (m < all && site->has_bias ? adze_tensor_get_i64(&site->bias, (size_t)m) : 0) - c->zero_x * sum;
        to[m] = (int32_t)(uint32_t)(uint64_t)value; /* sums of 32 bits wrap: so may what is added first */
    }
    return true;
}

static bool pack_bias(adze_pack_site *site, const adze_contraction *c, int64_t columns) {
    adze_tensor bias;
    if (!fold_bias(site, c, columns, &bias))
        return false;
    adze_pack_bias(site, c, &bias);
    return true;
}

static bool pack_work(adze_pack_site *site, const adze_contraction *c, const adze_schedule *s) {
    const adze_mcu_form form = adze_mcu_form_of(c, s);
    adze_pack_work(site, form.work, form.elements);
    return true;
}

static bool pack_dsp(adze_pack_site *site, const adze_contraction *c, const adze_schedule *s) {
    adze_context *ctx = site->ctx;
    const int64_t panels = (c->outputs + 1) / 2, steps = (c->run + 3) / 4;
    const int64_t dims[] = {panels, c->n_runs, steps, 2, 4};
    adze_tensor packed;
    if (!adze_tensor_new(ctx->arena, ADZE_i8, 5, dims, &packed))
        return adze_pack_refuse(site, "its packed weight is too large");
    const bool paired = pairs(site, c);
    int8_t *to = adze_tensor_data(&packed);
    for (int64_t panel = 0; panel < panels; panel++)
        for (int64_t run = 0; run < c->n_runs; run++)
            for (int64_t i = 0; i < steps; i++, to += 8)
                pack_step(site, c, 2 * panel, run, 4 * i, paired, to);
    if (paired)
        adze_set(c->op, "adze.paired", mlirUnitAttrGet(ctx->mlir));
    adze_set(c->op, "adze.weight_shape", adze_i64s(ctx, c->ws.rank, c->ws.dims));
    adze_set(c->op, "adze.packed", adze_i64s(ctx, 2, (int64_t[]){2, 4}));
    adze_shape shape = adze_pack_shape(ctx, ADZE_i8, 5, dims);
    const char *suffix = paired ? "pairs" : "packed";
    adze_pack_weight(site, adze_pack_add_weight(site, adze_arena_printf(ctx->arena, "%s.%s", site->symbol, suffix),
                                                &packed), &shape);
    if (!pack_bias(site, c, 2 * panels))
        return false;
    return pack_work(site, c, s);
}

static bool pack_helium(adze_pack_site *site, const adze_contraction *c, const adze_schedule *s) {
    adze_context *ctx = site->ctx;
    const adze_packing how = {.columns = 2, .depth = 16};
    int64_t dims[5], at[5];
    adze_packed_shape(c, &how, dims);
    adze_tensor packed;
    if (!adze_tensor_new(ctx->arena, ADZE_i8, 5, dims, &packed))
        return adze_pack_refuse(site, "its packed weight is too large");
    int8_t *to = adze_tensor_data(&packed);
    for (at[0] = 0; at[0] < dims[0]; at[0]++)
        for (at[1] = 0; at[1] < dims[1]; at[1]++)
            for (at[2] = 0; at[2] < dims[2]; at[2]++)
                for (at[3] = 0; at[3] < dims[3]; at[3]++)
                    for (at[4] = 0; at[4] < dims[4]; at[4]++)
                        *to++ = (int8_t)weight_at(site, c, at[0] * how.columns + at[3], at[1],
                                                  at[2] * how.depth + at[4]);
    adze_set(c->op, "adze.weight_shape", adze_i64s(ctx, c->ws.rank, c->ws.dims));
    adze_set(c->op, "adze.packed", adze_i64s(ctx, 2, (int64_t[]){how.columns, how.depth}));
    adze_shape shape = adze_pack_shape(ctx, ADZE_i8, 5, dims);
    adze_pack_weight(site, adze_pack_add_weight(site, adze_arena_printf(ctx->arena, "%s.packed", site->symbol), &packed),
                     &shape);
    if (!pack_bias(site, c, dims[0] * how.columns))
        return false;
    return pack_work(site, c, s);
}

/* Depthwise weights stay as they are, [taps][channels]. */
static bool pack_dsp_depthwise(adze_pack_site *site, const adze_contraction *c, const adze_schedule *s) {
    return pack_work(site, c, s) && pack_bias(site, c, c->group);
}

/* Sixteen channels in the order 0 4 8 12, 1 5 9 13, ... : how gen_depthwise.c holds them. */
static void to_fourths(int32_t *table, int64_t n) {
    for (int64_t c = 0; c < n; c += 16) {
        int32_t was[16];
        memcpy(was, table + c, sizeof was);
        for (int i = 0; i < 16; i++)
            table[c + i] = was[4 * (i % 4) + i / 4];
    }
}

/* Brings the tables of an epilogue that only requantizes into the order of the sums, shifts as 32 - s. */
static bool pack_fourths(adze_pack_site *site, const adze_contraction *c) {
    adze_context *ctx = site->ctx;
    MlirValue sums = adze_result(c->op, 0);
    MlirOpOperand use = mlirValueGetFirstUse(sums);
    adze_requantize_vectors r;
    if (mlirOpOperandIsNull(use) || !mlirOpOperandIsNull(mlirOpOperandGetNextUse(use)) ||
        mlirOperationGetNumResults(mlirOpOperandGetOwner(use)) != 1)
        return false;
    MlirValue value = adze_result(mlirOpOperandGetOwner(use), 0);
    MlirOpOperand then = mlirValueGetFirstUse(value);
    if (mlirOpOperandIsNull(then) || !mlirOpOperandIsNull(mlirOpOperandGetNextUse(then)) ||
        !adze_is_op(mlirOpOperandGetOwner(then), "bufferization.materialize_in_destination") ||
        !adze_requantize_vectors_match(ctx, sums, value, c->group, &r))
        return false;
    const MlirValue tensors[] = {r.multiplier, r.shift};
    static const char *const names[] = {"multiplier", "left"};
    adze_tensor tables[2];
    int at[2];
    for (int i = 0; i < 2; i++) {
        MlirValue arg = mlirOperationGetOperand(adze_defining(tensors[i]), 0);
        at[i] = mlirValueIsABlockArgument(arg) ? (int)mlirBlockArgumentGetArgNumber(arg) : -1;
        if (at[i] < 0 || !adze_constant_value(ctx, site->module, mlirOperationGetOperand(site->call, at[i]), &tables[i]) ||
            tables[i].dtype != ADZE_i32 || (int64_t)adze_tensor_count(&tables[i]) != c->group)
            return false;
    }
    for (int i = 0; i < 2; i++) {
        adze_tensor t;
        if (!adze_tensor_new(ctx->arena, ADZE_i32, 1, &c->group, &t))
            return false;
        int32_t *to = adze_tensor_data(&t);
        for (int64_t k = 0; k < c->group; k++) {
            int32_t v = (int32_t)adze_tensor_get_i64(&tables[i], (size_t)k);
            to[k] = i ? 32 - v : v;
        }
        to_fourths(to, c->group);
        adze_pack_table(site, at[i], adze_arena_printf(ctx->arena, "%s.%s", site->symbol, names[i]), &t);
    }
    adze_set(c->op, "adze.fourths", mlirUnitAttrGet(ctx->mlir));
    return true;
}

static bool pack_helium_depthwise(adze_pack_site *site, const adze_contraction *c, const adze_schedule *s) {
    bool paired = true; /* two products of codes fit 16 bits */
    for (size_t i = 0; i < adze_tensor_count(&site->w); i++)
        paired &= ((const int8_t *)site->w.data)[i] != INT8_MIN;
    if (paired)
        adze_set(c->op, "adze.paired", mlirUnitAttrGet(site->ctx->mlir));
    adze_tensor bias;
    if (!pack_work(site, c, s) || !fold_bias(site, c, c->group, &bias))
        return false;
    if (pack_fourths(site, c))
        to_fourths(adze_tensor_data(&bias), c->group);
    adze_pack_bias(site, c, &bias);
    return true;
}

bool adze_pack_mcu(adze_pack_site *site, const adze_schedule *s) {
    static const struct {
        const char *family;
        bool (*pack)(adze_pack_site *site, const adze_contraction *c, const adze_schedule *s);
    } families[] = {{"dsp", pack_dsp}, {"dsp_depthwise", pack_dsp_depthwise}, {"helium", pack_helium},
                    {"helium_depthwise", pack_helium_depthwise}};
    for (size_t i = 0; i < ADZE_COUNT(families); i++) {
        adze_contraction c;
        if (strcmp(families[i].family, s->family))
            continue;
        if (!adze_contraction_of_kernel(site->ctx, site->kernel, &c))
            return adze_pack_refuse(site, "it has no channels-last convolution of known extents");
        if (!mlirAttributeIsNull(adze_get(c.op, "adze.mcu")))
            return true; /* a dump of this pass */
        const char *unfit = adze_mcu_unfit(&c, s);
        if (unfit)
            return adze_pack_refuse(site, unfit);
        if (!adze_pack_open(site, &c))
            return false;
        adze_set(c.op, "adze.mcu", mlirUnitAttrGet(site->ctx->mlir));
        return families[i].pack(site, &c, s);
    }
    return true; /* its generator, or the error that there is none, comes with the loops */
}
