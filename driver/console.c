/* What the user sees besides results: errors, notes, progress, the last JSON line. */
#include "driver/driver.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BOLD "\033[1m"
#define RED "\033[1;31m"
#define CYAN "\033[36m"
#define PLAIN "\033[0m"

void adze_console_setup(adze_console *console, const adze_args *args) {
    const char *color = adze_args_get(args, ADZE_OPT_color);
    const char *no_color = getenv("NO_COLOR");
    bool always = color && !strcmp(color, "always");
    bool never = color ? !strcmp(color, "never") : no_color && *no_color;
    bool terminal = isatty(STDERR_FILENO) == 1;
    *console = (adze_console){
        .color = always || (terminal && !never),
        .color_out = always || (isatty(STDOUT_FILENO) == 1 && !never),
        .json = adze_args_has(args, ADZE_OPT_json),
        .verbose = adze_args_has(args, ADZE_OPT_verbose),
    };
    console->progress = terminal || console->verbose;
}

void adze_console_progress_end(adze_console *console) {
    if (console->open_line)
        fputs("\r\033[K", stderr);
    console->open_line = false;
}

void adze_console_note(adze_console *console, const char *format, ...) {
    adze_console_progress_end(console);
    va_list args;
    va_start(args, format);
    fputs("adze: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
}

void adze_console_progress(adze_console *console, const char *text) {
    if (!console->progress)
        return;
    if (console->verbose || isatty(STDERR_FILENO) != 1) {
        adze_console_note(console, "%s", text);
        return;
    }
    fprintf(stderr, "\r\033[K%s", text);
    fflush(stderr);
    console->open_line = true;
}

static void print_one(const adze_console *console, const adze_diagnostic *d) {
    const char *bold = console->color ? BOLD : "", *red = console->color ? RED : "";
    const char *cyan = console->color ? CYAN : "", *plain = console->color ? PLAIN : "";
    if (*d->where)
        fprintf(stderr, "%s%s:%s ", bold, d->where, plain);
    else
        fprintf(stderr, "%sadze:%s ", bold, plain);
    if (*d->node)
        fprintf(stderr, "%snode '%s'%s%s", red, d->node, plain, *d->cause == '(' ? " " : ": ");
    fprintf(stderr, "%s\n", d->cause);
    if (*d->hint)
        fprintf(stderr, "  %s%s%s\n", cyan, d->hint, plain);
}

int adze_console_fail(adze_console *console, const adze_diagnostics *diags) {
    adze_console_progress_end(console);
    cJSON *errors = cJSON_CreateArray();
    for (size_t i = 0; i < diags->count; i++) {
        const adze_diagnostic *d = &diags->items[i];
        print_one(console, d);
        cJSON *error = cJSON_CreateObject();
        cJSON_AddStringToObject(error, "file", d->where);
        cJSON_AddStringToObject(error, "node", d->node);
        cJSON_AddStringToObject(error, "cause", d->cause);
        cJSON_AddStringToObject(error, "hint", d->hint);
        cJSON_AddItemToArray(errors, error);
    }
    cJSON *object = cJSON_CreateObject();
    cJSON_AddBoolToObject(object, "ok", false);
    cJSON_AddItemToObject(object, "errors", errors);
    adze_console_json(console, object);
    return ADZE_EXIT_FAULT;
}

int adze_console_usage(adze_console *console, int command, const char *text) {
    adze_console_progress_end(console);
    fprintf(stderr, "%sadze:%s %s\n", console->color ? BOLD : "", console->color ? PLAIN : "",
            text);
    if (command >= 0)
        fprintf(stderr, "  adze %s --help explains it\n", adze_commands[command].name);
    else
        fputs("  adze --help lists the commands\n", stderr);
    return ADZE_EXIT_USAGE;
}

void adze_console_json(adze_console *console, cJSON *object) {
    char *line = console->json ? cJSON_PrintUnformatted(object) : NULL;
    if (line) {
        puts(line);
        fflush(stdout);
    }
    free(line);
    cJSON_Delete(object);
}

bool adze_parse_bytes(const char *text, uint64_t *out) {
    char *end;
    if (*text < '0' || *text > '9')
        return false;
    unsigned long long n = strtoull(text, &end, 0);
    unsigned shift = 0;
    if (*end == 'k' || *end == 'K')
        shift = 10;
    else if (*end == 'm' || *end == 'M')
        shift = 20;
    else if (*end == 'g' || *end == 'G')
        shift = 30;
    end += shift != 0;
    if (*end == 'B' || *end == 'b')
        end++;
    if (*end || n > UINT64_MAX >> shift)
        return false;
    *out = (uint64_t)n << shift;
    return true;
}

const char *adze_show_bytes(adze_arena *arena, uint64_t bytes) {
    static const struct {
        uint64_t unit;
        const char *name;
    } units[] = {{1ull << 30, "GB"}, {1ull << 20, "MB"}, {1ull << 10, "KB"}};
    for (size_t i = 0; i < ADZE_COUNT(units); i++)
        if (bytes >= units[i].unit)
            return adze_arena_printf(arena, "%.1f %s", (double)bytes / (double)units[i].unit,
                                     units[i].name);
    return adze_arena_printf(arena, "%llu B", (unsigned long long)bytes);
}
