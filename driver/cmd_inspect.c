/* adze inspect MODEL */
#include "driver/command.h"

#include <stdio.h>
#include <string.h>

int adze_cmd_inspect(const adze_args *args, adze_console *console) {
    static const struct {
        adze_option option;
        adze_view view;
    } views[] = {{ADZE_OPT_html, ADZE_VIEW_HTML},
                 {ADZE_OPT_dot, ADZE_VIEW_DOT},
                 {ADZE_OPT_mlir, ADZE_VIEW_MLIR}};
    adze_request request;
    const char *problem;
    if (!adze_request_from_args(args, console, 1, &request, &problem))
        return adze_console_usage(console, ADZE_CMD_inspect, problem);
    adze_view view = console->json ? ADZE_VIEW_JSON : ADZE_VIEW_TEXT;
    int chosen = console->json;
    for (size_t i = 0; i < ADZE_COUNT(views); i++)
        if (adze_args_has(args, views[i].option)) {
            view = views[i].view;
            chosen++;
        }
    if (chosen > 1)
        return adze_console_usage(console, ADZE_CMD_inspect,
                                  "one of --json, --html, --dot and --mlir at a time");
    adze_compilation *c = adze_command_begin(console);
    if (!c)
        return ADZE_EXIT_FAULT;
    const char *text = adze_inspect(c, &request, view);
    bool ok =
        text && (!request.output || adze_write_file(c->ctx, request.output, text, strlen(text)));
    int code = ok ? ADZE_EXIT_OK : adze_console_fail(console, &c->ctx->diags);
    adze_console_progress_end(console);
    if (ok && !request.output)
        fputs(text, stdout);
    adze_compilation_free(c);
    return code;
}
