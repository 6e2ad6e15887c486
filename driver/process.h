/* Running other programs: make, and what it built. */
#ifndef ADZE_DRIVER_PROCESS_H
#define ADZE_DRIVER_PROCESS_H

#include "ir/base.h"

typedef struct adze_process_result {
    int status; /* exit code; 128 + signal when one ended it; 127 when it could not be started */
    bool timed_out;
} adze_process_result;

/* Runs argv (NULL-ended, found on PATH) in the folder `dir` (NULL: this one) and waits. Standard
 * output and error are appended to `out` and `err` (the same text twice mixes them; NULL: not
 * kept). After `seconds` (0: never) it is ended. */
adze_process_result adze_process_run(const char *const *argv, const char *dir, adze_text *out,
                                     adze_text *err, unsigned seconds);

/* A new folder under $TMPDIR (or /tmp), in the arena; NULL when none can be made. */
char *adze_temporary_folder(adze_arena *arena);
/* Removes a folder and all below it. */
void adze_remove_folder(const char *dir);

#endif
