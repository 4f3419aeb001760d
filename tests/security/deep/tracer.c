/* The addresses of all instructions that a function runs, one by one: in a forked child, so that
 * every trace begins with the same memory and the same addresses. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

static void child(void (*work)(void))
{
    ptrace(PTRACE_TRACEME, 0, NULL, NULL);
    raise(SIGSTOP);
    work();
    _exit(0);
}

/* Returns how many there were, or -1 when the child could not be followed to its end. */
long trace(void (*work)(void), uint64_t *addresses, size_t room)
{
    int status;
    size_t steps = 0;
    pid_t pid = fork();
    if (pid == 0) child(work);
    if (pid < 0 || waitpid(pid, &status, 0) != pid) return -1;
    while (WIFSTOPPED(status)) {
        long at =
            ptrace(PTRACE_PEEKUSER, pid, (void *)offsetof(struct user_regs_struct, rip), NULL);
        if (steps < room) addresses[steps++] = (uint64_t)at;
        if (ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) || waitpid(pid, &status, 0) != pid)
            return -1;
    }
    return WIFEXITED(status) && steps < room ? (long)steps : -1;
}
