/* Emits kernels: walks a level-3 function in order and writes statements.
 *
 *   operation ──► row of emit_ops.def ──► expression (pure) ──► waits for its user
 *                                     └─► statement (stores, calls, loops) ──► text
 */
#include "codegen/emit_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Columns of a generated line. */
enum { LINE_MAX_COLUMNS = 100 };

static const emit_row rows[] = {
#define ROW(op, handler, c, prec, pure) {op, handler, c, prec, pure},
#include "codegen/emit_ops.def"
#undef ROW
};

const emit_row *emit_row_of(MlirOperation op) {
    MlirStringRef name = mlirIdentifierStr(mlirOperationGetName(op));
    for (size_t i = 0; i < ADZE_COUNT(rows); i++)
        if (strncmp(rows[i].name, name.data, name.length) == 0 && !rows[i].name[name.length])
            return &rows[i];
    return NULL;
}

const char *emit_op_name(emitter *em, MlirOperation op) {
    MlirStringRef name = mlirIdentifierStr(mlirOperationGetName(op));
    return adze_arena_strndup(em->arena, name.data, name.length);
}

bool emit_error(emitter *em, MlirOperation op, const char *format, ...) {
    char cause[512];
    va_list args;
    va_start(args, format);
    vsnprintf(cause, sizeof cause, format, args);
    va_end(args);
    em->failed = true;
    return adze_error(&em->m->ctx->diags, em->function, "%s: %s",
                      mlirOperationIsNull(op) ? "C emitter" : emit_op_name(em, op), cause);
}

void emit_init(emitter *em, adze_c_module *m, adze_text *out, const char *function) {
    *em = (emitter){.m = m, .arena = m->ctx->arena, .out = out, .function = function, .indent = 1};
}

/* ---- text ---- */

/* Where a line that is too long can be broken: after a comma, before a binary operator; outside as many
 * parentheses as possible, and at the operator that binds least. */
static size_t break_point(const char *line, size_t limit) {
    static const char *const operators[] = {"?:", "||", "&&", "=!<>", "+-", "*/%&|^"};
    size_t best = 0;
    int depth = 0, best_rank = 1 << 20;
    /* Where nothing within the limit will do, the first place after it. */
    for (size_t i = 0; line[i] && (i < limit || !best); i++) {
        if (line[i] == '(' || line[i] == '[')
            depth++;
        if (line[i] == ')' || line[i] == ']')
            depth--;
        if (line[i] != ' ' || i < limit / 3)
            continue;
        int rank = -1;
        size_t length = strcspn(line + i + 1, " ");
        if (line[i - 1] == ',' || line[i - 1] == ';')
            rank = 0;
        for (size_t k = 0; rank < 0 && k < ADZE_COUNT(operators) && length > 0 && length <= 2; k++)
            if (strchr(operators[k], line[i + 1]) && strchr("?:|&=!<>+-*/%^", line[i + length]))
                rank = (int)k;
        if (rank >= 0 && depth * 8 + rank <= best_rank) {
            best = i;
            best_rank = depth * 8 + rank;
        }
    }
    /* Deep inside, it is better to move the whole value to the next line. */
    const char *assigned = strstr(line, " = "), *value = assigned ? assigned + 3 : NULL;
    bool deep = !best || best >= limit || (best_rank >= 2 * 8 && value && strlen(value) + 8 < limit);
    return deep && value && value < line + limit ? (size_t)(value - 1 - line) : best;
}

void emit_line(emitter *em, const char *format, ...) {
    adze_text text = {0};
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    char *line = adze_arena_alloc(em->arena, (size_t)n + 1);
    vsnprintf(line, (size_t)n + 1, format, again);
    va_end(again);
    va_end(args);
    size_t indent = (size_t)em->indent * 4;
    bool first = true;
    for (;;) {
        size_t room = LINE_MAX_COLUMNS - (indent < 60 ? indent : 60);
        size_t cut = strlen(line) > room ? break_point(line, room) : 0;
        adze_text_printf(&text, "%*s%.*s\n", (int)indent, "", cut ? (int)cut : (int)strlen(line), line);
        if (!cut)
            break;
        line += cut + 1;
        if (first)
            indent += 8;
        first = false;
    }
    adze_text_append(em->out, text.data, text.length);
    adze_text_free(&text);
}

void emit_open(emitter *em) { em->indent++; }

void emit_close(emitter *em, const char *text) {
    em->indent--;
    if (text)
        emit_line(em, "%s", text);
}

void emit_assign(emitter *em, const char *target, expr e) {
    if (strcmp(e.text, target) == 0)
        return;
    bool wide = e.type == ADZE_C_INDEX || e.type == ADZE_f32 || e.type == ADZE_f64 ||
                e.type == ADZE_i32 || e.type == ADZE_i64;
    bool compound = e.op && e.left && !e.op[1] && strchr("+-*/", e.op[0]);
    if (wide && compound && strcmp(e.left, target) == 0)
        emit_line(em, "%s %s= %s;", target, e.op, e.right_alone);
    else if (wide && compound && strchr("+*", e.op[0]) && strcmp(e.right, target) == 0)
        emit_line(em, "%s %s= %s;", target, e.op, e.left_alone);
    else
        emit_line(em, "%s = %s;", target, e.text);
}

/* arith, math and casts on vectors are the target's business. */
static bool emit_op(emitter *em, MlirOperation op, const emit_row *row) {
    bool ours = strncmp(row->name, "scf.", 4) && strncmp(row->name, "func.", 5) && row->emit != emit_vector;
    return ours && emit_touches_vectors(op) ? emit_vector(em, op, row) : row->emit(em, op, row);
}

static void emit_ops(emitter *em, MlirBlock block) {
    for (MlirOperation op = mlirBlockGetFirstOperation(block); !mlirOperationIsNull(op);) {
        MlirOperation next = mlirOperationGetNextInBlock(op);
        if (mlirOperationIsNull(next) && !adze_is_op(op, "func.return"))
            return; /* the terminator is its region's business */
        const emit_row *row = emit_row_of(op);
        if (!row) {
            emit_error(em, op, "an operation that level 3 does not have");
            return;
        }
        if (!emit_is_dead(em, op) && !emit_op(em, op, row)) {
            em->failed = true;
            return;
        }
        op = next;
    }
}

void emit_block(emitter *em, MlirBlock block) {
    int actives = em->n_actives;
    emit_ops(em, block);
    em->n_actives = actives;
}

/* ---- kernels ---- */

void adze_emit_prototype(const adze_c_module *m, const adze_c_kernel *k, adze_text *out) {
    adze_text line = {0};
    adze_text_printf(&line, "void %s(", k->name);
    size_t column = line.length;
    adze_text_append(out, line.data, line.length);
    for (int i = 0; i < k->n_params + k->n_dims; i++) {
        const adze_c_param *p = i < k->n_params ? &k->params[i] : NULL;
        line.length = 0;
        if (!p) {
            const char *name = k->dims[i - k->n_params];
            for (int d = 0; d < m->n_dims; d++)
                if (strcmp(m->dims[d].symbol, name) == 0)
                    name = m->dims[d].name;
            adze_text_printf(&line, "%s %s", m->index_type, name);
        } else if (p->scalar) {
            adze_text_printf(&line, "%s %s", adze_c_type(m, p->scalar_type), p->name);
        } else {
            adze_text_printf(&line, "%s%s *%s%s", p->write ? "" : "const ",
                             adze_c_type(m, (int)p->shape.dtype), p->alias ? "" : "restrict ",
                             p->name);
        }
        size_t after = i + 1 < k->n_params + k->n_dims ? 3 : 5; /* ", " and "," or ") {" */
        if (i && column + line.length + after > LINE_MAX_COLUMNS) {
            adze_text_puts(out, ",\n        ");
            column = 8;
        } else if (i) {
            adze_text_puts(out, ", ");
            column += 2;
        }
        adze_text_append(out, line.data, line.length);
        column += line.length;
    }
    if (k->n_params + k->n_dims == 0)
        adze_text_puts(out, "void");
    adze_text_puts(out, ")");
    adze_text_free(&line);
}

/* Text inside a comment must not end it. */
static const char *comment_safe(adze_arena *arena, const char *text) {
    char *out = adze_arena_strdup(arena, text);
    for (char *p = out; *p; p++) {
        if ((p[0] == '*' && p[1] == '/') || (p[0] == '/' && p[1] == '*'))
            p[1] = '|';
        if ((unsigned char)*p < ' ')
            *p = ' ';
    }
    return out;
}

static void append_ref(MlirStringRef s, void *user) { adze_text_append(user, s.data, s.length); }

static int integers_of(MlirAttribute a, int max, int64_t *out) {
    if (!mlirAttributeIsAArray(a))
        return mlirAttributeIsAInteger(a) ? 0 : adze_attr_i64s(a, max, out);
    int n = (int)mlirArrayAttrGetNumElements(a);
    for (int i = 0; i < n && i < max; i++) {
        MlirAttribute e = mlirArrayAttrGetElement(a, i);
        if (!mlirAttributeIsAInteger(e))
            return 0;
        out[i] = mlirIntegerAttrGetValueInt(e);
    }
    return n;
}

/* {tile = [0, 8], vector = 4 : i64} as "tile 0 x 8, vector 4". */
static void describe_schedule(emitter *em, MlirAttribute schedule, adze_text *out) {
    if (mlirAttributeIsNull(schedule) || !mlirAttributeIsADictionary(schedule))
        return;
    intptr_t n = mlirDictionaryAttrGetNumElements(schedule);
    bool first = true;
    for (intptr_t i = 0; i < n; i++) {
        MlirNamedAttribute named = mlirDictionaryAttrGetElement(schedule, i);
        MlirStringRef key = mlirIdentifierStr(named.name);
        int64_t values[16];
        int count = integers_of(named.attribute, 16, values);
        bool zero = count > 0; /* no tiling, no unrolling */
        for (int j = 0; j < count && j < 16; j++)
            zero = zero && values[j] == 0;
        if (zero)
            continue;
        adze_text_printf(out, "%s%.*s ", first ? "schedule: " : ", ", (int)key.length, key.data);
        first = false;
        const char *word = count > 0 ? NULL : adze_attr_str(em->m->ctx, named.attribute);
        if (word) {
            adze_text_puts(out, word);
        } else if (count > 0) {
            for (int j = 0; j < count && j < 16; j++)
                adze_text_printf(out, "%s%" PRId64, j ? " x " : "", values[j]);
        } else if (mlirAttributeIsAInteger(named.attribute)) {
            adze_text_printf(out, "%" PRId64, mlirIntegerAttrGetValueInt(named.attribute));
        } else {
            mlirAttributePrint(named.attribute, append_ref, out);
        }
    }
}

static void comment_line(emitter *em, const char *text, bool first) {
    text = comment_safe(em->arena, text);
    while (*text || first) {
        size_t n = strlen(text), cut = n;
        if (n > LINE_MAX_COLUMNS - 6)
            for (cut = LINE_MAX_COLUMNS - 6; cut > 20 && text[cut] != ' '; cut--)
                ;
        adze_text_printf(em->out, "%s%.*s\n", first ? "/* " : " * ", (int)cut, text);
        text += cut;
        while (*text == ' ')
            text++;
        first = false;
    }
}

static void describe(emitter *em, const adze_c_kernel *k, const char *nodes) {
    adze_text text = {0};
    comment_line(em, nodes, true);
    for (int pass = 0; pass < 2; pass++) {
        bool first = true;
        for (int i = 0; i < k->n_params; i++) {
            const adze_c_param *p = &k->params[i];
            if (p->scalar || p->write != (pass == 1))
                continue;
            adze_text_printf(&text, "%s%s %s", first ? (pass ? " -> " : "") : ", ", p->name,
                             adze_c_shape_text(em->arena, &p->shape));
            first = false;
        }
    }
    if (text.length)
        comment_line(em, text.data, false);
    text.length = 0;
    describe_schedule(em, adze_get(k->op, "adze.schedule"), &text);
    if (text.length)
        comment_line(em, text.data, false);
    em->out->length--;
    adze_text_puts(em->out, " */\n");
    adze_text_free(&text);
}

/* Emits the kernel's parameters and body; the text starts after the name. */
static bool emit_kernel(adze_c_module *m, adze_c_kernel *k) {
    emitter em;
    adze_text out = {0};
    emit_init(&em, m, &out, k->symbol);
    emit_find_dead(&em, k->op);
    MlirBlock body = mlirRegionGetFirstBlock(mlirOperationGetRegion(k->op, 0));
    adze_emit_prototype(m, k, &out);
    size_t skip = strlen("void ") + strlen(k->name);
    adze_text_puts(&out, " {\n");
    for (int i = 0; i < k->n_dims; i++)
        for (int d = 0; d < m->n_dims; d++)
            if (strcmp(m->dims[d].symbol, k->dims[i]) == 0)
                emit_declare(&em, m->dims[d].name, "n");
    for (int i = 0; i < k->n_params; i++) {
        adze_c_param *p = &k->params[i];
        MlirValue value = mlirBlockGetArgument(body, i);
        emit_declare(&em, p->name, "x");
        if (emit_use_count(&em, value, NULL) == 0)
            emit_line(&em, "(void)%s;", p->name);
        if (p->scalar) {
            emit_bind(&em, value, expr_text(p->scalar_type, PREC_PRIMARY, p->name));
            continue;
        }
        binding *b = emit_bind(&em, value, expr_text(ADZE_NO_DTYPE, PREC_PRIMARY, p->name));
        b->shape = p->shape;
        b->element = (int)p->shape.dtype;
        b->stable = !p->write && !p->alias;
    }
    adze_text statements = {0};
    em.out = &statements;
    emit_block(&em, body);
    em.out = &out;
    for (int i = 0; i < em.n_tops; i++)
        emit_line(&em, "const %s %s = %s;", em.tops[i].type, em.tops[i].name, em.tops[i].text);
    if (statements.length)
        adze_text_append(&out, statements.data, statements.length);
    adze_text_free(&statements);
    adze_text_puts(&out, "}\n");
    k->text = adze_arena_strndup(m->ctx->arena, out.data + skip, out.length - skip);
    k->local_bytes = em.local_bytes;
    emit_count_costs(k->op, k);
    adze_text_free(&out);
    return !em.failed;
}

/* Kernels with the same text but for their names are one function, which is called several times. */
static void share_equal(adze_c_module *m) {
    for (int i = 0; i < m->n_kernels; i++) {
        adze_c_kernel *k = &m->kernels[i];
        k->same_as = -1;
        for (int j = 0; j < i && k->text && k->same_as < 0; j++) {
            const adze_c_kernel *other = &m->kernels[j];
            if (other->text && other->same_as < 0 && strcmp(other->text, k->text) == 0 &&
                strcmp(other->kind, k->kind) == 0)
                k->same_as = j;
        }
        if (k->same_as >= 0)
            k->name = m->kernels[k->same_as].name;
    }
}

/* The nodes of a kernel and of those that share its function. */
static const char *all_nodes(adze_c_module *m, int kernel) {
    adze_text text = {0};
    for (int i = kernel; i < m->n_kernels; i++)
        if (i == kernel || m->kernels[i].same_as == kernel)
            adze_text_printf(&text, "%s%s", i == kernel ? "" : "; ",
                             *m->kernels[i].nodes ? m->kernels[i].nodes : m->kernels[i].symbol);
    const char *out = adze_arena_strdup(m->ctx->arena, text.data);
    adze_text_free(&text);
    return out;
}

bool adze_emit_kernels(adze_c_module *m) {
    for (int i = 0; i < m->n_kernels; i++)
        if (!m->kernels[i].runtime && !emit_kernel(m, &m->kernels[i]))
            return false;
    share_equal(m);
    for (int i = 0; i < m->n_kernels; i++) {
        adze_c_kernel *k = &m->kernels[i];
        if (k->runtime || k->same_as >= 0)
            continue;
        emitter em;
        adze_text out = {0};
        emit_init(&em, m, &out, k->symbol);
        describe(&em, k, all_nodes(m, i));
        adze_text_printf(&out, "void %s%s", k->name, k->text);
        k->text = adze_arena_strndup(m->ctx->arena, out.data, out.length);
        for (size_t c = 0; c < out.length; c++)
            k->lines += out.data[c] == '\n';
        adze_text_free(&out);
    }
    return true;
}
