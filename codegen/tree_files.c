/* The files of a tree: written below a temporary folder beside DIR, which takes its place at the end. */
#define _XOPEN_SOURCE 700 /* nftw */
#include "codegen/tree_internal.h"

#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool io_error(tree *t, const char *what, const char *path) {
    return adze_error(&t->ctx->diags, NULL, "cannot %s '%s': %s", what, path, strerror(errno));
}

static bool make_folders(tree *t, const char *path) {
    char *p = adze_arena_strdup(t->arena, path);
    for (char *slash = strchr(p + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        if (mkdir(p, 0777) != 0 && errno != EEXIST)
            return io_error(t, "make the folder", p);
        *slash = '/';
    }
    return true;
}

static void add_source(tree *t, const char *path, bool program) {
    const char *dot = strrchr(path, '.');
    if (!dot || (strcmp(dot, ".c") && strcmp(dot, ".S")))
        return;
    if (t->n_sources == t->sources_capacity) {
        int capacity = t->sources_capacity ? 2 * t->sources_capacity : 32;
        tree_source *list = ADZE_NEW_ARRAY(t->arena, tree_source, (size_t)capacity);
        if (t->n_sources)
            memcpy(list, t->sources, (size_t)t->n_sources * sizeof *list);
        t->sources = list;
        t->sources_capacity = capacity;
    }
    t->sources[t->n_sources++] = (tree_source){adze_arena_strdup(t->arena, path), program};
}

static bool write_file(tree *t, const char *path, const void *bytes, size_t length) {
    const char *full = adze_arena_printf(t->arena, "%s/%s", t->root, path);
    if (!make_folders(t, full))
        return false;
    FILE *f = fopen(full, "wb");
    if (!f)
        return io_error(t, "write", full);
    bool ok = length == 0 || fwrite(bytes, 1, length, f) == length;
    ok = fclose(f) == 0 && ok;
    return ok || io_error(t, "write", full);
}

bool tree_write(tree *t, const char *path, const void *bytes, size_t length) {
    add_source(t, path, false);
    return write_file(t, path, bytes, length);
}

bool tree_write_text(tree *t, const char *path, adze_text *text) {
    bool ok = tree_write(t, path, text->data, text->length);
    adze_text_free(text);
    return ok;
}

bool tree_program_write(tree *t, const char *path, adze_text *text) {
    add_source(t, path, true);
    bool ok = write_file(t, path, text->data, text->length);
    adze_text_free(text);
    return ok;
}

bool tree_read(tree *t, const char *path, const char **text, size_t *length) {
    const char *full = adze_arena_printf(t->arena, "%s/%s", t->options->home, path);
    FILE *f = fopen(full, "rb");
    struct stat st;
    if (!f || fstat(fileno(f), &st) != 0) {
        if (f)
            fclose(f);
        return io_error(t, "read", full);
    }
    size_t n = (size_t)st.st_size;
    char *data = adze_arena_alloc(t->arena, n + 1);
    bool ok = fread(data, 1, n, f) == n;
    fclose(f);
    *text = data;
    if (length)
        *length = n;
    return ok || io_error(t, "read", full);
}

bool tree_template(tree *t, const char *name, const char *path, const tree_value *values, int n) {
    const char *text;
    if (!tree_read(t, adze_arena_printf(t->arena, "codegen/templates/%s", name), &text, NULL))
        return false;
    adze_text out = {0};
    for (const char *p = text; *p;) {
        const char *at = strchr(p, '@');
        if (!at) {
            adze_text_puts(&out, p);
            break;
        }
        adze_text_append(&out, p, (size_t)(at - p));
        const char *end = strchr(at + 1, '@');
        const tree_value *value = NULL;
        for (int i = 0; end && i < n && !value; i++)
            if (strlen(values[i].key) == (size_t)(end - at - 1) &&
                strncmp(values[i].key, at + 1, (size_t)(end - at - 1)) == 0)
                value = &values[i];
        adze_text_puts(&out, value ? value->text : "@");
        p = value ? end + 1 : at + 1;
    }
    const char *dot = strrchr(path, '.');
    if (dot && strcmp(dot, ".c") == 0)
        return tree_program_write(t, path, &out);
    return tree_write_text(t, path, &out);
}

/* ---- the runtime: files that are used, and what they include ---- */

void tree_use_runtime(tree *t, const char *file) {
    int at = 0;
    for (; at < t->n_runtime; at++) {
        int order = strcmp(t->runtime[at], file);
        if (order == 0)
            return;
        if (order > 0)
            break;
    }
    const char **list = ADZE_NEW_ARRAY(t->arena, const char *, (size_t)t->n_runtime + 1);
    for (int i = 0; i < t->n_runtime; i++)
        list[i < at ? i : i + 1] = t->runtime[i];
    list[at] = adze_arena_strdup(t->arena, file);
    t->runtime = list;
    t->n_runtime++;
}

static bool exists(tree *t, const char *path) {
    return access(adze_arena_printf(t->arena, "%s/%s", t->options->home, path), R_OK) == 0;
}

/* Written into the tree itself, so not looked for in the runtime. */
static const char *const generated[] = {"adze_config.h"};

static void follow_includes(tree *t, const char *file, const char *text) {
    const char *slash = strrchr(file, '/');
    const char *folder = slash ? adze_arena_strndup(t->arena, file, (size_t)(slash - file) + 1) : "";
    for (const char *p = text; (p = strstr(p, "#include \"")) != NULL;) {
        p += 10;
        const char *end = strchr(p, '"');
        if (!end)
            return;
        const char *name = adze_arena_strndup(t->arena, p, (size_t)(end - p));
        bool ours = false;
        for (size_t i = 0; i < ADZE_COUNT(generated); i++)
            ours |= strcmp(name, generated[i]) == 0;
        const char *beside = adze_arena_printf(t->arena, "%s%s", folder, name);
        if (ours)
            continue;
        if (exists(t, adze_arena_printf(t->arena, "runtime/%s", beside)))
            tree_use_runtime(t, beside);
        else
            tree_use_runtime(t, name);
    }
}

bool tree_runtime(tree *t) {
    bool code = false;
    /* The list grows, sorted, while it is read: start again until every file is written. */
    const char **done = NULL;
    int n_done = 0;
    for (int i = 0; i < t->n_runtime;) {
        const char *file = t->runtime[i];
        bool known = false;
        for (int j = 0; j < n_done; j++)
            known |= strcmp(done[j], file) == 0;
        if (known || file[0] == '<') {
            i++;
            continue;
        }
        const char *text, *path = adze_arena_printf(t->arena, "runtime/%s", file);
        size_t length;
        if (strstr(file, "..") || !tree_read(t, path, &text, &length))
            return adze_error(&t->ctx->diags, NULL, "the runtime has no file '%s'", file);
        adze_text out = {0};
        adze_text_append(&out, text, length);
        bool board = strncmp(file, "boards/", 7) == 0;
        if (!(board ? tree_program_write : tree_write_text)(t, path, &out))
            return false;
        follow_includes(t, file, text);
        size_t n = strlen(file);
        if (n > 2 && strcmp(file + n - 2, ".h") == 0 && !board) {
            const char *c = adze_arena_printf(t->arena, "%.*s.c", (int)n - 2, file);
            if (exists(t, adze_arena_printf(t->arena, "runtime/%s", c)))
                tree_use_runtime(t, c);
        }
        code |= !board && n > 2 && strcmp(file + n - 2, ".c") == 0;
        const char **more = ADZE_NEW_ARRAY(t->arena, const char *, (size_t)n_done + 1);
        if (n_done)
            memcpy(more, done, (size_t)n_done * sizeof *more);
        more[n_done++] = file;
        done = more;
        i = 0;
    }
    if (!code)
        return true;
    adze_text config = {0};
    adze_text_printf(&config,
                     "/* Names of the runtime's functions in this tree: every external symbol starts with\n"
                     " * the model's name, so that several trees link together. */\n"
                     "#ifndef ADZE_CONFIG_H\n#define ADZE_CONFIG_H\n\n"
                     "#define ADZE_NAME(function) %s_##function\n\n#endif\n",
                     t->modules[0].name);
    return tree_write_text(t, "runtime/adze_config.h", &config);
}

/* ---- the folder ---- */

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw) {
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static void remove_folder(const char *path) { nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS); }

static bool is_empty(const char *path) {
    DIR *d = opendir(path);
    bool empty = d != NULL;
    for (struct dirent *e; d && (e = readdir(d)) != NULL;)
        empty = empty && (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0);
    if (d)
        closedir(d);
    return empty;
}

static bool is_tree(tree *t, const char *dir) {
    return access(adze_arena_printf(t->arena, "%s/manifest.json", dir), F_OK) == 0 &&
           access(adze_arena_printf(t->arena, "%s/Makefile", dir), F_OK) == 0;
}

static const char *without_slashes(tree *t, const char *dir) {
    size_t n = strlen(dir);
    while (n > 1 && dir[n - 1] == '/')
        n--;
    return adze_arena_strndup(t->arena, dir, n);
}

bool tree_begin(tree *t, const char *dir) {
    dir = without_slashes(t, dir);
    struct stat st;
    if (stat(dir, &st) == 0 && !(S_ISDIR(st.st_mode) && (is_empty(dir) || is_tree(t, dir))))
        return adze_error(&t->ctx->diags, NULL,
                          "'%s' exists and is not a tree of adze's — hint: give another folder", dir);
    char *root = adze_arena_printf(t->arena, "%s.XXXXXX", dir);
    if (!make_folders(t, root))
        return false;
    if (!mkdtemp(root))
        return io_error(t, "make a folder beside", dir);
    t->root = root;
    return true;
}

void tree_abandon(tree *t) {
    if (t->root)
        remove_folder(t->root);
    t->root = NULL;
}

bool tree_finish(tree *t, const char *dir) {
    dir = without_slashes(t, dir);
    mode_t mask = umask(0);
    umask(mask);
    chmod(t->root, 0777 & ~mask);
    char *old = adze_arena_printf(t->arena, "%s.old.XXXXXX", dir);
    bool had = access(dir, F_OK) == 0;
    if (had && (!mkdtemp(old) || rename(dir, old) != 0)) {
        rmdir(old);
        return io_error(t, "replace", dir);
    }
    if (rename(t->root, dir) != 0) {
        if (had)
            rename(old, dir);
        return io_error(t, "make", dir);
    }
    if (had)
        remove_folder(old);
    t->root = NULL;
    return true;
}
