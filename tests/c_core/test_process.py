"""A child that is forked while another thread makes what the process state lies in: it goes on."""

import signal
import subprocess

import pytest
from c_core.core import CSRC, run

PATIENCE = 60  # seconds, and the child needs none: a child that waits then waits for ever
# platform/ alone, and a kernel that forks in the middle of its advice about the first page: memory
# then is as a fork by another thread would leave it.
PROGRAM = """
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include "platform/locks.h"

static int forked, status = -1;

int __real_madvise(void *p, size_t size, int advice);
int __wrap_madvise(void *p, size_t size, int advice)
{
    if (!forked++) {
        pid_t child = fork();
        if (!child) {
            static sfr_lock lock;
            alarm(PATIENCE);
            sfr_lock_take(&lock);
            sfr_lock_drop(&lock);
            sfr_read_leave(sfr_read_enter());
            sfr_read_synchronize();
            _exit(sfr_process_generation() ? 7 : 8);
        }
        waitpid(child, &status, 0);
    }
    return REFUSED ? -1 : __real_madvise(p, size, advice);
}

int main(void)
{
    uint32_t generation = sfr_process_generation();
    if (!generation || generation != sfr_process_generation()) return 1;
    return WIFSIGNALED(status) ? 100 + WTERMSIG(status) : WEXITSTATUS(status);
}
"""


@pytest.mark.parametrize("refused", [0, 1], ids=["wiped", "not wiped"])
def test_a_child_that_is_forked_while_the_page_is_made_waits_for_nobody(tmp_path, refused):
    (tmp_path / "program.c").write_text(PROGRAM)
    files = " ".join(map(str, sorted((CSRC / "platform").glob("*.c"))))
    flags = f"-std=gnu11 -O1 -Wall -Wextra -Werror -I{CSRC} -pthread -Wl,--wrap=madvise"
    given = f"-DPATIENCE={PATIENCE} -DREFUSED={refused}"
    run(f"gcc {flags} {given} {tmp_path}/program.c {files} -o {tmp_path}/program")
    status = subprocess.run([tmp_path / "program"]).returncode
    assert status != 100 + signal.SIGALRM, "the child waited for a thread that it does not have"
    assert status == 7
