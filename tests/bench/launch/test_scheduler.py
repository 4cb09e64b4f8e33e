"""The scheduler with a made-up engine whose jobs end as a script says: order, retries, failures, interruption.

The real engine of this machine is in ``executors/test_local.py``.
"""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from logs import logged
from speeds import limit

from bench.core.errors import (
    InterruptedRunError,
    LostProcessError,
    MemoryRunError,
    ResultError,
    RunError,
    SpecError,
    StoreError,
    UnexpectedError,
)
from bench.launch.jobs import Ended, Job
from bench.launch.scheduler import carry_out
from bench.launch.tasks import Policy, Task
from leaderboard.store.database import DamagedBoardError

LOST = LostProcessError("lost")


class MadeUp:
    """An engine without processes: a look takes a second, and ends the jobs that it had before.

    Args:
        script: What the attempts of a job end with, by key: an error, an ``Ended``, or None for one that is done.
        places: How many jobs it takes at a time.
    """

    name = "the made-up engine"
    outlives = False

    def __init__(self, script=None, places=2):
        self.script, self.places = {key: list(ends) for key, ends in (script or {}).items()}, places
        self.now, self.results, self.calls, self.running = 0.0, set(), [], {}
        self.asked = self.killed = 0
        self.at_look = lambda: None

    def clock(self):
        return self.now

    def room(self, jobs):
        if jobs[-1].processes > self.places:
            raise SpecError("There are not so many places.")
        return sum(job.processes for job in [*self.running.values(), *jobs]) <= self.places

    def start(self, jobs):
        self.calls.append((self.now, [job.key for job in jobs]))
        self.running |= {job.key: job for job in jobs}

    def ended(self, seconds):
        self.now += 1
        self.at_look()
        gone, self.running = list(self.running), {}
        return [self.end_of(key) for key in gone]

    def end_of(self, key):
        said = self.script[key].pop(0) if self.script.get(key) else None
        if said is None:
            self.results.add(key)
        return said if isinstance(said, Ended) else Ended(key, said)

    def states(self):
        return dict.fromkeys(self.running, ("running", "nowhere"))

    def ask_to_stop(self, keys=None):
        self.asked += 1

    def end(self):
        self.killed += 1

    @property
    def started(self):
        return [key for _, keys in self.calls for key in keys]


class Notes:
    """A watcher that writes down what it hears."""

    def __init__(self):
        self.retries, self.ends, self.starts = [], [], []

    def on_queue(self, tasks):
        self.tasks = tasks

    def on_start(self, task, attempt):
        self.starts.append((task.key, attempt))

    def on_retry(self, task, error, seconds):
        self.retries.append((task.key, seconds))

    def on_end(self, end):
        self.ends.append(end.task.key)

    def on_look(self, executor):
        pass


def task_of(engine, key, after=(), *, act=False, helps=False, on_done=None, **options):
    job = Job(key=key, module="none", task={}, name=f"run {key}", log=Path("none.log"), **options)
    return Task(
        key=key,
        said=f"task {key}",
        is_done=lambda: key in engine.results,
        after=tuple(after),
        job=None if act else job,
        act=(lambda: engine.results.add(key)) if act else None,
        helps=helps,
        on_done=on_done,
    )


def done_by(engine, tasks, notes=None, retries=2, **options):
    ends = carry_out(tasks, engine, Policy(retries=retries), notes or Notes(), clock=engine.clock, **options)
    assert [end.task for end in ends] == list(tasks)
    return {end.task.key: end for end in ends}


def statuses(ends):
    return {key: end.status for key, end in ends.items()}


# --- order --------------------------------------------------------------------------------------------------------


def test_tasks_start_in_their_order_all_that_have_room_in_one_call():
    engine = MadeUp(places=3)
    done_by(engine, [task_of(engine, key) for key in "abcde"])
    assert engine.calls == [(0, ["a", "b", "c"]), (1, ["d", "e"])]


def test_what_needs_much_room_is_not_passed_by_what_stands_behind_it():
    engine = MadeUp(places=2)
    done_by(engine, [task_of(engine, "a"), task_of(engine, "wide", processes=2), task_of(engine, "b")])
    assert [keys for _, keys in engine.calls] == [["a"], ["wide"], ["b"]]


def test_a_task_waits_for_those_before_it_wherever_they_stand():
    engine = MadeUp(places=9)
    tasks = [
        task_of(engine, "sum", "ab"),
        task_of(engine, "a", ["bank"]),
        task_of(engine, "b"),
        task_of(engine, "bank"),
    ]
    done_by(engine, tasks)
    assert [keys for _, keys in engine.calls] == [["b", "bank"], ["a"], ["sum"]]


def test_what_this_process_does_is_done_as_soon_as_it_can_be():
    engine = MadeUp()
    ends = done_by(engine, [task_of(engine, "a"), task_of(engine, "sum", "a", act=True), task_of(engine, "c", ["sum"])])
    assert engine.started == ["a", "c"]
    assert set(statuses(ends).values()) == {"finished"}


def test_whatever_goes_wrong_in_this_process_is_the_failure_of_its_task(capsys):
    def broken():
        raise ValueError("nobody thought of this")

    engine = MadeUp()
    tasks = [replace(task_of(engine, "sum", act=True), act=broken), task_of(engine, "a")]
    ends = done_by(engine, tasks)
    assert statuses(ends) == {"sum": "failed", "a": "finished"}
    assert isinstance(ends["sum"].error, UnexpectedError)
    assert "nobody thought of this" in capsys.readouterr().err


def test_only_what_is_missing_starts():
    engine, brought = MadeUp(), []
    engine.results |= {"a", "c"}
    tasks = [task_of(engine, key, on_done=lambda key=key: brought.append(key)) for key in "abc"]
    ends = done_by(engine, tasks)
    assert statuses(ends) == {"a": "done before", "b": "finished", "c": "done before"}
    assert engine.started == ["b"]
    assert brought == ["a", "c", "b"], "a result of before is brought to the board too"


def test_what_only_helps_others_is_left_out_where_these_are_done():
    engine = MadeUp()
    engine.results |= {"a", "b"}
    helper, tasks = task_of(engine, "bank", helps=True), [task_of(engine, key, ["bank"]) for key in "ab"]
    assert statuses(done_by(engine, [helper, *tasks]))["bank"] == "not needed"
    ends = done_by(engine, [helper, *tasks, task_of(engine, "c", ["bank"])])
    assert engine.started == ["bank", "c"]
    assert ends["bank"].status == "finished"


def test_what_is_wanted_anew_is_done_although_its_result_is_there():
    engine = MadeUp({"a": [LOST]})
    engine.results |= {"b"}
    ends = done_by(engine, [task_of(engine, "a"), task_of(engine, "b")], anew={"a"})
    assert (statuses(ends), engine.started) == ({"a": "finished", "b": "done before"}, ["a", "a"])
    again = MadeUp()
    again.results |= {"a"}
    assert statuses(done_by(again, [task_of(again, "a")], anew={"a"})) == {"a": "finished"}
    assert again.started == ["a"]


def test_ten_thousand_tasks_that_are_done_take_no_time():
    engine, notes = MadeUp(), Notes()
    tasks = [task_of(engine, str(number)) for number in range(10_000)]
    engine.results |= {task.key for task in tasks}
    began = time.process_time()
    ends = done_by(engine, tasks, notes)
    assert time.process_time() - began < limit(1)
    assert Counter(statuses(ends).values()) == {"done before": 10_000}
    assert len(notes.ends) == 10_000


# --- what does not end well ---------------------------------------------------------------------------------------


def test_a_lost_job_starts_again_after_a_pause_which_doubles():
    engine, notes = MadeUp({"a": [LOST, LOST]}), Notes()
    ends = done_by(engine, [task_of(engine, "a"), task_of(engine, "b")], notes)
    assert notes.retries == [("a", 5), ("a", 10)]
    assert [when for when, keys in engine.calls if "a" in keys] == [0, 6, 17]
    assert notes.starts == [("a", 1), ("b", 1), ("a", 2), ("a", 3)]
    assert (ends["a"].status, ends["a"].attempts) == ("finished", 3)


def test_a_pause_does_not_grow_without_end():
    assert [Policy().pause(attempts) for attempts in (1, 2, 7, 8, 1000)] == [5, 10, 320, 600, 600]


def test_a_job_that_is_lost_too_often_has_failed_and_the_others_have_not():
    engine = MadeUp({"a": [LOST] * 9})
    ends = done_by(engine, [task_of(engine, "a"), task_of(engine, "b")])
    assert (ends["a"].status, ends["a"].error, ends["a"].attempts) == ("failed", LOST, 3)
    assert ends["b"].status == "finished"


def test_a_job_that_saves_a_further_state_each_time_is_started_for_as_long_as_it_does():
    engine, notes = MadeUp({"a": [LOST] * 9}), Notes()
    # It is started four times and saves a further state each time; then it comes no further.
    task = replace(task_of(engine, "a"), saved=lambda: min(len(engine.calls), 4))
    end = done_by(engine, [task], notes)["a"]
    assert (end.status, end.attempts) == ("failed", 6)
    assert [seconds for _, seconds in notes.retries] == [5, 5, 5, 5, 10]


def test_a_job_that_something_else_stopped_goes_on():
    engine = MadeUp({"a": [InterruptedRunError("preempted")]})
    assert done_by(engine, [task_of(engine, "a")])["a"].attempts == 2


@pytest.mark.parametrize("error", [RunError("a loss is nan"), UnexpectedError("KeyError"), SpecError("no such layer")])
def test_what_failed_by_itself_is_not_tried_again(error):
    engine = MadeUp({"a": [error]})
    ends = done_by(engine, [task_of(engine, "a"), task_of(engine, "b")])
    assert (ends["a"].status, ends["a"].error, ends["a"].attempts) == ("failed", error, 1)
    assert ends["b"].status == "finished"


def test_done_is_what_has_a_result_whatever_the_engine_says():
    engine = MadeUp({"a": [LOST]})
    engine.at_look = lambda: engine.results.add("a")
    ends = done_by(engine, [task_of(engine, "a")])
    assert (ends["a"].status, ends["a"].attempts) == ("finished", 1)


def test_a_job_without_a_result_was_lost_whatever_the_engine_says():
    engine = MadeUp({"a": [Ended("a")] * 3})
    error = done_by(engine, [task_of(engine, "a")])["a"].error
    assert isinstance(error, LostProcessError)
    assert "Run a ended without a result" in error.message
    assert "none.log" in error.hint


def test_what_stands_after_a_failed_task_is_not_started_and_says_why():
    engine = MadeUp({"a": [RunError("a loss is nan")]})
    tasks = [task_of(engine, "a"), task_of(engine, "b", "a"), task_of(engine, "c", "b", act=True), task_of(engine, "d")]
    ends = done_by(engine, tasks)
    assert statuses(ends) == {"a": "failed", "b": "not started", "c": "not started", "d": "finished"}
    assert engine.started == ["a", "d"]
    assert ends["b"].error.message == "Run b was not started: run a, which comes before it, failed."
    assert ends["b"].error.hint == "a loss is nan"


def test_what_can_never_start_is_refused_before_anything_starts():
    engine, notes = MadeUp(), Notes()
    ends = done_by(engine, [task_of(engine, "a"), task_of(engine, "wide", processes=3)], notes)
    assert (notes.ends[0], ends["wide"].status) == ("wide", "failed")
    assert isinstance(ends["wide"].error, SpecError)


def test_what_helps_only_what_is_refused_is_left_out():
    engine = MadeUp(places=2)
    tasks = [task_of(engine, "bank", helps=True), task_of(engine, "wide", ["bank"], processes=3), task_of(engine, "b")]
    assert statuses(done_by(engine, tasks)) == {"bank": "not needed", "wide": "failed", "b": "finished"}
    assert engine.started == ["b"]


def test_a_result_that_cannot_be_read_is_the_failure_of_its_task_alone():
    def broken():
        raise ResultError("result.json is broken")

    engine = MadeUp()
    bad = Task(key="bad", said="bad", is_done=broken, job=task_of(engine, "bad").job)
    ends = done_by(engine, [bad, task_of(engine, "b", ["bad"]), task_of(engine, "c")])
    assert statuses(ends) == {"bad": "failed", "b": "not started", "c": "finished"}


def test_an_engine_that_takes_nothing_fails_what_it_was_given():
    class Refusing(MadeUp):
        def start(self, jobs):
            raise StoreError("No such partition.")

    engine = Refusing()
    ends = done_by(engine, [task_of(engine, "a"), task_of(engine, "b", "a")])
    assert statuses(ends) == {"a": "failed", "b": "not started"}


def test_a_result_that_cannot_be_brought_to_the_board_fails_its_task():
    def full():
        raise StoreError("The disk is full.")

    engine = MadeUp()
    ends = done_by(engine, [task_of(engine, "a", on_done=full), task_of(engine, "b")])
    assert statuses(ends) == {"a": "failed", "b": "finished"}


# --- memory -------------------------------------------------------------------------------------------------------


def test_memory_that_ran_out_beside_others_is_had_alone_the_next_time():
    engine = MadeUp({"a": [Ended("a", MemoryRunError("The machine ran out of memory."), "machine")]}, places=2)
    ends = done_by(engine, [task_of(engine, key) for key in "abcde"])
    assert ends["a"].status == "finished"
    assert ["a"] in [keys for _, keys in engine.calls]
    assert engine.calls[0][1] == ["a", "b"]


def test_what_has_to_run_alone_does_not_wait_for_what_stands_before_it():
    engine = MadeUp({"a": [Ended("a", MemoryRunError("The machine ran out of memory."), "machine")]}, places=2)

    def at_look():
        assert engine.now < 100, "nothing starts any more"

    engine.at_look = at_look
    # The first one is ready when the second has ended once and the third is done.
    tasks = [task_of(engine, "before", ["last"]), task_of(engine, "a"), task_of(engine, "last")]
    assert set(statuses(done_by(engine, tasks)).values()) == {"finished"}
    assert [keys for _, keys in engine.calls] == [["a", "last"], ["a"], ["before"]]


def test_a_shared_device_whose_memory_ran_out_is_not_shared_the_next_time():
    engine = MadeUp({"a": [Ended("a", MemoryRunError("The device ran out of memory."), "device")]})
    seen = []
    engine.at_look = lambda: seen.extend(job.memory for job in engine.running.values())
    done_by(engine, [task_of(engine, "a", memory=100)])
    assert list(filter(None, seen)) == [100]
    assert None in seen


def test_memory_that_ran_out_for_a_job_alone_is_a_failure():
    engine = MadeUp({"a": [MemoryRunError("The device ran out of memory.")]})
    assert done_by(engine, [task_of(engine, "a")])["a"].attempts == 1


# --- stopping -----------------------------------------------------------------------------------------------------


def stopping(engine, *numbers, after=1):
    """Send signals to this process, one at each look from the given one on; jobs end when all were sent."""
    left = list(numbers)

    def at_look():
        if engine.now >= after and left:
            os.kill(os.getpid(), left.pop(0))

    engine.at_look = at_look


def test_a_signal_asks_the_jobs_to_stop_and_starts_no_more():
    engine = MadeUp({"a": [InterruptedRunError("saved")], "b": [None]})
    stopping(engine, signal.SIGTERM, after=0)
    engine.ended = lambda seconds, look=engine.ended: look(seconds) if engine.asked else engine.at_look() or []
    with logged() as lines, pytest.raises(InterruptedRunError, match=r"Stopped: 1 of 4 are done\.") as caught:
        done_by(engine, [task_of(engine, key) for key in "abcd"])
    assert "goes on" in caught.value.hint
    assert lines == ["stopping: 2 save their state and end; another Ctrl-C ends them at once"]
    assert (engine.started, engine.asked, engine.killed) == (["a", "b"], 1, 0)


def test_a_second_ctrl_c_ends_them():
    engine = MadeUp()
    engine.ended = lambda seconds: (
        engine.at_look() or [Ended(key, LOST) for key in engine.running] if engine.killed else engine.at_look() or []
    )
    stopping(engine, signal.SIGINT, signal.SIGINT, after=0)
    with pytest.raises(InterruptedRunError):
        done_by(engine, [task_of(engine, "a")])
    assert (engine.asked, engine.killed > 0) == (1, True)


def test_jobs_that_outlive_this_process_are_left_alone():
    engine = MadeUp()
    engine.outlives = True
    engine.ended = lambda seconds: engine.at_look() or []
    stopping(engine, signal.SIGINT, after=0)
    with pytest.raises(InterruptedRunError, match="the made-up engine goes on with 2 of them"):
        done_by(engine, [task_of(engine, key) for key in "abc"])
    assert engine.asked == 0


@pytest.mark.parametrize("outlives", [False, True])
def test_a_word_from_elsewhere_stops_every_engine(outlives):
    engine = MadeUp({"a": [InterruptedRunError("saved")]}, places=1)
    engine.outlives = outlives
    engine.ended = lambda seconds, look=engine.ended: look(seconds) if engine.asked else []
    with pytest.raises(InterruptedRunError, match=r"Stopped: 0 of 3 are done\."):
        done_by(engine, [task_of(engine, key) for key in "abc"], cancelled=lambda: bool(engine.calls))
    assert (engine.started, engine.asked) == (["a"], 1)


def test_ctrl_c_leaves_jobs_that_outlive_this_process_to_end_after_a_word_from_elsewhere():
    engine = MadeUp()
    engine.outlives = True
    engine.ended = lambda seconds: (engine.asked and engine.at_look()) or []
    stopping(engine, signal.SIGINT, after=0)
    with pytest.raises(InterruptedRunError, match="goes on with 1 of them"):
        done_by(engine, [task_of(engine, "a")], cancelled=lambda: bool(engine.calls))
    assert engine.asked == 1


def test_jobs_that_do_not_stop_for_a_word_from_elsewhere_are_ended_after_a_while():
    engine = MadeUp()

    def ended(seconds):
        engine.now += 100
        return [Ended("a", LOST)] if engine.killed else []

    engine.ended = ended
    with pytest.raises(InterruptedRunError):
        done_by(engine, [task_of(engine, "a")], cancelled=lambda: bool(engine.calls))
    assert (engine.asked, engine.killed > 0, engine.now) == (1, True, 600)


def test_a_damaged_board_stops_everything_when_the_others_have_gone():
    engine = MadeUp({"a": [DamagedBoardError("The board is damaged.")]})
    with pytest.raises(DamagedBoardError):
        done_by(engine, [task_of(engine, key) for key in "abcd"])
    assert engine.started == ["a", "b"]
    assert engine.running == {}
