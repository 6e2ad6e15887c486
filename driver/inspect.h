/* A model's summary, and the ways to show it. */
#ifndef ADZE_DRIVER_INSPECT_H
#define ADZE_DRIVER_INSPECT_H

#include "driver/job.h"

typedef struct adze_op_count {
    const char *name; /* "conv", "binary.add" */
    size_t count;
    double macs; /* multiply-accumulates of all of them; bounded extents count as 1 */
} adze_op_count;

typedef struct adze_weight_row {
    const char *name, *type;
    int64_t bytes;
    bool state;
} adze_weight_row;

typedef struct adze_summary {
    adze_context *ctx;
    const char *name, *path;
    int level;
    adze_wanted *inputs, *outputs;
    size_t n_inputs, n_outputs;
    adze_op_count *rows;
    size_t n_rows, n_operations;
    double macs;
    adze_weight_row *weights;
    size_t n_weights;
    int64_t weight_bytes;
} adze_summary;

/* Gathers from the module; everything lives in the context's arena. */
bool adze_summarize(adze_context *ctx, const adze_job_model *model, adze_summary *out);

/* "f32[1, 3, 28, 28]"; a bounded extent is LO..HI. */
const char *adze_show_wanted(adze_context *ctx, const adze_wanted *wanted);
/* The same for a type, with the parameters of a quantized element. */
const char *adze_show_type(adze_context *ctx, MlirType type);

/* The views: each appends to `out`. */
void adze_view_text(const adze_summary *summary, adze_text *out);
void adze_view_json(const adze_summary *summary, adze_text *out); /* one line */
void adze_view_html(const adze_summary *summary, adze_text *out);
void adze_view_dot(adze_context *ctx, MlirModule module, adze_text *out);

#endif
