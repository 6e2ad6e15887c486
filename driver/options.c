/* Command line -> adze_args, by the tables options.def and commands.def. */
#include "driver/driver.h"

#include <string.h>

const adze_command_info adze_commands[ADZE_N_COMMANDS] = {
#define COMMAND(id, args, least_, most_, brief_, text_)                                            \
    {.name = #id,                                                                                  \
     .arguments = args,                                                                            \
     .brief = brief_,                                                                              \
     .text = text_,                                                                                \
     .least = least_,                                                                              \
     .most = most_},
#include "driver/commands.def"
#undef COMMAND
};

#define C(id) (1u << ADZE_CMD_##id)
#define ALL ((1u << ADZE_N_COMMANDS) - 1)
const adze_option_info adze_options[ADZE_N_OPTIONS] = {
#define OPTION(id, letter_, name_, arg_, repeats_, commands_, help_)                               \
    {.name = name_,                                                                                \
     .argument = arg_,                                                                             \
     .help = help_,                                                                                \
     .letter = letter_,                                                                            \
     .repeats = repeats_,                                                                          \
     .commands = commands_},
#include "driver/options.def"
#undef OPTION
};
#undef C
#undef ALL

int adze_command_find(const char *name) {
    for (int i = 0; i < ADZE_N_COMMANDS; i++)
        if (!strcmp(adze_commands[i].name, name))
            return i;
    return -1;
}

bool adze_args_has(const adze_args *args, adze_option option) {
    return args->counts[option] > 0;
}

const char *adze_args_get(const adze_args *args, adze_option option) {
    size_t n = args->counts[option];
    return n ? args->values[option][n - 1] : NULL;
}

/* Damerau-Levenshtein (adjacent swaps count one) over words of at most 63 letters. */
static size_t distance(const char *a, const char *b) {
    enum { MAX = 63 };
    size_t na = strlen(a), nb = strlen(b);
    if (na > MAX || nb > MAX)
        return MAX;
    size_t d[MAX + 1][MAX + 1];
    for (size_t i = 0; i <= na; i++)
        d[i][0] = i;
    for (size_t j = 0; j <= nb; j++)
        d[0][j] = j;
    for (size_t i = 1; i <= na; i++)
        for (size_t j = 1; j <= nb; j++) {
            size_t best = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
            if (d[i - 1][j] + 1 < best)
                best = d[i - 1][j] + 1;
            if (d[i][j - 1] + 1 < best)
                best = d[i][j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                d[i - 2][j - 2] + 1 < best)
                best = d[i - 2][j - 2] + 1;
            d[i][j] = best;
        }
    return d[na][nb];
}

const char *adze_suggest(const char *word, const char *const *names, size_t n) {
    const char *best = NULL;
    size_t least = strlen(word) / 3 + 2; /* further than this is another word, not a slip */
    for (size_t i = 0; i < n; i++) {
        size_t d = distance(word, names[i]);
        if (d < least && d < strlen(names[i])) {
            least = d;
            best = names[i];
        }
    }
    return best;
}

/* By long name (name[0..length)) or, with `letter`, by letter. */
static int find_option(const char *name, size_t length, char letter) {
    for (int i = 0; i < ADZE_N_OPTIONS; i++) {
        const adze_option_info *o = &adze_options[i];
        if (letter ? o->letter == letter
                   : strlen(o->name) == length && !strncmp(o->name, name, length))
            return i;
    }
    return -1;
}

static const char *unknown_option(adze_args *args, const char *word, size_t length) {
    const char *names[ADZE_N_OPTIONS];
    size_t n = 0;
    for (int i = 0; i < ADZE_N_OPTIONS; i++)
        if (adze_options[i].commands >> args->command & 1)
            names[n++] = adze_options[i].name;
    const char *name = adze_arena_strndup(args->arena, word, length);
    while (*name == '-')
        name++;
    const char *near = adze_suggest(name, names, n);
    if (near)
        return adze_arena_printf(args->arena, "unknown option '%.*s'\n  did you mean --%s?",
                                 (int)length, word, near);
    return adze_arena_printf(args->arena, "unknown option '%.*s'", (int)length, word);
}

static const char *foreign_option(adze_args *args, int option) {
    adze_text list = {0};
    for (int c = 0; c < ADZE_N_COMMANDS; c++)
        if (adze_options[option].commands >> c & 1)
            adze_text_printf(&list, "%s%s", list.length ? ", " : "", adze_commands[c].name);
    const char *text =
        adze_arena_printf(args->arena, "--%s is not an option of %s\n  it is one of: %s",
                          adze_options[option].name, adze_commands[args->command].name, list.data);
    adze_text_free(&list);
    return text;
}

static bool store(adze_args *args, int option, const char *value, const char **problem) {
    const adze_option_info *o = &adze_options[option];
    size_t n = args->counts[option];
    if (n && !o->repeats) {
        *problem = adze_arena_printf(args->arena, "--%s is given twice", o->name);
        return false;
    }
    const char **more = ADZE_NEW_ARRAY(args->arena, const char *, n + 1);
    if (n)
        memcpy(more, args->values[option], n * sizeof *more);
    more[n] = value;
    args->values[option] = more;
    args->counts[option] = n + 1;
    return true;
}

/* One word that starts with '-', and the next word where the option takes an argument. */
static bool parse_option(adze_args *args, int argc, char **argv, int *at, const char **problem) {
    const char *word = argv[*at], *value = NULL;
    bool is_long = word[1] == '-';
    size_t length = strcspn(word, "=");
    int option = is_long ? find_option(word + 2, length - 2, 0) : find_option(NULL, 0, word[1]);
    if (option < 0) {
        *problem = unknown_option(args, word, is_long ? length : strlen(word));
        return false;
    }
    const adze_option_info *o = &adze_options[option];
    if (!(o->commands >> args->command & 1)) {
        *problem = foreign_option(args, option);
        return false;
    }
    if (is_long && word[length] == '=')
        value = word + length + 1;
    else if (!is_long && word[2])
        value = word + 2;
    if (!o->argument) {
        if (value) {
            *problem = adze_arena_printf(args->arena, "--%s takes no argument", o->name);
            return false;
        }
        return store(args, option, "", problem);
    }
    if (!value) {
        if (*at + 1 >= argc) {
            *problem = adze_arena_printf(args->arena, "--%s needs %s", o->name, o->argument);
            return false;
        }
        value = argv[++*at];
    }
    return store(args, option, value, problem);
}

static bool check_color(adze_args *args, const char **problem) {
    const char *color = adze_args_get(args, ADZE_OPT_color);
    if (!color || !strcmp(color, "auto") || !strcmp(color, "always") || !strcmp(color, "never"))
        return true;
    *problem = adze_arena_printf(args->arena, "--color '%s': say auto, always or never", color);
    return false;
}

bool adze_args_parse(adze_arena *arena, adze_command command, int argc, char **argv, adze_args *out,
                     const char **problem) {
    *out = (adze_args){.arena = arena, .command = command};
    out->positionals = ADZE_NEW_ARRAY(arena, const char *, (size_t)argc + 1);
    bool options_end = false;
    for (int i = 0; i < argc; i++) {
        if (!options_end && !strcmp(argv[i], "--"))
            options_end = true;
        else if (!options_end && argv[i][0] == '-' && argv[i][1]) {
            if (!parse_option(out, argc, argv, &i, problem))
                return false;
        } else
            out->positionals[out->n_positionals++] = argv[i];
    }
    if (!check_color(out, problem))
        return false;
    if (adze_args_has(out, ADZE_OPT_help))
        return true;
    const adze_command_info *c = &adze_commands[command];
    if (out->n_positionals < (size_t)c->least) {
        *problem = adze_arena_printf(arena, "%s needs %s", c->name, c->arguments);
        return false;
    }
    if (c->most >= 0 && out->n_positionals > (size_t)c->most) {
        *problem = adze_arena_printf(arena, "%s takes %s; '%s' is too much", c->name, c->arguments,
                                     out->positionals[c->most]);
        return false;
    }
    return true;
}
