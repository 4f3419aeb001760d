/* The operating system's randomness: getrandom(2), or /dev/urandom on kernels that lack it;
 * getentropy(2) on macOS; BCryptGenRandom on Windows. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "platform/random.h"

#ifdef _WIN32
#include <windows.h>

#include <bcrypt.h>

int sfr_random(uint8_t *out, size_t size)
{
    while (size) {
        ULONG part = size < (1u << 30) ? (ULONG)size : 1u << 30;
        if (BCryptGenRandom(NULL, out, part, BCRYPT_USE_SYSTEM_PREFERRED_RNG) != 0) return -1;
        out += part, size -= part;
    }
    return 0;
}
#elif defined(__APPLE__)
#include <sys/random.h>

int sfr_random(uint8_t *out, size_t size)
{
    while (size) {
        size_t part = size < 256 ? size : 256; /* its limit for one call */
        if (getentropy(out, part) != 0) return -1;
        out += part, size -= part;
    }
    return 0;
}
#else
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
#endif
