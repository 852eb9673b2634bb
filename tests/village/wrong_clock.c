/* Preloaded into a daemon, this makes its wall clock wrong by CLOCK_OFFSET_S seconds.

   All other clocks stay right, timed waits too, as on a board whose battery is flat. (libfaketime
   moves timed waits along with the wall clock, which no wrong clock does.)

   While there is a file of the name CLOCK_SYNCED, the kernel seems to say that NTP keeps its clock
   right; else that nothing does, where CLOCK_SYNCED is given. */

#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

static time_t offset(void)
{
    const char *text = getenv("CLOCK_OFFSET_S");
    return text ? atoll(text) : 0;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    int result = (int)syscall(SYS_clock_gettime, clock, now);
    if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        now->tv_sec += offset();
    return result;
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

int adjtimex(struct timex *timex)
{
    int result = (int)syscall(SYS_adjtimex, timex);
    const char *mark = getenv("CLOCK_SYNCED");
    if (result >= 0 && mark) {
        if (access(mark, F_OK) == 0)
            timex->status &= ~STA_UNSYNC;
        else
            timex->status |= STA_UNSYNC;
        timex->maxerror = 0;
    }
    return result;
}

time_t time(time_t *now)
{
    struct timespec exact;
    if (clock_gettime(CLOCK_REALTIME, &exact) != 0)
        return -1;
    if (now)
        *now = exact.tv_sec;
    return exact.tv_sec;
}
