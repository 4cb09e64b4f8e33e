"""What people see of tasks: a table on a terminal, plain lines in a log, little where it is quiet."""

from __future__ import annotations

import io
import time
from pathlib import Path

import pytest
from logs import logged

from bench.core.errors import LostProcessError, RunError
from bench.core.log import show_log
from bench.core.terminal import PlainConsole
from bench.launch.jobs import Job
from bench.launch.live_view import LiveTable, live_table, watching
from bench.launch.log_lines import EACH_DONE_BEFORE, EVERY_SECONDS, LogLines, Tally, progress_words
from bench.launch.tasks import Task, TaskEnd
from leaderboard.results.run_progress import RunProgress


def task_of(key, progress=None, **options):
    job = Job(key=key, module="none", task={}, name=f"run {key}", log=Path("none.log"))
    return Task(key=key, said=f"cnn6 + ce, {key}", is_done=lambda: False, job=job, progress=progress, **options)


def progress_of(path, **changes):
    now = time.time()
    known = {"epoch": 3, "epochs": 50, "step": 2, "steps": 9, "started": now, "time": now}
    found = RunProgress(**{**known, **changes})
    found.write(path)
    return found


@pytest.fixture
def said():
    """What was logged since the last call."""
    with logged() as lines:

        def take():
            words = lines.copy()
            lines.clear()
            return words

        yield take


class Engine:
    """Says where jobs are, and has none."""

    def __init__(self, **where):
        self.where = where

    def states(self):
        return self.where


# --- lines in a log -----------------------------------------------------------------------------------------------


def test_starts_retries_and_ends_are_said_with_their_numbers(said):
    tasks = [task_of("a"), task_of("b", summary=lambda: "Score 57.31"), task_of("c"), task_of("d")]
    with LogLines() as lines:
        lines.on_queue(tasks)
        lines.on_end(TaskEnd(tasks[0], "done before"))
        lines.on_start(tasks[1], 1)
        assert said() == ["[1/4] cnn6 + ce, a: done before", "[2/4] cnn6 + ce, b"]
        lines.on_retry(tasks[1], LostProcessError("The process of run b was lost."), 5)
        lines.on_start(tasks[1], 2)
        expected = "The process of run b was lost. Run b is started again in 5 seconds."
        assert said() == [expected, "[2/4] cnn6 + ce, b, attempt 2"]
        lines.on_end(TaskEnd(tasks[1], "finished"))
        lines.on_end(TaskEnd(tasks[2], "failed", RunError("A loss is nan.", "Use a smaller lr.")))
        lines.on_end(TaskEnd(tasks[3], "not started", RunError("Run d was not started.")))
    assert said() == [
        "[2/4] run b finished: Score 57.31 (2 done, 0 running, 2 queued)",
        "run c failed: A loss is nan. Use a smaller lr.",
        "Run d was not started.",
    ]


def test_of_many_tasks_that_were_done_before_the_number_is_said(said):
    tasks = [task_of(str(number)) for number in range(EACH_DONE_BEFORE + 3)]
    with LogLines() as lines:
        lines.on_queue(tasks)
        for task in tasks:
            lines.on_end(TaskEnd(task, "done before"))
    assert len(words := said()) == EACH_DONE_BEFORE + 1
    assert words[-1] == "and 3 more: done before"


def test_from_time_to_time_it_is_said_how_far_the_running_ones_are(said, tmp_path):
    now = [0.0]
    task = task_of("a", tmp_path / "progress.json")
    lines = LogLines(clock=lambda: now[0])
    lines.on_queue([task])
    lines.on_start(task, 1)
    progress_of(task.progress, loss=1.25, score=57.314)
    said()
    lines.on_look(Engine())
    assert said() == []
    now[0] = EVERY_SECONDS
    lines.on_look(Engine())
    assert said() == ["[1/1] run a: epoch 3/50  loss 1.2500  Score 57.31"]
    lines.on_look(Engine())
    assert said() == []


def test_the_words_of_a_progress_are_those_that_are_known(tmp_path):
    path = tmp_path / "progress.json"
    assert progress_words(progress_of(path)) == "epoch 3/50"
    assert progress_words(progress_of(path, seconds_left=3930.4)) == "epoch 3/50  1:05:30 left"


# --- the table ----------------------------------------------------------------------------------------------------


def shown(renderable, width=100):
    stream = io.StringIO()
    PlainConsole(stream, width=width).print(renderable)
    return [line.rstrip() for line in stream.getvalue().splitlines()]


def test_the_table_has_the_running_tasks_and_the_numbers_of_all(tmp_path):
    tasks = [task_of("a", tmp_path / "a.json"), task_of("b [red]"), *map(task_of, "cdef")]
    tally = Tally(tasks)
    for attempt, task in enumerate(tasks[:3], start=1):
        tally.running[task.key] = (task, attempt)
    tally.ended.update(["finished", "failed"])
    progress_of(tasks[0].progress, loss=1.25, score=57.314, seconds_left=70.0)
    states = {"a": ("running", "GPU 0"), "b [red]": ("running", "node n1"), "c": ("queued", "")}
    head, first, second, numbers = shown(live_table(tally, states, rows=5))
    assert head.split() == ["run", "where", "epoch", "loss", "Score", "left"]
    assert first.split("  ")[0] == "cnn6 + ce, a"
    assert first.split()[-6:] == ["GPU", "0", "3/50", "1.2500", "57.31", "0:01:10"]
    assert second.split("  ")[0] == "cnn6 + ce, b [red] (attempt 2)"
    assert "node n1" in second
    assert numbers == "1 done, 2 running, 2 queued, 1 failed"


def test_more_rows_than_a_terminal_has_are_counted():
    tasks = [task_of(str(number)) for number in range(9)]
    tally = Tally(tasks)
    tally.running |= {task.key: (task, 1) for task in tasks}
    lines = shown(live_table(tally, {}, rows=3))
    assert len(lines) == 6
    assert lines[-2:] == ["and 6 more", "0 done, 9 running, 0 queued"]


def test_the_live_table_is_drawn_and_taken_away_and_ends_stand_above_it(said):
    stream = io.StringIO()
    console = PlainConsole(stream, force_terminal=True, width=80, height=30)
    task = task_of("a")
    with LiveTable(console) as table:
        table.on_queue([task])
        table.on_start(task, 1)
        table.on_look(Engine(a=("running", "GPU 3")))
        assert "GPU 3" in stream.getvalue()
        assert said() == [], "the start is seen in the table"
        table.on_end(TaskEnd(task, "finished"))
        assert said() == ["[1/1] run a finished (1 done, 0 running, 0 queued)"]
    assert stream.getvalue().endswith("\x1b[2K"), "the last thing is that its lines are erased"


def test_a_table_lives_on_a_terminal_alone_and_never_where_it_is_quiet(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("BENCH_LOG", "info")
    found = []
    for stream, verbosity in ((Terminal(), 0), (Terminal(), -1), (io.StringIO(), 0)):
        monkeypatch.setattr("sys.stderr", stream)
        show_log(verbosity)
        with watching() as watcher:
            found.append(type(watcher))
    assert found == [LiveTable, LogLines, LogLines]
