/* System calls that fail, for a program that is started with LD_PRELOAD: the nth call on a file in a folder, or all from it on.
 *
 * arm() says which; until then, and on other files, everything works. fired() tells how many calls there were.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static char call[16], folder[PATH_MAX];
static int nth, failure, lasting, calls;

void arm(const char *name, const char *where, int n, int number, int from_then_on) {
    snprintf(call, sizeof call, "%s", name);
    snprintf(folder, sizeof folder, "%s", where);
    nth = n, failure = number, lasting = from_then_on, calls = 0;
}

int fired(void) { return calls; }

static int fails(const char *name, const char *path) {
    if (strcmp(name, call) || strncmp(path, folder, strlen(folder)))
        return 0;
    calls++;
    if (lasting ? calls < nth : calls != nth)
        return 0;
    errno = failure;
    return 1;
}

static int fails_on(const char *name, int fd) {
    char link[64], path[PATH_MAX];
    if (strcmp(name, call))
        return 0;
    int before = errno;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    errno = before;
    if (length < 0)
        return 0;
    path[length] = 0;
    return fails(name, path);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t write(int fd, const void *data, size_t size) { return fails_on("write", fd) ? -1 : REAL(write)(fd, data, size); }

int fsync(int fd) { return fails_on("fsync", fd) ? -1 : REAL(fsync)(fd); }

int close(int fd) { /* the file is closed all the same, as on Linux */
    int failed = fails_on("close", fd), number = errno, result = REAL(close)(fd);
    if (failed)
        errno = number;
    return failed ? -1 : result;
}

int rename(const char *from, const char *to) { return fails("rename", to) ? -1 : REAL(rename)(from, to); }

int renameat(int from_folder, const char *from, int to_folder, const char *to) {
    return fails("rename", to) ? -1 : REAL(renameat)(from_folder, from, to_folder, to);
}

static int not_opened(const char *path) {
    char whole[2 * PATH_MAX];
    if (*path == '/')
        return fails("open", path);
    if (!getcwd(whole, PATH_MAX))
        return 0;
    strcat(whole, "/");
    strncat(whole, path, PATH_MAX - 2);
    return fails("open", whole);
}

int open(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    int mode = va_arg(rest, int);
    va_end(rest);
    return not_opened(path) ? -1 : REAL(open)(path, flags, mode);
}

int open64(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    int mode = va_arg(rest, int);
    va_end(rest);
    return not_opened(path) ? -1 : REAL(open64)(path, flags, mode);
}
