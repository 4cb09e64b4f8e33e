"""``bench watch``: what is seen of runs, matrices and studies from their files, also half-written or vanishing ones."""

from __future__ import annotations

import io
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import asdict

import pytest
from kept_studies import keep_study
from small_runs import SETTINGS

import bench as library
from bench.api import watching
from bench.api.watching import Snapshot, Watch, WatchedRun
from bench.cli import watch as command
from bench.cli.watch_output import show_live, view
from bench.core.errors import SpecError
from bench.core.lifetimes import process_age_mark
from bench.core.terminal import PlainConsole
from bench.engine.data import open_run_data
from bench.engine.listeners import Listener
from bench.engine.trainer import Trainer
from bench.launch.watched_runs import SETTLING_SECONDS, SILENT_SECONDS, RunWatcher
from leaderboard.results.run_folder import RunFolder
from leaderboard.results.run_progress import RunProgress

HERE = {"host": socket.gethostname(), "process": os.getpid(), "mark": process_age_mark(os.getpid())}
ELSEWHERE = {"host": "node7", "process": 1, "mark": "1"}


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


@pytest.fixture(scope="module")
def ended_process():
    """The number of a process that there was, and is no more."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def begun(home, number, *, model="ast", seed=1, study=None):
    """The folder of a run that has begun."""
    folder = RunFolder.of_run(home, f"{number:016x}")
    folder.path.mkdir(parents=True)
    execution = {"study": {"name": study}} if study else {}
    identity = {"model": model, "method": "ce", "seed": seed, "epochs": 9}
    folder.spec.write_text(json.dumps({"identity": identity, "execution": execution}))
    return folder


def telling(folder, age=0.0, **changes):
    """Have a run tell how far it is."""
    now = time.time() - age
    known = {"epoch": 3, "epochs": 9, "step": 4, "steps": 10, "loss": 0.5, "score": 50.0, "started": now, "time": now}
    RunProgress(**{**known, **HERE, "seconds_left": 60.0, "cycles_per_second": 33.3, **changes}).write(folder.progress)
    return folder


def ended(folder, status="finished", error=None):
    metrics = {"last": {"4class": {"score": 61.5}} if status == "finished" else None}
    document = {"status": status, "error": error, "metrics": metrics, "seconds": 12.0, "epochs": [{}] * 9}
    folder.result.write_text(json.dumps(document))
    return folder


def saved(folder):
    folder.checkpoint.mkdir()
    (folder.checkpoint / "current.json").write_text("{}")
    entries = [{"test": {"4class": {"score": 41.0}}}, {"test": None}]
    (folder.checkpoint / "epochs.json").write_text(json.dumps({"position": {"epochs": entries}}))
    return folder


def old(path, seconds):
    when = time.time() - seconds
    os.utime(path, (when, when))


def look(folder):
    return RunWatcher(folder.path.parent.parent).look(folder.path.name)


# --- the state of a run -------------------------------------------------------------------------------------------


def test_a_run_of_a_process_that_lives_is_running_however_long_it_is_silent(home):
    run = look(telling(begun(home, 1, seed=7), age=2 * SILENT_SECONDS))
    assert (run.state, run.model, run.method, run.seed, run.epoch, run.step) == ("running", "ast", "ce", 7, 3, 4)
    assert run.age > SILENT_SECONDS
    assert (run.cycles_per_second, run.seconds_left) == (33.3, 0.0)


def test_a_run_whose_process_was_killed_is_interrupted_at_once(home, ended_process):
    killed = telling(begun(home, 1), process=ended_process)
    other_of_its_number = telling(saved(begun(home, 2)), mark="another start")
    assert (look(killed).state, look(killed).saved) == ("interrupted", False)
    assert (look(other_of_its_number).state, look(other_of_its_number).saved) == ("interrupted", True)


def test_a_run_of_another_machine_is_believed_for_some_minutes(home):
    assert look(telling(begun(home, 1), **ELSEWHERE)).state == "running"
    stale = look(telling(begun(home, 2), age=SILENT_SECONDS + 1, **ELSEWHERE))
    assert (stale.state, stale.host, stale.seconds_left) == ("stale", "node7", None)
    # A clock that is ahead makes no negative age.
    assert look(telling(begun(home, 3), age=-100, **ELSEWHERE)).age == 0.0


def test_results_say_how_runs_ended(home):
    finished, failed = look(ended(begun(home, 1))), look(ended(begun(home, 2), "failed", "The loss is nan."))
    assert (finished.state, finished.score, finished.epoch, finished.seconds) == ("finished", 61.5, 9, 12.0)
    assert (failed.state, failed.error) == ("failed", "The loss is nan.")
    assert look(ended(begun(home, 3), "pruned")).state == "pruned"
    ensemble = begun(home, 5)
    ensemble.spec.unlink()
    ensemble.result.write_text(json.dumps({**json.loads(ended(ensemble).result.read_text()), "kind": "ensemble"}))
    assert (look(ensemble).epoch, look(ensemble).model, look(ensemble).score) == (None, "ensemble", 61.5)
    # One that is done again trains, whatever the result before says.
    again = ended(begun(home, 4))
    old(again.result, 100)
    assert look(telling(again)).state == "running"


def test_a_run_without_news_waits_and_is_then_taken_for_stopped(home):
    folder = begun(home, 1)
    assert look(folder).state == "waiting"
    old(folder.path, SILENT_SECONDS + 1)
    assert look(folder).state == "interrupted"
    folder.lock.write_text(f"process {os.getpid()}\n")
    old(folder.path, SILENT_SECONDS + 1)
    # Features are made for long; the lock names a process of this machine.
    assert look(folder).state == "waiting"


def test_a_run_that_was_stopped_says_how_far_it_had_come(home):
    folder = saved(begun(home, 1))
    assert look(folder).state == "waiting"  # its result may be on its way
    old(folder.path, SETTLING_SECONDS + 1)
    run = look(folder)
    assert (run.state, run.saved, run.epoch, run.epochs, run.score) == ("interrupted", True, 2, 9, 41.0)


@pytest.mark.parametrize("text", ["", '{"identity": {"model"', "[]", "null", '{"epoch": "many"}', "\xff"])
def test_files_that_are_half_written_say_less_and_stop_nothing(home, text):
    folder = begun(home, 1)
    for path in (folder.spec, folder.progress, folder.result, folder.lock):
        path.write_bytes(text.encode("latin-1"))
    saved(folder)
    (folder.checkpoint / "epochs.json").write_text(text)
    seen = Watch(home=home).look()
    assert [run.run_id for run in seen.runs] == [folder.path.name]
    assert json.loads(json.dumps(seen.to_json()))["runs"][0]["model"] == ""


@pytest.mark.parametrize(
    "odd", [{"status": []}, {"error": 1.5}, {"seconds": float("nan")}, {"metrics": {"last": {"a": {"score": "x"}}}}]
)
def test_results_of_other_words_have_failed(home, odd):
    folder = ended(begun(home, 1))
    folder.result.write_text(json.dumps({**json.loads(folder.result.read_text()), **odd}))
    assert (look(folder).state, "is no result of a run" in look(folder).error) == ("failed", True)


def test_a_state_of_other_words_says_less(home):
    folder = saved(begun(home, 1))
    for epochs in ([{"test": {"4class": {"score": "x"}}}], [{"test": {}}], 3):
        (folder.checkpoint / "epochs.json").write_text(json.dumps({"position": {"epochs": epochs}}))
        assert look(folder).score is None


def test_runs_that_vanish_between_two_looks_are_no_more_seen(home):
    folders = [telling(begun(home, number)) for number in (1, 2)]
    watch = Watch(home=home)
    assert len(watch.look().runs) == 2
    shutil.rmtree(folders[0].path)
    assert [run.run_id for run in watch.look().runs] == [folders[1].path.name]
    shutil.rmtree(home)
    assert watch.look().runs == []


def test_looking_changes_nothing(home):
    folder = telling(saved(begun(home, 1)))
    before = {path: path.stat().st_mtime_ns for path in home.rglob("*")}
    Watch(home=home).look()
    Watch([folder.path.name], home).look()
    assert {path: path.stat().st_mtime_ns for path in home.rglob("*")} == before


def test_a_training_is_seen_as_it_goes_on(small_data, small_cache, home):
    spec = library.resolve("ast", "ce", data=small_data, cache=small_cache, settings=SETTINGS, device="cpu", epochs=1)
    folder, seen = begun(home, 1), []

    class Look(Listener):
        def on_epoch(self, entry):
            seen.append((look(folder), entry))

    Trainer(spec, open_run_data(spec), folder.path, listeners=[Look()]).fit()
    (run, entry), *more = seen
    assert not more
    assert (run.state, run.host, run.epoch, run.epochs) == ("running", socket.gethostname(), 1, 1)
    assert run.step == run.steps > 0
    assert run.cycles_per_second == entry["cycles_per_second"]


# --- what is watched ----------------------------------------------------------------------------------------------


def test_without_names_all_that_goes_on_or_ended_lately_is_seen(home):
    telling(begun(home, 1))
    ended(begun(home, 2))
    long_ago = ended(begun(home, 3))
    old(long_ago.path, 2 * watching.LATELY_SECONDS)
    ended(begun(home, 4), "failed", "No.")
    seen = Watch(home=home).look()
    assert [(int(run.run_id, 16), run.state) for run in seen.runs] == [(1, "running"), (4, "failed"), (2, "finished")]
    assert seen.going_on


def test_names_are_ids_beginnings_and_folders(home, tmp_path, monkeypatch):
    one = ended(begun(home, 0x1A << 56))
    ended(begun(home, 0x1B << 56))
    other = ended(begun(tmp_path / "other", 5))

    def ids(*names):
        return [run.run_id for run in Watch(names, home).look().runs]

    assert ids(one.path.name) == ids("1A") == [one.path.name]
    assert ids(str(other.path)) == [other.path.name]
    with pytest.raises(SpecError, match="'1' is the beginning of 2 runs"):
        ids("1")
    with pytest.raises(SpecError, match="There is no run, matrix or study 'cnns'"):
        ids("cnns")


def matrix_of(home, name, ids, launcher="local"):
    folder = home / "matrices" / name
    folder.mkdir(parents=True)
    entry = {"rows": [], "systems": [], "model": "ast", "method": "ce", "pretrain": "none", "seed": 1, "parts": {}}
    record = {"name": name, "launcher": launcher, "runs": [{**entry, "run_id": run_id} for run_id in ids]}
    (folder / "matrix.json").write_text(json.dumps(record))
    return folder


def test_a_matrix_is_counted_and_its_runs_are_seen(home):
    ids = [f"{number:016x}" for number in range(1, 5)]
    folder = matrix_of(home, "cnns", ids)
    ended(begun(home, 1))
    telling(begun(home, 2))
    ended(begun(home, 3), "failed", "No.")
    watch = Watch(["cnns"], home)
    (one,) = watch.look().matrices
    assert (one.name, one.driven, dict(one.counts)) == (
        "cnns",
        False,
        {"running": 1, "failed": 1, "finished": 1, "missing": 1},
    )
    # A process at it begins what is missing.
    (folder / "driver.json").write_text(
        json.dumps({"pid": HERE["process"], "host": HERE["host"], "mark": HERE["mark"]})
    )
    seen = watch.look()
    assert seen.matrices[0].counts["waiting"] == 1
    assert seen.going_on
    assert [run.state for run in seen.runs] == ["running", "failed", "finished"]
    assert Watch(home=home).look().matrices
    # Jobs of a cluster come without one.
    (elsewhere,) = Watch([matrix_of(home, "far", ids[3:], "slurm").name], home).look().matrices
    assert (elsewhere.going_on, dict(elsewhere.counts)) == (True, {"waiting": 1})
    for odd in ("", "1]}", '{"run_id": []}]}', '{"run_id": "a", "parts": {"b": 1}}], "launcher": "local"}'):
        (folder / "matrix.json").write_text('{"runs": [' + odd)
        assert watch.look().matrices == []


def test_a_study_is_read_from_its_journal_and_its_runs_by_their_specs(home):
    keep_study(home, "taus", {0.02: [57.0, 58.0], 0.06: [60.0, 61.0], 0.2: []})
    telling(begun(home, 1, study="taus"))
    telling(begun(home, 2, study="others"))
    seen = Watch(["taus"], home).look()
    assert [int(run.run_id, 16) for run in seen.runs] == [1]
    (one,) = seen.studies
    assert (one.trials, one.target, one.failed, one.best, one.going_on) == (3, 3, 1, 60.5, False)
    assert [study.name for study in Watch(home=home).look().studies] == ["taus"]
    journal = home / "studies" / "taus.journal"
    old(journal, 2 * watching.LATELY_SECONDS)
    assert not Watch(home=home).look().studies
    with journal.open("ab") as stream:
        stream.write(b'{"op_code": 4, "half')
    assert Watch(["taus"], home).look().studies[0].trials == 3


# --- its end ------------------------------------------------------------------------------------------------------


def test_watching_ends_when_all_has_ended(home, monkeypatch):
    folder = telling(begun(home, 1))
    watch = Watch(home=home)
    slept = []

    def finish(seconds):
        slept.append(seconds)
        folder.progress.unlink()
        ended(folder)

    monkeypatch.setattr(watching.time, "sleep", finish)
    seen = list(watch.each(5.0))
    assert [one.runs[0].state for one in seen] == ["running", "finished"]
    assert slept == [5.0]
    assert not watch.ended_badly(seen[-1])


def test_the_exit_code_is_that_of_what_is_watched(home, bench, monkeypatch):
    good, bad = ended(begun(home, 0x1A << 56)), ended(begun(home, 0x1B << 56), "failed", "The loss is nan.")
    place = ("--home", home)
    assert "finished" in bench("watch", "1a", *place).out
    said = bench("watch", "1b", *place, code=1).out
    assert "1b000000: The loss is nan." in said
    # What had failed before is shown, and is no news.
    assert "failed" in bench("watch", *place).out
    document = json.loads(bench("watch", good.path.name, "--format", "json", *place).out)
    assert (document["going_on"], document["runs"][0]["score"]) == (False, 61.5)
    folder = telling(begun(home, 1))
    watch = Watch(home=home)
    watch.look()
    folder.progress.unlink()
    ended(folder, "failed", "No.")
    assert watch.ended_badly(watch.look())
    assert "nothing goes on" in bench("watch", "--home", home / "none").out
    assert bad.has_result()


def test_ctrl_c_ends_the_watching_alone(home, bench, monkeypatch):
    telling(begun(home, 1))

    def interrupted(snapshots, console):
        next(iter(snapshots))
        raise KeyboardInterrupt

    monkeypatch.setattr("bench.cli.watch_output.show_live", interrupted)
    monkeypatch.setattr(command, "is_terminal", lambda: True)
    assert "whatever was going on goes on" in bench("watch", "--home", home, code=130).err


# --- how it looks -------------------------------------------------------------------------------------------------


def snapshot(home, runs=3):
    who = {"run_id": "0123456789abcdef", "model": "efficientnet-b0", "method": "patchmix-cl", "seed": 10}
    place = {"epoch": 31, "epochs": 100, "step": 204, "steps": 517, "host": "node7"}
    numbers = {"loss": 0.12345, "score": 61.2345, "cycles_per_second": 1234.5, "seconds_left": 9000.0}
    long = WatchedRun(state="running", **who, **place, **numbers)
    short = {"state": "interrupted", "host": "node8", "saved": True}
    return Snapshot(home, 0.0, [long, *[WatchedRun(**{**asdict(long), **short})] * (runs - 1)], [], [])


@pytest.mark.parametrize(
    ("width", "heads"),
    [
        (120, "run what host state epoch step loss Score cycles/s left"),
        (80, "run what state epoch step loss Score left"),
        (60, "run what state epoch Score left"),
        (44, "run state epoch Score"),
    ],
)
def test_every_terminal_gets_the_columns_that_it_has_room_for(home, width, heads):
    out = io.StringIO()
    console = PlainConsole(out, width=width)
    console.print(view(snapshot(home), width))
    lines = out.getvalue().splitlines()
    assert lines[0].split() == heads.split()
    assert max(map(len, lines)) <= width
    assert "01234567" in lines[1]
    assert "31/100" in lines[1]
    assert "stopped, saved" in lines[2]


def test_a_live_view_is_no_taller_than_its_terminal_and_leaves_the_last_one(home):
    out = io.StringIO()
    console = PlainConsole(out, width=80, height=20, force_terminal=True)
    last = snapshot(home, 40)
    assert show_live([snapshot(home), last], console) is last
    assert "and 26 more" in out.getvalue()
