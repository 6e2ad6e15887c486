/* A written tree as a program: building it with make, running it in the target's way. */
#ifndef ADZE_DRIVER_PROGRAM_H
#define ADZE_DRIVER_PROGRAM_H

#include "driver/job.h"
#include "driver/process.h"

typedef struct adze_program {
    adze_context *ctx;
    const adze_target *target;
    const char *dir; /* the tree */
    uint64_t runs; /* how often a program without words is to be timed; 0: it prints its outputs */
    bool profile;  /* built to measure its kernels */
    const char *exe; /* once built: its path in the tree */
} adze_program;

/* `make` of the tree's main. False with the end of what the compiler said. */
bool adze_program_build(adze_program *p, bool verbose);

/* Runs the program with further words (only where the target takes them) and appends what it prints
 * to `out`. False with a diagnostic when it fails. */
bool adze_program_run(adze_program *p, const char *const *words, size_t n_words, adze_text *out);

/* Runs it on its self-test's input and reads its outputs: outputs[i] has the type and extents of
 * like[i], in the context's arena. */
bool adze_program_outputs(adze_program *p, const char *const *names, const adze_tensor *like,
                          size_t n, adze_tensor *outputs);

/* Of one inference. */
typedef struct adze_timing {
    double min, median;  /* nanoseconds by the target's clock; 0: it has no rate */
    double instructions; /* counted by an emulator (the median run); 0: not known */
    uint64_t runs;
} adze_timing;
bool adze_program_time(adze_program *p, uint64_t runs, adze_timing *out);

/* Of one call of a kernel: nanoseconds of its fastest run, or instructions counted by an emulator (the mean
 * of the runs); 0: not known. Reading the clock is taken off. */
typedef struct adze_call_cost {
    double ns, instructions;
} adze_call_cost;
/* Of the first entry's `n` calls; the program is built with `profile`. */
bool adze_program_profile(adze_program *p, uint64_t runs, int n, adze_call_cost *out);

#endif
