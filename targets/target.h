/* target.h — what a target is: one XML file of this folder, validated, inherited and parsed.
 *
 * A target is data. The loader reads NAME.xml, checks it against target.rng, applies the files
 * that it `extends` first, and gives one flat `adze_target`. Everything in it is owned by it and
 * stays valid until adze_target_free; nothing here prints, exits, or keeps global state.
 *
 * Errors: functions that can fail take `char err[ADZE_TARGET_ERR]` (may be NULL), which receives
 * one line "file:line: cause; what to do" and is left empty on success.
 *
 * targets/ includes nothing from the other folders.
 */
#ifndef ADZE_TARGET_H
#define ADZE_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ADZE_TARGET_ERR = 512 };

/* ---- enumerations; the XML spells them in lower case with dashes ---- */

typedef enum { ADZE_ENDIAN_LITTLE, ADZE_ENDIAN_BIG } adze_endian;

/* The widest float type that the processor computes by itself. */
typedef enum { ADZE_FPU_NONE, ADZE_FPU_SINGLE, ADZE_FPU_DOUBLE } adze_fpu;

typedef enum {
    ADZE_REGION_FLASH, /* keeps its bytes without power; read only while running */
    ADZE_REGION_SRAM,
    ADZE_REGION_DTCM,
    ADZE_REGION_ITCM,
    ADZE_REGION_PSRAM,
    ADZE_REGION_DRAM,
} adze_region_kind;

/* What a region may hold. A role that several regions have goes to the first with room. */
enum {
    ADZE_ROLE_CODE = 1u << 0,
    ADZE_ROLE_WEIGHTS = 1u << 1,
    ADZE_ROLE_DATA = 1u << 2, /* .data and .bss */
    ADZE_ROLE_SCRATCH = 1u << 3,
    ADZE_ROLE_STATE = 1u << 4,
    ADZE_ROLE_STACK = 1u << 5,
};

typedef enum {
    ADZE_RUN_NONE,        /* cannot be run; `reason` says why */
    ADZE_RUN_NATIVE,      /* the program itself */
    ADZE_RUN_QEMU_USER,   /* a Linux program under user-mode emulation */
    ADZE_RUN_QEMU_SYSTEM, /* a firmware image on an emulated board */
    ADZE_RUN_NODE,        /* a WebAssembly module */
    ADZE_RUN_SSH,         /* a command that copies and runs it on a board */
} adze_run_kind;

/* Where adze_board_clock() of runtime/boards takes its ticks from. */
typedef enum {
    ADZE_CLOCK_MONOTONIC, /* clock_gettime, nanoseconds */
    ADZE_CLOCK_SYSTICK,   /* Cortex-M, extended over wraps */
    ADZE_CLOCK_INSTRET,   /* RISC-V retired instructions */
} adze_clock_kind;

/* ---- parts of a target ---- */

typedef struct {
    const char *name; /* linker region name: a C identifier */
    uint64_t base, bytes;
    adze_region_kind kind;
    unsigned roles;              /* ADZE_ROLE_* */
    double read_bytes_per_cycle; /* 0: not known */
} adze_region;

typedef struct {
    char kind; /* 'd' data, 'i' instruction, 'u' unified */
    unsigned level;
    uint64_t bytes;
    unsigned line_bytes; /* 0: not known */
    unsigned ways;       /* 0: not known */
    unsigned shared_by;  /* how many cores see one of them */
} adze_cache;

/* One processor feature that NAME_init checks before it runs any code. On x86 `hwcap` is 0;
 * `name` is what __builtin_cpu_supports of gcc and clang calls it, so either way of asking works.
 * The bit is in CPUID leaf/subleaf; `xcr0` are the XCR0 bits which the system must have set. */
typedef struct {
    const char *name;
    const char *cflag; /* "-mavx2": builds code that uses it */
    uint32_t leaf, subleaf;
    char reg; /* 'a' 'b' 'c' 'd' */
    unsigned bit;
    uint32_t xcr0;
    unsigned hwcap; /* elsewhere: the bit is in Linux's AT_HWCAP (1) or AT_HWCAP2 (2); cflag is NULL */
} adze_cpu_feature;

/* A value type of the instruction table, spelled as
 *   f32          a scalar: [suif] and bits, `bf16`, or `index` (size_t), `void`
 *   f32x8        a vector of 8;  b1x8: a mask of 8
 *   f32xN4       a vector of 4 lanes times the machine's vscale (SVE: vector bits / 128, RVV: / 64)
 *   f32*         a pointer to const elements;  f32! a pointer to elements that are written
 *   #            an integer literal
 * Integers say their sign (`s8`, `u8`), since instructions do. */
typedef struct {
    const char *spelling; /* "f32x8" */
    char base;            /* 'f' 's' 'u' 'b', 'h' for bf16, 'n' index, '#' literal, 'v' void */
    unsigned bits;        /* of one element; 0 for index, literal, void */
    unsigned lanes;       /* 1 and not scalable: a scalar */
    bool scalable;        /* lanes count times vscale */
    char pointer;         /* 0, '*' read, '!' written */
} adze_value_type;

/* Whether a value of this type is a vector or a mask. */
static inline bool adze_value_type_is_vector(const adze_value_type *v) {
    return !v->pointer && (v->lanes != 1 || v->scalable);
}

/* How C spells a vector or mask type of this target: f32x8 → __m256, from <immintrin.h>. */
typedef struct {
    adze_value_type type;
    const char *c_type;
    const char *header; /* "immintrin.h" or NULL */
} adze_vector_type;

/* One row of the instruction table: an abstract instruction and the C that says it. Name, type and
 * operand types together are its key: a target has no two rows that agree in all three.
 * In `c`, $0 … $9 are the operands in order (each an expression without side effects, which the
 * template parenthesises where it must), $T is the C spelling of the row's type, $vl the active
 * element count of a scalable vector, $pg its governing predicate, $$ a dollar sign. */
enum { ADZE_MAX_OPERANDS = 10 };
typedef struct {
    const char *name;     /* "vector.fma", "dot4.us", … : targets/README.md has the vocabulary */
    adze_value_type type;
    adze_value_type result;
    const adze_value_type *operands;
    size_t operand_count; /* ADZE_MAX_OPERANDS at most */
    const char *c;
    const char *header; /* the header that declares it, or NULL */
    const char *needs;  /* cpu feature beyond the target's own, or NULL (then always usable) */
    double cycles;      /* reciprocal throughput; 0: not known */
} adze_instruction;

/* One way to build: the first of a target is its own, the rest are fallbacks. Options are words
 * separated by single blanks, none of which needs quoting. To build:
 *   CC CFLAGS -c file.c            LINK LDFLAGS objects LIBS
 * {script} in ldflags stands for the path of the linker script; bare targets have it. */
typedef struct {
    const char *cc;     /* "arm-none-eabi-gcc", or with words: "clang-22 --target=wasm32-wasi" */
    const char *link;   /* the same as cc unless said otherwise */
    const char *cflags; /* always with -std=c11 -ffp-contract=off; no -O and no warnings */
    const char *ldflags;
    const char *libs; /* "-lm" … */
    const char *size_tool, *nm_tool, *objdump_tool, *objcopy_tool;
} adze_compiler;

/* How to run what was built. In every argv, {exe} stands for the program and {boards} for the
 * folder with the board files; extra words for the program go after it only where `takes_args`.
 * Variants run the same program otherwise, such as with another vector length. */
typedef struct {
    const char *name;        /* "vl128" */
    const char *const *argv; /* `argc` words and a NULL */
    size_t argc;
} adze_run_variant;

typedef struct {
    adze_run_kind kind;
    const char *const *argv; /* `argc` words and a NULL; argc is 0 for ADZE_RUN_NONE */
    size_t argc;
    const char *const *count_argv; /* the same, with exact and repeatable instruction counts */
    size_t count_argc;             /* 0: no such way */
    const adze_run_variant *variants;
    size_t variant_count;
    const char *reason; /* why not, for ADZE_RUN_NONE */
    bool takes_args;
} adze_run;

typedef struct {
    adze_clock_kind kind;
    double ticks_per_second;      /* of the clock; 0: not known */
    double instructions_per_tick; /* under count_argv; 0: no such meaning */
} adze_clock;

typedef struct {
    unsigned count; /* 0: no vector registers */
    unsigned bits;  /* width, or the least width where scalable */
    bool scalable;
    unsigned mask_count; /* mask or predicate registers; 0: none */
} adze_vector_registers;

/* A cost figure of the cost model, such as {"fma.f32.per_cycle", 16}. */
typedef struct {
    const char *name;
    double value;
} adze_cost;

typedef struct adze_target {
    const char *name;        /* never "native": a resolved name such as "x86-64-v4+avx512vnni" */
    const char *description; /* one line */
    const char *arch;        /* "any" "x86" "arm" "aarch64" "riscv" "wasm" */
    const char *triple;
    const char *mca; /* -mcpu of llvm-mca, or NULL */
    unsigned pointer_bits;
    adze_endian endian;
    adze_fpu fpu;
    bool bare;   /* no operating system: startup files and linker script needed */
    bool hidden; /* only there to be extended: not listed, not usable by name */
    bool has_pthreads;
    bool has_incbin;    /* the assembler takes .incbin */
    unsigned max_align; /* bytes that an array may be aligned to */
    unsigned cores;
    unsigned stack_bytes; /* default for bare targets */

    const char *compiler, *cflags, *ldflags; /* = compilers[0].cc, .cflags, .ldflags */
    const adze_compiler *compilers;
    size_t compiler_count;

    adze_run run;
    adze_clock clock;

    const adze_region *regions; /* empty for hosted targets */
    size_t region_count;
    const adze_cache *caches;
    size_t cache_count;
    adze_vector_registers vectors;
    const adze_cpu_feature *features;
    size_t feature_count;
    const adze_vector_type *vector_types;
    size_t vector_type_count;
    const adze_instruction *instructions;
    size_t instruction_count;
    const adze_cost *costs;
    size_t cost_count;
    const char *const *board_files; /* of runtime/boards, to copy; .c are compiled, .h are not */
    size_t board_file_count;
    const char *const *packages; /* Debian packages that building and running need */
    size_t package_count;

    void *arena; /* owns all of the above */
} adze_target;

/* ---- loading ---- */

/* Loads a target from `dir`, the folder with target.rng and the XML files.
 * `name` is a target's name ("cortex-m4"), a name with x86 features added
 * ("x86-64-v4+avx512vnni"), "native" (this machine: the best named target that it satisfies, its
 * further features, and its caches and cores), or the path of an XML file (contains '/' or ends
 * in ".xml"; what it extends is sought in its own folder, then in `dir`).
 * Returns a target to be freed with adze_target_free, or NULL with `err` set; an unknown name
 * comes with the nearest known one. */
adze_target *adze_target_load(const char *dir, const char *name, char err[ADZE_TARGET_ERR]);

/* Reads a CMSIS-Pack description: `device` (or device variant) of the file `pdsc`, as the base
 * target of its core with the device's name, FPU and memory map. Run is ADZE_RUN_NONE.
 * Same ownership and errors as adze_target_load. Format: Open-CMSIS-Pack, PACK.xsd 1.7. */
adze_target *adze_target_load_pack(const char *dir, const char *pdsc, const char *device,
                                   char err[ADZE_TARGET_ERR]);

/* Frees a target; NULL is fine. */
void adze_target_free(adze_target *target);

/* The names of all targets in `dir` that are not hidden, sorted; `native` is among them.
 * `*names` is one allocation of `*count` strings, freed with free(). Reads the files' root
 * elements only. */
bool adze_target_list(const char *dir, char ***names, size_t *count, char err[ADZE_TARGET_ERR]);

/* ---- asking ---- */

/* The row `name` for `type` ("f32x8"), or NULL. Rows whose `needs` this target lacks are not
 * there. With type NULL: the first row of that name. */
const adze_instruction *adze_target_instruction(const adze_target *, const char *name,
                                                const char *type);

/* The row `name` for `type` that takes exactly these operand types, in order, or NULL. */
const adze_instruction *adze_target_instruction_on(const adze_target *, const char *name,
                                                   const char *type, size_t operand_count,
                                                   const char *const *operands);

/* Whether two rows have the same key: name, type and operand types. */
bool adze_target_same_key(const adze_instruction *, const adze_instruction *);

/* The row's C with its operands put in: `args[i]` for $i, `vl` for $vl, `pg` for $pg (either may
 * be NULL where the row does not use it). Returns a string to be freed with free(), or NULL where
 * the template asks for something that was not given. */
char *adze_target_instruction_c(const adze_target *, const adze_instruction *,
                                const char *const *args, size_t arg_count, const char *vl,
                                const char *pg);

/* The C spelling of a vector type, or NULL. */
const adze_vector_type *adze_target_vector_type(const adze_target *, const char *type);

bool adze_target_has_feature(const adze_target *, const char *feature);

/* A cost figure, or `otherwise` where the target does not say. */
double adze_target_cost(const adze_target *, const char *name, double otherwise);

/* The data cache (or unified one) of a level, or NULL. */
const adze_cache *adze_target_data_cache(const adze_target *, unsigned level);

/* The first compiler of the target that is on this machine's PATH, or NULL. Never consult it for
 * what is written into a tree: that must not depend on the machine. */
const adze_compiler *adze_target_usable_compiler(const adze_target *);

/* Whether `program` (first word only) is an executable on PATH. */
bool adze_target_on_path(const char *program);

/* Writes the target as one flat XML file that extends nothing and loads back to an equal target:
 * what `adze targets NAME --xml` prints, and what keeps a `native` build repeatable elsewhere.
 * Returns a string to be freed with free(). */
char *adze_target_to_xml(const adze_target *);

/* ---- placing and linking (bare targets) ---- */

/* What an image needs, in bytes. Unknown ones are 0. */
typedef struct {
    uint64_t code; /* text, read-only data, and the load image of .data */
    uint64_t weights;
    uint64_t data; /* .data and .bss other than the two below */
    uint64_t scratch;
    uint64_t state;
    uint64_t stack; /* 0: the target's default */
} adze_link_sizes;

/* The region of each part: an index into target->regions. */
typedef struct {
    size_t code, weights, data, scratch, state, stack;
} adze_placement;

/* Gives every part the first region that has its role and room for it beside those already
 * there; the order is stack, data, code, state, scratch, weights. Fails with the part, the
 * regions tried and the bytes missing; `*missing_bytes` (may be NULL) receives that number. */
bool adze_target_place(const adze_target *, const adze_link_sizes *, adze_placement *,
                       uint64_t *missing_bytes, char err[ADZE_TARGET_ERR]);

/* The linker script for an image of these sizes (GNU ld and lld). Sections by name:
 *   .text* .rodata*                                  → code's region
 *   .weights* and any *_weights*.o's .rodata*        → weights' region
 *   .data* .bss*                                     → data's region
 *   .bss.scratch* / .bss.state* (never cleared/loaded) → scratch's and state's regions
 * The stack has its own bytes at the end of its region. Linking fails where a region overflows.
 * Symbols: see runtime/boards/README.md. Returns a string to be freed with free(), or NULL with
 * `err` set (as adze_target_place). */
char *adze_target_linker_script(const adze_target *, const adze_link_sizes *,
                                char err[ADZE_TARGET_ERR]);

/* ---- names, for reports ---- */

const char *adze_target_region_kind_name(adze_region_kind);
const char *adze_target_run_kind_name(adze_run_kind);
const char *adze_target_role_name(unsigned one_role);

#endif
