/* read.c — the small readers: XML text, sizes, value types, nearest names. */
#include "internal.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* Blanks at the ends go, runs of them become one. */
static char *collapse(arena *a, const char *s) {
    char *out = adze_target_alloc(a, strlen(s) + 1);
    if (!out)
        return NULL;
    size_t n = 0;
    for (bool blank = false; *s; s++) {
        if (isspace((unsigned char)*s)) {
            blank = n > 0;
            continue;
        }
        if (blank)
            out[n++] = ' ';
        blank = false;
        out[n++] = *s;
    }
    return out;
}

char *adze_target_attr(arena *a, const xmlNode *node, const char *name) {
    xmlChar *value = xmlGetProp(node, (const xmlChar *)name);
    if (!value)
        return NULL;
    char *copy = collapse(a, (const char *)value);
    xmlFree(value);
    return copy;
}

char *adze_target_content(arena *a, const xmlNode *node) {
    xmlChar *value = node ? xmlNodeGetContent(node) : NULL;
    if (!value)
        return NULL;
    char *copy = collapse(a, (const char *)value);
    xmlFree(value);
    return copy;
}

static const xmlNode *named(const xmlNode *n, const char *name) {
    for (; n; n = n->next)
        if (n->type == XML_ELEMENT_NODE && (!name || !strcmp((const char *)n->name, name)))
            return n;
    return NULL;
}

const xmlNode *adze_target_child(const xmlNode *node, const char *name) {
    return node ? named(node->children, name) : NULL;
}

const xmlNode *adze_target_next(const xmlNode *node, const char *name) {
    return named(node->next, name);
}

bool adze_target_parse_bytes(const char *s, uint64_t *bytes) {
    if (!isdigit((unsigned char)*s))
        return false;
    char *end;
    uint64_t n = 0;
    bool hex = s[0] == '0' && (s[1] == 'x' || s[1] == 'X');
    if (hex) {
        size_t digits = strlen(s + 2);
        if (digits == 0 || digits > 16 || strspn(s + 2, "0123456789abcdefABCDEF") != digits)
            return false;
        n = strtoull(s + 2, &end, 16);
    } else {
        if (strspn(s, "0123456789") > 15)
            return false;
        n = strtoull(s, &end, 10);
    }
    unsigned shift = *end == 'K' ? 10 : *end == 'M' ? 20 : *end == 'G' ? 30 : 0;
    if (end[shift ? 1 : 0] || (shift && n > UINT64_MAX >> shift))
        return false;
    *bytes = n << shift;
    return true;
}

bool adze_target_parse_type(arena *a, const char *s, adze_value_type *type) {
    *type = (adze_value_type){.spelling = adze_target_strdup(a, s), .lanes = 1};
    if (!type->spelling)
        return false;
    if (!strcmp(s, "void") || !strcmp(s, "index") || !strcmp(s, "#")) {
        type->base = s[0] == 'i' ? 'n' : s[0];
        return true;
    }
    type->base = s[0];
    if (!strncmp(s, "bf16", 4)) {
        type->base = 'h';
        s++;
    }
    if (!type->base || !strchr("fsubh", type->base) || !isdigit((unsigned char)s[1]))
        return false;
    char *end;
    type->bits = (unsigned)strtoul(s + 1, &end, 10);
    static const struct {
        const char *bases;
        unsigned bits;
    } known[] = {{"b", 1}, {"su", 8}, {"fsuh", 16}, {"fsu", 32}, {"fsu", 64}};
    bool ok = false;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        ok |= type->bits == known[i].bits && strchr(known[i].bases, type->base);
    if (!ok)
        return false;
    if (*end == 'x') {
        type->scalable = end[1] == 'N';
        end += type->scalable ? 2 : 1;
        if (*end < '1' || *end > '9')
            return false;
        unsigned long lanes = strtoul(end, &end, 10);
        if (lanes > 9999) /* as target.rng has it, which does not see what `for` fills in */
            return false;
        type->lanes = (unsigned)lanes;
    }
    if (*end == '*' || *end == '!')
        type->pointer = *end++;
    return *end == 0;
}

static size_t distance(const char *a, const char *b) {
    enum { LONGEST = 96 };
    size_t row[LONGEST + 1], n = strlen(b);
    if (n > LONGEST)
        return SIZE_MAX;
    for (size_t j = 0; j <= n; j++)
        row[j] = j;
    for (size_t i = 1; a[i - 1]; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= n; j++) {
            size_t best = diagonal + (a[i - 1] != b[j - 1]);
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            diagonal = row[j];
            row[j] = best;
        }
    }
    return row[n];
}

const char *adze_target_nearest(const char *name, char *const *names, size_t count) {
    const char *nearest = NULL;
    size_t least = strlen(name) / 3 + 2;
    if (strlen(name) > 256)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        size_t d = distance(name, names[i]);
        /* "m4" means cortex-m4 */
        if (strlen(name) >= 2 && strstr(names[i], name))
            d = 1;
        if (d < least) {
            least = d;
            nearest = names[i];
        }
    }
    return nearest;
}
