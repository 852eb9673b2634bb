/* Preloaded into a program, this makes its disk fail, as far as the files of a store are concerned.

   What was to be written arrives by half.  What was written since a file was last synced is lost
   when syncing it fails, as it may be with Linux: its pages count as clean from then on, so what
   the disk still has comes back sooner or later, and syncing again succeeds. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

enum { WRITING = 1, SYNCING = 2, CUTTING = 4 };

struct change {
    struct change *earlier;
    int file;
    off_t position;
    size_t size;
    char before[];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int failing_kinds, failing_error;
static long working_calls, failing_calls;
static struct change *latest;

/* Calls of some kinds fail: the first `after` of them still work, then `times` fail. */
void fail_disk(int kinds, long after, long times, int error)
{
    pthread_mutex_lock(&lock);
    failing_kinds = kinds;
    working_calls = after;
    failing_calls = times;
    failing_error = error;
    pthread_mutex_unlock(&lock);
}

static int is_of_store(int file)
{
    char link[64], name[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t size = readlink(link, name, sizeof name - 1);
    if (size < 0)
        return 0;
    name[size] = 0;
    /* The index of the log is shared memory, and no part of what is kept. */
    return strstr(name, "store.db") != NULL && strstr(name, "-shm") == NULL;
}

static int fails(int kind)
{
    if (!(failing_kinds & kind) || failing_calls <= 0)
        return 0;
    if (working_calls > 0) {
        working_calls--;
        return 0;
    }
    failing_calls--;
    return 1;
}

static void remember(int file, off_t position, size_t size)
{
    struct change *change = calloc(1, sizeof *change + size);
    if (!change)
        abort();
    *change = (struct change){latest, file, position, size};
    /* What lies behind the end would be zeroes after a power cut. */
    if (syscall(SYS_pread64, file, change->before, size, position) < 0)
        memset(change->before, 0, size);
    latest = change;
}

static void forget(int file, int undo)
{
    for (struct change **place = &latest; *place;) {
        struct change *change = *place;
        if (change->file != file) {
            place = &change->earlier;
            continue;
        }
        if (undo)
            syscall(SYS_pwrite64, file, change->before, change->size, change->position);
        *place = change->earlier;
        free(change);
    }
}

ssize_t pwrite64(int file, const void *data, size_t size, off_t position)
{
    if (!is_of_store(file))
        return syscall(SYS_pwrite64, file, data, size, position);
    pthread_mutex_lock(&lock);
    int fail = fails(WRITING), error = failing_error;
    remember(file, position, size);
    ssize_t result = syscall(SYS_pwrite64, file, data, fail ? size / 2 : size, position);
    pthread_mutex_unlock(&lock);
    if (fail) {
        errno = error;
        return -1;
    }
    return result;
}

ssize_t pwrite(int file, const void *data, size_t size, off_t position)
{
    return pwrite64(file, data, size, position);
}

static int sync_file(int file, long call)
{
    if (!is_of_store(file))
        return (int)syscall(call, file);
    pthread_mutex_lock(&lock);
    int fail = fails(SYNCING), error = failing_error;
    forget(file, fail);
    pthread_mutex_unlock(&lock);
    if (fail) {
        errno = error;
        return -1;
    }
    return (int)syscall(call, file);
}

int fsync(int file)
{
    return sync_file(file, SYS_fsync);
}

int fdatasync(int file)
{
    return sync_file(file, SYS_fdatasync);
}

int ftruncate64(int file, off_t size)
{
    pthread_mutex_lock(&lock);
    int fail = is_of_store(file) && fails(CUTTING), error = failing_error;
    pthread_mutex_unlock(&lock);
    if (fail) {
        errno = error;
        return -1;
    }
    return (int)syscall(SYS_ftruncate, file, size);
}

int ftruncate(int file, off_t size)
{
    return ftruncate64(file, size);
}

int close(int file)
{
    pthread_mutex_lock(&lock);
    forget(file, 0);
    pthread_mutex_unlock(&lock);
    return (int)syscall(SYS_close, file);
}
