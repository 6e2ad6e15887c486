/* The protobuf reader; see wire.h. One loop over an explicit stack of open messages: input decides
 * neither our recursion nor, beyond a constant factor of the file's size, our memory. */
#include "frontend/onnx/wire.h"

#include <limits.h>
#include <string.h>

enum { VARINT = 0, FIXED64 = 1, LENGTH = 2, FIXED32 = 5 };
enum { MAX_MESSAGES = 1 << 24 };

typedef enum field_kind {
    INT,
    F32,
    BYTES,
    MSG,
    REP_BYTES,
    REP_INT,
    REP_F32,
    REP_F64,
    REP_MSG
} field_kind;

enum {
    MESSAGE_NONE,
#define MESSAGE(name) MESSAGE_##name,
#define FIELD(message, number, kind, type, member)
#define END(name)
#include "frontend/onnx/schema.def"
#undef MESSAGE
#undef FIELD
#undef END
    N_MESSAGES,
    MESSAGE__ = MESSAGE_NONE
};

typedef struct field {
    uint32_t number;
    field_kind kind;
    int type;
    size_t offset;
    const char *name;
} field;

#define MESSAGE(name) static const field name##_fields[] = {
#define FIELD(message, number, kind, type, member)                                                 \
    {number, kind, MESSAGE_##type, offsetof(onnx_##message, member), #member},
#define END(name)                                                                                  \
    }                                                                                              \
    ;
#include "frontend/onnx/schema.def"
#undef MESSAGE
#undef FIELD
#undef END

typedef struct message {
    const char *name;
    const field *fields;
    size_t n_fields, bytes;
} message;

static const message messages[N_MESSAGES] = {
#define MESSAGE(name)                                                                              \
    [MESSAGE_##name] = {#name, name##_fields, ADZE_COUNT(name##_fields), sizeof(onnx_##name)},
#define FIELD(message, number, kind, type, member)
#define END(name)
#include "frontend/onnx/schema.def"
#undef MESSAGE
#undef FIELD
#undef END
};

typedef struct frame {
    const message *type;
    char *object;
    const uint8_t *end;
} frame;

typedef struct reader {
    adze_arena *arena;
    adze_diagnostics *diags;
    const uint8_t *begin, *at;
    size_t n_messages;
    frame stack[ADZE_ONNX_MAX_DEPTH];
    int depth;
} reader;

static bool fail(reader *r, const uint8_t *at, const char *what) {
    return adze_error(r->diags, NULL, "not a readable ONNX file: %s at byte %zu, in %s", what,
                      (size_t)(at - r->begin), r->stack[r->depth - 1].type->name);
}

/* Advances *at past a varint that ends before `end`; at most ten bytes, 64 bits. */
static bool varint(const uint8_t **at, const uint8_t *end, uint64_t *out) {
    uint64_t value = 0;
    const uint8_t *p = *at;
    for (int shift = 0; shift < 70 && p < end; shift += 7) {
        uint8_t byte = *p++;
        if (shift == 63 && byte > 1)
            return false;
        value |= (uint64_t)(byte & 127) << shift;
        if (byte < 128) {
            *at = p;
            *out = value;
            return true;
        }
    }
    return false;
}

static void *grow(reader *r, void *items, size_t count, size_t *capacity, size_t size) {
    if (count < *capacity)
        return items;
    size_t wider = *capacity ? 2 * *capacity : 4;
    void *fresh = adze_arena_array(r->arena, wider, size);
    if (count)
        memcpy(fresh, items, count * size);
    *capacity = wider;
    return fresh;
}

static void add_run(reader *r, onnx_scalars *s, const uint8_t *bytes, size_t length, size_t count) {
    s->runs = grow(r, s->runs, s->n_runs, &s->capacity, sizeof *s->runs);
    s->runs[s->n_runs++] = (adze_string){(const char *)bytes, length};
    s->count += count;
}

/* The object that a MSG or REP_MSG field's next occurrence fills (a repeated MSG merges). */
static void *open_object(reader *r, const field *f, void *dest) {
    size_t bytes = messages[f->type].bytes;
    void **slot = dest;
    if (f->kind == REP_MSG) {
        onnx_strings *list = dest; /* same layout: items, count, capacity */
        list->items = grow(r, list->items, list->count, &list->capacity, sizeof(void *));
        slot = (void **)list->items + list->count++;
        *slot = NULL;
    }
    if (!*slot)
        *slot = adze_arena_alloc(r->arena, bytes);
    return *slot;
}

static bool expected_wire(field_kind kind, unsigned wire) {
    switch (kind) {
    case INT:
        return wire == VARINT;
    case F32:
        return wire == FIXED32;
    case REP_INT:
        return wire == VARINT || wire == LENGTH;
    case REP_F32:
        return wire == FIXED32 || wire == LENGTH;
    case REP_F64:
        return wire == FIXED64 || wire == LENGTH;
    default:
        return wire == LENGTH;
    }
}

/* A length-delimited field's payload of `length` bytes at r->at. */
static bool read_payload(reader *r, const field *f, void *dest, size_t length) {
    const uint8_t *payload = r->at, *end = payload + length;
    switch (f->kind) {
    case BYTES:
        *(adze_string *)dest = (adze_string){(const char *)payload, length};
        break;
    case REP_BYTES: {
        onnx_strings *list = dest;
        list->items = grow(r, list->items, list->count, &list->capacity, sizeof *list->items);
        list->items[list->count++] = (adze_string){(const char *)payload, length};
        break;
    }
    case REP_INT: {
        size_t count = 0;
        uint64_t value;
        for (const uint8_t *p = payload; p < end; count++)
            if (!varint(&p, end, &value))
                return fail(r, p, "a broken number");
        add_run(r, dest, payload, length, count);
        break;
    }
    case REP_F32:
    case REP_F64: {
        size_t size = f->kind == REP_F32 ? 4 : 8;
        if (length % size)
            return fail(r, payload, "a list of numbers with a part of a number");
        add_run(r, dest, payload, length, length / size);
        break;
    }
    default: /* MSG, REP_MSG */
        if (r->depth == ADZE_ONNX_MAX_DEPTH)
            return fail(r, payload, "messages nested deeper than 64 levels");
        if (++r->n_messages > MAX_MESSAGES)
            return fail(r, payload, "more than 16 million messages");
        r->stack[r->depth++] = (frame){&messages[f->type], open_object(r, f, dest), end};
        return true; /* its fields come next */
    }
    r->at = end;
    return true;
}

static bool read_field(reader *r) {
    const frame top = r->stack[r->depth - 1];
    const uint8_t *start = r->at;
    uint64_t key, value = 0;
    if (!varint(&r->at, top.end, &key))
        return fail(r, start, "a broken field key");
    unsigned wire = key & 7;
    uint64_t number = key >> 3;
    if (number == 0 || number > 536870911)
        return fail(r, start, "an impossible field number");
    const field *f = NULL;
    for (size_t i = 0; i < top.type->n_fields && !f; i++)
        if (top.type->fields[i].number == number)
            f = &top.type->fields[i];
    if (f && !expected_wire(f->kind, wire))
        return adze_error(r->diags, NULL,
                          "not a readable ONNX file: field %s.%s has wire type %u at byte %zu",
                          top.type->name, f->name, wire, (size_t)(start - r->begin));
    size_t left, size;
    const uint8_t *payload = r->at;
    switch (wire) {
    case VARINT:
        if (!varint(&r->at, top.end, &value))
            return fail(r, payload, "a broken number");
        size = (size_t)(r->at - payload);
        r->at = payload;
        break;
    case FIXED64:
        size = 8;
        break;
    case FIXED32:
        size = 4;
        break;
    case LENGTH:
        if (!varint(&r->at, top.end, &value))
            return fail(r, payload, "a broken length");
        if (value > (uint64_t)(top.end - r->at))
            return fail(r, payload, "a field longer than what holds it (a truncated file?),");
        size = (size_t)value;
        break;
    default:
        return fail(r, start, "an unknown wire type");
    }
    left = (size_t)(top.end - r->at);
    if (size > left)
        return fail(r, r->at, "a truncated number");
    if (!f) {
        r->at += size;
        return true;
    }
    *(uint64_t *)(void *)top.object |= (uint64_t)1 << (number & 63);
    void *dest = top.object + f->offset;
    if (wire == LENGTH)
        return read_payload(r, f, dest, size);
    if (f->kind == INT)
        *(int64_t *)dest = (int64_t)value;
    else if (f->kind == F32)
        memcpy(dest, r->at, 4);
    else
        add_run(r, dest, r->at, size, 1);
    r->at += size;
    return true;
}

static bool parse(adze_arena *arena, adze_diagnostics *diags, const void *bytes, size_t length,
                  int type, void *out) {
    reader r = {.arena = arena, .diags = diags, .begin = bytes, .at = bytes, .depth = 1};
    r.stack[0] = (frame){&messages[type], out, r.begin + length};
    while (r.depth) {
        if (r.at == r.stack[r.depth - 1].end)
            r.depth--;
        else if (!read_field(&r))
            return false;
    }
    return true;
}

bool adze_onnx_parse_model(adze_arena *arena, adze_diagnostics *diags, const void *bytes,
                           size_t length, onnx_ModelProto *out) {
    memset(out, 0, sizeof *out);
    if (!length)
        return adze_error(diags, NULL, "not a readable ONNX file: it is empty");
    if (!parse(arena, diags, bytes, length, MESSAGE_ModelProto, out))
        return false;
    if (!out->graph)
        return adze_error(diags, NULL, "not a readable ONNX file: it has no graph");
    return true;
}

bool adze_onnx_parse_tensor(adze_arena *arena, adze_diagnostics *diags, const void *bytes,
                            size_t length, onnx_TensorProto *out) {
    memset(out, 0, sizeof *out);
    if (!length) /* every field at its default is a legal message, but no tensor */
        return adze_error(diags, NULL, "not a tensor: the file is empty");
    return parse(arena, diags, bytes, length, MESSAGE_TensorProto, out);
}

int64_t *adze_onnx_ints(adze_arena *arena, const onnx_scalars *s) {
    int64_t *out = ADZE_NEW_ARRAY(arena, int64_t, s->count);
    size_t n = 0;
    for (size_t i = 0; i < s->n_runs; i++) {
        const uint8_t *p = (const uint8_t *)s->runs[i].data, *end = p + s->runs[i].length;
        uint64_t value;
        while (p < end && n < s->count && varint(&p, end, &value))
            out[n++] = (int64_t)value;
    }
    return out;
}

static void copy_runs(const onnx_scalars *s, void *out) {
    char *p = out;
    for (size_t i = 0; i < s->n_runs; i++) {
        if (s->runs[i].length)
            memcpy(p, s->runs[i].data, s->runs[i].length);
        p += s->runs[i].length;
    }
}

float *adze_onnx_floats(adze_arena *arena, const onnx_scalars *s) {
    float *out = ADZE_NEW_ARRAY(arena, float, s->count);
    copy_runs(s, out);
    return out;
}

double *adze_onnx_doubles(adze_arena *arena, const onnx_scalars *s) {
    double *out = ADZE_NEW_ARRAY(arena, double, s->count);
    copy_runs(s, out);
    return out;
}

bool adze_string_is(adze_string s, const char *text) {
    return s.length == strlen(text) && (!s.length || !memcmp(s.data, text, s.length));
}
