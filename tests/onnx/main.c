/* onnx_cases: runs ONNX's official backend cases end to end on portable C.
 *
 *   onnx_cases [-j N] [--expect FILE [--update]] [NAME...]
 *
 *   NAME            a case ("test_abs", "onnx-node/node/test_abs"): runs it and says every step
 *   --list          names all cases and stops
 *   --reasons       counts the refused cases by reason
 *   --wrong         prints only what is wrong or crashes, and the counts
 *   --expect FILE   every case listed there must pass; --update writes the list anew
 *
 * Every case runs in a forked process with a time limit. Cases come from $ADZE_DATA/onnx-node (or
 * ../shared/data/onnx-node) and from the distribution's libonnx-testdata, whichever are there.
 * Exit 1 when a case is wrong, crashes, or is expected to pass and does not. */
#include "tests/onnx/case.h"

#include "driver/process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MOST_WORKERS = 64, SECONDS = 60, LIGHT_SECONDS = 400 };

typedef struct outcome {
    case_info info;
    case_status status;
    bool done, expected;
    char *reason;
    const char *defect; /* why the case's own files are wrong; NULL */
} outcome;

typedef struct suite {
    outcome *cases;
    size_t n, capacity;
    const char *expect;
    bool update, reasons, only_wrong, verbose;
    int workers;
    char work[64];
    adze_context *ctx;
    adze_target *target;
} suite;

static const char *const status_names[] = {"pass", "refused", "WRONG", "CRASH"};

/* ---- finding the cases ---- */

static char *text(const char *format, ...) ADZE_PRINTF(1, 2);
static char *text(const char *format, ...) {
    char *out = NULL;
    va_list args;
    va_start(args, format);
    if (vasprintf(&out, format, args) < 0)
        abort();
    va_end(args);
    return out;
}

static bool is_file(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

static void add_case(suite *s, char *id, char *model, char *dir) {
    if (s->n == s->capacity) {
        s->capacity = s->capacity ? 2 * s->capacity : 1024;
        s->cases = realloc(s->cases, s->capacity * sizeof *s->cases);
        if (!s->cases)
            abort();
    }
    s->cases[s->n++] = (outcome){.info = {id, model, dir}};
}

static void add_group(suite *s, const char *root, const char *label, const char *group) {
    char *folder = text("%s/%s", root, group);
    DIR *d = opendir(folder);
    for (struct dirent *e; d && (e = readdir(d));) {
        size_t n = strlen(e->d_name);
        char *dir = text("%s/%s", folder, e->d_name), *model = text("%s/model.onnx", dir);
        if (e->d_name[0] != '.' && is_file(model))
            add_case(s, text("%s/%s/%s", label, group, e->d_name), model, dir);
        else if (n > 5 && !strcmp(e->d_name + n - 5, ".onnx"))
            add_case(s, text("%s/%s/%.*s", label, group, (int)n - 5, e->d_name), dir, NULL);
    }
    if (d)
        closedir(d);
    free(folder);
}

static bool add_root(suite *s, const char *root, const char *label) {
    size_t before = s->n;
    DIR *d = opendir(root);
    for (struct dirent *e; d && (e = readdir(d));)
        if (e->d_name[0] != '.')
            add_group(s, root, label, e->d_name);
    if (d)
        closedir(d);
    if (s->n > before)
        printf("%zu cases from %s\n", s->n - before, root);
    return s->n > before;
}

static int by_id(const void *a, const void *b) {
    return strcmp(((const outcome *)a)->info.id, ((const outcome *)b)->info.id);
}

static void find_cases(suite *s) {
    const char *data = getenv("ADZE_DATA");
    char *given = data && *data ? text("%s/onnx-node", data)
                                : text("%s/../shared/data/onnx-node", ADZE_SOURCE_DIR);
    if (!add_root(s, given, "onnx-node"))
        printf("no cases in %s (set ADZE_DATA to use more than the distribution's)\n", given);
    if (!add_root(s, "/usr/share/libonnx-testdata/data", "libonnx-testdata"))
        printf("libonnx-testdata is not installed\n");
    if (s->n)
        qsort(s->cases, s->n, sizeof *s->cases, by_id);
}

/* ---- the list of what must pass ---- */

static outcome *case_named(suite *s, const char *id) {
    outcome key = {.info.id = id};
    return s->n ? bsearch(&key, s->cases, s->n, sizeof *s->cases, by_id) : NULL;
}

static void read_expected(suite *s) {
    FILE *f = s->expect ? fopen(s->expect, "r") : NULL;
    char line[512];
    while (f && fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = 0;
        outcome *o = *line && *line != '#' ? case_named(s, line) : NULL;
        if (o)
            o->expected = true;
    }
    if (f)
        fclose(f);
}

static void read_defects(suite *s) {
    FILE *f = fopen(ADZE_SOURCE_DIR "/tests/onnx/defects.txt", "r");
    char line[512];
    while (f && fgets(line, sizeof line, f)) {
        char *tab = strchr(line, '\t');
        if (*line == '#' || !tab)
            continue;
        *tab = 0;
        tab[1 + strcspn(tab + 1, "\n")] = 0;
        outcome *o = case_named(s, line);
        if (o)
            o->defect = text("the case itself is wrong: %s", tab + 1);
    }
    if (f)
        fclose(f);
}

/* Keeps the lines of cases that are not here, so that a machine without the data loses nothing. */
static bool write_expected(suite *s) {
    adze_text out = {0};
    adze_text_puts(&out, "# The official cases that pass. `onnx_cases --expect FILE --update` writes it.\n");
    char **kept = NULL, line[512];
    size_t n = 0;
    FILE *f = fopen(s->expect, "r");
    while (f && fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = 0;
        if (*line && *line != '#' && !case_named(s, line)) {
            kept = realloc(kept, (n + 1) * sizeof *kept);
            kept[n++] = strdup(line);
        }
    }
    if (f)
        fclose(f);
    size_t k = 0;
    for (size_t i = 0; i < s->n || k < n;) {
        if (k < n && (i == s->n || strcmp(kept[k], s->cases[i].info.id) < 0)) {
            adze_text_printf(&out, "%s\n", kept[k++]);
            continue;
        }
        if (s->cases[i].status == CASE_PASS && s->cases[i].done)
            adze_text_printf(&out, "%s\n", s->cases[i].info.id);
        i++;
    }
    f = fopen(s->expect, "w");
    bool ok = f && fwrite(out.data, 1, out.length, f) == out.length;
    ok = f && fclose(f) == 0 && ok;
    adze_text_free(&out);
    return ok;
}

/* ---- running ---- */

typedef struct worker {
    pid_t pid; /* 0: free; leads a process group of its own */
    int fd;
    time_t until;
    outcome *o;
    adze_text said;
    char *work;
} worker;

/* In the child: one byte of status, then the reason. */
static _Noreturn void child(suite *s, outcome *o, int fd, const char *work) {
    adze_text said = {0};
    setpgid(0, 0);
    setenv("TMPDIR", work, 1);
    if (!s->verbose) {
        int null = open("/dev/null", O_RDWR);
        dup2(null, 1);
        dup2(null, 2);
    }
    case_status status = case_run(s->ctx, s->target, &o->info, work, s->verbose, &said);
    fflush(stdout);
    char byte = (char)('0' + status);
    size_t n = said.length < 4000 ? said.length : 4000;
    bool ok = write(fd, &byte, 1) == 1 && (n == 0 || write(fd, said.data, n) == (ssize_t)n);
    _exit(ok ? 0 : 1);
}

static void start(suite *s, worker *w, outcome *o) {
    int fds[2];
    static unsigned number;
    *w = (worker){.o = o, .work = text("%s/%u", s->work, number++)};
    if (mkdir(w->work, 0777) != 0 || pipe(fds) != 0) {
        perror(w->work);
        exit(1);
    }
    fflush(stdout);
    w->until = time(NULL) + (o->info.dir ? SECONDS : LIGHT_SECONDS);
    w->fd = fds[0];
    w->pid = fork();
    if (w->pid == 0) {
        close(fds[0]);
        child(s, o, fds[1], w->work);
    }
    close(fds[1]);
}

static void finish(suite *s, worker *w, const char *killed) {
    int status;
    kill(-w->pid, SIGKILL); /* what it left running */
    waitpid(w->pid, &status, 0);
    close(w->fd);
    outcome *o = w->o;
    o->done = true;
    if (killed) {
        o->status = CASE_CRASH;
        o->reason = strdup(killed);
    } else if (w->said.length && w->said.data[0] >= '0' && w->said.data[0] <= '3') {
        o->status = (case_status)(w->said.data[0] - '0');
        o->reason = strdup(w->said.data + 1);
    } else {
        o->status = CASE_CRASH;
        o->reason = WIFSIGNALED(status) ? text("signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)))
                                        : text("ended with %d and said nothing", WEXITSTATUS(status));
    }
    adze_remove_folder(w->work);
    adze_text_free(&w->said);
    free(w->work);
    if (o->defect && o->status == CASE_WRONG) {
        o->status = CASE_REFUSED;
        free(o->reason);
        o->reason = strdup(o->defect);
    }
    bool bad = o->status >= CASE_WRONG || (o->expected && o->status != CASE_PASS);
    if (bad || s->verbose || (!s->only_wrong && !s->reasons && !s->expect))
        printf("%s %s%s%s\n", status_names[o->status], o->info.id, *o->reason ? ": " : "", o->reason);
    w->pid = 0;
}

static void watch(suite *s, worker *workers) {
    struct pollfd fds[MOST_WORKERS];
    for (int i = 0; i < s->workers; i++)
        fds[i] = (struct pollfd){.fd = workers[i].pid ? workers[i].fd : -1, .events = POLLIN};
    poll(fds, (nfds_t)s->workers, 1000);
    for (int i = 0; i < s->workers; i++) {
        worker *w = &workers[i];
        if (!w->pid)
            continue;
        if (fds[i].revents) {
            char buffer[4096];
            ssize_t n = read(w->fd, buffer, sizeof buffer);
            if (n > 0)
                adze_text_append(&w->said, buffer, (size_t)n);
            else if (n == 0 || errno != EINTR)
                finish(s, w, NULL);
        }
        if (w->pid && time(NULL) > w->until)
            finish(s, w, "no end in time");
    }
}

static void run_cases(suite *s, outcome **list, size_t n) {
    static worker workers[MOST_WORKERS];
    size_t next = 0, running = 0, shown = 0;
    bool terminal = isatty(1);
    do {
        running = 0;
        for (int i = 0; i < s->workers; i++) {
            if (!workers[i].pid && next < n)
                start(s, &workers[i], list[next++]);
            running += workers[i].pid != 0;
        }
        if (running)
            watch(s, workers);
        if (!terminal && next >= shown + 250) {
            shown = next;
            printf("... %zu of %zu\n", shown, n);
        }
    } while (running);
}

/* ---- reporting ---- */

typedef struct count {
    char *reason;
    size_t n;
    const char *example;
} count;

static int by_count(const void *a, const void *b) {
    const count *x = a, *y = b;
    return x->n != y->n ? (x->n < y->n) - (x->n > y->n) : strcmp(x->reason, y->reason);
}

static void print_reasons(suite *s) {
    count *counts = calloc(s->n + 1, sizeof *counts);
    size_t n = 0;
    for (size_t i = 0; i < s->n; i++) {
        outcome *o = &s->cases[i];
        if (!o->done || o->status != CASE_REFUSED)
            continue;
        size_t k = 0;
        while (k < n && strcmp(counts[k].reason, o->reason))
            k++;
        if (k == n)
            counts[n++] = (count){o->reason, 0, o->info.id};
        counts[k].n++;
    }
    qsort(counts, n, sizeof *counts, by_count);
    for (size_t k = 0; k < n; k++)
        printf("%5zu refused: %.160s (%s)\n", counts[k].n, counts[k].reason, counts[k].example);
    free(counts);
}

static int report(suite *s) {
    size_t counts[4] = {0}, missing = 0, fresh = 0;
    for (size_t i = 0; i < s->n; i++) {
        outcome *o = &s->cases[i];
        if (!o->done)
            continue;
        counts[o->status]++;
        missing += o->expected && o->status != CASE_PASS;
        fresh += s->expect && !o->expected && o->status == CASE_PASS;
    }
    if (s->reasons)
        print_reasons(s);
    if (s->expect && s->update && !write_expected(s))
        perror(s->expect);
    if (fresh && !s->update)
        printf("%zu more cases pass than %s lists\n", fresh, s->expect);
    if (missing && !s->update)
        printf("%zu cases that should pass do not; run one alone: onnx_cases NAME\n", missing);
    printf("%zu pass, %zu refused, %zu wrong, %zu crash\n", counts[CASE_PASS], counts[CASE_REFUSED],
           counts[CASE_WRONG], counts[CASE_CRASH]);
    return counts[CASE_WRONG] || counts[CASE_CRASH] || (missing && !s->update);
}

static bool prepare(suite *s) {
    char err[ADZE_TARGET_ERR] = "";
    s->ctx = adze_context_new();
    s->target = s->ctx ? adze_target_load(ADZE_SOURCE_DIR "/targets", "portable", err) : NULL;
    if (!s->target) {
        fprintf(stderr, "%s\n", err);
        return false;
    }
    const char *shm = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(s->work, sizeof s->work, "%s/adze-cases-XXXXXX", shm);
    if (!mkdtemp(s->work)) {
        perror(s->work);
        return false;
    }
    return true;
}

int main(int argc, char **argv) {
    suite s = {.workers = (int)sysconf(_SC_NPROCESSORS_ONLN)};
    const char **names = calloc((size_t)argc + 1, sizeof *names);
    size_t n_names = 0;
    bool list = false;
    for (int i = 1; i < argc; i++) {
        const char *a = argv[i];
        if (!strcmp(a, "--list"))
            list = true;
        else if (!strcmp(a, "--update"))
            s.update = true;
        else if (!strcmp(a, "--reasons"))
            s.reasons = true;
        else if (!strcmp(a, "--wrong"))
            s.only_wrong = true;
        else if (!strcmp(a, "--expect") && i + 1 < argc)
            s.expect = argv[++i];
        else if (!strcmp(a, "-j") && i + 1 < argc)
            s.workers = atoi(argv[++i]);
        else if (*a != '-')
            names[n_names++] = a;
        else {
            fprintf(stderr, "onnx_cases: %s? see the top of tests/onnx/main.c\n", a);
            return 2;
        }
    }
    s.workers = s.workers < 1 ? 1 : s.workers > MOST_WORKERS ? MOST_WORKERS : s.workers;
    find_cases(&s);
    outcome **chosen = calloc(s.n + 1, sizeof *chosen);
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        const char *id = s.cases[i].info.id, *last = strrchr(id, '/') + 1;
        bool take = n_names == 0;
        for (size_t k = 0; k < n_names; k++)
            take = take || !strcmp(names[k], id) || !strcmp(names[k], last) ||
                   (strchr(names[k], '*') && strstr(id, text("%.*s", (int)strcspn(names[k], "*"), names[k])));
        if (take)
            chosen[n++] = &s.cases[i];
    }
    if (list) {
        for (size_t i = 0; i < n; i++)
            puts(chosen[i]->info.id);
        return 0;
    }
    s.verbose = n_names && n <= 4;
    if (!n || !prepare(&s)) {
        fprintf(stderr, "onnx_cases: nothing to run\n");
        return n_names ? 1 : 0;
    }
    read_expected(&s);
    read_defects(&s);
    run_cases(&s, chosen, n);
    adze_remove_folder(s.work);
    return report(&s);
}
