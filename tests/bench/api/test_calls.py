"""What a call needs of its process, and what an interrupted one says."""

import contextlib
import logging
import sys
import threading
from pathlib import Path

import pytest
from board_runs import write_run
from small_runs import small_run

import bench
from bench.api.calls import api_call, call_text, going_on_with, prepared_process, resumable
from bench.core import documents, environment
from bench.core.errors import InterruptedRunError, SpecError
from bench.experiment import judgement
from bench.launch import once
from leaderboard.results.run_folder import RunFolder


def test_a_call_is_repeated_as_python_without_rerun_and_passwords():
    given = {"data": Path("/x"), "epochs": 2, "rerun": True, "storage": "postgresql://me:s3cr3t@host/db"}
    text = call_text("run", ("ast", "ce"), given)
    assert text == "bench.run('ast', 'ce', data='/x', epochs=2, storage='postgresql://me:***@host/db')"


@pytest.mark.parametrize(
    "error", [InterruptedRunError("Stopped in epoch 1.", "Go on with: bench run"), KeyboardInterrupt()]
)
def test_an_interrupted_call_says_what_goes_on(error):
    @resumable
    def train(model, *, epochs):
        raise error

    with pytest.raises(InterruptedRunError) as caught:
        train("ast", epochs=3)
    assert caught.value.hint == "Go on with: bench.train('ast', epochs=3)"
    assert caught.value.message == getattr(error, "message", "Stopped at once.")


def test_what_is_no_interruption_passes():
    with pytest.raises(SpecError, match="wrong"), going_on_with("x"):
        raise SpecError("wrong")


def test_the_hint_stands_below_the_traceback_once():
    @api_call
    def inner():
        raise SpecError("wrong", "Do this.")

    with pytest.raises(SpecError) as caught:
        api_call(lambda: inner())()
    assert caught.value.__notes__ == ["hint: Do this."]


@pytest.fixture
def variable(monkeypatch):
    monkeypatch.setenv("TIMM_FUSED_ATTN", "0")


def test_a_library_that_has_read_other_settings_is_refused(variable):
    assert "torch" in sys.modules
    with pytest.raises(SpecError, match="TIMM_FUSED_ATTN is set"):
        bench.resolve("ast", "ce", data="demo")
    assert environment.os.environ["TIMM_FUSED_ATTN"] == "0"


def test_settings_are_kept_out_before_a_library_can_read_them(variable, monkeypatch):
    monkeypatch.setattr(environment, "READERS", frozenset())
    api_call(lambda: None)()
    assert "TIMM_FUSED_ATTN" not in environment.os.environ


def test_a_foreign_group_of_processes_is_refused(monkeypatch, small_data, small_cache):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(SpecError, match="do not describe a group"):
        bench.resolve("ast", "ce", data=small_data, cache=small_cache)


def test_results_that_are_read_are_judged():
    seen = []
    assert not documents.spec_judges
    with prepared_process():
        seen += documents.spec_judges
    api_call(lambda: seen.extend(documents.spec_judges))()
    assert len(seen) == 2
    with pytest.raises(SpecError, match="Unknown field 'colour'"):
        seen[0]({"colour": 1})
    assert not documents.spec_judges


@pytest.fixture
def judged(monkeypatch):
    """The seeds of the specs that were judged."""
    seeds = []
    monkeypatch.setattr(judgement, "judge", lambda identity: seeds.append(identity["seed"]))
    return seeds


def read(home):
    """Read the one run of a results folder."""
    (folder,) = (home / "runs").iterdir()
    return RunFolder(folder).read_document()


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_a_result_is_judged_once_however_many_calls_are_around_it(judged, tmp_path, depth):
    write_run(tmp_path, seed=8)
    with contextlib.ExitStack() as stack:
        for _ in range(depth):
            stack.enter_context(prepared_process())
        read(tmp_path)
    assert judged == [8]
    read(tmp_path)
    assert judged == [8]
    assert documents.spec_judges == []


def test_the_inner_call_ends_before_the_outer_one_and_leaves_it_judging(judged, tmp_path):
    write_run(tmp_path, seed=8)
    outer, inner = prepared_process(), prepared_process()
    with outer:
        with inner:
            read(tmp_path)
        read(tmp_path)
    assert judged == [8, 8]


def test_calls_of_two_threads_do_not_end_each_others_judging(judged, tmp_path):
    write_run(tmp_path, seed=8)
    inside, ended = threading.Event(), threading.Event()

    def other():
        with prepared_process():
            inside.set()
            ended.wait(10)

    thread = threading.Thread(target=other)
    thread.start()
    inside.wait(10)
    with prepared_process():
        ended.set()
        thread.join()
        read(tmp_path)
    assert judged == [8]


def test_a_call_that_fails_stops_judging(judged):
    with pytest.raises(SpecError), prepared_process():
        raise SpecError("wrong")
    assert documents.spec_judges == []


def test_a_run_within_a_call_asks_one_judge(small_data, small_cache, tmp_path, monkeypatch):
    asked = []

    def look(folder):
        asked.append(len(set(documents.spec_judges)))
        raise SpecError("seen")

    monkeypatch.setattr(once, "finished_result", look)
    with pytest.raises(SpecError, match="seen"):
        small_run(small_data, small_cache, tmp_path)
    assert asked == [1]


def test_a_call_shows_the_log_unless_logging_is_set_up(monkeypatch):
    loggers = [logging.getLogger("bench"), logging.getLogger()]
    for logger in loggers:
        monkeypatch.setattr(logger, "handlers", [])
    api_call(lambda: None)()
    assert [type(handler).__name__ for handler in loggers[0].handlers] == ["StderrHandler"]
    mine = logging.NullHandler()
    monkeypatch.setattr(loggers[0], "handlers", [mine])
    api_call(lambda: None)()
    assert loggers[0].handlers == [mine]
