/* getrandom(2), or /dev/urandom on kernels that lack it. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "platform/random.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

static int read_urandom(uint8_t *out, size_t size)
{
    int fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
    if (fd < 0) return -1;
    while (size) {
        ssize_t got = read(fd, out, size);
        if (got <= 0 && errno != EINTR) break;
        if (got > 0) out += got, size -= (size_t)got;
    }
    close(fd);
    return size ? -1 : 0;
}

int sfr_random(uint8_t *out, size_t size)
{
    while (size) {
        /* The system call itself: glibc has had a wrapper only since 2.25. */
        long got = syscall(SYS_getrandom, out, size, 0);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return read_urandom(out, size);
        out += got, size -= (size_t)got;
    }
    return 0;
}
