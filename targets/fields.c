/* fields.c — attributes of an XML element into fields of the draft. */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

bool adze_target_no_memory(draft *d) {
    return adze_target_fail(d, NULL, "out of memory");
}

static bool is(const char *s, const char *word) {
    return s && !strcmp(s, word);
}

/* ---- attributes into fields; an absent attribute leaves the field as it was ---- */

void adze_target_set_text(draft *d, const xmlNode *n, const char *attr, const char **field) {
    char *s = adze_target_attr(&d->arena, n, attr);
    if (s)
        *field = s;
}

void adze_target_set_flag(draft *d, const xmlNode *n, const char *attr, bool *field) {
    char *s = adze_target_attr(&d->arena, n, attr);
    if (s)
        *field = is(s, "yes");
}

bool adze_target_set_bytes(draft *d, const xmlNode *n, const char *attr, uint64_t most,
                           uint64_t *field) {
    char *s = adze_target_attr(&d->arena, n, attr);
    if (!s)
        return true;
    if (!adze_target_parse_bytes(s, field) || *field > most)
        return adze_target_fail(d, n, "%s=\"%s\" is not a number up to 0x%llx", attr, s,
                                (unsigned long long)most);
    return true;
}

bool adze_target_set_count(draft *d, const xmlNode *n, const char *attr, unsigned *field) {
    uint64_t value = *field;
    if (!adze_target_set_bytes(d, n, attr, UINT32_MAX, &value))
        return false;
    *field = (unsigned)value;
    return true;
}

void adze_target_set_real(draft *d, const xmlNode *n, const char *attr, double *field) {
    char *s = adze_target_attr(&d->arena, n, attr);
    if (s)
        *field = strtod(s, NULL);
}

bool adze_target_set_type(draft *d, const xmlNode *n, const char *spelling, adze_value_type *type) {
    if (adze_target_parse_type(&d->arena, spelling, type))
        return true;
    return adze_target_fail(d, n, "'%s' is not a value type; README.md lists them", spelling);
}

const char *const *adze_target_split(arena *a, const char *line, size_t *count) {
    size_t words = 1;
    if (!line)
        line = "";
    for (const char *s = line; *s; s++)
        words += *s == ' ';
    const char **list = adze_target_alloc(a, (words + 1) * sizeof *list);
    *count = 0;
    while (list && *line) {
        size_t length = strcspn(line, " ");
        list[(*count)++] = adze_target_strndup(a, line, length);
        line += length + (line[length] == ' ');
    }
    return list;
}
