/* io_faults: makes chosen writes and syncs of a process fail, to test what it does on a bad or full disk.
 *
 * Build:   cc -shared -fPIC -O1 -o io_faults.so io_faults.c -ldl -lpthread
 * Use:     LD_PRELOAD=/path/io_faults.so IO_FAULTS=/path/rules  program …
 *
 * IO_FAULTS names a file of rules, one a line, that may be rewritten at any time (write another file and
 * rename it over this one); no file, or an empty one, is no fault:
 *
 *     <calls> <path part> <error> [<let pass>]
 *
 *   calls      `sync` (fsync, fdatasync, sync_file_range),
 *              `write` (write, pwrite, pwrite64, writev, pwritev, pwritev64),
 *              `truncate` (ftruncate, ftruncate64, fallocate, posix_fallocate), or `all`
 *   path part  the rule is for files whose path contains this text, or ends with it where a `$` follows;
 *              `*` for every file
 *   error      EIO, ENOSPC, EDQUOT, EROFS, or KILL: the process is killed (SIGKILL) instead of the call
 *   let pass   so many matching calls still succeed first (0 where it is left out); counted anew whenever
 *              the file of rules changes
 *
 * The first rule that matches decides. Only regular files and folders are looked at: sockets, pipes and
 * terminals never fail. A failing write writes nothing. How often each rule failed a call is appended to the file named in
 * IO_FAULTS_HITS, where that is set, one line `<calls> <path>` a failure, so that a test can wait for one.
 *
 * Nothing here allocates after the start or takes a lock that the intercepted calls could hold, so it can
 * stand under any allocator and in any thread. Programs that make system calls themselves (Go, io_uring)
 * are not reached.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum call { SYNC = 1, WRITE = 2, TRUNCATE = 4 };

struct rule {
    int calls;
    char part[256];
    int error; /* an errno, or -1 for KILL */
    long let_pass;
};

#define RULES_MAX 16
static struct rule rules[RULES_MAX];
static int rule_count;
static struct stat rules_as_read;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* The rules are read with system calls of our own, so that reading them is never intercepted. */
static long raw_read(int fd, void *buffer, size_t length) { return syscall(SYS_read, fd, buffer, length); }

static int error_of(const char *word) {
    if (!strcmp(word, "EIO")) return EIO;
    if (!strcmp(word, "ENOSPC")) return ENOSPC;
    if (!strcmp(word, "EDQUOT")) return EDQUOT;
    if (!strcmp(word, "EROFS")) return EROFS;
    if (!strcmp(word, "KILL")) return -1;
    return EIO;
}

static int calls_of(const char *word) {
    if (!strcmp(word, "sync")) return SYNC;
    if (!strcmp(word, "write")) return WRITE;
    if (!strcmp(word, "truncate")) return TRUNCATE;
    return SYNC | WRITE | TRUNCATE;
}

/* Reads the rules again if their file is another or was changed. With the lock held. */
static void refresh(void) {
    const char *path = getenv("IO_FAULTS");
    struct stat now;
    if (!path || stat(path, &now) != 0) {
        rule_count = 0;
        memset(&rules_as_read, 0, sizeof rules_as_read);
        return;
    }
    if (now.st_ino == rules_as_read.st_ino && now.st_size == rules_as_read.st_size &&
        now.st_mtim.tv_sec == rules_as_read.st_mtim.tv_sec && now.st_mtim.tv_nsec == rules_as_read.st_mtim.tv_nsec)
        return;
    rules_as_read = now;
    rule_count = 0;
    char text[8192];
    int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0) return;
    long length = raw_read(fd, text, sizeof text - 1);
    syscall(SYS_close, fd);
    if (length <= 0) return;
    text[length] = 0;
    char *end_of_line, *line = text;
    while (line && *line && rule_count < RULES_MAX) {
        end_of_line = strchr(line, '\n');
        if (end_of_line) *end_of_line = 0;
        char calls[16] = "", part[256] = "", error[16] = "";
        long let_pass = 0;
        if (sscanf(line, "%15s %255s %15s %ld", calls, part, error, &let_pass) >= 3) {
            struct rule *rule = &rules[rule_count++];
            rule->calls = calls_of(calls);
            strcpy(rule->part, part);
            rule->error = error_of(error);
            rule->let_pass = let_pass;
        }
        line = end_of_line ? end_of_line + 1 : NULL;
    }
}

static void note_hit(const char *call, const char *path) {
    const char *hits = getenv("IO_FAULTS_HITS");
    if (!hits) return;
    char line[600];
    int length = snprintf(line, sizeof line, "%s %s\n", call, path);
    int fd = (int)syscall(SYS_openat, AT_FDCWD, hits, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0) return;
    if (length > 0) syscall(SYS_write, fd, line, (size_t)length);
    syscall(SYS_close, fd);
}

static int matches(const char *part, const char *path, size_t length) {
    size_t wanted = strlen(part);
    if (!strcmp(part, "*")) return 1;
    if (wanted == 0 || part[wanted - 1] != '$') return strstr(path, part) != NULL;
    wanted--;
    return wanted <= length && !strncmp(path + length - wanted, part, wanted);
}

/* 0 where the call may go on, else the errno that it fails with. */
static int fault(enum call call, const char *name, int fd) {
    int saved = errno, error = 0;
    struct stat file;
    if (fd < 0 || fstat(fd, &file) != 0 || !(S_ISREG(file.st_mode) || S_ISDIR(file.st_mode))) {
        errno = saved;
        return 0;
    }
    char link[64], path[512];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length <= 0) {
        errno = saved;
        return 0;
    }
    path[length] = 0;
    pthread_mutex_lock(&lock);
    refresh();
    for (int i = 0; i < rule_count; i++) {
        struct rule *rule = &rules[i];
        if (!(rule->calls & call)) continue;
        if (!matches(rule->part, path, (size_t)length)) continue;
        if (rule->let_pass > 0) {
            rule->let_pass--;
            break;
        }
        error = rule->error;
        break;
    }
    pthread_mutex_unlock(&lock);
    if (error) {
        note_hit(name, path);
        if (error == -1) raise(SIGKILL);
    }
    errno = saved;
    return error;
}

#define NEXT(name) \
    static __typeof__(&name) next; \
    if (!next) next = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

#define FAIL_ON(call, name, fd) \
    do { \
        int error = fault(call, name, fd); \
        if (error) { \
            errno = error; \
            return -1; \
        } \
    } while (0)

int fsync(int fd) {
    NEXT(fsync);
    FAIL_ON(SYNC, "fsync", fd);
    return next(fd);
}

int fdatasync(int fd) {
    NEXT(fdatasync);
    FAIL_ON(SYNC, "fdatasync", fd);
    return next(fd);
}

int sync_file_range(int fd, off64_t offset, off64_t length, unsigned int flags) {
    NEXT(sync_file_range);
    FAIL_ON(SYNC, "sync_file_range", fd);
    return next(fd, offset, length, flags);
}

ssize_t write(int fd, const void *buffer, size_t length) {
    NEXT(write);
    FAIL_ON(WRITE, "write", fd);
    return next(fd, buffer, length);
}

ssize_t pwrite(int fd, const void *buffer, size_t length, off_t offset) {
    NEXT(pwrite);
    FAIL_ON(WRITE, "pwrite", fd);
    return next(fd, buffer, length, offset);
}

ssize_t pwrite64(int fd, const void *buffer, size_t length, off64_t offset) {
    NEXT(pwrite64);
    FAIL_ON(WRITE, "pwrite64", fd);
    return next(fd, buffer, length, offset);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    NEXT(writev);
    FAIL_ON(WRITE, "writev", fd);
    return next(fd, parts, count);
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset) {
    NEXT(pwritev);
    FAIL_ON(WRITE, "pwritev", fd);
    return next(fd, parts, count, offset);
}

ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t offset) {
    NEXT(pwritev64);
    FAIL_ON(WRITE, "pwritev64", fd);
    return next(fd, parts, count, offset);
}

int ftruncate(int fd, off_t length) {
    NEXT(ftruncate);
    FAIL_ON(TRUNCATE, "ftruncate", fd);
    return next(fd, length);
}

int ftruncate64(int fd, off64_t length) {
    NEXT(ftruncate64);
    FAIL_ON(TRUNCATE, "ftruncate64", fd);
    return next(fd, length);
}

int fallocate(int fd, int mode, off_t offset, off_t length) {
    NEXT(fallocate);
    FAIL_ON(TRUNCATE, "fallocate", fd);
    return next(fd, mode, offset, length);
}

int posix_fallocate(int fd, off_t offset, off_t length) {
    NEXT(posix_fallocate);
    int error = fault(TRUNCATE, "posix_fallocate", fd);
    if (error) return error;
    return next(fd, offset, length);
}
