/* Inside of the command line: what main.c and the cmd_*.c files share.
 *
 *   main.c ──► options.c (parse by options.def) ──► cmd_NAME.c ──► library (adze.h, values.h ...)
 *
 * A command returns its exit code: 0, 1 (the model or the request is at fault) or 2 (usage). */
#ifndef ADZE_DRIVER_DRIVER_H
#define ADZE_DRIVER_DRIVER_H

#include "driver/adze.h"
#include "ir/base.h"

#include <cjson/cJSON.h>

enum { ADZE_EXIT_OK = 0, ADZE_EXIT_FAULT = 1, ADZE_EXIT_USAGE = 2 };

typedef enum adze_command {
#define COMMAND(id, args, least, most, brief, text) ADZE_CMD_##id,
#include "driver/commands.def"
#undef COMMAND
    ADZE_N_COMMANDS
} adze_command;

typedef enum adze_option {
#define OPTION(id, letter, name, arg, repeats, commands, help) ADZE_OPT_##id,
#include "driver/options.def"
#undef OPTION
    ADZE_N_OPTIONS
} adze_option;

typedef struct adze_command_info {
    const char *name, *arguments, *brief, *text;
    int least, most; /* positionals; most -1: any number */
} adze_command_info;

typedef struct adze_option_info {
    const char *name, *argument, *help; /* argument NULL: a flag */
    char letter;
    bool repeats;
    unsigned commands; /* bit per adze_command */
} adze_option_info;

extern const adze_command_info adze_commands[ADZE_N_COMMANDS];
extern const adze_option_info adze_options[ADZE_N_OPTIONS];

/* A parsed command line. Strings are argv's or the arena's. */
typedef struct adze_args {
    adze_arena *arena;
    adze_command command;
    const char **values[ADZE_N_OPTIONS]; /* [counts[o]] in order; "" for a flag */
    size_t counts[ADZE_N_OPTIONS];
    const char **positionals;
    size_t n_positionals;
} adze_args;

/* The command named `name`, or -1. */
int adze_command_find(const char *name);
/* Parses argv[0..argc) (what follows the command's name). False with a one- or two-line `*problem`
 * in the arena. With --help the number of positionals is not checked. */
bool adze_args_parse(adze_arena *arena, adze_command command, int argc, char **argv, adze_args *out,
                     const char **problem);
bool adze_args_has(const adze_args *args, adze_option option);
/* The last value, or NULL. */
const char *adze_args_get(const adze_args *args, adze_option option);

/* The nearest of names[n] to `word` when it is near enough to be a slip, else NULL. */
const char *adze_suggest(const char *word, const char *const *names, size_t n);

/* ---- help: from the two tables ---- */

void adze_help_general(adze_text *out);
void adze_help_command(adze_command command, adze_text *out);
/* The man page in man(7); docs/adze.1 is this text, and a test holds it so. */
void adze_help_man(adze_text *out);

/* ---- console ---- */

/* How this run talks: set once by main from the options. */
typedef struct adze_console {
    bool color; /* on standard error */
    bool color_out;
    bool json;
    bool verbose;
    bool progress;  /* standard error is a terminal, or -v */
    bool open_line; /* a progress line stands there without its end */
} adze_console;

void adze_console_setup(adze_console *console, const adze_args *args);
/* "adze: text" on standard error. */
void adze_console_note(adze_console *console, const char *format, ...) ADZE_PRINTF(2, 3);
/* A stage of long work; on a terminal the line is overwritten by the next. */
void adze_console_progress(adze_console *console, const char *text);
void adze_console_progress_end(adze_console *console);
/* The diagnostics on standard error, with colour where there is any. With --json also
 * {"ok":false,"errors":[...]} as the last line of standard output. Returns ADZE_EXIT_FAULT. */
int adze_console_fail(adze_console *console, const adze_diagnostics *diags);
/* A usage error: the text, then where to find help. Returns ADZE_EXIT_USAGE. */
int adze_console_usage(adze_console *console, int command, const char *text);
/* With --json: the object as one line; always deletes it. */
void adze_console_json(adze_console *console, cJSON *object);

/* "64K", "1M", "4096" -> bytes (K and M are 1024s). False when it is not a number of bytes. */
bool adze_parse_bytes(const char *text, uint64_t *out);
/* "1.5 MB (1,572,864 bytes)", in the arena. */
const char *adze_show_bytes(adze_arena *arena, uint64_t bytes);

/* ---- commands ---- */

#define COMMAND(id, args, least, most, brief, text)                                                \
    int adze_cmd_##id(const adze_args *parsed, adze_console *console);
#include "driver/commands.def"
#undef COMMAND

#endif
