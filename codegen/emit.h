/* The C emitter: one level-3 module in, C declarations and functions out.
 *
 *   L3 module ──► adze_c_module   what it holds, with C names, offsets and sizes      (module.c)
 *             ──► kernels         one C function each, as text                        (emit.c ...)
 *             ──► entries         the bodies of NAME_run etc.                         (emit_entry.c)
 *
 * Nothing here writes files: tree.c puts the texts together. All memory is the context's arena. */
#ifndef ADZE_CODEGEN_EMIT_H
#define ADZE_CODEGEN_EMIT_H

#include "ir/ir.h"
#include "targets/target.h"

/* How the weights reach the program. */
typedef enum adze_weights_mode {
    ADZE_WEIGHTS_C,      /* typed arrays in C */
    ADZE_WEIGHTS_INCBIN, /* one blob, included by the assembler */
    ADZE_WEIGHTS_FILE,   /* one blob in a file, which the program passes to NAME_init */
} adze_weights_mode;

/* The type of a C value: an adze_dtype, an index (`int` or `ptrdiff_t`), or from ADZE_C_VECTOR on one of the
 * target's vector types. */
enum { ADZE_C_INDEX = ADZE_N_DTYPES, ADZE_C_VECTOR };

typedef struct adze_c_weight {
    MlirOperation op;
    const char *symbol, *name; /* name: the C array, with the module's prefix */
    adze_shape shape;
    uint64_t offset, bytes; /* within the blob; one element a byte below eight bits */
    bool used;
} adze_c_weight;

typedef struct adze_c_state {
    MlirOperation op;
    const char *symbol, *name; /* name: a C identifier without prefix */
    adze_shape shape;
    int region;
    uint64_t offset, bytes;
    int initial; /* a weight's index, or -1: zero */
} adze_c_state;

/* Memory that the caller gives to NAME_init. `state` and `scratch` always exist. */
typedef struct adze_c_region {
    const char *name; /* a C identifier: state, scratch, ... */
    uint64_t bytes, align;
} adze_c_region;

/* One tensor of an entry or one parameter of a kernel. */
typedef struct adze_c_param {
    const char *model_name; /* as in the model file */
    const char *name;       /* a C identifier, unique in its function */
    adze_shape shape;       /* shape.symbols: the bounded dimensions' names */
    bool scalar;            /* not a memref: passed by value */
    int scalar_type;
    bool write, read, alias, used;
} adze_c_param;

/* A buffer of an entry: bytes of a region, alive from step `first` to step `last` (calls in order). */
typedef struct adze_c_buffer {
    const char *name;
    int region;
    uint64_t offset, bytes;
    int first, last;
    adze_shape shape;
} adze_c_buffer;

typedef struct adze_c_entry {
    MlirOperation op;
    const char *name; /* "run" */
    int n_params;
    adze_c_param *params;
    int n_buffers;
    adze_c_buffer *buffers;
    int n_steps;
    const char **steps; /* the kernel that each step calls */
} adze_c_entry;

typedef struct adze_c_kernel {
    MlirOperation op;
    const char *symbol, *name; /* name: with the module's prefix */
    const char *runtime;       /* for a runtime function: its file, "ops/topk.c"; else NULL */
    const char *kind;          /* which file it goes to: adze.kind, or "" */
    const char *nodes;         /* "conv1, relu1" */
    int n_params;
    int n_shared; /* the last of them are begin, end (2) and part (3) of a kernel that threads share; else 0 */
    adze_c_param *params;
    int n_dims;
    const char **dims; /* bounded dimensions, passed as ints after the parameters */
    const char *text;  /* the C function, set by adze_emit_kernels */
    int same_as;       /* the earlier kernel whose function it shares, or -1; the name is that one's */
    int lines;
    /* counted from constant loops; upper bounds where loops or branches are not constant */
    uint64_t multiplies, loads, stores;
    uint64_t local_bytes; /* arrays on its stack */
} adze_c_kernel;

typedef struct adze_c_dim {
    const char *symbol, *name;
    int64_t lo, hi;
} adze_c_dim;

typedef struct adze_c_module {
    adze_context *ctx;
    MlirModule module;
    const adze_target *target; /* NULL: portable C only */
    const char *name, *upper; /* "kws", "KWS" */
    adze_weights_mode weights_mode;
    int threads;              /* of the tree */
    bool profile;             /* entries mark the end of every call */
    const char *index_type; /* "int", or "ptrdiff_t" where 2^31 elements are not enough */
    int n_weights, n_states, n_regions, n_entries, n_kernels, n_dims;
    adze_c_weight *weights;
    adze_c_state *states;
    adze_c_region *regions;
    adze_c_entry *entries;
    adze_c_kernel *kernels;
    adze_c_dim *dims;
    uint64_t weight_bytes; /* of the blob */
    int n_runtime;
    const char **runtime; /* runtime files that the texts include, set by the emitters */
} adze_c_module;

enum { ADZE_REGION_STATE = 0, ADZE_REGION_SCRATCH = 1, ADZE_MEMORY_ALIGN = 16 };

/* Reads a verified level-3 module. `name` is the C prefix (a C identifier); `target` has the instructions that
 * the module may use, is kept, and may be NULL. False with a diagnostic for anything that cannot be said
 * in C. */
bool adze_c_module_read(adze_context *ctx, MlirModule module, const char *name,
                        adze_weights_mode mode, const adze_target *target, adze_c_module *out);
/* Emits every kernel's text. */
bool adze_emit_kernels(adze_c_module *m);
/* Appends the body (between the braces) of an entry's function. */
bool adze_emit_entry(adze_c_module *m, const adze_c_entry *entry, adze_text *out);
/* Whether the pool computes the kernel (emit_parallel.c), and whether any. */
bool adze_c_shared(const adze_c_module *m, const adze_c_kernel *kernel);
bool adze_c_has_pool(const adze_c_module *m);
/* Appends the struct of a shared kernel's arguments and the function that computes some of its items. */
void adze_emit_share(const adze_c_module *m, const adze_c_kernel *kernel, adze_text *out);
/* Appends a kernel's prototype without the final semicolon. */
void adze_emit_prototype(const adze_c_module *m, const adze_c_kernel *kernel, adze_text *out);
/* Notes that the texts use a runtime file such as "adze_int.h". */
void adze_c_use_runtime(adze_c_module *m, const char *file);

/* `text` as a C identifier: letters, digits and underscores, not a reserved word. */
const char *adze_c_identifier(adze_arena *arena, const char *text);
/* "float", "uint8_t", "__m256" ... of a type. */
const char *adze_c_type(const adze_c_module *m, int type);
/* Appends one number as a C literal of its type: shortest text that reads back exactly. */
void adze_c_literal(adze_text *out, const adze_tensor *t, size_t index);
void adze_c_float(adze_text *out, double value, bool single);
/* "[1, 3, 28]", bounded dimensions by name. */
const char *adze_c_shape_text(adze_arena *arena, const adze_shape *shape);

#endif
