/* table.c — vector types and instruction rows over a draft; rows that stand for several. */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

static bool is(const char *s, const char *word) {
    return s && !strcmp(s, word);
}

/* ---- rows that stand for several: for="m1:2 m2:4; add sub" ----
 *
 * `for` is one list or several, parted by semicolons; a list is words, a word is fields parted by
 * colons. The row is taken once for each choice of a word from every list, the last list changing
 * fastest. @0, @1 … in its attributes and its text are the fields of the chosen words, in order. */

enum { MOST_LISTS = 4, MOST_FIELDS = 10, MOST_CHOICES = 4096 };

typedef struct {
    const char *const *words[MOST_LISTS];
    size_t count[MOST_LISTS], at[MOST_LISTS], lists;
    const char *fields[MOST_FIELDS]; /* of the current choice */
    size_t field_count;
} choices;

/* Puts the fields of the current choice in place. */
static bool choose(draft *d, const xmlNode *n, choices *c) {
    c->field_count = 0;
    for (size_t i = 0; i < c->lists; i++) {
        const char *word = c->words[i][c->at[i]];
        for (bool more = true; more;) {
            size_t length = strcspn(word, ":");
            if (c->field_count == MOST_FIELDS)
                return adze_target_fail(d, n, "for: more than %d fields", MOST_FIELDS);
            c->fields[c->field_count] = adze_target_strndup(&d->arena, word, length);
            if (!c->fields[c->field_count++])
                return adze_target_no_memory(d);
            more = word[length] == ':';
            word += length + 1;
        }
    }
    return true;
}

static bool first_choice(draft *d, const xmlNode *n, choices *c) {
    *c = (choices){0};
    size_t all = 1;
    char *list = adze_target_attr(&d->arena, n, "for");
    while (list) {
        char *end = strchr(list, ';');
        if (end)
            *end++ = 0;
        if (c->lists == MOST_LISTS)
            return adze_target_fail(d, n, "for: more than %d lists", MOST_LISTS);
        list += strspn(list, " ");
        c->words[c->lists] = adze_target_split(&d->arena, list, &c->count[c->lists]);
        if (!c->words[c->lists])
            return adze_target_no_memory(d);
        if (c->count[c->lists++] == 0)
            return adze_target_fail(d, n, "for: an empty list");
        if (c->count[c->lists - 1] > MOST_CHOICES / all)
            return adze_target_fail(d, n, "for: more than %d choices", MOST_CHOICES);
        all *= c->count[c->lists - 1];
        list = end;
    }
    return choose(d, n, c);
}

/* Steps to the next choice; false after the last, or with an error. */
static bool next_choice(draft *d, const xmlNode *n, choices *c) {
    size_t i = c->lists;
    while (i > 0 && ++c->at[i - 1] == c->count[i - 1])
        c->at[--i] = 0;
    return i > 0 && choose(d, n, c);
}

/* `s` with the fields put in; NULL stays NULL, and is given for an @ without its field too. */
static char *filled(draft *d, const choices *c, const char *s) {
    if (!s || !c->lists)
        return adze_target_strdup(&d->arena, s);
    size_t length = 0;
    for (const char *p = s; *p; p++) {
        if (*p != '@') {
            length++;
            continue;
        }
        size_t field = (size_t)(p[1] - '0');
        if (field >= c->field_count)
            return NULL;
        length += strlen(c->fields[field]);
        p++;
    }
    char *out = adze_target_alloc(&d->arena, length + 1), *end = out;
    for (const char *p = s; out && *p; p++) {
        if (*p != '@') {
            *end++ = *p;
            continue;
        }
        const char *field = c->fields[*++p - '0'];
        end = strcpy(end, field) + strlen(field);
    }
    return out;
}

/* An attribute with the fields put in; NULL when it is absent. */
static bool filled_attr(draft *d, const xmlNode *n, const choices *c, const char *name,
                        const char **value) {
    char *s = adze_target_attr(&d->arena, n, name);
    *value = filled(d, c, s);
    return !s || *value ||
           adze_target_fail(d, n, "%s=\"%s\" names a field that `for` does not have", name, s);
}

static bool add_vector_type(draft *d, const xmlNode *x, const choices *c) {
    adze_vector_type row = {0};
    const char *name;
    if (!filled_attr(d, x, c, "name", &name) || !adze_target_set_type(d, x, name, &row.type) ||
        !filled_attr(d, x, c, "c", &row.c_type))
        return false;
    adze_target_set_text(d, x, "header", &row.header);
    adze_vector_type *rows =
        adze_target_grow(&d->arena, d->t.vector_types, d->t.vector_type_count, sizeof *rows);
    if (!rows)
        return adze_target_no_memory(d);
    size_t i = 0;
    while (i < d->t.vector_type_count && !is(rows[i].type.spelling, row.type.spelling))
        i++;
    rows[i] = row;
    if (i == d->t.vector_type_count)
        d->t.vector_type_count++;
    d->t.vector_types = rows;
    return true;
}

bool adze_target_apply_vectors(draft *d, const xmlNode *n) {
    adze_vector_registers *v = &d->t.vectors;
    adze_target_set_flag(d, n, "scalable", &v->scalable);
    if (!adze_target_set_count(d, n, "count", &v->count) ||
        !adze_target_set_count(d, n, "bits", &v->bits) ||
        !adze_target_set_count(d, n, "masks", &v->mask_count))
        return false;
    for (const xmlNode *x = adze_target_child(n, "type"); x; x = adze_target_next(x, "type")) {
        choices c;
        if (!first_choice(d, x, &c))
            return false;
        do {
            if (!add_vector_type(d, x, &c))
                return false;
        } while (next_choice(d, x, &c));
        if (*d->err)
            return false;
    }
    return true;
}

/* Every $… of a template must be an operand of its row or a known name. */
static bool check_template(draft *d, const xmlNode *n, const adze_instruction *row) {
    for (const char *s = row->c; (s = strchr(s, '$')) != NULL; s++) {
        s++;
        if (*s == '$' || *s == 'T' || !strncmp(s, "vl", 2))
            continue;
        if (!strncmp(s, "pg", 2))
            continue;
        if (*s >= '0' && *s <= '9') {
            if ((size_t)(*s - '0') < row->operand_count)
                continue;
            return adze_target_fail(d, n, "instruction %s uses operand $%c of %zu", row->name, *s,
                                    row->operand_count);
        }
        return adze_target_fail(d, n, "instruction %s: unknown '$%.2s' in its C", row->name, s);
    }
    return true;
}

/* Room for one row more; tables are long, so it doubles. */
static bool room_for_instruction(draft *d) {
    if (d->t.instruction_count < d->instruction_room)
        return true;
    size_t room = d->instruction_room ? 2 * d->instruction_room : 64;
    adze_instruction *rows = adze_target_alloc(&d->arena, room * sizeof *rows);
    if (!rows)
        return adze_target_no_memory(d);
    if (d->t.instruction_count)
        memcpy(rows, d->t.instructions, d->t.instruction_count * sizeof *rows);
    d->t.instructions = rows;
    d->instruction_room = room;
    return true;
}

static bool add_instruction(draft *d, const xmlNode *n, const xmlNode *x, const choices *c) {
    adze_instruction row = {0};
    const char *type, *result, *operand_list;
    if (!filled_attr(d, x, c, "name", &row.name) || !filled_attr(d, x, c, "type", &type) ||
        !filled_attr(d, x, c, "result", &result) ||
        !filled_attr(d, x, c, "operands", &operand_list) ||
        !adze_target_set_type(d, x, type, &row.type))
        return false;
    row.result = row.type;
    if (result && !adze_target_set_type(d, x, result, &row.result))
        return false;
    adze_target_set_text(d, n, "header", &row.header);
    adze_target_set_text(d, x, "header", &row.header);
    adze_target_set_text(d, x, "needs", &row.needs);
    adze_target_set_real(d, x, "cycles", &row.cycles);
    const char *text = adze_target_content(&d->arena, x);
    row.c = filled(d, c, text);
    if (!row.c)
        return adze_target_fail(d, x, "'%s' names a field that `for` does not have", text);

    const char *const *words = adze_target_split(&d->arena, operand_list, &row.operand_count);
    adze_value_type *operands =
        adze_target_alloc(&d->arena, (row.operand_count + 1) * sizeof *operands);
    if (!words || !operands)
        return adze_target_no_memory(d);
    if (row.operand_count > ADZE_MAX_OPERANDS)
        return adze_target_fail(d, x, "instruction %s has more than %d operands", row.name,
                                ADZE_MAX_OPERANDS);
    for (size_t i = 0; i < row.operand_count; i++)
        if (!adze_target_set_type(d, x, words[i], &operands[i]))
            return false;
    row.operands = operands;
    if (!check_template(d, x, &row) || !room_for_instruction(d))
        return false;

    /* a row with the same key and need takes the older one's place */
    adze_instruction *rows = (adze_instruction *)d->t.instructions;
    size_t i = 0;
    for (; i < d->t.instruction_count; i++)
        if (adze_target_same_key(&rows[i], &row) &&
            (row.needs ? is(rows[i].needs, row.needs) : !rows[i].needs))
            break;
    rows[i] = row;
    if (i == d->t.instruction_count)
        d->t.instruction_count++;
    return true;
}

bool adze_target_apply_instructions(draft *d, const xmlNode *n) {
    for (const xmlNode *x = adze_target_child(n, "instruction"); x;
         x = adze_target_next(x, "instruction")) {
        choices c;
        if (!first_choice(d, x, &c))
            return false;
        do {
            if (!add_instruction(d, n, x, &c))
                return false;
        } while (next_choice(d, x, &c));
        if (*d->err)
            return false;
    }
    return true;
}
