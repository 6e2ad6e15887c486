/* adze.instruction: a row that generators name themselves. A pointer of the row takes two operands: the memory and
 * the flat index of its element. Rows that write no memory and give a result are expressions like any other. */
#include "codegen/emit_vector.h"

#include <string.h>

/* Whether the operation's operands are those of the row: a pointer takes two, the memory and the flat index of
 * its element. More is better; 0: no. */
static int suits(MlirOperation op, const adze_instruction *row, bool masked) {
    int at = 0, n = (int)mlirOperationGetNumOperands(op), total = 1;
    for (size_t i = masked; i < row->operand_count; i++) {
        int s = at < n ? adze_vector_fit(type_of(operand_of(op, at++)), &row->operands[i]) : 0;
        if (row->operands[i].pointer && (at >= n || !mlirTypeIsAIndex(type_of(operand_of(op, at++)))))
            s = 0;
        if (!s)
            return 0;
        total += s;
    }
    int results = (int)mlirOperationGetNumResults(op);
    if (at != n || results != (row->result.base != 'v') ||
        (results && !adze_vector_fit(type_of(result_of(op)), &row->result)))
        return 0;
    return total;
}

static const adze_instruction *named_row(emitter *em, MlirOperation op, const char *name, const char *type,
                                         bool masked) {
    const adze_target *t = em->m->target;
    const adze_instruction *found = NULL;
    int best = 0;
    for (size_t i = 0; t && i < t->instruction_count; i++) {
        const adze_instruction *row = &t->instructions[i];
        if (strcmp(row->name, name) || strcmp(row->type.spelling, type))
            continue;
        int s = suits(op, row, masked);
        if (s > best) {
            best = s;
            found = row;
        }
    }
    return found;
}

bool emit_instruction(emitter *em, MlirOperation op) {
    const char *name = adze_get_str(em->m->ctx, op, "name"), *type = adze_get_str(em->m->ctx, op, "type");
    const adze_instruction *row = named_row(em, op, name, type, false);
    if (!row)
        return emit_no_row(em, op, adze_arena_printf(em->arena, "%s of %s", name, type));
    const adze_value_type *lanes = row_lanes(row);
    const active_lanes *mask = lanes->scalable ? NULL : row_active(em, lanes);
    bool memory = false, writes = false;
    for (size_t i = 0; i < row->operand_count; i++) {
        memory |= row->operands[i].pointer != 0;
        writes |= row->operands[i].pointer == '!';
    }
    if (mask && memory) { /* lanes that are off are neither loaded nor stored */
        name = adze_arena_printf(em->arena, "%s.masked", name);
        row = named_row(em, op, name, type, true);
        if (!row)
            return emit_no_row(em, op, adze_arena_printf(em->arena, "%s of %s", name, type));
    }
    expr args[ADZE_MAX_OPERANDS];
    int at = 0;
    for (size_t i = 0; i < row->operand_count; i++) {
        if (i == 0 && mask && memory) {
            args[i] = expr_mask(mask);
            continue;
        }
        args[i] = row->operands[i].pointer ? (expr){0} : emit_use(em, operand_of(op, at));
        if (row->operands[i].pointer) {
            binding *b = emit_memory_of(em, operand_of(op, at++), op);
            if (!b)
                return false;
            args[i] = expr_pointer(em, &row->operands[i], b, emit_use_typed(em, operand_of(op, at)));
        }
        at++;
    }
    expr e = expr_row(em, op, row, args);
    if (mlirOperationGetNumResults(op) == 0) {
        emit_flush(em, false);
        emit_line(em, "%s;", e.text);
    } else if (writes) {
        emit_flush(em, false);
        emit_named(em, result_of(op), e);
    } else if (!mlirAttributeIsNull(adze_get(op, "adze.ordered"))) { /* a statement where it stands */
        emit_named(em, result_of(op), e);
    } else {
        emit_pure(em, result_of(op), e);
    }
    return true;
}
