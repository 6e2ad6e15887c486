/* --help and the man page, from commands.def and options.def. */
#include "driver/driver.h"

#include <string.h>

enum { WIDTH = 96, OPTION_COLUMN = 30 };

/* Appends `text` broken at blanks, every line after the first indented. The first starts at
 * `indent`. */
static void wrap(adze_text *out, const char *text, int indent) {
    int column = indent;
    while (*text) {
        int length = (int)strcspn(text, " ");
        if (column > indent && column + 1 + length > WIDTH) {
            adze_text_printf(out, "\n%*s", indent, "");
            column = indent;
        } else if (column > indent) {
            adze_text_puts(out, " ");
            column++;
        }
        adze_text_append(out, text, (size_t)length);
        column += length;
        text += length + (text[length] == ' ');
    }
    adze_text_puts(out, "\n");
}

static void option_line(const adze_option_info *o, adze_text *out) {
    size_t from = out->length;
    if (o->letter)
        adze_text_printf(out, "  -%c, --%s", o->letter, o->name);
    else
        adze_text_printf(out, "      --%s", o->name);
    if (o->argument)
        adze_text_printf(out, " %s", o->argument);
    int column = (int)(out->length - from);
    if (column >= OPTION_COLUMN - 1)
        adze_text_printf(out, "\n%*s", OPTION_COLUMN, "");
    else
        adze_text_printf(out, "%*s", OPTION_COLUMN - column, "");
    wrap(out, o->help, OPTION_COLUMN);
}

void adze_help_general(adze_text *out) {
    adze_text_puts(out, "adze carves a trained neural network down to C.\n\nusage:\n");
    for (int i = 0; i < ADZE_N_COMMANDS; i++)
        adze_text_printf(out, "  adze %-8s %s\n", adze_commands[i].name, adze_commands[i].brief);
    adze_text_puts(out, "\n  adze COMMAND --help    explains a command\n"
                        "  adze --version         says the version\n"
                        "  adze --man             writes the manual page\n"
                        "\nexample:\n"
                        "  adze compile kws.onnx -t cortex-m4 -o kws && make -C kws check\n"
                        "\nexit code: 0; 1, the model or the request is at fault; 2, usage.\n");
}

void adze_help_command(adze_command command, adze_text *out) {
    const adze_command_info *c = &adze_commands[command];
    adze_text_printf(out, "usage: adze %s %s\n\n", c->name, c->arguments);
    wrap(out, c->text, 0);
    adze_text_puts(out, "\noptions:\n");
    for (int i = 0; i < ADZE_N_OPTIONS; i++)
        if (adze_options[i].commands >> command & 1)
            option_line(&adze_options[i], out);
}

/* ---- man(7) ---- */

/* Text with roff's own characters made harmless. */
static void roff(adze_text *out, const char *text) {
    for (const char *p = text; *p; p++) {
        if (*p == '-')
            adze_text_puts(out, "\\-");
        else if (*p == '\\')
            adze_text_puts(out, "\\e");
        else if ((*p == '.' || *p == '\'') && (p == text || p[-1] == '\n'))
            adze_text_printf(out, "\\&%c", *p);
        else
            adze_text_append(out, p, 1);
    }
}

/* Sections that the tables do not hold, in order after OPTIONS. */
static const struct {
    const char *title, *text;
} man_sections[] = {
    {"MODELS",
     "An .onnx file, or an .mlir file that --dump-ir wrote. A dump of any level continues to the "
     "same C; the files it names (the model, and blobs beside the dump) must be there unchanged."},
    {"JSON",
     "With --json the last line of standard output is one object. bench: ms_min, ms_median, "
     "threads; with --kernels also kernels, a list of kernel, nodes, ms or instructions, share, "
     "multiplies. "
     "run --reference: max_abs_error, max_rel_error, ok. On failure: ok (false) and errors, a list "
     "of file, node, cause, hint."},
    {"EXIT STATUS", "0 on success; 1 when the model or the request is at fault; 2 on wrong usage."},
    {"ENVIRONMENT",
     "ADZE_HOME: the folder with targets/, runtime/ and codegen/, where it is not the one that "
     "adze "
     "was built in. TMPDIR: where run and bench build. NO_COLOR: no colour in --color auto."},
};

void adze_help_man(adze_text *out) {
    adze_text_puts(out,
                   ".TH ADZE 1\n.SH NAME\nadze \\- compile a trained network to C\n.SH SYNOPSIS\n");
    for (int i = 0; i < ADZE_N_COMMANDS; i++) {
        adze_text_printf(out, ".B adze %s\n", adze_commands[i].name);
        roff(out, adze_commands[i].arguments);
        adze_text_puts(out, "\n.br\n");
    }
    adze_text_puts(out, ".SH COMMANDS\n");
    for (int i = 0; i < ADZE_N_COMMANDS; i++) {
        adze_text_printf(out, ".TP\n.B %s\n", adze_commands[i].name);
        roff(out, adze_commands[i].text);
        adze_text_puts(out, "\n");
    }
    adze_text_puts(out, ".SH OPTIONS\n");
    for (int i = 0; i < ADZE_N_OPTIONS; i++) {
        const adze_option_info *o = &adze_options[i];
        adze_text_puts(out, ".TP\n.B ");
        if (o->letter)
            adze_text_printf(out, "\\-%c, ", o->letter);
        adze_text_puts(out, "\\-\\-");
        roff(out, o->name);
        adze_text_puts(out, o->argument ? " \\fI" : "");
        roff(out, o->argument ? o->argument : "");
        adze_text_puts(out, o->argument ? "\\fR\n" : "\n");
        roff(out, o->help);
        adze_text_puts(out, ".\nCommands:");
        for (int c = 0, n = 0; c < ADZE_N_COMMANDS; c++)
            if (o->commands >> c & 1)
                adze_text_printf(out, "%s %s", n++ ? "," : "", adze_commands[c].name);
        adze_text_puts(out, ".\n");
    }
    for (size_t i = 0; i < ADZE_COUNT(man_sections); i++) {
        adze_text_printf(out, ".SH %s\n", man_sections[i].title);
        roff(out, man_sections[i].text);
        adze_text_puts(out, "\n");
    }
}
