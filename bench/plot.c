/* Draws the results of this folder's scripts as SVG.
 *
 *   plot FIGURE RESULT.tsv OUT.svg
 *
 * A figure is a row of the table below: bars (one row a model or layer, one bar a series, a mark at
 * each bar's goal, a logarithmic axis) or curves (one panel a value of a column, one curve a
 * series, sizes on a logarithmic axis). RESULT.tsv has the columns' names in its first line. */
#include <libxml/tree.h>

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the table of figures ---- */

typedef struct figure {
    const char *name, *title, *axis;
    const char *row;    /* bars: the column of the rows' labels; curves: of x */
    const char *series; /* the column that tells bars or curves apart */
    const char *value;
    const char *group; /* the column of headings or panels; NULL: none */
    const char *goal;  /* a column, or a number; NULL: none */
    const char *series_label;
    int curves, only_gemv;
} figure;

static const figure figures[] = {
    {.name = "models",
     .title = "Speed beside ONNX Runtime (its time over adze's; | marks the goal)",
     .axis = "times as fast as ONNX Runtime",
     .row = "model",
     .series = "threads",
     .value = "ratio",
     .group = "group",
     .goal = "goal",
     .series_label = "threads: %s"},
    {.name = "cortex-m",
     .title = "Instructions beside CMSIS-NN (adze's over its; less is better; | marks the goal)",
     .axis = "adze's instructions over CMSIS-NN's",
     .row = "layer",
     .series = "core",
     .value = "ratio",
     .goal = "goal",
     .series_label = "%s"},
    {.name = "gemm",
     .title = "Matrix products: fraction of the peak of a register-only loop",
     .axis = "N = K (hollow: no power of two)",
     .row = "n",
     .series = "m",
     .value = "fraction",
     .group = "encoding",
     .goal = "0.85",
     .series_label = "M = %s",
     .curves = 1},
    {.name = "gemv",
     .title = "Matrix times vector: fraction of the bandwidth of a plain read loop",
     .axis = "N = K (hollow: no power of two)",
     .row = "n",
     .series = "encoding",
     .value = "read_fraction",
     .goal = "0.9",
     .series_label = "%s",
     .curves = 1,
     .only_gemv = 1},
};

/* ---- the result: text cells by column name ---- */

enum { MOST_COLUMNS = 32, MOST_ROWS = 4096, MOST_DISTINCT = 64 };

typedef struct table {
    char *names[MOST_COLUMNS];
    char *cells[MOST_ROWS][MOST_COLUMNS];
    int n_columns, n_rows;
} table;

static int split(char *line, char **cells) {
    int n = 0;
    line[strcspn(line, "\r\n")] = 0;
    for (char *at = line; at && n < MOST_COLUMNS;) {
        char *tab = strchr(at, '\t');
        if (tab)
            *tab++ = 0;
        cells[n++] = strdup(at);
        at = tab;
    }
    return n;
}

static int read_table(const char *path, table *t) {
    char line[4096];
    FILE *file = fopen(path, "r");
    if (!file || !fgets(line, sizeof line, file)) {
        fprintf(stderr, "plot: '%s' cannot be read\n", path);
        return 0;
    }
    t->n_columns = split(line, t->names);
    while (t->n_rows < MOST_ROWS && fgets(line, sizeof line, file))
        if (split(line, t->cells[t->n_rows]) >= t->n_columns)
            t->n_rows++;
    fclose(file);
    return 1;
}

static int column(const table *t, const char *name) {
    for (int i = 0; name && i < t->n_columns; i++)
        if (!strcmp(t->names[i], name))
            return i;
    return -1;
}

static const char *cell(const table *t, int row, const char *name) {
    int c = column(t, name);
    return c < 0 ? "" : t->cells[row][c];
}

/* Whether the cell is a number, and which. */
static int number(const table *t, int row, const char *name, double *out) {
    char *end;
    const char *text = cell(t, row, name);
    *out = strtod(text, &end);
    return end != text;
}

typedef struct distinct {
    const char *values[MOST_DISTINCT];
    int n;
} distinct;

static int index_of(distinct *d, const char *value) {
    for (int i = 0; i < d->n; i++)
        if (!strcmp(d->values[i], value))
            return i;
    if (d->n == MOST_DISTINCT)
        return MOST_DISTINCT - 1;
    d->values[d->n] = value;
    return d->n++;
}

static double goal_of(const figure *f, const table *t, int row) {
    double goal;
    if (!f->goal)
        return 0;
    return number(t, row, f->goal, &goal) ? goal : strtod(f->goal, NULL);
}

/* ---- drawing ---- */

enum {
    FONT = 13,
    BAR = 13,
    GAP = 9,
    HEADING = 30,
    MARGIN = 16,
    LABELS = 180,
    PLOT = 560,
    VALUES = 60
};

static const char *const colours[] = {"#0072b2", "#d55e00", "#009e73", "#cc79a7",
                                      "#e69f00", "#56b4e9", "#000000"};
enum { N_COLOURS = sizeof colours / sizeof *colours };

static xmlNodePtr element(xmlNodePtr parent, const char *name, const char *text) {
    return xmlNewTextChild(parent, NULL, BAD_CAST name, BAD_CAST text);
}

__attribute__((format(printf, 3, 4))) static void set(xmlNodePtr node, const char *name,
                                                      const char *format, ...) {
    char value[4096];
    va_list args;
    va_start(args, format);
    vsnprintf(value, sizeof value, format, args);
    va_end(args);
    xmlNewProp(node, BAD_CAST name, BAD_CAST value);
}

static xmlNodePtr text(xmlNodePtr svg, double x, double y, const char *anchor, const char *words) {
    xmlNodePtr node = element(svg, "text", words);
    set(node, "x", "%.1f", x);
    set(node, "y", "%.1f", y);
    set(node, "text-anchor", "%s", anchor);
    return node;
}

static void line(xmlNodePtr svg, double x1, double y1, double x2, double y2, const char *style) {
    xmlNodePtr node = element(svg, "line", NULL);
    set(node, "x1", "%.1f", x1);
    set(node, "y1", "%.1f", y1);
    set(node, "x2", "%.1f", x2);
    set(node, "y2", "%.1f", y2);
    set(node, "style", "%s", style);
}

static void box(xmlNodePtr svg, double x, double y, double w, double h, const char *colour) {
    xmlNodePtr node = element(svg, "rect", NULL);
    set(node, "x", "%.1f", x);
    set(node, "y", "%.1f", y);
    set(node, "width", "%.1f", w);
    set(node, "height", "%.1f", h);
    set(node, "fill", "%s", colour);
}

#define GRID "stroke:#dddddd;stroke-width:1"
#define AXIS "stroke:#444444;stroke-width:1"
#define GOAL "stroke:#000000;stroke-width:2"
#define GOAL_LINE "stroke:#000000;stroke-width:1.5;stroke-dasharray:6 4"

/* Boxes of colour with the series' names, one after the other. */
static void legend(xmlNodePtr svg, const figure *f, const distinct *series, double x, double y) {
    for (int i = 0; i < series->n; i++) {
        char words[128];
        snprintf(words, sizeof words, f->series_label, series->values[i]);
        box(svg, x, y - 10, 12, 12, colours[i % N_COLOURS]);
        text(svg, x + 17, y, "start", words);
        x += 17 + 7.5 * (double)strlen(words) + 20;
    }
}

static xmlNodePtr new_svg(xmlDocPtr doc, const figure *f) {
    xmlNodePtr svg = xmlNewNode(NULL, BAD_CAST "svg");
    xmlDocSetRootElement(doc, svg);
    set(svg, "xmlns", "http://www.w3.org/2000/svg");
    set(svg, "font-family", "sans-serif");
    set(svg, "font-size", "%d", FONT);
    element(svg, "title", f->title);
    xmlNodePtr back = element(svg, "rect", NULL);
    set(back, "width", "100%%");
    set(back, "height", "100%%");
    set(back, "fill", "#ffffff");
    set(text(svg, MARGIN, MARGIN + 12, "start", f->title), "font-weight", "bold");
    return svg;
}

static void set_size(xmlNodePtr svg, double width, double height) {
    set(svg, "width", "%.0f", width);
    set(svg, "height", "%.0f", height);
    set(svg, "viewBox", "0 0 %.0f %.0f", width, height);
}

/* ---- bars ---- */

typedef struct scale {
    double low, high; /* powers of ten or their halves and fifths */
} scale;

static double along(const scale *s, double value) {
    double at = log(value / s->low) / log(s->high / s->low);
    return LABELS + VALUES + PLOT * (at < 0 ? 0 : at > 1 ? 1 : at);
}

/* The least and the largest of 1, 2, 5 times a power of ten around all values and goals. */
static scale bars_scale(const figure *f, const table *t) {
    double low = 1, high = 1;
    for (int i = 0; i < t->n_rows; i++) {
        double value, goal = goal_of(f, t, i);
        if (!number(t, i, f->value, &value) || value <= 0)
            continue;
        low = fmin(low, value);
        high = fmax(high, fmax(value, goal));
        low = goal > 0 ? fmin(low, goal) : low;
    }
    static const double steps[] = {1, 2, 5};
    scale s = {pow(10, floor(log10(low))), 0};
    for (int i = 2; i > 0; i--)
        if (s.low * steps[i] <= low) {
            s.low *= steps[i];
            break;
        }
    double decade = pow(10, floor(log10(high)));
    s.high = decade * 10;
    for (int i = 2; i >= 0; i--)
        if (decade * steps[i] >= high * 0.9999)
            s.high = decade * steps[i];
    if (s.high <= s.low)
        s.high = s.low * 10;
    return s;
}

static void bars_axis(xmlNodePtr svg, const scale *s, const figure *f, double top, double bottom) {
    for (double decade = 1e-4; decade < 1e6; decade *= 10)
        for (int i = 0; i < 3; i++) {
            double value = decade * (i == 0 ? 1 : i == 1 ? 2 : 5);
            if (value < s->low * 0.999 || value > s->high * 1.001)
                continue;
            char words[32];
            snprintf(words, sizeof words, "%g", value);
            double x = along(s, value);
            line(svg, x, top, x, bottom, fabs(value - 1) < 1e-9 ? AXIS : GRID);
            text(svg, x, bottom + 16, "middle", words);
        }
    text(svg, LABELS + VALUES + PLOT / 2.0, bottom + 36, "middle", f->axis);
}

/* The number stands outside the bar, away from 1 and beside the goal's mark. */
static void bar_value(xmlNodePtr svg, double to, double mark, double y, double value) {
    enum { WIDTH = 32, SPACE = 4 };
    char words[32];
    snprintf(words, sizeof words, value < 10 ? "%.2f" : "%.1f", value);
    int left = value < 1;
    if (!left && mark > to - 2 && mark < to + WIDTH)
        to = mark;
    if (left && mark < to + 2 && mark > to - WIDTH)
        to = mark;
    set(text(svg, left ? to - SPACE : to + SPACE, y, left ? "end" : "start", words), "font-size",
        "11");
}

static void draw_bars(xmlNodePtr svg, const figure *f, const table *t) {
    distinct groups = {{0}, 0}, series = {{0}, 0};
    for (int i = 0; i < t->n_rows; i++) {
        index_of(&groups, f->group ? cell(t, i, f->group) : "");
        index_of(&series, cell(t, i, f->series));
    }
    /* rows of a group stand in the file's order; what is drawn first lies below: the axis comes
     * first */
    xmlNodePtr grid = element(svg, "g", NULL), front = element(svg, "g", NULL);
    scale s = bars_scale(f, t);
    double top = 3 * MARGIN + 18, y = top;
    legend(svg, f, &series, LABELS + VALUES, top - 8);
    for (int g = 0; g < groups.n; g++) {
        distinct rows = {{0}, 0};
        for (int i = 0; i < t->n_rows; i++)
            if (!f->group || !strcmp(cell(t, i, f->group), groups.values[g]))
                index_of(&rows, cell(t, i, f->row));
        if (f->group) {
            y += HEADING;
            set(text(front, MARGIN, y - 8, "start", groups.values[g]), "font-weight", "bold");
        } else {
            y += GAP;
        }
        for (int r = 0; r < rows.n; r++) {
            text(front, LABELS - 8, y + BAR * series.n / 2.0 + 4, "end", rows.values[r]);
            for (int i = 0; i < t->n_rows; i++) {
                double value;
                if (strcmp(cell(t, i, f->row), rows.values[r]) ||
                    (f->group && strcmp(cell(t, i, f->group), groups.values[g])) ||
                    !number(t, i, f->value, &value) || value <= 0)
                    continue;
                int k = index_of(&series, cell(t, i, f->series));
                double at = y + k * BAR, from = along(&s, 1), to = along(&s, value);
                double goal = goal_of(f, t, i);
                box(front, fmin(from, to), at, fmax(fabs(to - from), 1), BAR - 2,
                    colours[k % N_COLOURS]);
                bar_value(front, to, goal > 0 ? along(&s, goal) : -1e9, at + BAR - 3, value);
                if (goal > 0)
                    line(front, along(&s, goal), at - 1, along(&s, goal), at + BAR - 1, GOAL);
            }
            y += BAR * series.n + GAP;
        }
    }
    bars_axis(grid, &s, f, top, y);
    set_size(svg, LABELS + PLOT + 2 * VALUES, y + 3 * MARGIN);
}

/* ---- curves ---- */

enum { PANEL_W = 560, PANEL_H = 210, PANEL_LEFT = 64 };

typedef struct point {
    double x, y;
    int odd;
} point;

static int by_x(const void *a, const void *b) {
    double x = ((const point *)a)->x, y = ((const point *)b)->x;
    return (x > y) - (x < y);
}

static int wanted(const figure *f, const table *t, int row) {
    return !f->only_gemv || !strcmp(cell(t, row, "m"), "1");
}

/* Products with M = N = K are a curve of their own. */
static const char *series_of(const figure *f, const table *t, int row) {
    int square = !strcmp(cell(t, row, "m"), cell(t, row, "n"));
    return square && !f->only_gemv ? "N" : cell(t, row, f->series);
}

/* Sizes that are no power of two stand beside the curve, hollow: they are cases of their own. */
static void draw_curve(xmlNodePtr svg, point *points, int n, const char *colour) {
    char path[16384];
    size_t length = 0;
    qsort(points, (size_t)n, sizeof *points, by_x);
    for (int i = 0; i < n && length + 32 < sizeof path; i++)
        if (!points[i].odd)
            length += (size_t)snprintf(path + length, sizeof path - length, "%s%.1f,%.1f",
                                       length ? " " : "", points[i].x, points[i].y);
    path[length] = 0;
    xmlNodePtr node = element(svg, "polyline", NULL);
    xmlNewProp(node, BAD_CAST "points", BAD_CAST path);
    set(node, "style", "fill:none;stroke:%s;stroke-width:2", colour);
    for (int i = 0; i < n; i++) {
        xmlNodePtr dot = element(svg, "circle", NULL);
        set(dot, "cx", "%.1f", points[i].x);
        set(dot, "cy", "%.1f", points[i].y);
        set(dot, "r", points[i].odd ? "3.5" : "2.8");
        set(dot, "fill", "%s", points[i].odd ? "none" : colour);
        set(dot, "stroke", "%s", colour);
    }
}

static void draw_panel(xmlNodePtr svg, const figure *f, const table *t, distinct *series,
                       const char *group, double top) {
    double low = 1e9, high = 1, most = 1;
    for (int i = 0; i < t->n_rows; i++) {
        double x, y;
        if (!wanted(f, t, i) || !number(t, i, f->row, &x) || !number(t, i, f->value, &y))
            continue;
        low = fmin(low, x);
        high = fmax(high, x);
        most = fmax(most, y);
    }
    const double step = most > 1.6 ? 0.5 : 0.2;
    most = ceil(most / step - 0.01) * step;
    if (high <= low)
        high = low * 2;
    double bottom = top + PANEL_H;
    for (double y = 0; y <= most + 0.001; y += step) {
        char words[32];
        double at = bottom - PANEL_H * y / most;
        snprintf(words, sizeof words, "%.0f %%", 100 * y);
        line(svg, PANEL_LEFT, at, PANEL_LEFT + PANEL_W, at, y > 0 ? GRID : AXIS);
        text(svg, PANEL_LEFT - 6, at + 4, "end", words);
    }
    for (double x = 1; x <= high; x *= 2) {
        if (x < low)
            continue;
        char words[32];
        double at = PANEL_LEFT + PANEL_W * log(x / low) / log(high / low);
        snprintf(words, sizeof words, "%.0f", x);
        line(svg, at, top, at, bottom, GRID);
        text(svg, at, bottom + 16, "middle", words);
    }
    double goal = strtod(f->goal ? f->goal : "0", NULL);
    if (goal > 0)
        line(svg, PANEL_LEFT, bottom - PANEL_H * goal / most, PANEL_LEFT + PANEL_W,
             bottom - PANEL_H * goal / most, GOAL_LINE);
    if (*group)
        set(text(svg, PANEL_LEFT + 8, top + 16, "start", group), "font-weight", "bold");
    text(svg, PANEL_LEFT + PANEL_W / 2.0, bottom + 34, "middle", f->axis);
    static point points[MOST_ROWS];
    for (int k = 0; k < series->n; k++) {
        int n = 0;
        for (int i = 0; i < t->n_rows; i++) {
            double x, y;
            if (!wanted(f, t, i) || strcmp(series_of(f, t, i), series->values[k]) ||
                (*group && strcmp(cell(t, i, f->group), group)) || !number(t, i, f->row, &x) ||
                !number(t, i, f->value, &y))
                continue;
            points[n++] = (point){PANEL_LEFT + PANEL_W * log(x / low) / log(high / low),
                                  bottom - PANEL_H * y / most, exp2(round(log2(x))) != x};
        }
        if (n)
            draw_curve(svg, points, n, colours[k % N_COLOURS]);
    }
}

static void draw_curves(xmlNodePtr svg, const figure *f, const table *t) {
    distinct groups = {{0}, 0}, series = {{0}, 0};
    for (int i = 0; i < t->n_rows; i++) {
        if (!wanted(f, t, i))
            continue;
        index_of(&groups, f->group ? cell(t, i, f->group) : "");
        index_of(&series, series_of(f, t, i));
    }
    double top = 3 * MARGIN + 24;
    legend(svg, f, &series, PANEL_LEFT, top - 16);
    for (int g = 0; g < groups.n; g++) {
        draw_panel(svg, f, t, &series, groups.values[g], top);
        top += PANEL_H + 56;
    }
    set_size(svg, PANEL_LEFT + PANEL_W + 2 * MARGIN, top);
}

int main(int argc, char **argv) {
    static table t;
    const figure *f = NULL;
    for (size_t i = 0; argc == 4 && i < sizeof figures / sizeof *figures; i++)
        if (!strcmp(figures[i].name, argv[1]))
            f = &figures[i];
    if (!f) {
        fputs("usage: plot models|cortex-m|gemm|gemv RESULT.tsv OUT.svg\n", stderr);
        return 2;
    }
    if (!read_table(argv[2], &t))
        return 1;
    if (column(&t, f->row) < 0 || column(&t, f->series) < 0 || column(&t, f->value) < 0) {
        fprintf(stderr, "plot: '%s' lacks a column of %s, %s, %s\n", argv[2], f->row, f->series,
                f->value);
        return 1;
    }
    xmlDocPtr doc = xmlNewDoc(BAD_CAST "1.0");
    xmlNodePtr svg = new_svg(doc, f);
    (f->curves ? draw_curves : draw_bars)(svg, f, &t);
    int written = xmlSaveFormatFileEnc(argv[3], doc, "UTF-8", 1);
    xmlFreeDoc(doc);
    if (written < 0)
        fprintf(stderr, "plot: '%s' cannot be written\n", argv[3]);
    return written < 0;
}
