/* adze bench MODEL [-t TARGET]: the time of one inference. */
#include "driver/command.h"

#include "driver/profile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Runs that take about a second in all, from one measurement. */
static uint64_t runs_for_a_second(const adze_timing *once) {
    enum { LEAST = 5, MOST = 1000 };
    if (once->min <= 0)
        return LEAST;
    double n = 1e9 / once->min;
    return n < LEAST ? LEAST : n > MOST ? MOST : (uint64_t)n;
}

static bool measure(adze_compilation *c, const adze_request *request, uint64_t runs,
                    adze_console *console, adze_timing *out) {
    enum { BOARD_RUNS = 3 }; /* an emulator counts every run the same */
    adze_program program = {.ctx = c->ctx, .target = c->target, .dir = request->output};
    bool board = !c->target->run.takes_args;
    if (board)
        program.runs = runs ? runs : BOARD_RUNS;
    adze_console_progress(console, "building");
    if (!adze_program_build(&program, console->verbose))
        return false;
    adze_console_progress(console, "measuring");
    if (runs || board)
        return adze_program_time(&program, runs, out);
    adze_timing once;
    return adze_program_time(&program, 1, &once) &&
           adze_program_time(&program, runs_for_a_second(&once), out);
}

static void report(adze_compilation *c, const adze_timing *t, const adze_call_cost *costs,
                   adze_console *console) {
    cJSON *o = cJSON_CreateObject();
    cJSON_AddBoolToObject(o, "ok", true);
    cJSON_AddStringToObject(o, "model", c->models[0].name);
    cJSON_AddStringToObject(o, "target", c->target->name);
    printf("%s on %s:", c->models[0].name, c->target->name);
    if (t->min > 0) {
        printf(" %.4f ms (median %.4f ms)", t->min / 1e6, t->median / 1e6);
        cJSON_AddNumberToObject(o, "ms_min", t->min / 1e6);
        cJSON_AddNumberToObject(o, "ms_median", t->median / 1e6);
    }
    if (t->instructions > 0) {
        printf(" %.0f instructions", t->instructions);
        cJSON_AddNumberToObject(o, "instructions", t->instructions);
    }
    printf(", %llu runs%s\n", (unsigned long long)t->runs,
           c->target->run.kind == ADZE_RUN_NATIVE || c->target->run.kind == ADZE_RUN_SSH
               ? ""
               : ", emulated: not the time of a real one");
    cJSON_AddNumberToObject(o, "threads", c->threads);
    cJSON_AddNumberToObject(o, "runs", (double)t->runs);
    if (costs)
        adze_profile_report(c, costs, o);
    adze_console_json(console, o);
}

/* Times do not depend on the values, so the inputs need no expected outputs. */
static bool seeded_inputs(adze_compilation *c, void *user) {
    (void)user;
    adze_context *ctx = c->ctx;
    adze_wanted *want;
    size_t n;
    ctx->diags.file = c->models[0].path;
    if (!adze_job_inputs(ctx, c->models[0].module, &want, &n))
        return false;
    adze_tensor *given = ADZE_NEW_ARRAY(ctx->arena, adze_tensor, n + 1);
    for (size_t i = 0; i < n; i++)
        if (!adze_selftest_random(ctx, &want[i], (unsigned)i, false, &given[i]))
            return false;
    c->models[0].given = given;
    return true;
}

int adze_cmd_bench(const adze_args *args, adze_console *console) {
    adze_request request;
    const char *problem;
    if (!adze_request_from_args(args, console, 1, &request, &problem))
        return adze_console_usage(console, ADZE_CMD_bench, problem);
    const char *runs = adze_args_get(args, ADZE_OPT_runs);
    adze_compilation *c = adze_command_begin(console);
    if (!c)
        return ADZE_EXIT_FAULT;
    c->choose_inputs = seeded_inputs;
    request.profile = adze_args_has(args, ADZE_OPT_kernels);
    adze_call_cost *costs = NULL;
    const char *temporary = adze_command_tree_place(c, &request);
    adze_timing timing;
    bool ok = request.output && adze_compile(c, &request) &&
              measure(c, &request, runs ? strtoull(runs, NULL, 10) : 0, console, &timing) &&
              (!request.profile ||
               adze_profile_measure(c, &request, timing.runs, console->verbose, &costs));
    if (temporary)
        adze_remove_folder(temporary);
    adze_console_progress_end(console);
    int code = ADZE_EXIT_OK;
    if (ok) {
        adze_command_note_threads(c, &request, console);
        adze_command_explain(c, &request);
        report(c, &timing, costs, console);
    } else {
        code = adze_console_fail(console, &c->ctx->diags);
    }
    adze_compilation_free(c);
    return code;
}
