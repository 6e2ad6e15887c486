/* The pass "pack" (docs/decisions/0009): every kernel of the contraction family gets its weight laid out for its
 * register block, sums of quantized weights folded into its bias, and work memory for copies of x.
 *
 *   call @k(%x, %w, %b, %y)   ─►   call @k(%x, %w.packed, %b.packed, %y, %work)
 *
 * What was decided stands on the convolution, so that a dump goes on from here: adze.packed, adze.weight_shape,
 * and the keys of adze_staging. */
#include "codegen/fit.h"
#include "codegen/contraction_block.h"
#include "codegen/pack.h"
#include "codegen/vector.h"
#include "ir/weights.h"

#include <mlir-c/BuiltinAttributes.h>
#include <mlir-c/BuiltinTypes.h>

#include <string.h>

typedef struct packing {
    adze_context *ctx;
    MlirModule module;
    const adze_target *target;
    struct packed { /* weights that were packed already */
        const char *from, *to;
        adze_packing how;
        adze_shape shape; /* kernels may cut one weight into other runs */
    } *done;
    int n_done, max_done;
} packing;

typedef struct call_list {
    const char *kernel;
    MlirOperation calls[16];
    int n;
    bool overflow;
} call_list;

static void find_call(MlirOperation op, void *user) {
    call_list *l = user;
    if (!adze_is_op(op, "func.call"))
        return;
    MlirStringRef name = mlirFlatSymbolRefAttrGetValue(adze_get(op, "callee"));
    if (strlen(l->kernel) != name.length || memcmp(l->kernel, name.data, name.length))
        return;
    if (l->n == (int)ADZE_COUNT(l->calls))
        l->overflow = true;
    else
        l->calls[l->n++] = op;
}

static MlirBlock body_of(MlirOperation function) {
    return mlirRegionGetFirstBlock(mlirOperationGetRegion(function, 0));
}

/* The kernel's argument behind a tensor of its body, or -1. */
static int argument_of(MlirValue tensor) {
    MlirOperation op = adze_defining(tensor);
    if (mlirOperationIsNull(op) || !adze_is_op(op, "bufferization.to_tensor"))
        return -1;
    MlirValue memref = mlirOperationGetOperand(op, 0);
    return mlirValueIsABlockArgument(memref) ? (int)mlirBlockArgumentGetArgNumber(memref) : -1;
}

/* ---- functions and calls with other arguments ---- */

static void set_function_type(adze_context *ctx, MlirOperation kernel) {
    MlirBlock body = body_of(kernel);
    int n = (int)mlirBlockGetNumArguments(body);
    MlirType *types = ADZE_NEW_ARRAY(ctx->arena, MlirType, (size_t)n + 1);
    for (int i = 0; i < n; i++)
        types[i] = mlirValueGetType(mlirBlockGetArgument(body, i));
    adze_set(kernel, "function_type",
             mlirTypeAttrGet(mlirFunctionTypeGet(ctx->mlir, n, types, 0, NULL)));
}

/* Gives argument `index` of the kernel another type, with the tensor that its body makes of it. */
static void retype_argument(adze_context *ctx, MlirOperation kernel, int index, const adze_shape *shape) {
    MlirValue arg = mlirBlockGetArgument(body_of(kernel), index);
    mlirValueSetType(arg, adze_memref_type(ctx, shape));
    for (MlirOpOperand use = mlirValueGetFirstUse(arg); !mlirOpOperandIsNull(use);
         use = mlirOpOperandGetNextUse(use)) {
        MlirOperation user = mlirOpOperandGetOwner(use);
        if (adze_is_op(user, "bufferization.to_tensor"))
            mlirValueSetType(adze_result(user, 0), adze_tensor_type(ctx, shape));
    }
    set_function_type(ctx, kernel);
}

static void append_attr(adze_context *ctx, MlirOperation kernel, const char *name, const char *access) {
    MlirAttribute list = adze_get(kernel, "arg_attrs"), items[128];
    int n = (int)mlirArrayAttrGetNumElements(list);
    for (int i = 0; i < n; i++)
        items[i] = mlirArrayAttrGetElement(list, i);
    MlirNamedAttribute pair[] = {
        mlirNamedAttributeGet(
            mlirIdentifierGet(ctx->mlir, mlirStringRefCreateFromCString("adze.access")),
            adze_str(ctx, access)),
        mlirNamedAttributeGet(
            mlirIdentifierGet(ctx->mlir, mlirStringRefCreateFromCString("adze.name")),
            adze_str(ctx, name))};
    items[n++] = mlirDictionaryAttrGet(ctx->mlir, 2, pair);
    adze_set(kernel, "arg_attrs", mlirArrayAttrGet(ctx->mlir, n, items));
}

/* Adds an argument to the kernel; the calls get theirs with append_operand. */
static MlirValue append_argument(adze_context *ctx, MlirOperation kernel, const char *name,
                                 const char *access, const adze_shape *shape) {
    MlirLocation loc = mlirLocationNameGet(ctx->mlir, mlirStringRefCreateFromCString(name),
                                           mlirLocationUnknownGet(ctx->mlir));
    MlirValue arg = mlirBlockAddArgument(body_of(kernel), adze_memref_type(ctx, shape), loc);
    append_attr(ctx, kernel, name, access);
    set_function_type(ctx, kernel);
    return arg;
}

static void append_operand(MlirOperation call, MlirValue value) {
    MlirValue operands[128];
    intptr_t n = mlirOperationGetNumOperands(call);
    for (intptr_t i = 0; i < n; i++)
        operands[i] = mlirOperationGetOperand(call, i);
    operands[n++] = value;
    mlirOperationSetOperands(call, n, operands);
}

static MlirValue weight_value(adze_context *ctx, MlirOperation before, const char *weight,
                              const adze_shape *shape) {
    adze_builder b = adze_before(ctx, before);
    adze_named attr = {"weight", adze_str(ctx, weight)};
    return adze_build1(&b, "adze.get_weight", 0, NULL, adze_memref_type(ctx, shape), 1, &attr);
}

/* ---- packing ---- */

adze_shape adze_pack_shape(adze_context *ctx, adze_dtype dtype, int rank, const int64_t *dims) {
    adze_shape s = {.element = adze_element_type(ctx, dtype), .dtype = dtype, .rank = rank};
    memcpy(s.dims, dims, (size_t)rank * sizeof *dims);
    return s;
}

const char *adze_pack_add_weight(const adze_pack_site *site, const char *name, const adze_tensor *t) {
    adze_context *ctx = site->ctx;
    adze_shape shape = adze_pack_shape(ctx, t->dtype, t->rank, t->dims);
    adze_text bytes = {0};
    adze_tensor_pack(t, &bytes);
    const char *blob = adze_blob_add(ctx, bytes.data, bytes.length);
    const char *weight = adze_weight_add(ctx, site->module, name, adze_tensor_type(ctx, &shape), blob, 0,
                                         (int64_t)bytes.length, bytes.data);
    adze_text_free(&bytes);
    return weight;
}

bool adze_pack_refuse(const adze_pack_site *site, const char *why) {
    return adze_error(&site->ctx->diags, adze_get_str(site->ctx, site->kernel, "sym_name"),
                      "its schedule's family is \"%s\", but %s", site->family, why);
}

static bool constant_operand(const adze_pack_site *site, int index, adze_tensor *out, const char **symbol) {
    MlirValue value = mlirOperationGetOperand(site->call, index);
    MlirOperation op = adze_defining(value);
    if (mlirOperationIsNull(op) || !adze_is_op(op, "adze.get_weight"))
        return false;
    *symbol = adze_get_str(site->ctx, op, "weight");
    return adze_constant_value(site->ctx, site->module, value, out);
}

bool adze_pack_open(adze_pack_site *site, const adze_contraction *c) {
    adze_context *ctx = site->ctx;
    call_list list = {.kernel = adze_get_str(ctx, site->kernel, "sym_name")};
    adze_walk(mlirModuleGetOperation(site->module), find_call, &list);
    if (list.n != 1)
        return adze_pack_refuse(site, "it is not called from exactly one place");
    site->call = list.calls[0];
    site->w_arg = argument_of(c->w);
    site->has_bias = !adze_is_none(c->bias);
    site->b_arg = site->has_bias ? argument_of(c->bias) : -1;
    if (site->w_arg < 0 || !constant_operand(site, site->w_arg, &site->w, &site->symbol))
        return adze_pack_refuse(site, "its weight is not constant");
    if (site->has_bias &&
        (site->b_arg < 0 || !constant_operand(site, site->b_arg, &site->bias, &site->bias_symbol)) &&
        !adze_constant_value(ctx, site->module, c->bias, &site->bias))
        return adze_pack_refuse(site, "its bias is not constant");
    return true;
}

void adze_pack_weight(adze_pack_site *site, const char *symbol, const adze_shape *shape) {
    retype_argument(site->ctx, site->kernel, site->w_arg, shape);
    mlirOperationSetOperand(site->call, site->w_arg, weight_value(site->ctx, site->call, symbol, shape));
}

void adze_pack_table(adze_pack_site *site, int index, const char *name, const adze_tensor *t) {
    adze_shape shape = adze_pack_shape(site->ctx, t->dtype, t->rank, t->dims);
    mlirOperationSetOperand(site->call, index,
                            weight_value(site->ctx, site->call, adze_pack_add_weight(site, name, t), &shape));
}

void adze_pack_bias(adze_pack_site *site, const adze_contraction *c, const adze_tensor *bias) {
    adze_context *ctx = site->ctx;
    const char *name = adze_arena_printf(ctx->arena, "%s.bias", site->bias_symbol ? site->bias_symbol : site->symbol);
    adze_shape shape = adze_pack_shape(ctx, bias->dtype, bias->rank, bias->dims);
    MlirValue value = weight_value(ctx, site->call, adze_pack_add_weight(site, name, bias), &shape);
    if (site->b_arg >= 0) {
        retype_argument(ctx, site->kernel, site->b_arg, &shape);
        mlirOperationSetOperand(site->call, site->b_arg, value);
        return;
    }
    MlirValue arg = append_argument(ctx, site->kernel, "bias", "read", &shape);
    append_operand(site->call, value);
    adze_builder b = adze_before(ctx, c->op);
    adze_named unit = {"restrict", mlirUnitAttrGet(ctx->mlir)};
    mlirOperationSetOperand(
        c->op, 2,
        adze_build1(&b, "bufferization.to_tensor", 1, &arg, adze_tensor_type(ctx, &shape), 1, &unit));
}

void adze_pack_constant(adze_pack_site *site, const char *name, const char *symbol, const adze_tensor *t) {
    adze_shape shape = adze_pack_shape(site->ctx, t->dtype, t->rank, t->dims);
    append_argument(site->ctx, site->kernel, name, "read", &shape);
    append_operand(site->call, weight_value(site->ctx, site->call, adze_pack_add_weight(site, symbol, t), &shape));
}

void adze_pack_work(adze_pack_site *site, adze_dtype type, int64_t elements) {
    adze_context *ctx = site->ctx;
    adze_shape shape = adze_pack_shape(ctx, type, 1, &elements);
    append_argument(ctx, site->kernel, "work", "readwrite", &shape);
    adze_builder b = adze_before(ctx, site->call);
    b.name = "work";
    adze_named attr = {"operandSegmentSizes", adze_parse_attr(ctx, "array<i32: 0, 0>")};
    append_operand(site->call, adze_build1(&b, "memref.alloc", 0, NULL, adze_memref_type(ctx, &shape), 1, &attr));
}

/* ---- the contraction family ---- */

static bool pack_weight(packing *p, adze_pack_site *site, const adze_contraction *c,
                        const adze_packing *how, adze_dtype type, adze_shape *shape, const char **out) {
    const char *symbol = site->symbol;
    int64_t dims[5];
    adze_packed_shape(c, how, dims);
    *shape = adze_pack_shape(p->ctx, type, 5, dims);
    for (int i = 0; i < p->n_done; i++)
        if (!strcmp(p->done[i].from, symbol) && p->done[i].how.columns == how->columns &&
            p->done[i].how.depth == how->depth && p->done[i].how.tile == how->tile && p->done[i].shape.dtype == type &&
            !memcmp(p->done[i].shape.dims, dims, sizeof dims)) {
            *out = p->done[i].to;
            return true;
        }
    adze_tensor t;
    if (!adze_tensor_new(p->ctx->arena, type, 5, dims, &t))
        return adze_error(&p->ctx->diags, adze_node(p->ctx, c->op), "its packed weight is too large");
    size_t size = adze_dtype_get(type)->host_bytes, at_byte = 0;
    char *to = adze_tensor_data(&t);
    const char *source = site->w.data;
    int64_t at[5];
    for (at[0] = 0; at[0] < dims[0]; at[0]++)
        for (at[1] = 0; at[1] < dims[1]; at[1]++)
            for (at[2] = 0; at[2] < dims[2]; at[2]++)
                for (at[3] = 0; at[3] < dims[3]; at[3]++)
                    for (at[4] = 0; at[4] < dims[4]; at[4]++, at_byte += size) {
                        int64_t i = adze_packed_source(c, how, at);
                        if (i >= 0 && type != c->w_type)
                            adze_tensor_set_f64(&t, at_byte / size, adze_tensor_get_f64(&site->w, (size_t)i));
                        else if (i >= 0)
                            memcpy(to + at_byte, source + (size_t)i * size, size);
                        else
                            memset(to + at_byte, 0, size);
                    }
    *out = adze_pack_add_weight(site, adze_arena_printf(p->ctx->arena, "%s.packed", symbol), &t);
    if (p->n_done == p->max_done) {
        p->max_done = p->max_done ? 2 * p->max_done : 32;
        struct packed *grown = ADZE_NEW_ARRAY(p->ctx->arena, struct packed, (size_t)p->max_done);
        if (p->n_done)
            memcpy(grown, p->done, (size_t)p->n_done * sizeof *grown);
        p->done = grown;
    }
    p->done[p->n_done++] = (struct packed){symbol, *out, *how, *shape};
    return true;
}

/* bias[m] - (zero point of x as staged) * sum of w[.., m], for every column of every panel. */
static bool pack_bias(packing *p, const adze_contraction *c, const adze_packing *how,
                      const adze_staging *stage, const adze_tensor *w, const adze_tensor *bias,
                      adze_tensor *out) {
    int64_t dims[5], panels;
    adze_packed_shape(c, how, dims);
    panels = dims[0] / c->group;
    int64_t count = dims[0] * how->columns;
    if (!adze_tensor_new(p->ctx->arena, c->acc_type, 1, &count, out))
        return adze_error(&p->ctx->diags, adze_node(p->ctx, c->op), "its bias is too large");
    int64_t zero = stage->type == ADZE_i16 ? 0 : c->zero_x + stage->offset;
    int64_t m_total = c->group * c->outputs, k_total = c->run * c->n_runs;
    for (int64_t i = 0; i < count; i++) {
        int64_t g = i / (panels * how->columns), m = i % (panels * how->columns);
        if (m >= c->outputs)
            continue;
        m += g * c->outputs;
        if (c->acc_type == ADZE_f32) {
            ((float *)adze_tensor_data(out))[i] = (float)adze_tensor_get_f64(bias, (size_t)m);
            continue;
        }
        int64_t sum = bias ? adze_tensor_get_i64(bias, (size_t)m) : 0;
        for (int64_t k = 0; zero && k < k_total; k++)
            sum -= zero * ((const int8_t *)w->data)[k * m_total + m];
        /* additions of 32 bits wrap: so may what is added first */
        ((int32_t *)adze_tensor_data(out))[i] = (int32_t)(uint32_t)(uint64_t)sum;
    }
    return true;
}

/* The shapes of tiles: of whole blocks, and of what is left of the pixels of a call or a row. */
static bool pack_shapes(adze_pack_site *site, const adze_contraction *c, const adze_schedule *s, bool flat) {
    int64_t pixels = c->n ? c->out[c->n - 1] : 1, bytes = 2 * 64;
    if (flat) {
        pixels = 1;
        for (int d = 0; d < c->ys.rank - 1; d++)
            pixels = pixels < 0 || c->ys.dims[d] < 0 ? -1 : pixels * c->ys.dims[d];
    }
    adze_tensor t;
    if (!adze_tensor_new(site->ctx->arena, ADZE_u8, 1, &bytes, &t))
        return false;
    /* of an unknown number they are left one by one */
    const int64_t rest = pixels < 0 ? 1 : pixels % s->rows;
    adze_amx_shapes(s, rest ? rest : s->rows, adze_tensor_data(&t));
    adze_pack_constant(site, "tiles", adze_arena_printf(site->ctx->arena, "%s.tiles", site->symbol), &t);
    return true;
}

static bool pack_kernel(packing *p, adze_pack_site *site, const adze_schedule *s) {
    adze_context *ctx = p->ctx;
    MlirOperation kernel = site->kernel;
    adze_contraction c;
    const bool amx = !strcmp(s->family, "amx");
    adze_packing have, how = {s->vectors * (s->scalable ? ADZE_SCALABLE_COLUMNS : s->lanes), s->depth,
                              amx ? ADZE_TILE_STEPS : 0};
    if (!adze_contraction_of_kernel(ctx, kernel, &c))
        return adze_pack_refuse(site, "it has no channels-last convolution of known extents");
    adze_contraction_squeeze(&c);
    if (adze_packing_read(c.op, &have))
        return true; /* a dump of this pass */
    if (s->lanes < 1 || s->rows < 1 || s->vectors < 1 || s->depth < 1 ||
        s->lanes * s->vectors > ADZE_SCALABLE_COLUMNS * 64 || s->rows * s->vectors > ADZE_MAX_CARRIED)
        return adze_pack_refuse(site, "lanes, rows, vectors or depth are missing or make a block too large");
    if (s->scalable && s->vectors != 1)
        return adze_pack_refuse(site, "a block of scalable vectors has one vector");
    adze_staging stage;
    if (!adze_staging_choose(ctx, p->target, &c, &how, s, &stage))
        return adze_pack_refuse(site, "the target or the family has no form for these types and this depth");
    if (!adze_pack_open(site, &c))
        return false;

    adze_set(c.op, "adze.weight_shape", adze_i64s(ctx, c.ws.rank, c.ws.dims));
    adze_set(c.op, "adze.packed", adze_i64s(ctx, 2, (int64_t[]){how.columns, how.depth}));
    if (how.tile)
        adze_set(c.op, "adze.tile", adze_i64(ctx, how.tile));
    adze_staging_write(ctx, c.op, &stage);
    adze_shape shape;
    const char *packed = NULL;
    if (!pack_weight(p, site, &c, &how, adze_packed_type(ctx, p->target, &c, &how, s), &shape, &packed))
        return false;
    adze_pack_weight(site, packed, &shape);
    if (site->has_bias || (c.acc_type == ADZE_i32 && c.zero_x + stage.offset)) {
        adze_tensor sums;
        if (!pack_bias(p, &c, &how, &stage, &site->w, site->has_bias ? &site->bias : NULL, &sums))
            return false;
        adze_pack_bias(site, &c, &sums);
    }
    if (amx && !pack_shapes(site, &c, s, stage.flat))
        return false;
    if (stage.staged)
        adze_pack_work(site, stage.type,
                       adze_staged_work(&c, &stage, adze_get_i64(mlirModuleGetOperation(p->module), "adze.threads")));
    return true;
}

bool adze_codegen_pack(adze_context *ctx, MlirModule module, const adze_target *target) {
    packing p = {.ctx = ctx, .module = module, .target = target};
    for (MlirOperation op = mlirBlockGetFirstOperation(mlirModuleGetBody(module));
         !mlirOperationIsNull(op); op = mlirOperationGetNextInBlock(op)) {
        if (!adze_is_op(op, "func.func") || mlirAttributeIsNull(adze_get(op, "adze.kernel")))
            continue;
        adze_schedule s;
        const char *name = adze_get_str(ctx, op, "sym_name");
        if (!adze_schedule_read(ctx, name, adze_get(op, "adze.schedule"), &s))
            return false;
        if (!s.family)
            continue;
        adze_schedule_fit(ctx, target, op, &s);
        adze_pack_site site = {.ctx = ctx, .module = module, .target = target, .kernel = op, .family = s.family};
        bool ok = !strcmp(s.family, "contraction") || !strcmp(s.family, "amx") ? pack_kernel(&p, &site, &s)
                  : !strcmp(s.family, "winograd")  ? adze_pack_winograd(&site, &s)
                  : !strcmp(s.family, "winograd_rows") ? adze_pack_winograd_rows(&site, &s)
                                                       : adze_pack_mcu(&site, &s);
        if (!ok)
            return false;
    }
    return true;
}
