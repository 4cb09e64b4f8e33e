"""Work shared among forks: every job once, errors as they were raised, and no process left behind."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time

import pytest

from bench.core.errors import DataError, RunError
from bench.data.forks import share_jobs


def nothing():
    pass


@pytest.fixture(autouse=True)
def _no_process_is_left():
    yield
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize("forks", [1, 2, 7, 40])
def test_every_job_is_done_once_and_results_know_their_place(forks):
    jobs = list("abcdefgh")
    found = dict(share_jobs(lambda job: (job * 2, os.getpid()), jobs, forks, nothing))
    assert [found[place][0] for place in range(8)] == [job * 2 for job in jobs]
    assert os.getpid() not in {process for _, process in found.values()}


def test_no_jobs_need_no_fork():
    assert list(share_jobs(str, [], 3, nothing)) == []


def test_forks_are_prepared_and_see_this_process_memory():
    seen = []
    found = share_jobs(lambda job: (job, list(seen)), [1, 2], 1, lambda: seen.append("prepared"))
    assert [result for _, result in found] == [(1, ["prepared"]), (2, ["prepared"])]
    assert seen == []


def test_an_error_keeps_its_class_words_and_hint():
    def fail(job):
        if job == 2:
            raise DataError("broken", "mend it")
        return job

    with pytest.raises(DataError, match="broken") as caught:
        list(share_jobs(fail, [1, 2, 3], 2, nothing))
    assert caught.value.hint == "mend it"
    assert "in fail" in caught.value.__notes__[0], "where it was raised in the fork"


def test_a_fork_that_is_killed_at_work_is_a_run_error():
    with pytest.raises(RunError, match=r"was killed \(SIGKILL\)"):
        list(share_jobs(lambda _: os.kill(os.getpid(), signal.SIGKILL), [1], 1, nothing))


def test_a_fork_that_is_killed_while_nobody_listens_is_a_run_error():
    def answer_then_die(job):
        if job == 2:
            threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGKILL)).start()

    steps = share_jobs(answer_then_die, [1, 2, 3], 1, nothing)
    assert next(steps) == (0, None)
    time.sleep(0.5)
    assert next(steps) == (1, None)
    with pytest.raises(RunError, match="SIGKILL"):
        next(steps)


def test_large_results_do_not_block_a_caller_that_stops():
    """The pipe is full of an answer that nobody will read: the fork must still end."""
    steps = share_jobs(lambda _: b"x" * 10_000_000, [1, 2, 3, 4], 2, nothing)
    next(steps)
    steps.close()


def test_the_signal_mask_is_as_before():
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    list(share_jobs(str, [1], 1, nothing))
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before
