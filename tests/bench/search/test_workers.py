"""The workers of a search on one machine: scripts of a few words that end, hang, or are lost in their stead."""

from __future__ import annotations

import signal
from types import SimpleNamespace

import pytest
from logs import logged
from stand_ins import once, stand_in

from bench.core.errors import DataError, InterruptedRunError, RunError
from bench.search.workers import MOST_STILLBORN, Crew
from leaderboard.store.database import DamagedBoardError

WORKER = """
home = pathlib.Path(task["home"])
def nth():
    # Which worker it is that starts here, from 1 on.
    for number in range(1, 100):
        try:
            os.close(os.open(home / f"start-{number}", os.O_CREAT | os.O_EXCL))
            return number
        except FileExistsError:
            pass
def begin(trial):
    tell({"event": "begins", "trial": trial, "params": {"lr": 0.001}})
def done():
    tell({"event": "done", "value": None})
    sys.exit(0)
def stops(*unused):
    report("InterruptedRunError", "The state is saved.")
    (home / f"saved-{number}").write_text("")
    os._exit(130)
number = nth()
"""


@pytest.fixture
def crew(tmp_path, monkeypatch):
    """Runs workers of a script; gives what was said."""

    def run(script, workers=1, expected=None):
        stand_in(monkeypatch, tmp_path, WORKER + script)
        place = SimpleNamespace(to_json=dict)
        search = SimpleNamespace(name="study", place=place)
        crew = Crew(search, tmp_path, {"device": "cpu", "processes": 1}, workers)
        with logged() as said:
            if expected is None:
                crew.run()
            else:
                with pytest.raises(expected) as caught:
                    crew.run()
                said.append(caught.value)
        return said

    return run


def starts(folder):
    return len(list(folder.glob("start-*")))


def test_workers_that_find_nothing_to_do_end_the_search(crew, tmp_path):
    assert crew("done()", workers=3) == []
    assert starts(tmp_path) == 3


def test_what_workers_tell_is_said_and_their_logs_lie_beside_the_study(crew, tmp_path):
    script = """
begin(4)
print("epoch 1/2", file=sys.stderr)
tell({"event": "ended", "trial": 4, "state": "COMPLETE", "value": 57.5, "reason": None})
done()
"""
    assert crew(script) == ["trial 4 (worker 1): lr 0.001", "trial 4: Score 57.50"]
    assert (tmp_path / "studies" / "study.worker-1.log").read_text() == "epoch 1/2\n"


def test_another_worker_takes_the_place_of_a_killed_one(crew, tmp_path):
    said = crew("begin(0)\nif number == 1: os.kill(os.getpid(), signal.SIGKILL)\ndone()")
    assert "worker 1 was lost at trial 0 (exit code -9); another one takes its place" in said
    assert starts(tmp_path) == 2


def test_another_worker_takes_the_place_of_one_that_lost_an_attempt(crew, tmp_path):
    script = """
if number == 1:
    begin(0)
    tell({"event": "lost", "trial": 0, "reason": "CUDA error", "failed": None})
done()
"""
    said = crew(script)
    assert said[-2:] == ["trial 0: an attempt was lost: CUDA error", "worker 1 starts anew"]
    assert starts(tmp_path) == 2


def test_workers_that_are_lost_before_they_begin_end_the_search(crew, tmp_path):
    *_, error = crew("sys.exit(7)", expected=RunError)
    assert "lost before they begin (exit code 7)" in error.message
    assert "study.worker-1.log" in error.hint
    assert starts(tmp_path) == MOST_STILLBORN + 1


def test_an_error_that_nobody_has_thought_of_loses_the_worker_alone(crew, tmp_path):
    script = """
if number == 1:
    document = {"module": "builtins", "type": "ValueError", "message": "bad", "hint": None}
    tell({"event": "error", "error": {**document, "exit_code": 1, "expected": False}})
    sys.exit(1)
done()
"""
    assert any("worker 1 was lost (exit code 1)" in line for line in crew(script))
    assert starts(tmp_path) == 2


@pytest.mark.parametrize(
    ("kind", "module", "expected", "code"),
    [
        ("DataError", "bench.core.errors", DataError, 3),
        ("DamagedBoardError", "leaderboard.store.database", DamagedBoardError, 4),
    ],
)
def test_what_every_worker_would_meet_stops_the_others_which_save_their_state(
    crew, tmp_path, kind, module, expected, code
):
    script = f"""
if number == 1:
    while not (home / "ready-2").exists(): time.sleep(0.01)
    report("{kind}", "It is broken.", "{module}")
    sys.exit({code})
signal.signal(signal.SIGTERM, stops)
(home / "ready-2").write_text("")
time.sleep(60)
"""
    *_, error = crew(script, workers=2, expected=expected)
    assert (type(error), error.exit_code) == (expected, code)
    assert (tmp_path / "saved-2").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_lets_every_worker_save_its_state(crew, tmp_path, number):
    script = "signal.signal(signal.SIGTERM, stops)\n(home / f'ready-{number}').write_text('')\ntime.sleep(60)"
    with once(lambda: len(list(tmp_path.glob("ready-*"))) == 2, number):
        *_, error = crew(script, workers=2, expected=InterruptedRunError)
    assert error.exit_code == 130
    assert len(list(tmp_path.glob("saved-*"))) == 2
    assert starts(tmp_path) == 2
