/* What the emitter's own files share: expressions, bindings of SSA values, names, statements. */
#ifndef ADZE_CODEGEN_EMIT_INTERNAL_H
#define ADZE_CODEGEN_EMIT_INTERNAL_H

#include "codegen/emit.h"

#include <mlir-c/BuiltinAttributes.h>
#include <mlir-c/BuiltinTypes.h>

/* Binding strength of a C expression's outermost operator. */
typedef enum precedence {
    PREC_TERNARY = 1,
    PREC_OR,
    PREC_AND,
    PREC_BITOR,
    PREC_BITXOR,
    PREC_BITAND,
    PREC_EQUAL,
    PREC_RELATION,
    PREC_SHIFT,
    PREC_ADD,
    PREC_MUL,
    PREC_UNARY,
    PREC_PRIMARY,
} precedence;

/* A C expression. `type` says how its value is represented: a signless i8 that came from uint8_t
 * memory stays ADZE_u8 until an operation wants it signed. */
typedef struct expr {
    const char *text;
    precedence prec;
    int type; /* adze_dtype, ADZE_C_INDEX or a vector type */
    bool constant;
    int64_t integer;      /* value of an integer constant */
    bool ranged;          /* an integer known to lie in low..high */
    int64_t low, high;
    bool memory;          /* reads memory that a store may change */
    bool varying;         /* reads a local variable that is assigned later */
    const char *left, *op, *right; /* the parts of `a op b`, for `a op= b` */
    const char *left_alone, *right_alone; /* the same without parentheses around them */
} expr;

/* A local variable that is assigned more than once: a loop-carried value or a branch's result. */
typedef struct variable {
    const char *name;
    int type;
    MlirValue holder; /* whose value it holds now */
} variable;

typedef struct binding {
    const void *key; /* the MlirValue */
    MlirValue value;
    expr e;
    bool pending;        /* pure, not yet part of any statement */
    variable *variable;  /* when the text is this variable's name */
    const char *hint;    /* its name, if it needs one */
    int element;         /* memrefs: C type behind the pointer */
    bool stable;         /* memrefs: no store of this function can change what it reads */
    adze_shape shape;    /* memrefs */
} binding;

/* The block being written and the variables that its terminator assigns. */
typedef struct frame {
    MlirBlock block;
    variable **variables;
    int n;
} frame;

/* Lanes that count, from an adze.active to the end of its block: a mask, a predicate or a vector length. */
typedef struct active_lanes {
    unsigned lanes;
    bool scalable;
    int type;
    const char *text; /* its name */
} active_lanes;

/* A constant at the kernel's top, such as the number of lanes that the machine has. */
typedef struct top_constant {
    const char *type, *name, *text;
} top_constant;

enum { EMIT_MAX_ACTIVES = 16, EMIT_MAX_TOPS = 16 };

typedef struct emitter {
    adze_c_module *m;
    adze_arena *arena;
    adze_text *out;
    const char *function; /* for errors */
    int indent;
    bool entry;      /* an entry: m, in and out are in scope */
    int next_call;   /* of the model, in order */
    bool fold_all;   /* within a branch that becomes ?: */
    bool failed;
    binding **table; /* open addressing */
    size_t table_size, table_used;
    const void **dead; /* operations without a live use; sorted */
    size_t n_dead;
    binding **pending;
    size_t n_pending, pending_capacity;
    const char **names; /* visible local names */
    size_t n_names, names_capacity;
    uint64_t local_bytes;
    frame *frame;
    active_lanes actives[EMIT_MAX_ACTIVES];
    int n_actives;
    top_constant tops[EMIT_MAX_TOPS];
    int n_tops;
} emitter;

/* One MLIR operation: who emits it, and with which C. */
typedef struct emit_row {
    const char *name;
    bool (*emit)(emitter *em, MlirOperation op, const struct emit_row *row);
    const char *c;
    int prec;
    bool pure;
} emit_row;

const emit_row *emit_row_of(MlirOperation op);

/* ---- expressions (emit_expr.c) ---- */

expr expr_text(int type, precedence prec, const char *text);
expr expr_int(emitter *em, int type, int64_t value);
expr expr_infix(emitter *em, int type, precedence prec, const char *op, expr a, expr b);
expr expr_call(emitter *em, int type, const char *function, int n, const expr *args);
/* The same bits as a value of another C type; integers wrap. */
expr expr_as(emitter *em, expr e, int type);
expr expr_cast(emitter *em, expr e, int type);
expr expr_vector_as(emitter *em, expr e, int type);
expr expr_add_index(emitter *em, expr a, expr b);
expr expr_mul_index(emitter *em, expr a, expr b);
/* Text of `e` as an operand of an operator of this strength. */
const char *expr_operand(emitter *em, expr e, precedence prec);
/* The values of an expression that an integer of its C type can have, or a tighter known range. */
bool expr_range(expr e, int64_t *low, int64_t *high);
bool type_is_integer(int type);
int type_bits(int type);
int type_signed(int type);
int type_unsigned(int type);
/* Whether `name` stands in `text` as an identifier of its own. */
bool text_mentions(const char *text, const char *name);

/* ---- values (emit_values.c) ---- */

/* C type of a scalar or vector MLIR type; ADZE_NO_DTYPE when there is none. */
int emit_type_of(emitter *em, MlirType type);
binding *emit_lookup(emitter *em, MlirValue value);
/* The value's expression, which becomes part of the statement being written. */
expr emit_use(emitter *em, MlirValue value);
/* The same, as the C type of the value's MLIR type (signed for signless integers). */
expr emit_use_typed(emitter *em, MlirValue value);
binding *emit_bind(emitter *em, MlirValue value, expr e);
binding *emit_bind_variable(emitter *em, MlirValue value, variable *v);
/* Binds a pure result: folded into its only user, or a named constant. */
void emit_pure(emitter *em, MlirValue value, expr e);
/* Always a named constant. */
void emit_named(emitter *em, MlirValue value, expr e);
/* Writes out pending expressions that the next statement could change: memory, or variables too. */
void emit_flush(emitter *em, bool variables);
/* Live uses; `only` receives the owner of the last one seen. */
int emit_use_count(emitter *em, MlirValue value, MlirOperation *only);
bool emit_is_dead(emitter *em, MlirOperation op);
void emit_find_dead(emitter *em, MlirOperation function);

/* ---- memory (emit_memory.c) ---- */

/* What a memref is in C; NULL with an error. */
binding *emit_memory_of(emitter *em, MlirValue value, MlirOperation op);
/* The element's number in row-major order, by the operands of `op` from `first_index` on. */
expr emit_flat_index(emitter *em, MlirOperation op, const binding *b, int first_index);

/* ---- vectors (emit_vector.c) ---- */

bool emit_touches_vectors(MlirOperation op);

/* ---- names (emit_names.c) ---- */

const char *emit_location_name(emitter *em, MlirLocation location, int depth);
const char *emit_value_name(emitter *em, MlirValue value);
/* A local name that no visible one has; `hint` may be NULL. */
const char *emit_declare(emitter *em, const char *hint, const char *fallback);
/* The first of i, j, k, l that is not visible. */
const char *emit_free_index(emitter *em);
bool name_is_reserved(const char *name);

/* ---- statements (emit.c) ---- */

void emit_line(emitter *em, const char *format, ...) ADZE_PRINTF(2, 3);
/* `target = e;`, or `target += ...` where e reads target first. */
void emit_assign(emitter *em, const char *target, expr e);
void emit_block(emitter *em, MlirBlock block); /* without its terminator */
void emit_open(emitter *em);
void emit_close(emitter *em, const char *text);
bool emit_error(emitter *em, MlirOperation op, const char *format, ...) ADZE_PRINTF(3, 4);
void emit_init(emitter *em, adze_c_module *m, adze_text *out, const char *function);
const char *emit_op_name(emitter *em, MlirOperation op);

#define ROW_HANDLER(name) bool name(emitter *em, MlirOperation op, const emit_row *row)
#define ROW(op, handler, c, prec, pure) ROW_HANDLER(handler);
#include "codegen/emit_ops.def"
#undef ROW

/* Loads, stores and multiplications of a kernel, added to k (cost.c). */
void emit_count_costs(MlirOperation kernel, adze_c_kernel *k);

#endif
