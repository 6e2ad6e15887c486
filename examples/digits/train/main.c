// The command line of the digits example: one command a step, the weights file between them.
#include "digits.h"

#include <stdlib.h>
#include <string.h>

static float parameters[PARAMETERS];
static struct quantized_net quantized;

static bool load(const char *weights) {
    return net_load(weights, parameters) && quantize(parameters, &quantized);
}

static bool command_train(const char *weights, int steps) {
    struct training options = {.steps = steps, .learning_rate = 3e-3f, .seed = 1};
    net_initialise(parameters, options.seed);
    return train(parameters, &options, stdout) && net_save(weights, parameters);
}

static bool command_eval(const char *weights, int images) {
    return load(weights) && evaluate(parameters, &quantized, images, stdout);
}

static const struct command {
    const char *name;
    int otherwise; // when the count is not given
    bool (*run)(const char *path, int count);
    const char *usage;
} commands[] = {
    {"train", 24000, command_train, "train WEIGHTS [STEPS]    train from a fixed seed"},
    {"eval", 10000, command_eval, "eval WEIGHTS [IMAGES]    accuracy on held-out images"},
    {"draw", 100, export_images, "draw DIR [IMAGES]        held-out images as PNG, labels.csv"},
};
enum { COMMANDS = sizeof commands / sizeof *commands };

static int usage(void) {
    fputs("usage:\n", stderr);
    for (int i = 0; i < COMMANDS; i++)
        fprintf(stderr, "  digits %s\n", commands[i].usage);
    fputs("  digits export WEIGHTS DIR       models, test data and samples\n", stderr);
    return 2;
}

static int report(const char *command, bool ok) {
    if (!ok)
        fprintf(stderr, "digits %s: failed\n", command);
    return ok ? 0 : 1;
}

int main(int argc, char **argv) {
    if (argc != 3 && argc != 4)
        return usage();
    if (argc == 4 && strcmp(argv[1], "export") == 0)
        return report("export", load(argv[2]) && export_all(argv[3], parameters, &quantized));
    for (int i = 0; i < COMMANDS; i++)
        if (strcmp(argv[1], commands[i].name) == 0) {
            int count = argc == 4 ? atoi(argv[3]) : commands[i].otherwise;
            return count > 0 ? report(argv[1], commands[i].run(argv[2], count)) : usage();
        }
    return usage();
}
