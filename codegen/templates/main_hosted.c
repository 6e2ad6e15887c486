/* Runs a model on raw input files, or on its reference input, and prints what comes out.
 *
 *   main [-n RUNS] [-o FOLDER] [INPUT.bin ...]     (with several models: the model's name first)
 *
 * Inputs are raw little-endian arrays in the order of the API; those not given are the reference's.
 * -o also writes FOLDER/OUTPUT_INDEX.bin; -n runs again and prints the times. */
@models@#include "compare.h"

#include "board.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

@memory@
typedef struct options {
    const char *folder;
    char **inputs;
    int n_inputs, runs;
    uint64_t *times;
} options;

static int usage(void) {
    fputs("usage: main @names@[-n RUNS] [-o FOLDER] [INPUT.bin ...]\n", stderr);
    return 2;
}

/* The bytes of a file: `bytes` of them, or up to that many. */
static void *read_file(const char *path, size_t bytes, int up_to, size_t *size) {
    FILE *file = fopen(path, "rb");
    unsigned char *data = malloc(bytes + 1);
    const size_t n = file != NULL && data != NULL ? fread(data, 1, bytes + 1, file) : 0;
    if (file != NULL) {
        fclose(file);
    }
    if (file == NULL || data == NULL || n > bytes || (!up_to && n != bytes)) {
        fprintf(stderr, "%s: cannot be read, or is not %zu bytes long\n", path, bytes);
        free(data);
        return NULL;
    }
    *size = n;
    return data;
}

static int write_file(const char *folder, int index, const void *data, size_t bytes) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%d.bin", folder, index);
    FILE *file = fopen(path, "wb");
    const int ok = file != NULL && fwrite(data, 1, bytes, file) == bytes;
    if (file == NULL || fclose(file) != 0 || !ok) {
        fprintf(stderr, "%s: cannot be written\n", path);
        return 1;
    }
    return 0;
}
@runs@
static int run(const char *name, const options *o) {
@calls@}

static int by_time(const void *a, const void *b) {
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv) {
    options o = {0};
    int i = 1;
    const char *name = "";
    if (@several@ && argc > 1) {
        name = argv[i++];
    }
    for (; i < argc && argv[i][0] == '-' && i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "-n") == 0) {
            o.runs = atoi(argv[i + 1]);
        } else if (strcmp(argv[i], "-o") == 0) {
            o.folder = argv[i + 1];
        } else {
            return usage();
        }
    }
    if (o.runs < 0 || o.runs > 1000000) {
        return usage();
    }
    o.inputs = argv + i;
    o.n_inputs = argc - i;
    o.times = calloc((size_t)o.runs + 1, sizeof *o.times);
    if (o.times == NULL) {
        return 1;
    }
    const int status = run(name, &o);
    if (status == 0 && o.runs > 0) {
        qsort(o.times, (size_t)o.runs, sizeof *o.times, by_time);
        printf("time: min %llu median %llu ns, %d runs\n", (unsigned long long)o.times[0],
               (unsigned long long)o.times[o.runs / 2], o.runs);
    }
    return status;
}
