/* The command line of adze: finds the command, parses its options, runs it. */
#include "driver/driver.h"

#include <stdio.h>
#include <string.h>

#define COMMAND(id, args, least, most, brief, text) adze_cmd_##id,
static int (*const run_command[ADZE_N_COMMANDS])(const adze_args *, adze_console *) = {
#include "driver/commands.def"
};
#undef COMMAND

static int print_text(adze_text *text) {
    fputs(text->data ? text->data : "", stdout);
    adze_text_free(text);
    return ADZE_EXIT_OK;
}

/* What may stand in a command's place. */
static int general(const char *word) {
    adze_text text = {0};
    if (!strcmp(word, "--version")) {
        printf("adze %s\n", adze_version());
        return ADZE_EXIT_OK;
    }
    if (!strcmp(word, "--man"))
        adze_help_man(&text);
    else if (!strcmp(word, "--help") || !strcmp(word, "-h") || !strcmp(word, "help"))
        adze_help_general(&text);
    else
        return -1;
    return print_text(&text);
}

static int unknown_command(adze_arena *arena, adze_console *console, const char *word) {
    const char *names[ADZE_N_COMMANDS];
    for (int i = 0; i < ADZE_N_COMMANDS; i++)
        names[i] = adze_commands[i].name;
    const char *near = adze_suggest(word, names, ADZE_N_COMMANDS);
    const char *text = adze_arena_printf(
        arena, near ? "unknown command '%s'\n  did you mean %s?" : "unknown command '%s'%s", word,
        near ? near : "");
    return adze_console_usage(console, -1, text);
}

int main(int argc, char **argv) {
    adze_arena *arena = adze_arena_new();
    adze_console console = {0};
    adze_args args = {.arena = arena};
    adze_console_setup(&console, &args);
    int code = ADZE_EXIT_USAGE, command = -1;
    const char *problem = NULL;
    if (argc < 2) {
        adze_text text = {0};
        adze_help_general(&text);
        fputs(text.data, stderr);
        adze_text_free(&text);
    } else if (argc == 3 && !strcmp(argv[1], "help") &&
               (command = adze_command_find(argv[2])) >= 0) {
        adze_text text = {0};
        adze_help_command((adze_command)command, &text);
        code = print_text(&text);
    } else if ((code = general(argv[1])) >= 0) {
        /* answered */
    } else if ((command = adze_command_find(argv[1])) < 0) {
        code = unknown_command(arena, &console, argv[1]);
    } else if (!adze_args_parse(arena, (adze_command)command, argc - 2, argv + 2, &args,
                                &problem)) {
        code = adze_console_usage(&console, command, problem);
    } else if (adze_args_has(&args, ADZE_OPT_help)) {
        adze_text text = {0};
        adze_help_command((adze_command)command, &text);
        code = print_text(&text);
    } else {
        adze_console_setup(&console, &args);
        code = run_command[command](&args, &console);
        adze_console_progress_end(&console);
    }
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fputs("adze: cannot write to standard output\n", stderr);
        code = code ? code : ADZE_EXIT_FAULT;
    }
    adze_arena_free(arena);
    return code;
}
