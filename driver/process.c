/* See process.h. */
#include "driver/process.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* In the child: never returns. Its own process group, so that a timeout ends all of it. */
static _Noreturn void child(const char *const *argv, const char *dir, int out, int err) {
    setpgid(0, 0);
    int in = open("/dev/null", O_RDONLY);
    if (in < 0 || dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0)
        _exit(127);
    if (dir && chdir(dir) != 0) {
        dprintf(2, "%s: %s\n", dir, strerror(errno));
        _exit(127);
    }
    execvp(argv[0], (char *const *)(uintptr_t)argv);
    dprintf(2, "%s: %s\n", argv[0], strerror(errno));
    _exit(127);
}

/* One read from a pipe that has something or has ended; false at its end. */
static bool drain(int fd, adze_text *text) {
    char buffer[65536];
    ssize_t n = read(fd, buffer, sizeof buffer);
    if (n > 0 && text)
        adze_text_append(text, buffer, (size_t)n);
    return n > 0 || (n < 0 && errno == EINTR);
}

adze_process_result adze_process_run(const char *const *argv, const char *dir, adze_text *out,
                                     adze_text *err, unsigned seconds) {
    adze_process_result result = {.status = 127};
    int pipes[2][2];
    if (pipe2(pipes[0], O_CLOEXEC) != 0)
        return result;
    if (pipe2(pipes[1], O_CLOEXEC) != 0) {
        close(pipes[0][0]);
        close(pipes[0][1]);
        return result;
    }
    fflush(stdout);
    fflush(stderr);
    pid_t pid = fork();
    if (pid == 0)
        child(argv, dir, pipes[0][1], pipes[1][1]);
    close(pipes[0][1]);
    close(pipes[1][1]);
    double end = seconds ? now() + seconds : 0;
    struct pollfd fds[2] = {{pipes[0][0], POLLIN, 0}, {pipes[1][0], POLLIN, 0}};
    adze_text *texts[2] = {out, err};
    while (pid > 0 && (fds[0].fd >= 0 || fds[1].fd >= 0)) {
        int wait_ms = -1;
        if (seconds) {
            double left = end - now();
            if (left <= 0) {
                result.timed_out = true;
                kill(-pid, SIGKILL);
                break;
            }
            wait_ms = (int)(left * 1000) + 1;
        }
        if (poll(fds, 2, wait_ms) < 0 && errno != EINTR)
            break;
        for (int i = 0; i < 2; i++)
            if (fds[i].fd >= 0 && fds[i].revents && !drain(fds[i].fd, texts[i]))
                fds[i].fd = -1;
    }
    close(pipes[0][0]);
    close(pipes[1][0]);
    int status = 0;
    if (pid > 0) {
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
            ;
        result.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
    return result;
}

char *adze_temporary_folder(adze_arena *arena) {
    const char *base = getenv("TMPDIR");
    char *path = adze_arena_printf(arena, "%s/adze-XXXXXX", base && *base ? base : "/tmp");
    if (!mkdtemp(path))
        return NULL;
    char *real = realpath(path, NULL); /* programs run in other folders */
    char *out = real ? adze_arena_strdup(arena, real) : NULL;
    free(real);
    return out;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at) {
    (void)st;
    (void)kind;
    (void)at;
    return remove(path);
}

void adze_remove_folder(const char *dir) {
    enum { OPEN_FOLDERS = 16 };
    nftw(dir, remove_one, OPEN_FOLDERS, FTW_DEPTH | FTW_PHYS);
}
