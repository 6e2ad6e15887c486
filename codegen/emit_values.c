/* SSA values as C: which become part of a larger expression, and which get a name.
 *
 * A pure value with one user in its own block waits as an expression until that user is written.
 * Before a statement that could change what it reads, it is written out as a named constant. */
#include "codegen/emit_internal.h"
#include "codegen/vector.h"

#include <stdlib.h>
#include <string.h>

/* Longest expression that is folded into another: a named one, intrinsics, any one, a statement's whole
 * value. */
enum { FOLD_NAMED = 44, FOLD_VECTOR = 56, MANY_SUMS = 4, FOLD_MAX = 88, FOLD_LAST = 200 };

/* A short sum of constants and loop variables, such as h * 2 - 3, is as clear as a name for it. */
enum { FOLD_OFFSET = 11 };

int emit_type_of(emitter *em, MlirType type) {
    if (mlirTypeIsAIndex(type))
        return ADZE_C_INDEX;
    if (mlirTypeIsAVector(type)) {
        int at = adze_vector_type_index(em->m->target, type);
        if (at < 0)
            return ADZE_NO_DTYPE;
        const char *header = em->m->target->vector_types[at].header;
        if (header)
            adze_c_use_runtime(em->m, adze_arena_printf(em->arena, "<%s>", header));
        return ADZE_C_VECTOR + at;
    }
    adze_dtype dtype = adze_element_dtype(em->m->ctx, type);
    if (dtype == ADZE_NO_DTYPE)
        return ADZE_NO_DTYPE;
    char cls = adze_dtype_get(dtype)->cls;
    return cls == 'C' || cls == 'S' ? ADZE_NO_DTYPE : (int)dtype;
}

/* ---- the table of bindings ---- */

static size_t slot_of(emitter *em, const void *key) {
    uintptr_t h = (uintptr_t)key;
    h = (h >> 4) * (uintptr_t)0x9E3779B97F4A7C15u;
    size_t i = (h >> 20) & (em->table_size - 1);
    while (em->table[i] && em->table[i]->key != key)
        i = (i + 1) & (em->table_size - 1);
    return i;
}

binding *emit_lookup(emitter *em, MlirValue value) {
    return em->table_size ? em->table[slot_of(em, value.ptr)] : NULL;
}

static binding *insert(emitter *em, MlirValue value) {
    if (2 * (em->table_used + 1) > em->table_size) {
        binding **old = em->table;
        size_t n = em->table_size;
        em->table_size = n ? 2 * n : 256;
        em->table = ADZE_NEW_ARRAY(em->arena, binding *, em->table_size);
        for (size_t i = 0; i < n; i++)
            if (old[i])
                em->table[slot_of(em, old[i]->key)] = old[i];
    }
    binding *b = ADZE_NEW(em->arena, binding);
    b->key = value.ptr;
    b->value = value;
    size_t i = slot_of(em, value.ptr);
    if (!em->table[i])
        em->table_used++;
    em->table[i] = b;
    return b;
}

binding *emit_bind(emitter *em, MlirValue value, expr e) {
    binding *b = insert(em, value);
    b->e = e;
    return b;
}

binding *emit_bind_variable(emitter *em, MlirValue value, variable *v) {
    expr e = expr_text(v->type, PREC_PRIMARY, v->name);
    e.varying = true;
    binding *b = emit_bind(em, value, e);
    b->variable = v;
    v->holder = value;
    return b;
}

expr emit_use(emitter *em, MlirValue value) {
    binding *b = emit_lookup(em, value);
    if (!b) {
        MlirOperation op = mlirValueIsAOpResult(value) ? mlirOpResultGetOwner(value)
                                                       : (MlirOperation){NULL};
        emit_error(em, op, "a value without a C meaning is used");
        return expr_int(em, ADZE_i32, 0);
    }
    if (b->pending) {
        b->pending = false;
        for (size_t i = em->n_pending; i-- > 0;)
            if (em->pending[i] == b) {
                memmove(em->pending + i, em->pending + i + 1,
                        (em->n_pending - i - 1) * sizeof *em->pending);
                em->n_pending--;
                break;
            }
    }
    return b->e;
}

expr emit_use_typed(emitter *em, MlirValue value) {
    int type = emit_type_of(em, mlirValueGetType(value));
    return expr_as(em, emit_use(em, value), type);
}

/* ---- liveness ---- */

static int by_address(const void *a, const void *b) {
    const void *x = *(const void *const *)a, *y = *(const void *const *)b;
    return (x > y) - (x < y);
}

bool emit_is_dead(emitter *em, MlirOperation op) {
    const void *key = op.ptr;
    return em->n_dead && bsearch(&key, em->dead, em->n_dead, sizeof *em->dead, by_address);
}

int emit_use_count(emitter *em, MlirValue value, MlirOperation *only) {
    int n = 0;
    for (MlirOpOperand use = mlirValueGetFirstUse(value); !mlirOpOperandIsNull(use);
         use = mlirOpOperandGetNextUse(use)) {
        MlirOperation owner = mlirOpOperandGetOwner(use);
        if (emit_is_dead(em, owner))
            continue;
        if (only)
            *only = owner;
        n++;
    }
    return n;
}

typedef struct op_list {
    adze_arena *arena;
    MlirOperation *ops;
    size_t n, capacity;
} op_list;

static void collect(MlirOperation op, void *user) {
    op_list *list = user;
    if (list->n == list->capacity) {
        size_t capacity = list->capacity ? 2 * list->capacity : 256;
        MlirOperation *ops = ADZE_NEW_ARRAY(list->arena, MlirOperation, capacity);
        if (list->n)
            memcpy(ops, list->ops, list->n * sizeof *ops);
        list->ops = ops;
        list->capacity = capacity;
    }
    list->ops[list->n++] = op;
}

static bool droppable(MlirOperation op) {
    const emit_row *row = emit_row_of(op);
    if (adze_is_op(op, "adze.instruction")) { /* with a result and no memory it only computes */
        bool memory = mlirOperationGetNumResults(op) != 1;
        for (intptr_t i = 0; i < mlirOperationGetNumOperands(op); i++)
            memory |= mlirTypeIsAMemRef(mlirValueGetType(mlirOperationGetOperand(op, i)));
        return !memory;
    }
    return row && (row->pure || row->emit == emit_region || row->emit == emit_get_weight ||
                   row->emit == emit_state_ref || row->emit == emit_memref_cast ||
                   row->emit == emit_alloca);
}

/* Users follow what they use, so one backwards walk finds all dead ones. The set is kept sorted
 * by address for look-ups: insertion into the middle would be slow, so it is a hash-free batch. */
void emit_find_dead(emitter *em, MlirOperation function) {
    op_list list = {.arena = em->arena};
    adze_walk(function, collect, &list);
    em->dead = ADZE_NEW_ARRAY(em->arena, const void *, list.n + 1);
    em->n_dead = 0;
    /* Sorting after every find would be quadratic; dead chains are short, so rounds are few. */
    for (;;) {
        size_t before = em->n_dead, found = before;
        for (size_t i = list.n; i-- > 0;) {
            MlirOperation op = list.ops[i];
            if (!droppable(op) || emit_is_dead(em, op))
                continue;
            bool used = false;
            for (intptr_t r = 0; r < mlirOperationGetNumResults(op) && !used; r++)
                used = emit_use_count(em, mlirOperationGetResult(op, r), NULL) > 0;
            if (!used)
                em->dead[found++] = op.ptr;
        }
        if (found == before)
            return;
        em->n_dead = found;
        qsort(em->dead, em->n_dead, sizeof *em->dead, by_address);
    }
}

/* ---- fold or name ---- */

/* A name for a value that the IR does not name: a loop's bound after the loop, a load after its array. */
static const char *name_by_use(emitter *em, MlirValue value) {
    for (MlirOpOperand use = mlirValueGetFirstUse(value); !mlirOpOperandIsNull(use);
         use = mlirOpOperandGetNextUse(use)) {
        MlirOperation owner = mlirOpOperandGetOwner(use);
        unsigned index = mlirOpOperandGetOperandNumber(use);
        if (!adze_is_op(owner, "scf.for") || index > 1)
            continue;
        const char *loop = emit_location_name(em, mlirOperationGetLocation(owner), 0);
        if (!loop) {
            MlirBlock body = mlirRegionGetFirstBlock(mlirOperationGetRegion(owner, 0));
            loop = emit_location_name(em, mlirValueGetLocation(mlirBlockGetArgument(body, 0)), 0);
        }
        return adze_arena_printf(em->arena, "%s_%s", loop ? loop : "i", index ? "end" : "begin");
    }
    if (!mlirValueIsAOpResult(value))
        return NULL;
    MlirOperation op = mlirOpResultGetOwner(value);
    if (adze_is_op(op, "memref.load") || adze_is_op(op, "vector.load")) {
        binding *from = emit_lookup(em, mlirOperationGetOperand(op, 0));
        if (from && from->e.prec == PREC_PRIMARY)
            return adze_arena_printf(em->arena, strlen(from->e.text) > 2 ? "%s_v" : "%sv",
                                     from->e.text);
    }
    return mlirTypeIsAIndex(mlirValueGetType(value)) ? "at" : NULL;
}

void emit_named(emitter *em, MlirValue value, expr e) {
    binding *b = emit_lookup(em, value);
    const char *hint = b && b->hint ? b->hint : emit_value_name(em, value);
    const char *name = emit_declare(em, hint ? hint : name_by_use(em, value), "t");
    emit_line(em, "const %s %s = %s;", adze_c_type(em->m, e.type), name, e.text);
    expr named = expr_text(e.type, PREC_PRIMARY, name);
    named.ranged = expr_range(e, &named.low, &named.high);
    if (b) {
        b->e = named;
        b->pending = false;
    } else {
        emit_bind(em, value, named);
    }
}

/* Sums of a register block are assigned where they are computed: at the end of the loop, all that they are made of would be
 * needed at once, which registers do not hold. The variable that `value` is the next value of, when this loop has many and
 * only `value` is made of the present one; else NULL. */
static variable *sum_of_block(emitter *em, MlirValue value, MlirOperation yield) {
    MlirOperation op = mlirOpResultGetOwner(value);
    MlirBlock block = mlirOperationGetBlock(op);
    if (em->fold_all || !em->frame || !mlirBlockEqual(em->frame->block, block) || !adze_is_op(yield, "scf.yield") ||
        mlirOperationGetNumOperands(yield) <= MANY_SUMS || !adze_is_op(mlirBlockGetParentOperation(block), "scf.for"))
        return NULL;
    int i = 0;
    while (!mlirValueEqual(mlirOperationGetOperand(yield, i), value))
        i++;
    MlirValue now = mlirBlockGetArgument(block, 1 + i);
    for (MlirOperation user = {NULL};; now = mlirOperationGetResult(user, 0)) {
        if (emit_use_count(em, now, &user) != 1 || !mlirBlockEqual(mlirOperationGetBlock(user), block) ||
            mlirOperationGetNumResults(user) != 1)
            return NULL;
        if (mlirOperationEqual(user, op))
            return em->frame->variables[i];
    }
}

void emit_pure(emitter *em, MlirValue value, expr e) {
    MlirOperation user = {NULL};
    int uses = emit_use_count(em, value, &user);
    if (uses == 0)
        return;
    if (e.constant) {
        emit_bind(em, value, e);
        return;
    }
    MlirOperation op = mlirOpResultGetOwner(value);
    bool once = uses == 1 && mlirBlockEqual(mlirOperationGetBlock(user), mlirOperationGetBlock(op));
    const char *hint = emit_value_name(em, value);
    bool last = adze_is_op(user, "scf.yield") || adze_is_op(user, "memref.store");
    size_t most = e.type >= ADZE_C_VECTOR ? FOLD_VECTOR : FOLD_MAX;
    size_t limit = last ? FOLD_LAST : hint ? FOLD_NAMED : most;
    bool trivial = e.prec == PREC_PRIMARY && !e.memory && !e.varying && strlen(e.text) < 12 &&
                   !strpbrk(e.text, "(["); /* another name for a name */
    trivial = trivial || (e.type == ADZE_C_INDEX && !hint && !e.memory && !e.varying &&
                          strlen(e.text) <= FOLD_OFFSET && !strpbrk(e.text, "(["));
    variable *sum = once && e.type >= ADZE_C_VECTOR ? sum_of_block(em, value, user) : NULL;
    if (sum) {
        emit_assign(em, sum->name, e);
        emit_bind_variable(em, value, sum);
        return;
    }
    if (em->fold_all || trivial || (once && strlen(e.text) <= limit)) {
        binding *b = emit_bind(em, value, e);
        b->hint = hint;
        if (trivial || em->fold_all)
            return;
        b->pending = true;
        if (em->n_pending == em->pending_capacity) {
            size_t capacity = em->pending_capacity ? 2 * em->pending_capacity : 64;
            binding **pending = ADZE_NEW_ARRAY(em->arena, binding *, capacity);
            if (em->n_pending)
                memcpy(pending, em->pending, em->n_pending * sizeof *pending);
            em->pending = pending;
            em->pending_capacity = capacity;
        }
        em->pending[em->n_pending++] = b;
        return;
    }
    emit_named(em, value, e);
}

void emit_flush(emitter *em, bool variables) {
    for (size_t i = 0; i < em->n_pending;) {
        binding *b = em->pending[i];
        if (!b->e.memory && !(variables && b->e.varying)) {
            i++;
            continue;
        }
        memmove(em->pending + i, em->pending + i + 1,
                (em->n_pending - i - 1) * sizeof *em->pending);
        em->n_pending--;
        emit_named(em, b->value, b->e);
    }
}
