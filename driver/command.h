/* What the cmd_*.c files share beyond driver.h: requests, and trees that are built and run. */
#ifndef ADZE_DRIVER_COMMAND_H
#define ADZE_DRIVER_COMMAND_H

#include "driver/driver.h"
#include "driver/job.h"

/* The first `n_models` positionals and the options as a request. False with a usage problem. */
bool adze_request_from_args(const adze_args *args, adze_console *console, size_t n_models,
                            adze_request *out, const char **problem);

/* A compilation with its context, or NULL after a note. */
adze_compilation *adze_command_begin(adze_console *console);
/* For run and bench: the target is this machine where none is named, the output a subfolder of a
 * new temporary folder where none is asked for. Returns that temporary folder, to be removed, or
 * NULL; request->output stays NULL, with a diagnostic, when none could be made. */
const char *adze_command_tree_place(adze_compilation *compilation, adze_request *request);
/* Says so when threads were asked for where there are none. */
void adze_command_note_threads(const adze_compilation *compilation, const adze_request *request,
                               adze_console *console);
/* Prints what --explain asks for. */
void adze_command_explain(adze_compilation *compilation, const adze_request *request);

#endif
