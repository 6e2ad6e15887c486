/* Mapped files, blobs and weight symbols. See weights.h. */
#include "ir/weights.h"
#include "ir/weights_store.h"

#include <mlir-c/BuiltinAttributes.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* A blob is an anonymous mapping: pages that are never touched again can be swapped, and freeing is
 * one call. Files and blobs share one list; a blob's path is "blobs/HASH". */
typedef struct entry {
    adze_file file;
    char *path;
} entry;

struct adze_blobs {
    entry **items; /* stable addresses: callers keep adze_file pointers */
    size_t count, capacity;
    char *dir;
};

struct adze_blobs *adze_blobs_new(void) { return calloc(1, sizeof(struct adze_blobs)); }

void adze_blobs_free(struct adze_blobs *blobs) {
    if (!blobs)
        return;
    for (size_t i = 0; i < blobs->count; i++) {
        entry *e = blobs->items[i];
        if (e->file.data)
            munmap((void *)(uintptr_t)e->file.data, e->file.bytes);
        free(e->path);
        free(e);
    }
    free(blobs->items);
    free(blobs->dir);
    free(blobs);
}

static const adze_file *find(const struct adze_blobs *blobs, const char *path) {
    for (size_t i = 0; i < blobs->count; i++)
        if (!strcmp(blobs->items[i]->path, path))
            return &blobs->items[i]->file;
    return NULL;
}

static const adze_file *add(struct adze_blobs *blobs, const char *path, const void *data,
                            size_t bytes) {
    if (blobs->count == blobs->capacity) {
        blobs->capacity = blobs->capacity ? 2 * blobs->capacity : 16;
        blobs->items = realloc(blobs->items, blobs->capacity * sizeof *blobs->items);
    }
    entry *e = calloc(1, sizeof *e);
    if (!blobs->items || !e)
        abort();
    e->path = strdup(path);
    e->file = (adze_file){e->path, data, bytes};
    blobs->items[blobs->count++] = e;
    return &e->file;
}

/* Maps `disk`, known from now on as `name`. */
static const adze_file *map_as(adze_context *ctx, const char *name, const char *disk) {
    int fd = open(disk, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0) {
        adze_error(&ctx->diags, NULL, "cannot open '%s': %s", disk, strerror(errno));
        if (fd >= 0)
            close(fd);
        return NULL;
    }
    if (!S_ISREG(st.st_mode)) {
        adze_error(&ctx->diags, NULL, "'%s' is not a regular file", disk);
        close(fd);
        return NULL;
    }
    void *data = NULL;
    if (st.st_size > 0) {
        data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (data == MAP_FAILED) {
            adze_error(&ctx->diags, NULL, "cannot map '%s': %s", disk, strerror(errno));
            close(fd);
            return NULL;
        }
    }
    close(fd);
    return add(ctx->blobs, name, data, (size_t)st.st_size);
}

const adze_file *adze_file_map(adze_context *ctx, const char *path) {
    const adze_file *known = find(ctx->blobs, path);
    return known ? known : map_as(ctx, path, path);
}

const char *adze_blob_add(adze_context *ctx, const void *bytes, size_t length) {
    char hash[33];
    adze_hash_hex(bytes, length, hash);
    const char *path = adze_arena_printf(ctx->arena, "blobs/%s", hash);
    if (find(ctx->blobs, path))
        return path;
    void *copy = NULL;
    if (length) {
        copy = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (copy == MAP_FAILED)
            abort();
        memcpy(copy, bytes, length);
        mprotect(copy, length, PROT_READ);
    }
    add(ctx->blobs, path, copy, length);
    return path;
}

void adze_blobs_set_dir(adze_context *ctx, const char *dir) {
    free(ctx->blobs->dir);
    ctx->blobs->dir = strdup(dir);
}

/* The mapping of a weight's file: known, a blob beside the dump, or a path on disk. */
static const adze_file *weight_file(adze_context *ctx, const char *path) {
    const adze_file *known = find(ctx->blobs, path);
    if (known)
        return known;
    if (!strncmp(path, "blobs/", 6) && ctx->blobs->dir && !strstr(path, ".."))
        return map_as(ctx, path, adze_arena_printf(ctx->arena, "%s/%s", ctx->blobs->dir, path));
    return map_as(ctx, path, path);
}

bool adze_weight_bytes(adze_context *ctx, MlirOperation weight, const uint8_t **bytes,
                       size_t *length) {
    const char *name = adze_get_str(ctx, weight, "sym_name");
    const char *path = adze_get_str(ctx, weight, "file");
    int64_t offset = adze_get_i64(weight, "offset"), n = adze_get_i64(weight, "bytes");
    if (!path || offset < 0 || n < 0)
        return adze_error(&ctx->diags, name, "weight without a file, offset or size");
    const adze_file *file = weight_file(ctx, path);
    if (!file)
        return false;
    if ((uint64_t)offset > file->bytes || (uint64_t)n > file->bytes - (uint64_t)offset)
        return adze_error(&ctx->diags, name,
                          "weight reaches to byte %llu of '%s', which has %zu",
                          (unsigned long long)offset + (unsigned long long)n, path, file->bytes);
    *bytes = file->data ? file->data + offset : (const uint8_t *)"";
    *length = (size_t)n;
    return true;
}

bool adze_weight_tensor(adze_context *ctx, MlirOperation weight, adze_tensor *out) {
    const uint8_t *bytes;
    size_t length;
    adze_shape shape;
    const char *name = adze_get_str(ctx, weight, "sym_name");
    MlirAttribute type = adze_get(weight, "type");
    if (mlirAttributeIsNull(type) || !mlirAttributeIsAType(type) ||
        !adze_shape_of(ctx, mlirTypeAttrGetValue(type), &shape))
        return adze_error(&ctx->diags, name, "weight without a tensor type");
    if (!adze_weight_bytes(ctx, weight, &bytes, &length))
        return false;
    if (!adze_tensor_unpack(ctx->arena, shape.dtype, shape.rank, shape.dims, bytes, length, out))
        return adze_error(&ctx->diags, name, "weight's %zu bytes do not fit its type", length);
    return true;
}

const char *adze_weight_add(adze_context *ctx, MlirModule module, const char *name, MlirType type,
                            const char *file, int64_t offset, int64_t bytes, const void *data) {
    const char *unique = name;
    for (int i = 1; !mlirOperationIsNull(adze_symbol(module, "adze.weight", unique)); i++)
        unique = adze_arena_printf(ctx->arena, "%s_%d", name, i);
    char hash[33];
    adze_hash_hex(data, (size_t)bytes, hash);
    MlirBlock body = mlirModuleGetBody(module);
    adze_builder b = {.ctx = ctx, .block = body};
    /* Weights stand before the functions that use them. */
    for (MlirOperation op = mlirBlockGetFirstOperation(body); !mlirOperationIsNull(op);
         op = mlirOperationGetNextInBlock(op))
        if (adze_is_op(op, "func.func")) {
            b.before = op;
            break;
        }
    adze_named attrs[] = {{"sym_name", adze_str(ctx, unique)}, {"type", adze_type_attr(type)},
                          {"file", adze_str(ctx, file)},       {"offset", adze_i64(ctx, offset)},
                          {"bytes", adze_i64(ctx, bytes)},     {"hash", adze_str(ctx, hash)}};
    adze_build(&b, "adze.weight", 0, NULL, 0, NULL, ADZE_COUNT(attrs), attrs, 0);
    return unique;
}

/* Calls `each` on every weight symbol until one returns false. */
static bool for_weights(adze_context *ctx, MlirModule module,
                        bool (*each)(adze_context *, MlirOperation, const char *), const char *arg) {
    for (MlirOperation op = mlirBlockGetFirstOperation(mlirModuleGetBody(module));
         !mlirOperationIsNull(op); op = mlirOperationGetNextInBlock(op))
        if (adze_is_op(op, "adze.weight") && !each(ctx, op, arg))
            return false;
    return true;
}

static bool check_hash(adze_context *ctx, MlirOperation weight, const char *unused) {
    (void)unused;
    const uint8_t *bytes;
    size_t length;
    if (!adze_weight_bytes(ctx, weight, &bytes, &length))
        return false;
    char hash[33];
    adze_hash_hex(bytes, length, hash);
    const char *want = adze_get_str(ctx, weight, "hash");
    if (!want || strcmp(want, hash))
        return adze_error(&ctx->diags, adze_get_str(ctx, weight, "sym_name"),
                          "weight's bytes in '%s' are not those the dump was made with (hash %s)",
                          adze_get_str(ctx, weight, "file"), hash);
    return true;
}

bool adze_weights_check(adze_context *ctx, MlirModule module) {
    return for_weights(ctx, module, check_hash, NULL);
}

static bool write_blob(adze_context *ctx, MlirOperation weight, const char *dir) {
    const char *path = adze_get_str(ctx, weight, "file");
    if (!path || strncmp(path, "blobs/", 6))
        return true;
    const adze_file *file = weight_file(ctx, path);
    if (!file)
        return false;
    mkdir(adze_arena_printf(ctx->arena, "%s/blobs", dir), 0777);
    const char *to = adze_arena_printf(ctx->arena, "%s/%s", dir, path);
    FILE *f = fopen(to, "wb");
    bool ok = f && (!file->bytes || fwrite(file->data, 1, file->bytes, f) == file->bytes);
    ok = f && fclose(f) == 0 && ok;
    return ok || adze_error(&ctx->diags, NULL, "cannot write '%s': %s", to, strerror(errno));
}

bool adze_blobs_write(adze_context *ctx, MlirModule module, const char *dir) {
    return for_weights(ctx, module, write_blob, dir);
}
