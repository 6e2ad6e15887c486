// Writes protocol buffers: a field is a key (number and wire type), then a varint or counted bytes.
#include "digits.h"

#include <stdlib.h>
#include <string.h>

enum { WIRE_VARINT = 0, WIRE_BYTES = 2 };

static void append(struct message *m, const void *data, size_t bytes) {
    if (m->failed || bytes == 0)
        return;
    if (m->capacity - m->bytes < bytes) {
        size_t capacity = 2 * m->capacity + bytes + 64;
        uint8_t *grown = realloc(m->data, capacity);
        if (!grown) {
            free(m->data);
            *m = (struct message){.failed = true};
            return;
        }
        m->data = grown;
        m->capacity = capacity;
    }
    memcpy(m->data + m->bytes, data, bytes);
    m->bytes += bytes;
}

static void append_varint(struct message *m, uint64_t value) {
    do {
        uint8_t byte = (uint8_t)((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
        append(m, &byte, 1);
        value >>= 7;
    } while (value);
}

void put_integer(struct message *m, int field, uint64_t value) {
    append_varint(m, (uint64_t)field << 3 | WIRE_VARINT);
    append_varint(m, value);
}

void put_bytes(struct message *m, int field, const void *data, size_t bytes) {
    append_varint(m, (uint64_t)field << 3 | WIRE_BYTES);
    append_varint(m, bytes);
    append(m, data, bytes);
}

void put_text(struct message *m, int field, const char *text) {
    put_bytes(m, field, text, strlen(text));
}

void put_message(struct message *m, int field, struct message *inner) {
    m->failed |= inner->failed;
    put_bytes(m, field, inner->data, inner->bytes);
    free(inner->data);
    *inner = (struct message){0};
}

bool message_write(struct message *m, const char *path) {
    FILE *file = m->failed ? NULL : fopen(path, "wb");
    bool ok = file && fwrite(m->data, 1, m->bytes, file) == m->bytes;
    if (file)
        ok = fclose(file) == 0 && ok;
    free(m->data);
    *m = (struct message){0};
    return ok;
}
