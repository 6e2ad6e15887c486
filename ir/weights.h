/* Weights stay where they are: in the mapped model file, or in a blob that a pass made.
 *
 * A weight symbol names file, offset, bytes and hash. Files are mapped once per context, read-only;
 * blobs are named "blobs/HASH" and live in memory (backed by a scratch file when large) until a dump
 * or a source tree writes them out. */
#ifndef ADZE_IR_WEIGHTS_H
#define ADZE_IR_WEIGHTS_H

#include "ir/ir.h"

/* A read-only mapping; data is NULL for an empty file. Lives as long as the context. */
typedef struct adze_file {
    const char *path;
    const uint8_t *data;
    size_t bytes;
} adze_file;

/* Maps `path`, or returns the mapping already there. Adds a diagnostic on failure. */
const adze_file *adze_file_map(adze_context *ctx, const char *path);
/* Copies the bytes into the blob store; the returned name is "blobs/HASH". */
const char *adze_blob_add(adze_context *ctx, const void *bytes, size_t length);
/* Directory beside which "blobs/" is looked for when a dump is read back. */
void adze_blobs_set_dir(adze_context *ctx, const char *dir);
/* Writes every blob that `module` names below DIR/blobs. */
bool adze_blobs_write(adze_context *ctx, MlirModule module, const char *dir);

/* A weight symbol's packed bytes, size checked against its file. False with a diagnostic. */
bool adze_weight_bytes(adze_context *ctx, MlirOperation weight, const uint8_t **bytes, size_t *length);
/* The same, unpacked to a host tensor. */
bool adze_weight_tensor(adze_context *ctx, MlirOperation weight, adze_tensor *out);
/* Adds a weight symbol over bytes of a mapped file or a blob; returns its (unique) name. `type` is a
 * tensor type. */
const char *adze_weight_add(adze_context *ctx, MlirModule module, const char *name, MlirType type,
                            const char *file, int64_t offset, int64_t bytes, const void *data);
/* Checks every weight's hash: done once, when a dump is read. */
bool adze_weights_check(adze_context *ctx, MlirModule module);

#endif
