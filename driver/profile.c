/* See profile.h. */
#include "driver/profile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool adze_profile_measure(adze_compilation *c, const adze_request *request, uint64_t runs, bool verbose,
                          adze_call_cost **out) {
    adze_program program = {.ctx = c->ctx, .target = c->target, .dir = request->output, .profile = true};
    if (!c->target->run.takes_args)
        program.runs = runs;
    *out = ADZE_NEW_ARRAY(c->ctx->arena, adze_call_cost, (size_t)c->n_calls + 1);
    return adze_program_build(&program, verbose) && adze_program_profile(&program, runs, c->n_calls, *out);
}

/* What a figure is sorted by and its share is of: instructions where they are counted, else time. */
static double weight(const adze_call_cost *cost) {
    return cost->instructions > 0 ? cost->instructions : cost->ns;
}

static int dearest_first(const void *a, const void *b) {
    const adze_call_cost *x = *(const adze_call_cost *const *)a, *y = *(const adze_call_cost *const *)b;
    double d = weight(y) - weight(x);
    return d < 0 ? -1 : d > 0 ? 1 : (x > y) - (x < y);
}

/* The figure per multiplication: GFLOP/s of time (two operations each), instructions per multiply. */
static const char *per_multiply(adze_arena *arena, const adze_job_call *call, const adze_call_cost *cost) {
    if (!call->multiplies || weight(cost) <= 0)
        return "-";
    double n = (double)call->multiplies;
    return adze_arena_printf(arena, "%.2f", cost->instructions > 0 ? cost->instructions / n
                                                                   : 2 * n / cost->ns);
}

static cJSON *call_json(const adze_job_call *call, const adze_call_cost *cost, double total) {
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "kernel", call->kernel);
    cJSON_AddStringToObject(o, "nodes", call->nodes);
    if (cost->instructions > 0)
        cJSON_AddNumberToObject(o, "instructions", cost->instructions);
    if (cost->ns > 0)
        cJSON_AddNumberToObject(o, "ms", cost->ns / 1e6);
    cJSON_AddNumberToObject(o, "share", total > 0 ? weight(cost) / total : 0);
    cJSON_AddNumberToObject(o, "multiplies", (double)call->multiplies);
    return o;
}

void adze_profile_report(const adze_compilation *c, const adze_call_cost *costs, cJSON *json) {
    enum { NODES = 44 };
    adze_arena *arena = c->ctx->arena;
    const adze_call_cost **order = ADZE_NEW_ARRAY(arena, const adze_call_cost *, (size_t)c->n_calls + 1);
    double total = 0, multiplies = 0;
    bool counted = false;
    for (int i = 0; i < c->n_calls; i++) {
        order[i] = &costs[i];
        total += weight(&costs[i]);
        multiplies += (double)c->calls[i].multiplies;
        counted |= costs[i].instructions > 0;
    }
    qsort(order, (size_t)c->n_calls, sizeof *order, dearest_first);
    cJSON *list = cJSON_AddArrayToObject(json, "kernels");
    printf("%-24s %-*s %14s %7s %12s\n", "kernel", NODES, "nodes", counted ? "instructions" : "ms", "share",
           counted ? "per multiply" : "GFLOP/s");
    for (int i = 0; i < c->n_calls; i++) {
        const adze_job_call *call = &c->calls[order[i] - costs];
        bool cut = strlen(call->nodes) > NODES;
        printf("%-24s %-*.*s%s %14.*f %6.1f%% %12s\n", call->kernel, cut ? NODES - 3 : NODES,
               cut ? NODES - 3 : NODES, call->nodes, cut ? "..." : "", counted ? 0 : 4,
               counted ? order[i]->instructions : order[i]->ns / 1e6,
               total > 0 ? 100 * weight(order[i]) / total : 0, per_multiply(arena, call, order[i]));
        cJSON_AddItemToArray(list, call_json(call, order[i], total));
    }
    printf("%-24s %-*s %14.*f %6.1f%%\n", "all", NODES,
           multiplies > 0 ? adze_arena_printf(arena, "%.0f multiplies", multiplies) : "", counted ? 0 : 4,
           counted ? total : total / 1e6, total > 0 ? 100.0 : 0);
    double step = c->target->clock.instructions_per_tick;
    if (counted)
        cJSON_AddNumberToObject(json, "instructions_resolution", step);
    if (counted && step > 1)
        printf("the board's clock ticks once in %g instructions: each figure is within %g of the exact count\n",
               step, step);
}
