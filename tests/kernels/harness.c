/* Runs the models of a tree on their inputs and prints every output's bytes: the program of tests/kernels. It is built in
 * the place of the tree's self-test, with a list of models in cases.h.
 *
 *   case NAME ROUND
 *   status N                 what NAME_run returned
 *   wrote beyond WHAT        bytes around an output or the scratch have changed
 *   out I / + HEX / end
 *
 * On Linux every buffer ends where a page begins that cannot be touched (in every second round it begins where such a page
 * ends), and inputs cannot be written: a kernel that reads or writes what it does not own ends there, with a line
 *   fault at WHAT
 * Elsewhere there are bytes around buffers that must stay. Scratch memory is all ones, NaN as floats: what is read must have
 * been written. */
#if defined(__linux__)
#define _GNU_SOURCE
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>
#endif
#include "board.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef struct kernel_case {
    const char *name;
    int (*start)(unsigned char *state, unsigned char *scratch);
    int (*call)(const void *const *in, void *const *out);
    void (*stop)(void);
    size_t state_bytes, scratch_bytes, align;
    int n_in, n_out;
    const void *const *in;
    const size_t *in_bytes, *out_bytes;
} kernel_case;

#include "cases.h"

typedef struct buffer {
    const char *what;
    int number;
    unsigned char *data, *map;
    size_t bytes, map_bytes;
} buffer;

static buffer buffers[MAX_BUFFERS];
static int n_buffers;

enum { GUARD = 64, GUARD_BYTE = 0xA5, FRESH_BYTE = 0xFF };

static void put_name(const buffer *b) {
    adze_board_puts(b->what);
    adze_board_putc(' ');
    adze_board_put_i(b->number);
}

#if defined(__linux__)

static size_t page;

static void on_fault(int signal, siginfo_t *info, void *context) {
    (void)context;
    const unsigned char *at = info->si_addr;
    adze_board_puts("fault at ");
    for (int i = 0; i < n_buffers; i++)
        if (at >= buffers[i].map && at < buffers[i].map + buffers[i].map_bytes) {
            put_name(&buffers[i]);
            adze_board_puts(", byte ");
            adze_board_put_i(at - buffers[i].data);
            adze_board_puts(" of ");
            adze_board_put_u(buffers[i].bytes);
        }
    adze_board_puts("\n");
    adze_board_flush();
    _exit(128 + signal);
}

static void prepare(void) {
    page = (size_t)sysconf(_SC_PAGESIZE);
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = on_fault;
    action.sa_flags = SA_SIGINFO;
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
}

static unsigned char *place(const char *what, int number, size_t bytes, size_t align, bool at_end) {
    buffer *b = &buffers[n_buffers++];
    const size_t inner = (bytes + align - 1) / align * align, pages = (inner + page - 1) / page * page;
    *b = (buffer){.what = what, .number = number, .bytes = bytes, .map_bytes = pages + 2 * page};
    b->map = mmap(NULL, b->map_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (b->map == MAP_FAILED || (pages && mprotect(b->map + page, pages, PROT_READ | PROT_WRITE)))
        abort();
    b->data = b->map + page + (at_end ? pages - inner : 0);
    memset(b->map + page, GUARD_BYTE, pages);
    return b->data;
}
static void read_only(void) {
    const buffer *b = &buffers[n_buffers - 1];
    mprotect(b->map + page, b->map_bytes - 2 * page, PROT_READ);
}
/* What of the pages does not belong to the buffer. */
static bool intact(const buffer *b) {
    for (const unsigned char *p = b->map + page; p < b->map + b->map_bytes - page; p++)
        if ((p < b->data || p >= b->data + b->bytes) && *p != GUARD_BYTE)
            return false;
    return true;
}
static void release(void) {
    while (n_buffers)
        n_buffers--, munmap(buffers[n_buffers].map, buffers[n_buffers].map_bytes);
}

#else

static _Alignas(64) unsigned char pool[POOL_BYTES];
static size_t used;

static void prepare(void) {}
static unsigned char *place(const char *what, int number, size_t bytes, size_t align, bool at_end) {
    buffer *b = &buffers[n_buffers++];
    size_t at = (used + GUARD + align - 1) / align * align;
    /* not on a multiple of 16 where that is not asked for */
    if (align < 16 && at_end)
        at += align;
    *b = (buffer){.what = what, .number = number, .bytes = bytes, .data = pool + at};
    memset(pool + used, GUARD_BYTE, at + bytes + GUARD - used);
    used = at + bytes + GUARD;
    return b->data;
}
static void read_only(void) {}
static bool intact(const buffer *b) {
    for (size_t i = 0; i < GUARD; i++)
        if (b->data[b->bytes + i] != GUARD_BYTE || (b->data - GUARD)[i] != GUARD_BYTE)
            return false;
    return true;
}
static void release(void) { n_buffers = 0, used = 0; }

#endif

static void print_output(int number, const unsigned char *data, size_t bytes) {
    enum { LINE = 48 };
    static const char digits[] = "0123456789abcdef";
    char line[2 * LINE + 3];
    adze_board_puts("out ");
    adze_board_put_i(number);
    adze_board_puts("\n");
    for (size_t at = 0; at < bytes; at += LINE) {
        size_t n = 0;
        line[n++] = '+';
        for (size_t i = at; i < bytes && i < at + LINE; i++) {
            line[n++] = digits[data[i] >> 4];
            line[n++] = digits[data[i] & 15];
        }
        line[n++] = '\n';
        adze_board_write(line, n);
    }
    adze_board_puts("end\n");
}

static size_t element_align(size_t bytes) { return bytes % 8 == 0 ? 8 : bytes % 4 == 0 ? 4 : bytes % 2 == 0 ? 2 : 1; }

static void run(const kernel_case *k, int round) {
    const bool at_end = round % 2 == 0;
    const void *in[MAX_BUFFERS];
    void *out[MAX_BUFFERS];
    adze_board_puts("case ");
    adze_board_puts(k->name);
    adze_board_putc(' ');
    adze_board_put_i(round);
    adze_board_puts("\n");
    adze_board_flush();
    for (int i = 0; i < k->n_in; i++) {
        unsigned char *p = place("input", i, k->in_bytes[i], element_align(k->in_bytes[i]), at_end);
        memcpy(p, k->in[round * k->n_in + i], k->in_bytes[i]);
        read_only();
        in[i] = p;
    }
    for (int i = 0; i < k->n_out; i++)
        out[i] = place("output", i, k->out_bytes[i], element_align(k->out_bytes[i]), at_end);
    unsigned char *state = place("state", 0, k->state_bytes, k->align, at_end);
    unsigned char *scratch = place("scratch", 0, k->scratch_bytes, k->align, at_end);
    memset(scratch, FRESH_BYTE, k->scratch_bytes);
    int status = k->start(state, scratch);
    if (status == 0) {
        status = k->call(in, out);
        k->stop();
    }
    adze_board_puts("status ");
    adze_board_put_i(status);
    adze_board_puts("\n");
    for (int i = 0; i < n_buffers; i++)
        if (!intact(&buffers[i])) {
            adze_board_puts("wrote beyond ");
            put_name(&buffers[i]);
            adze_board_puts("\n");
        }
    for (int i = 0; status == 0 && i < k->n_out; i++)
        print_output(i, out[i], k->out_bytes[i]);
    release();
}

#if defined(__linux__)
int main(int argc, char **argv) {
    const int first = argc > 1 ? atoi(argv[1]) : 0; /* where to go on after a fault, in runs */
#else
int main(void) {
    const int first = 0;
#endif
    const int n = (int)(sizeof cases / sizeof cases[0]);
    prepare();
    for (int i = first; i < n * ROUNDS; i++)
        run(&cases[i / ROUNDS], i % ROUNDS);
    adze_board_puts("done\n");
    adze_board_flush();
    return 0;
}
