// Draws a digit: takes one of its paths, shakes the points as a hand would, turns the curves into
// straight segments, puts them through a random affine map, and gives every pixel ink according to
// its distance from the nearest segment. Clutter, blur, contrast and noise follow.
#include "digits.h"

#include <math.h>
#include <stdlib.h>

enum { MAX_SEGMENTS = 160, CURVE_STEPS = 10 };
#define RADIANS 0.01745329f

struct point {
    float x, y;
};

struct strokes {
    struct point from[MAX_SEGMENTS], to[MAX_SEGMENTS];
    int count;
};

static void add_segment(struct strokes *s, struct point from, struct point to) {
    if (s->count == MAX_SEGMENTS)
        abort(); // a path in glyphs.c is too long
    s->from[s->count] = from;
    s->to[s->count++] = to;
}

// Reads `count` numbers of a path, each displaced by up to a few units.
static const char *read_numbers(const char *path, int count, float number[], float shake,
                                struct random *r) {
    for (int i = 0; i < count; i++) {
        char *end;
        number[i] = strtof(path, &end);
        if (end == path)
            abort(); // a path in glyphs.c is not well formed
        if (i < 4)   // the angles of an arc stay
            number[i] += shake * random_normal(r);
        path = end;
    }
    return path;
}

static struct point bezier(struct point a, const float n[6], float t) {
    float u = 1.0f - t;
    float wa = u * u * u, wb = 3.0f * u * u * t, wc = 3.0f * u * t * t, wd = t * t * t;
    return (struct point){wa * a.x + wb * n[0] + wc * n[2] + wd * n[4],
                          wa * a.y + wb * n[1] + wc * n[3] + wd * n[5]};
}

static struct point ellipse(const float n[6], float t) {
    float angle = (n[4] + (n[5] - n[4]) * t) * RADIANS;
    return (struct point){n[0] + n[2] * cosf(angle), n[1] + n[3] * sinf(angle)};
}

static void trace(const char *path, float shake, struct random *r, struct strokes *s) {
    struct point pen = {0.0f, 0.0f};
    while (*path) {
        char command = *path++;
        float n[6];
        switch (command) {
        case ' ':
            break;
        case 'M':
        case 'L': {
            path = read_numbers(path, 2, n, shake, r);
            struct point to = {n[0], n[1]};
            if (command == 'L')
                add_segment(s, pen, to);
            pen = to;
            break;
        }
        case 'C':
        case 'E':
        case 'e': {
            path = read_numbers(path, 6, n, shake, r);
            struct point start = command == 'E' ? ellipse(n, 0.0f) : pen;
            pen = start;
            int steps = command == 'C' ? CURVE_STEPS : 2 * CURVE_STEPS;
            for (int i = 1; i <= steps; i++) {
                float t = (float)i / (float)steps;
                struct point to = command == 'C' ? bezier(start, n, t) : ellipse(n, t);
                add_segment(s, pen, to);
                pen = to;
            }
            break;
        }
        default:
            abort(); // no such command
        }
    }
}

// From the glyph's box to pixels: scale, shear, turn and shift about the middle.
static void place(struct strokes *s, struct random *r) {
    float height = random_uniform(r, 0.13f, 0.225f); // pixels for each unit of the box
    float width = height * random_uniform(r, 0.65f, 1.3f);
    float shear = 0.25f * random_normal(r);
    float angle = 12.5f * random_normal(r) * RADIANS;
    float shift_x = 13.5f + random_uniform(r, -3.0f, 3.0f);
    float shift_y = 13.5f + random_uniform(r, -3.0f, 3.0f);
    float cosine = cosf(angle), sine = sinf(angle);
    for (int i = 0; i < s->count; i++) {
        struct point *end[2] = {&s->from[i], &s->to[i]};
        for (int e = 0; e < 2; e++) {
            float y = (end[e]->y - 50.0f) * height;
            float x = (end[e]->x - 30.0f) * width - shear * y;
            *end[e] =
                (struct point){cosine * x - sine * y + shift_x, sine * x + cosine * y + shift_y};
        }
    }
}

// Strokes of something else that reached into the picture: short, and near its edge.
static void add_clutter(struct strokes *s, struct random *r) {
    int count = 1 + (int)random_below(r, 3);
    for (int i = 0; i < count; i++) {
        float along = random_uniform(r, 0.0f, 27.0f);
        float depth = random_uniform(r, -1.0f, 4.0f);
        bool far_side = random_chance(r, 0.5f);
        float edge = far_side ? 27.0f - depth : depth;
        struct point from =
            random_chance(r, 0.5f) ? (struct point){along, edge} : (struct point){edge, along};
        struct point to = from;
        to.x += 2.5f * random_normal(r);
        to.y += 2.5f * random_normal(r);
        add_segment(s, from, to);
    }
}

static float squared_distance(struct point p, struct point from, struct point to) {
    float dx = to.x - from.x, dy = to.y - from.y;
    float length = dx * dx + dy * dy;
    float t = length > 0.0f ? ((p.x - from.x) * dx + (p.y - from.y) * dy) / length : 0.0f;
    t = fminf(fmaxf(t, 0.0f), 1.0f);
    float ex = from.x + t * dx - p.x, ey = from.y + t * dy - p.y;
    return ex * ex + ey * ey;
}

static int clamp_pixel(float position) {
    return (int)fminf(fmaxf(position, 0.0f), (float)(IMAGE_SIDE - 1));
}

// Ink from 0 to 1: full within `radius` of a segment, falling to nothing over `edge` pixels.
static void ink(const struct strokes *s, float radius, float edge, float out[IMAGE_PIXELS]) {
    float nearest[IMAGE_PIXELS];
    float reach = radius + edge;
    for (int i = 0; i < IMAGE_PIXELS; i++)
        nearest[i] = reach * reach;
    for (int i = 0; i < s->count; i++) {
        struct point a = s->from[i], b = s->to[i];
        int left = clamp_pixel(fminf(a.x, b.x) - reach);
        int right = clamp_pixel(fmaxf(a.x, b.x) + reach + 1.0f);
        int top = clamp_pixel(fminf(a.y, b.y) - reach);
        int bottom = clamp_pixel(fmaxf(a.y, b.y) + reach + 1.0f);
        for (int y = top; y <= bottom; y++)
            for (int x = left; x <= right; x++) {
                float d = squared_distance((struct point){(float)x, (float)y}, a, b);
                float *here = &nearest[y * IMAGE_SIDE + x];
                *here = fminf(*here, d);
            }
    }
    for (int i = 0; i < IMAGE_PIXELS; i++)
        out[i] = fminf((reach - sqrtf(nearest[i])) / edge, 1.0f);
}

// One pass over rows (step 1, line 28) or columns (step 28, line 1) with weights (side,
// 1 - 2 * side, side).
static void blur(float image[IMAGE_PIXELS], int step, int line, float side) {
    for (int l = 0; l < IMAGE_SIDE; l++) {
        float *row = image + l * line;
        float before = row[0];
        for (int i = 0; i < IMAGE_SIDE; i++) {
            float here = row[i * step];
            float after = i + 1 < IMAGE_SIDE ? row[(i + 1) * step] : here;
            row[i * step] = side * (before + after) + (1.0f - 2.0f * side) * here;
            before = here;
        }
    }
}

void draw_sample(uint64_t stream, uint64_t index, struct sample *sample) {
    struct random r = random_seed(stream, index);
    sample->label = (uint8_t)(index % CLASSES);

    struct strokes strokes = {.count = 0};
    trace(glyphs[sample->label][random_below(&r, GLYPH_STYLES)], 4.0f, &r, &strokes);
    place(&strokes, &r);
    if (random_chance(&r, 0.4f))
        add_clutter(&strokes, &r);

    float image[IMAGE_PIXELS];
    float edge = random_uniform(&r, 0.7f, 1.4f);
    float radius = random_uniform(&r, 0.3f, 1.5f);
    ink(&strokes, radius, edge, image);
    if (random_chance(&r, 0.5f)) {
        float side = random_uniform(&r, 0.05f, 0.25f);
        blur(image, 1, IMAGE_SIDE, side);
        blur(image, IMAGE_SIDE, 1, side);
    }

    float paper = random_chance(&r, 0.5f) ? 0.0f : random_uniform(&r, 0.0f, 0.25f);
    float contrast = random_uniform(&r, 0.35f, 1.0f - paper);
    float noise = random_chance(&r, 0.5f) ? 0.0f : random_uniform(&r, 0.0f, 0.12f);
    for (int i = 0; i < IMAGE_PIXELS; i++) {
        float value = paper + contrast * image[i] + noise * random_normal(&r);
        sample->pixel[i] = (uint8_t)lrintf(255.0f * fminf(fmaxf(value, 0.0f), 1.0f));
    }
}
