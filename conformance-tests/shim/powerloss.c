/* Makes a loss of power testable without one: an LD_PRELOAD library that keeps a journal of every change to the files
 * below a folder, so that a test can take back, after killing the process, whatever had not been synced.
 *
 * Killing a process alone shows no missing fsync: the kernel's page cache survives it.
 *
 *   POWERLOSS_FOLDER   changes to the files below it are recorded; absolute, without symbolic links
 *   POWERLOSS_JOURNAL  the journal, a file elsewhere; appended to
 *   POWERLOSS_DELAY    how many microseconds a sync takes longer than the disk needs: a process that does not wait for
 *                      it shows only if there is something to wait for
 *
 * A record is six 64-bit words in the machine's byte order, then the file's path, the old bytes and the new bytes:
 *
 *   kind      path length  offset            old size of the file  length of old bytes  length of new bytes
 *   'W'rite
 *   'T'runcate             the new size                            what was cut off     0
 *   'U'nlink               0                                       the whole file       0
 *   'S'ync                 bytes covered     0                     0                    0
 *
 * A record is written before its change is made, hence undoing a change that was not made any more does nothing. The
 * record of a sync is written after the sync: had the process died before, nobody would have been told of it. It says how
 * long the journal was when the sync began, since later changes are not covered by it.
 *
 * Left out: SQLite's -shm file, which is written through a mapping and rebuilt after a crash; renaming, and opening
 * with O_TRUNC, neither of which SQLite does; other changes through mappings, for which it would need
 * SQLITE_MMAP_READWRITE.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static int journal = -1;
static useconds_t delay;
static char folder[PATH_MAX];

static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static ssize_t (*real_writev)(int, const struct iovec *, int);
static ssize_t (*real_pwritev)(int, const struct iovec *, int, off_t);
static int (*real_ftruncate)(int, off_t);
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);
static int (*real_unlink)(const char *);

static void die(const char *what) {
    perror(what);
    abort();
}

static void *real(const char *name) {
    void *function = dlsym(RTLD_NEXT, name);
    if (!function) die(name);
    return function;
}

__attribute__((constructor)) static void start(void) {
    real_write = real("write");
    real_pwrite = real("pwrite64");
    real_writev = real("writev");
    real_pwritev = real("pwritev64");
    real_ftruncate = real("ftruncate64");
    real_fsync = real("fsync");
    real_fdatasync = real("fdatasync");
    real_unlink = real("unlink");
    const char *below = getenv("POWERLOSS_FOLDER"), *path = getenv("POWERLOSS_JOURNAL");
    const char *microseconds = getenv("POWERLOSS_DELAY");
    if (microseconds) delay = (useconds_t)strtoul(microseconds, NULL, 10);
    if (!below || !path) return;
    snprintf(folder, sizeof folder, "%s/", below);
    journal = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (journal < 0) die(path);
}

/* ---- the journal; the mutex is held ---- */

static void append(const void *bytes, size_t length) {
    const char *next = bytes;
    while (length > 0) {
        ssize_t written = real_write(journal, next, length);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) die("the journal of changes");
        next += written;
        length -= (size_t)written;
    }
}

struct change {
    char kind;
    const char *path;
    uint64_t offset, old_size;
    const void *old_bytes;
    uint64_t old_length;
    const void *new_bytes;
    uint64_t new_length;
};

static void record(struct change change) {
    uint64_t head[6] = {(uint64_t)change.kind, strlen(change.path), change.offset,
                        change.old_size,       change.old_length,   change.new_length};
    append(head, sizeof head);
    append(change.path, head[1]);
    append(change.old_bytes, change.old_length);
    append(change.new_bytes, change.new_length);
}

static uint64_t journal_length(void) {
    struct stat status;
    if (fstat(journal, &status) != 0) die("the journal of changes");
    return (uint64_t)status.st_size;
}

/* ---- what is recorded ---- */

static int is_below(const char *path) {
    size_t length = strlen(path);
    int is_shared_memory = length > 4 && strcmp(path + length - 4, "-shm") == 0;
    return strncmp(path, folder, strlen(folder)) == 0 && !is_shared_memory;
}

/* Whether the changes of an open file are recorded; then with its path and size. */
static int is_recorded(int file, char path[PATH_MAX], uint64_t *size) {
    struct stat status;
    char link[64];
    if (journal < 0 || fstat(file, &status) != 0 || !S_ISREG(status.st_mode) || status.st_nlink == 0) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    if (length < 0) return 0;
    path[length] = 0;
    *size = (uint64_t)status.st_size;
    return is_below(path);
}

/* Reads what a file holds from an offset on. The caller frees it. */
static void *read_old(const char *path, uint64_t offset, uint64_t length) {
    char *bytes = malloc(length + 1);
    /* Opened anew, since the file may be open for writing only. */
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (!bytes || file < 0) die(path);
    for (uint64_t done = 0; done < length;) {
        ssize_t got = pread(file, bytes + done, length - done, (off_t)(offset + done));
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) die(path);
        done += (uint64_t)got;
    }
    close(file);
    return bytes;
}

static void record_write(const char *path, uint64_t size, uint64_t offset, const void *bytes, size_t length) {
    uint64_t kept = offset < size ? size - offset : 0;
    uint64_t old_length = kept < length ? kept : length;
    void *old = old_length > 0 ? read_old(path, offset, old_length) : NULL;
    record((struct change){'W', path, offset, size, old, old_length, bytes, length});
    free(old);
}

/* Where `write` is going to write. */
static uint64_t position(int file, uint64_t size) {
    if (fcntl(file, F_GETFL) & O_APPEND) return size;
    off_t at = lseek(file, 0, SEEK_CUR);
    if (at < 0) die("lseek");
    return (uint64_t)at;
}

static size_t total(const struct iovec *parts, int count) {
    size_t length = 0;
    for (int i = 0; i < count; i++) length += parts[i].iov_len;
    return length;
}

/* All parts in one piece. The caller frees it. */
static void *gather(const struct iovec *parts, int count) {
    char *bytes = malloc(total(parts, count) + 1);
    if (!bytes) die("malloc");
    size_t length = 0;
    for (int i = 0; i < count; i++) {
        memcpy(bytes + length, parts[i].iov_base, parts[i].iov_len);
        length += parts[i].iov_len;
    }
    return bytes;
}

/* ---- the functions in whose place these stand ---- */

ssize_t write(int file, const void *bytes, size_t length) {
    char path[PATH_MAX];
    uint64_t size;
    if (!is_recorded(file, path, &size)) return real_write(file, bytes, length);
    pthread_mutex_lock(&mutex);
    /* Again, since the size may have changed before the mutex was ours. */
    if (is_recorded(file, path, &size)) record_write(path, size, position(file, size), bytes, length);
    ssize_t result = real_write(file, bytes, length);
    pthread_mutex_unlock(&mutex);
    return result;
}

ssize_t pwrite64(int file, const void *bytes, size_t length, off64_t offset) {
    char path[PATH_MAX];
    uint64_t size;
    if (!is_recorded(file, path, &size)) return real_pwrite(file, bytes, length, offset);
    pthread_mutex_lock(&mutex);
    if (is_recorded(file, path, &size)) record_write(path, size, (uint64_t)offset, bytes, length);
    ssize_t result = real_pwrite(file, bytes, length, offset);
    pthread_mutex_unlock(&mutex);
    return result;
}

ssize_t pwrite(int file, const void *bytes, size_t length, off_t offset) {
    return pwrite64(file, bytes, length, offset);
}

ssize_t writev(int file, const struct iovec *parts, int count) {
    char path[PATH_MAX];
    uint64_t size;
    if (!is_recorded(file, path, &size)) return real_writev(file, parts, count);
    void *bytes = gather(parts, count);
    ssize_t result = write(file, bytes, total(parts, count));
    free(bytes);
    return result;
}

ssize_t pwritev64(int file, const struct iovec *parts, int count, off64_t offset) {
    char path[PATH_MAX];
    uint64_t size;
    if (!is_recorded(file, path, &size)) return real_pwritev(file, parts, count, offset);
    void *bytes = gather(parts, count);
    ssize_t result = pwrite64(file, bytes, total(parts, count), offset);
    free(bytes);
    return result;
}

ssize_t pwritev(int file, const struct iovec *parts, int count, off_t offset) {
    return pwritev64(file, parts, count, offset);
}

int ftruncate64(int file, off64_t length) {
    char path[PATH_MAX];
    uint64_t size, new_size = (uint64_t)length;
    if (!is_recorded(file, path, &size)) return real_ftruncate(file, length);
    pthread_mutex_lock(&mutex);
    if (is_recorded(file, path, &size)) {
        uint64_t cut = new_size < size ? size - new_size : 0;
        void *old = cut > 0 ? read_old(path, new_size, cut) : NULL;
        record((struct change){'T', path, new_size, size, old, cut, NULL, 0});
        free(old);
    }
    int result = real_ftruncate(file, length);
    pthread_mutex_unlock(&mutex);
    return result;
}

int ftruncate(int file, off_t length) { return ftruncate64(file, length); }

int unlink(const char *name) {
    char path[PATH_MAX];
    struct stat status;
    int recorded = journal >= 0 && realpath(name, path) && is_below(path) && stat(path, &status) == 0;
    if (!recorded || !S_ISREG(status.st_mode)) return real_unlink(name);
    pthread_mutex_lock(&mutex);
    uint64_t size = (uint64_t)status.st_size;
    void *old = read_old(path, 0, size);
    record((struct change){'U', path, 0, size, old, size, NULL, 0});
    free(old);
    int result = real_unlink(name);
    pthread_mutex_unlock(&mutex);
    return result;
}

static int sync_with(int (*real_sync)(int), int file) {
    char path[PATH_MAX];
    uint64_t size;
    if (!is_recorded(file, path, &size)) return real_sync(file);
    pthread_mutex_lock(&mutex);
    uint64_t covered = journal_length();
    pthread_mutex_unlock(&mutex);
    /* Without the mutex: others go on writing meanwhile, as they would without this library. */
    if (delay > 0) usleep(delay);
    int result = real_sync(file);
    if (result == 0) {
        pthread_mutex_lock(&mutex);
        record((struct change){'S', path, covered, 0, NULL, 0, NULL, 0});
        pthread_mutex_unlock(&mutex);
    }
    return result;
}

int fsync(int file) { return sync_with(real_fsync, file); }

int fdatasync(int file) { return sync_with(real_fdatasync, file); }
