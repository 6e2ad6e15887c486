/* What the tree writer's files share. */
#ifndef ADZE_CODEGEN_TREE_INTERNAL_H
#define ADZE_CODEGEN_TREE_INTERNAL_H

#include "codegen/tree.h"

/* A C file of the tree, as the Makefile needs it. */
typedef struct tree_source {
    const char *path; /* "src/kws.c" */
    bool program;     /* belongs to the programs, not to the models' code */
} tree_source;

typedef struct tree {
    adze_context *ctx;
    adze_arena *arena;
    const adze_target *target;
    const adze_tree_options *options;
    const char *root; /* the folder being written */
    int n;
    const adze_tree_model *models;
    adze_c_module *modules;
    tree_source *sources;
    int n_sources, sources_capacity;
    int n_runtime;
    const char **runtime; /* files below runtime/, sorted */
    /* image */
    uint64_t weights, state, scratch, test_data, output_bytes;
    uint64_t code_estimate, stack_estimate, stack_reserved;
} tree;

/* ---- files (tree_files.c) ---- */

/* Writes root/path, making folders. Adds it to the sources when it is .c or .S. */
bool tree_write(tree *t, const char *path, const void *bytes, size_t length);
bool tree_write_text(tree *t, const char *path, adze_text *text); /* frees the text */
bool tree_program_write(tree *t, const char *path, adze_text *text);
/* A whole file below options->home, in the arena. */
bool tree_read(tree *t, const char *path, const char **text, size_t *length);
typedef struct tree_value {
    const char *key, *text; /* @key@ */
} tree_value;
/* codegen/templates/NAME with every @key@ replaced, into root/path. */
bool tree_template(tree *t, const char *name, const char *path, const tree_value *values, int n);
/* Copies the runtime files that are used, with what they include. */
bool tree_runtime(tree *t);
void tree_use_runtime(tree *t, const char *file);
bool tree_begin(tree *t, const char *dir);
bool tree_finish(tree *t, const char *dir);
void tree_abandon(tree *t);

/* ---- contents ---- */

bool tree_header(tree *t, int model);    /* tree_header.c: include/NAME.h */
bool tree_code(tree *t, int model);      /* tree_source.c: src/NAME.c, kernels */
bool tree_weights(tree *t, int model);   /* tree_weights.c */
bool tree_test_data(tree *t, int model); /* tree_data.c: selftest/NAME_data.* */
bool tree_programs(tree *t);             /* tree_programs.c: selftest/selftest.c, main.c */
bool tree_build_files(tree *t);          /* tree_build.c: Makefile, CMakeLists.txt, linker script, README */
bool tree_manifest(tree *t);             /* tree_manifest.c */
/* tree_profile.c: timing of kernels, where the options want it: what stands in include/NAME.h, in
 * src/NAME.c, and before and in main's function for a model. */
void tree_profile_header(const adze_c_module *m, adze_text *out);
void tree_profile_source(const adze_c_module *m, adze_text *out);
void tree_profile_program(const adze_c_module *m, adze_text *out);
void tree_profile_call(const tree *t, const adze_c_module *m, adze_text *out);
bool tree_report(tree *t);               /* report.c */
/* size.c: estimates of code and stack, and whether the image fits. */
bool tree_estimate(tree *t);

/* Rows of literals, `indent` columns in, about 100 wide. */
void tree_array(adze_text *out, const adze_tensor *values);
/* The first input's test for an entry; NULL without. */
const adze_tree_test *tree_first_test(const tree *t, int model, const adze_c_entry *entry);
/* "struct { const float *data; int32_t extents[4]; } x;" has this many extents. */
uint64_t tree_param_bytes(const adze_c_module *m, const adze_c_param *p);
/* Elements at most (bounded dimensions at their bound). */
uint64_t tree_param_count(const adze_c_module *m, const adze_c_param *p);

#endif
