/* Values from outside: files in the formats people have, and numbers typed on the command line.
 *
 *   .npy .npz           npy.c, zip.c        numpy arrays
 *   .pb                 frontend/onnx       ONNX TensorProto
 *   .png .jpg           image.c             pictures
 *   .wav                wav.c               sound
 *   .txt .csv           values.c            numbers
 *   .bin .raw           values.c            the bytes as they are
 *
 * A file is read against what the model wants: the element type is converted only where no value is
 * lost in kind (numbers to float; integers in range), the shape must be the same up to axes of one. */
#ifndef ADZE_DRIVER_VALUES_H
#define ADZE_DRIVER_VALUES_H

#include "ir/weights.h"

/* What an input must be. dims[i] < 0 is an extent between lo[i] and hi[i]. */
typedef struct adze_wanted {
    const char *name;
    adze_dtype dtype;
    int rank;
    int64_t dims[ADZE_MAX_RANK], lo[ADZE_MAX_RANK], hi[ADZE_MAX_RANK];
    bool keep_scale; /* numbers of pictures and sound as they stand in the file */
} adze_wanted;

/* Reads `text`, a file's path or numbers in place, as `want`. Result in the context's arena (or
 * borrowing a mapped file). False with a diagnostic that names the file. */
bool adze_value_read(adze_context *ctx, const char *text, const adze_wanted *want,
                     adze_tensor *out);

/* The VALUE of --bind: @FILE, a number, 1,2,3 or 2x3:1,2,3,4,5,6. want->dtype must be known;
 * unknown extents (dims < 0 with lo 0 and hi INT64_MAX) are taken from the value; rank -1: any
 * shape. */
bool adze_value_bind(adze_context *ctx, const char *text, const adze_wanted *want,
                     adze_tensor *out);

/* `t` as `want`: type converted, leading ones added or dropped, extents checked. `file` for
 * errors. */
bool adze_value_fit(adze_context *ctx, const char *file, const adze_tensor *t,
                    const adze_wanted *want, adze_tensor *out);

/* ---- formats: each reads `file` whole into a tensor of the file's own type ---- */

bool adze_npy_read(adze_context *ctx, const char *path, const uint8_t *data, size_t bytes,
                   adze_tensor *out);
/* The member `name` (without ".npy") of a .npz, or its only one. */
bool adze_npz_read(adze_context *ctx, const char *path, const char *name, adze_tensor *out);
/* uint8 [height, width, channels] with channels 1, 3 or 4; `channels` says which is wanted. */
bool adze_image_read(adze_context *ctx, const char *path, int channels, adze_tensor *out);
/* Samples: i16 [frames] for 16-bit PCM, f32 [frames] for float. One channel only. */
bool adze_wav_read(adze_context *ctx, const char *path, adze_tensor *out);

/* A zip archive's member, inflated into the context's arena. `name` NULL: the only member. */
bool adze_zip_member(adze_context *ctx, const adze_file *zip, const char *name,
                     const uint8_t **data, size_t *bytes);

#endif
