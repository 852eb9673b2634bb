/* Preloaded into a program, this makes its clocks run fast by DRIFT_PPM from DRIFT_FROM_NS of the
   monotonic clock on: what paces sound by a clock then drifts as a sound card does. */

#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long long nanoseconds(const struct timespec *time)
{
    return time->tv_sec * 1000000000LL + time->tv_nsec;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    const char *ppm = getenv("DRIFT_PPM"), *from = getenv("DRIFT_FROM_NS");
    struct timespec monotonic;
    long long exact;
    int result = (int)syscall(SYS_clock_gettime, clock, now);
    if (result != 0 || !ppm || !from || clock == CLOCK_PROCESS_CPUTIME_ID ||
        clock == CLOCK_THREAD_CPUTIME_ID)
        return result;
    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &monotonic);
    exact = nanoseconds(now) + (nanoseconds(&monotonic) - atoll(from)) * atoll(ppm) / 1000000;
    now->tv_sec = exact / 1000000000LL;
    now->tv_nsec = exact % 1000000000LL;
    return 0;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    struct timespec exact;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &exact) != 0)
        return -1;
    now->tv_sec = exact.tv_sec;
    now->tv_usec = exact.tv_nsec / 1000;
    return 0;
}
