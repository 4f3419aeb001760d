"""CounterStore: who has the next turn at the file. No thread and no process waits for ever."""

import gc
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import isolated
import pytest
from racing import PATIENCE as A_MINUTE
from racing import in_threads

from pysframe import CounterStore, CounterStoreError
from pysframe.counters import _line, _turn
from pysframe.counters._line import LOOKS, PATIENCE, QUEUE, Place, Queue
from pysframe.counters._locks import TURN, Opening

NAME = "7" * 32


@pytest.fixture
def path(tmp_path):
    return tmp_path / "counters"


def seen(holds):
    """Waits until it holds, and says whether it did."""
    end = time.monotonic() + A_MINUTE
    while not holds() and time.monotonic() < end:
        time.sleep(0.001)
    return holds()


def in_line(path):
    line = _line._lines.get(path)
    return line.places() if line else []


@contextmanager
def held(path):
    """Another opening has the turn, as if another process had it."""
    CounterStore(path).lease(NAME)
    with Opening(path) as file:
        assert file.try_lock()
        yield file


# ---- threads ----


def order_of_turns(path, threads=20):
    """The order in which threads that came one after the other had their turns."""
    store, order = CounterStore(path, lease=10, timeout=A_MINUTE), []

    def work(number):
        order.append((store.lease(NAME), number))

    with store._turn():
        waiting = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
        for number, thread in enumerate(waiting):
            thread.start()
            assert seen(lambda n=number: len(in_line(path)) == n + 2)
    for thread in waiting:
        thread.join()
    return [number for _, number in sorted(order)]


def test_threads_have_their_turns_in_the_order_they_came(path):
    assert order_of_turns(path) == list(range(20))


def test_threads_that_all_look_for_the_lock_are_noticed(path, monkeypatch):
    """The seeded fault: nobody waits in line, and whoever looks most often wins."""
    monkeypatch.setattr(Place, "_is_first", lambda *_: True)
    monkeypatch.setattr(Queue, "try_turn", lambda self: self._file.try_lock(TURN))
    assert order_of_turns(path) != list(range(20))


def test_two_hundred_threads_and_nobody_is_refused(quick_disk):
    store = CounterStore(quick_disk / "two hundred", lease=10)
    work = lambda: [store.lease(NAME)[0] for _ in range(4)]  # noqa: E731
    firsts = [first for mine in in_threads(*[work] * 200) for first in mine]
    assert sorted(firsts) == list(range(0, 8_000, 10))


def seconds_spent(path, monkeypatch, threads=40, timeout=0.4):
    """What so many threads spend on looking for a lock that another process holds."""
    spent, real = [], _turn.succeeds_within

    def succeeds_within(left, attempt):
        spent.append(left)
        return real(left, attempt)

    def work():
        with pytest.raises(CounterStoreError, match=f"held by another process.* {timeout} s"):
            store.lease(NAME)

    monkeypatch.setattr(_turn, "succeeds_within", succeeds_within)
    with held(path):
        store = CounterStore(path, timeout=timeout)
        in_threads(*[work] * threads)
    return sum(spent)


def test_one_timeout_is_for_all_who_wait_behind_another_process(path, monkeypatch):
    """Not one after the other: threads in line wait at the same time."""
    assert seconds_spent(path, monkeypatch) < 40 * 0.4 / 4


def test_timeouts_that_add_up_are_noticed(path, monkeypatch):
    """The seeded fault: a thread's timeout begins when it is the first."""
    real = Place.first_within

    def first_within(self, timeout):
        while (left := real(self, timeout)) is None:
            pass
        return left and timeout

    monkeypatch.setattr(Place, "first_within", first_within)
    assert seconds_spent(path, monkeypatch, threads=10) > 9 * 0.4


def test_a_turn_gives_everybody_behind_its_whole_timeout(path):
    first, second, third = Place(path), Place(path), Place(path)
    looks = []

    def wait(_seconds):  # in place of time: what happens at each look
        looks.append(len(looks))
        if len(looks) in (LOOKS - 1, 2 * LOOKS - 2):
            first.took_a_turn()
        return False

    second._first.wait = wait
    assert second.first_within(1.0) is None and len(looks) == 3 * LOOKS - 2
    first.leave()
    assert second.first_within(1.0) == 1.0 and third.first_within(0) is None
    second.leave()
    second.leave()
    assert third.first_within(0) == 0.0


def test_a_turn_that_ends_gives_the_next_its_whole_timeout(path):
    """Also where it took most of that timeout, and nobody has looked since."""
    first, second = Place(path), Place(path)
    looks = []

    def wait(_seconds):
        looks.append(1)
        if len(looks) == LOOKS - 1:
            first.took_a_turn()
            first.leave()

    second._first.wait = wait
    assert second.first_within(1.0) == 1.0


def test_a_place_that_an_exception_left_behind_is_nobodys(path):
    """As where Ctrl-C came between its making and its use."""
    left, behind = Place(path), Place(path)
    assert behind.first_within(0) is None
    del left
    gc.collect()
    assert behind.first_within(0) is not None


def test_a_child_begins_with_no_place(path):
    """It is forked while threads wait, and has none of these threads."""
    store = CounterStore(path, lease=10)
    with store._turn():
        thread = threading.Thread(target=CounterStore(path, timeout=A_MINUTE).lease, args=(NAME,))
        thread.start()
        assert seen(lambda: len(in_line(path)) == 2)
        assert isolated.in_child(lambda: (in_line(path), Place(path).first_within(0))) == ([], 0)
    thread.join()


def test_a_line_is_forgotten_with_its_last_place(path):
    with Place(path), Place(path):
        assert len(in_line(path)) == 2
    gc.collect()
    assert path not in _line._lines


# ---- processes: each opening has locks of its own, so that one process can play many ----


@pytest.fixture
def queue(path):
    """Makes one more in the queue. Whoever has the turn already is `queue.holder`."""
    openings = []

    def make():
        openings.append(Opening(path))
        return Queue(openings[-1])

    with held(path) as make.holder:
        yield make
    for opening in openings:
        opening.close()


def turns(waiting, rounds=1):
    """Who gets the turn when each looks once, the last one first, and passes it on."""
    got = []
    for _ in range(rounds):
        for one in reversed(waiting):
            if one not in got and one.try_turn():
                got.append(one)
                one._file.unlock()
    return [waiting.index(one) for one in got]


def test_processes_have_their_turns_in_the_order_they_came(queue):
    waiting = [queue() for _ in range(10)]
    assert not any(one.try_turn() for one in waiting)
    queue.holder.unlock()
    assert turns(waiting, rounds=20) == list(range(10))


def test_whoever_had_a_turn_begins_at_the_end(queue):
    waiting = [queue() for _ in range(5)]
    assert not any(one.try_turn() for one in waiting)
    queue.holder.unlock()
    again = queue()
    assert not again.try_turn()
    assert turns([*waiting, again], rounds=20) == list(range(6))


def test_more_processes_than_places(queue):
    """Those who find none look on, and each gets its turn."""
    waiting = [queue() for _ in range(2 * len(QUEUE))]
    assert not any(one.try_turn() for one in waiting)
    queue.holder.unlock()
    got = turns(waiting, rounds=100)
    assert sorted(got) == list(range(len(waiting)))
    assert got[: len(QUEUE)] == list(range(len(QUEUE))), "who was in the queue goes first"


def test_a_stopped_process_keeps_its_place_and_nobody_else(queue):
    stopped, others = queue(), [queue() for _ in range(3)]
    assert not any(one.try_turn() for one in (stopped, *others))
    queue.holder.unlock()
    assert turns(others, rounds=PATIENCE - 1) == []
    assert sorted(turns(others, rounds=3)) == [0, 1, 2]


def test_a_stopped_process_is_passed_by_many_that_have_turns_all_the_time(queue):
    """Each of them finds the turn in use at every second look."""
    stopped, others = queue(), [queue() for _ in range(3)]
    assert not any(one.try_turn() for one in (stopped, *others))
    got = set()
    for look in range(3 * PATIENCE):
        if look % 2:
            queue.holder.unlock()
        elif not queue.holder.try_lock():
            raise AssertionError("somebody kept the turn")
        got.update(turns(others))
    assert got == {0, 1, 2}


def test_a_turn_in_use_is_not_given_up(queue):
    waiting = [queue() for _ in range(3)]
    assert not any(one.try_turn() for one in waiting * 3 * PATIENCE)


@pytest.mark.parametrize("end", [Queue.leave, lambda one: one._file.close()])
def test_whoever_gives_up_is_not_in_the_way(queue, end):
    gone, next_one = queue(), queue()
    assert not gone.try_turn() and not next_one.try_turn()
    end(gone)
    queue.holder.unlock()
    assert next_one.try_turn()


SEALS = """
import threading
from pysframe import CounterStore
store, go, done = CounterStore({path!r}, lease=1, timeout=60), threading.Event(), []
def work():
    go.wait()
    while not done or done[-1] < {turns}:
        done.append(store.lease({name!r})[0])
threads = [threading.Thread(target=work) for _ in range(25)]
for thread in threads:
    thread.start()
print("ready", flush=True)
input()
go.set()
for thread in threads:
    thread.join()
print(*done)
"""


def test_eight_processes_of_25_threads_share_the_turns(quick_disk):
    """Nobody is refused, and nobody is left with a small part while all of them want turns."""
    turns, path = 2_000, quick_disk / "eight"
    code = SEALS.format(path=str(path), name=NAME, turns=turns)
    run = [sys.executable, "-c", f"import sys; sys.path[:0] = {sys.path!r}\n{code}"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(run, **pipes) for _ in range(8)]
    assert [process.stdout.readline() for process in processes] == ["ready\n"] * 8
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    taken = [sorted(map(int, process.communicate()[0].split())) for process in processes]
    assert [process.returncode for process in processes] == [0] * 8
    counters = sorted(ctr for mine in taken for ctr in mine)
    assert counters == list(range(len(counters))) and len(counters) > turns
    begun = max(mine[0] for mine in taken)  # from here on everybody wants turns
    assert begun < turns / 2
    shares = [sum(begun <= ctr < turns for ctr in mine) / (turns - begun) for mine in taken]
    assert min(shares) > 1 / 8 / 4
