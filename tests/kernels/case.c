/* One case: text, inputs, expected outputs, level 3. See kernels.h. */
#include "tests/kernels/kernels.h"

#include "codegen/gen.h"
#include "passes/passes.h"
#include "reference/reference.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- the module ---- */

static const char *module_text(net *n, const char *name) {
    adze_text t = {0};
    adze_text_printf(&t, "module attributes {adze.level = 1 : i64, adze.name = \"%s\"} {\n%s  func.func @run(%s) -> (",
                     name, n->weights.data ? n->weights.data : "", n->arguments.data);
    for (int i = 0; i < n->n_outputs; i++) {
        adze_text_puts(&t, i ? ", " : "");
        net_type(&n->outputs[i], &t);
        adze_text_printf(&t, " {adze.name = \"y%d\"}", i);
    }
    adze_text_printf(&t, ") attributes {adze.entry} {\n    %%none = \"adze.none\"() : () -> !adze.absent\n%s    return ",
                     n->body.data);
    for (int i = 0; i < n->n_outputs; i++)
        adze_text_printf(&t, "%s%%v%d", i ? ", " : "", n->outputs[i].id);
    adze_text_puts(&t, " : ");
    for (int i = 0; i < n->n_outputs; i++) {
        adze_text_puts(&t, i ? ", " : "");
        net_type(&n->outputs[i], &t);
    }
    adze_text_puts(&t, "\n  }\n}\n");
    const char *out = adze_arena_strdup(n->ctx->arena, t.data);
    adze_text_free(&t);
    return out;
}

/* ---- inputs: round 0 ordinary, 1 with NaN and infinities, 2 huge, tiny, at the ends of their type ---- */

enum { ORDINARY, NOT_FINITE, EXTREME };

static double hostile(net *n, int round) {
    const double h = n->huge < FLT_MAX ? n->huge : FLT_MAX;
    const double not_finite[] = {NAN, INFINITY, -INFINITY};
    if (round == NOT_FINITE)
        return not_finite[net_pick(n, 0, 2)];
    const double extreme[] = {FLT_MIN, -FLT_MIN, 0x1p-149, -0x1p-140, 0.0, -0.0, h, -h};
    return extreme[net_pick(n, 0, n->tiny ? 5 : 7)];
}

static void fill(net *n, const net_input *in, int round, adze_tensor *t) {
    const char cls = adze_dtype_get(t->dtype)->cls;
    const size_t count = adze_tensor_count(t);
    const bool mostly = round == EXTREME && net_chance(n, 50); /* else a few among ordinary ones */
    for (size_t i = 0; i < count; i++) {
        if (in->kind == DATA_RANGE) {
            if (cls == 'F')
                adze_tensor_set_f64(t, i, net_uniform(n, in->low, in->high));
            else
                adze_tensor_set_i64(t, i, net_pick(n, (int64_t)in->low, (int64_t)in->high));
        } else if (cls == 'F') {
            adze_tensor_set_f64(t, i, net_uniform(n, -2, 2));
            if (mostly && net_chance(n, 50))
                adze_tensor_set_f64(t, i, hostile(n, round));
        } else if (cls == 'B') {
            adze_tensor_set_i64(t, i, net_pick(n, 0, 1));
        } else {
            const int bits = adze_dtype_get(t->dtype)->bits;
            const int64_t high = bits == 64 ? INT64_MAX : (int64_t)((UINT64_C(1) << (bits - (cls == 'I'))) - 1);
            const int64_t low = cls == 'I' ? -high - 1 : 0;
            adze_tensor_set_i64(t, i,
                                round != ORDINARY && net_chance(n, 60) ? (net_chance(n, 50) ? low : high)
                                : bits == 64                           ? (int64_t)net_random(n)
                                                                       : net_pick(n, low, high));
        }
    }
    if (in->kind == DATA_ANY && cls == 'F' && round != ORDINARY && count)
        for (int i = (int)net_pick(n, 1, 3); i > 0; i--)
            adze_tensor_set_f64(t, (size_t)net_pick(n, 0, (int64_t)count - 1), hostile(n, round));
}

/* Models without floats have no NaN: their second round is one more of extremes. */
static bool make_inputs(net *n, kernel_case *k) {
    k->n_inputs = n->n_inputs;
    k->n_outputs = n->n_outputs;
    k->inputs = adze_arena_array(n->ctx->arena, ROUNDS, sizeof *k->inputs);
    k->want = adze_arena_array(n->ctx->arena, ROUNDS, sizeof *k->want);
    n->tiny = net_chance(n, 40);
    k->is_huge[EXTREME] = !n->tiny;
    for (int r = 0; r < ROUNDS; r++)
        for (int i = 0; i < n->n_inputs; i++) {
            const net_value *v = &n->inputs[i].value;
            if (!adze_tensor_new(n->ctx->arena, v->dtype, v->rank, v->dims, &k->inputs[r][i]))
                return adze_error(&n->ctx->diags, NULL, "an input is too large");
            fill(n, &n->inputs[i], r, &k->inputs[r][i]);
        }
    return true;
}

static bool evaluate(adze_context *ctx, MlirModule module, kernel_case *k) {
    for (int r = 0; r < ROUNDS; r++)
        if (!adze_ref_run(ctx, module, NULL, k->inputs[r], k->n_inputs, k->want[r], k->n_outputs, NULL, NULL))
            return false;
    return true;
}

/* ---- down to level 3 ---- */

typedef struct lowering {
    adze_context *ctx;
    const adze_target *target;
    kernel_case *k;
    net random;
    adze_text schedules;
} lowering;

static void visit_kernel(MlirOperation op, void *user) {
    lowering *l = user;
    if (!adze_is_op(op, "func.func") || mlirAttributeIsNull(adze_get(op, "adze.kernel")))
        return;
    if (l->k->variant)
        schedule_change(l->ctx, l->target, op, &l->random);
    adze_schedule s = {0};
    const char *name = adze_get_str(l->ctx, op, "sym_name");
    if (!adze_schedule_read(l->ctx, name, adze_get(op, "adze.schedule"), &s))
        return;
    l->k->winograd |= s.family && !strncmp(s.family, "winograd", strlen("winograd"));
    adze_text_printf(&l->schedules, " %s {", name);
    if (s.family)
        adze_text_printf(&l->schedules, "family=%s ", s.family);
#define KEY(key)                                                                                                       \
    if (s.key)                                                                                                         \
        adze_text_printf(&l->schedules, #key "=%lld ", (long long)s.key);
    KEY(lanes) KEY(scalable) KEY(rows) KEY(vectors) KEY(depth) KEY(tiles) KEY(k_block)
#undef KEY
    const struct {
        const char *name;
        int n;
        const int64_t *values;
    } lists[] = {{"tile", s.n_tile, s.tile}, {"block", s.n_block, s.block}, {"order", s.n_order, s.order}};
    for (size_t i = 0; i < ADZE_COUNT(lists); i++) {
        bool any = i == 2;
        for (int d = 0; d < lists[i].n; d++)
            any |= lists[i].values[d] != 0;
        for (int d = 0; any && d < lists[i].n; d++)
            adze_text_printf(&l->schedules, "%s%lld%s", d ? "," : adze_arena_printf(l->ctx->arena, "%s=", lists[i].name),
                             (long long)lists[i].values[d], d == lists[i].n - 1 ? " " : "");
    }
    adze_text_puts(&l->schedules, "}");
}

static bool after_pass(void *user, int number, const char *pass, MlirModule module) {
    lowering *l = user;
    (void)number;
    if (!strcmp(pass, "kernels"))
        adze_walk(mlirModuleGetOperation(module), visit_kernel, l);
    if (!strcmp(pass, "plan") && (l->k->row->rules & LATE))
        return evaluate(l->ctx, module, l->k);
    return true;
}

bool case_make(adze_context *ctx, const adze_target *target, kernel_case *k) {
    static const adze_codegen_passes codegen = ADZE_CODEGEN_PASSES;
    net n = {.ctx = ctx, .random = k->seed * 0x9E37 + 1, .large = k->large, .huge = k->row->huge};
    for (const char *c = k->row->name; *c; c++)
        n.random = n.random * 131 + (unsigned char)*c;
    k->row->make(&n);
    k->text = module_text(&n, k->row->name);
    lowering l = {.ctx = ctx, .target = target, .k = k};
    l.random = (net){.ctx = ctx, .random = k->seed * 31 + (uint64_t)k->variant * 0xADE};
    bool ok = make_inputs(&n, k);
    MlirModule module = ok ? adze_module_parse(ctx, k->text, k->row->name) : (MlirModule){NULL};
    ok = ok && !mlirModuleIsNull(module) && ((k->row->rules & LATE) || evaluate(ctx, module, k));
    adze_text_free(&n.weights);
    adze_text_free(&n.arguments);
    adze_text_free(&n.body);
    if (!ok)
        return false;
    adze_set(mlirModuleGetOperation(module), "adze.target", adze_str(ctx, target->name));
    if (k->threads > 1)
        adze_set(mlirModuleGetOperation(module), "adze.threads", adze_i64(ctx, k->threads));
    adze_pass_options options = {.target = target, .codegen = &codegen, .dump = after_pass, .user = &l};
    ok = adze_passes_lower(ctx, module, &options);
    k->schedule = adze_arena_strdup(ctx->arena, l.schedules.data ? l.schedules.data : "");
    adze_text_free(&l.schedules);
    if (!ok) {
        mlirModuleDestroy(module);
        k->refused = k->variant > 0; /* not every schedule is one that the family takes */
        return false;
    }
    k->module = module;
    return adze_c_module_read(ctx, module, k->name, ADZE_WEIGHTS_C, target, &k->c);
}
