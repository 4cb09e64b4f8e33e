"""A run in a process of its own: what it fails with, what stops it, what it leaves behind."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
from stand_ins import once, stand_in

from bench.core.errors import (
    InterruptedRunError,
    LostProcessError,
    SpecError,
    StoreError,
    UnexpectedError,
    WeightsError,
)
from bench.experiment.recipes import Request, choose_source, resolve
from bench.launch.child import Children
from bench.launch.isolated import main, run_isolated, when_begun
from bench.launch.jobs import LaunchOptions
from bench.launch.matrix.plans import MatrixPlan, PlannedRun
from bench.launch.matrix.work import run_matrix
from bench.launch.once import launch
from leaderboard.results.run_folder import RunFolder
from leaderboard.store.database import DamagedBoardError

SETTINGS = "embed_dim=16 depth=1 heads=2 seconds=1.0 batch=8 epochs=2".split()


@pytest.fixture(scope="module")
def spec(small_data, small_cache):
    request = Request(
        model="ast", method="ce", data=str(small_data), cache=small_cache, device="cpu", settings=SETTINGS
    )
    return resolve(request, choose_source(request), [1])[0]


@pytest.fixture
def isolated(spec, tmp_path):
    def run(**options):
        with Children(**options) as children:
            run_isolated(spec, tmp_path, rerun=False, children=children)

    return run


@pytest.fixture
def terminal():
    """A closing terminal is heard also where the tests themselves run under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


def test_a_lost_process_is_told_with_what_ended_it(isolated, spec, monkeypatch, tmp_path):
    stand_in(monkeypatch, tmp_path, "os.kill(os.getpid(), signal.SIGKILL)")
    words = rf"The process of run {spec.run_id} was lost \(exit code -9\): killed by SIGKILL\."
    with pytest.raises(LostProcessError, match=words):
        isolated()
    assert not (tmp_path / "runs" / spec.run_id).exists(), "it has said nothing, and nothing had begun"


def test_what_a_lost_process_wrote_last_is_kept(isolated, spec, monkeypatch, tmp_path):
    stand_in(monkeypatch, tmp_path, "os.write(2, b'free(): invalid pointer\\n'); os.abort()")
    with pytest.raises(LostProcessError, match="killed by SIGABRT"):
        isolated()
    assert (tmp_path / "runs" / spec.run_id / "run.log").read_text() == "free(): invalid pointer\n"


def test_the_traceback_of_an_error_that_nobody_has_thought_of_stays_in_the_folder(isolated, monkeypatch, tmp_path):
    stand_in(
        monkeypatch,
        tmp_path,
        "os.write(2, b'Traceback: a bug\\n')\n"
        "document = {'module': 'builtins', 'type': 'ValueError', 'message': 'bad', 'hint': None}\n"
        "tell({'event': 'error', 'error': {**document, 'exit_code': 1, 'expected': False}})",
    )
    with pytest.raises(UnexpectedError, match="ValueError: bad") as caught:
        isolated()
    log = Path(caught.value.hint.removeprefix("Its traceback is in ").removesuffix("."))
    assert "Traceback" in log.read_text()


def test_the_error_of_a_run_arrives_with_its_hint(isolated, monkeypatch, tmp_path):
    stand_in(monkeypatch, tmp_path, "report('WeightsError', 'No.', hint='Fetch.'); sys.exit(2)")
    with pytest.raises(WeightsError) as caught:
        isolated()
    assert (caught.value.message, caught.value.hint) == ("No.", "Fetch.")


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGINT"])
@pytest.mark.usefixtures("terminal")
def test_a_signal_before_the_run_can_save_is_an_interruption(isolated, monkeypatch, tmp_path, name):
    stand_in(monkeypatch, tmp_path, f"pathlib.Path({str(tmp_path)!r}, 'ready').touch()\ntime.sleep(60)")
    number = signal.Signals[name]
    before = signal.getsignal(number)
    with once((tmp_path / "ready").exists, number), pytest.raises(InterruptedRunError, match="was stopped before"):
        isolated()
    assert signal.getsignal(number) is before


def test_the_damaged_board_of_a_child_is_the_damaged_board_of_the_command(isolated, tmp_path):
    """By the real process: exit code 4, and not that of a lost one."""
    (tmp_path / "leaderboard.sqlite").write_bytes(b"no database at all" * 100)
    with pytest.raises(DamagedBoardError) as caught:
        isolated()
    assert caught.value.exit_code == 4


def two_runs(spec):
    """A matrix of two seeds, whose features are there."""
    launch(spec.changed(seed=3), Path(spec.cache) / "made", rerun=False)
    runs = [PlannedRun.of(spec.changed(seed=seed), "ce") for seed in (1, 2)]
    return MatrixPlan(name="two", source="", profile="demo", runs=runs)


@pytest.mark.parametrize("kind", ["DamagedBoardError", "SpoiltBoardError"])
def test_a_board_that_takes_no_result_ends_the_whole_matrix(spec, monkeypatch, tmp_path, kind):
    stand_in(monkeypatch, tmp_path, f"report({kind!r}, 'The board is damaged.', 'leaderboard.store.database')")
    with pytest.raises(StoreError, match="The board is damaged") as caught:
        run_matrix(two_runs(spec), tmp_path, LaunchOptions(), rerun=False)
    assert caught.value.exit_code == 4


def test_any_other_error_of_a_run_lets_the_others_go_on(spec, monkeypatch, tmp_path):
    stand_in(monkeypatch, tmp_path, "report('StoreError', 'The state cannot be read.')")
    ended = run_matrix(two_runs(spec), tmp_path, LaunchOptions(), rerun=False)
    assert [type(item.error) for item in ended] == [StoreError, StoreError]


def test_a_run_that_is_refused_leaves_nothing(isolated, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(SpecError, match="do not describe a group"):
        isolated()
    assert not list((tmp_path / "runs").iterdir())


@pytest.mark.slow
def test_a_run_keeps_its_log_beside_its_result(isolated, spec, tmp_path):
    isolated()
    folder = tmp_path / "runs" / spec.run_id
    assert json.loads((folder / "result.json").read_text())["status"] == "finished"
    log = (folder / "run.log").read_text()
    assert f"[{spec.run_id[:8]}] epoch 2/2" in log, "a run beside others says whose line it is"


def test_a_run_anew_whose_process_was_lost_goes_on_with_what_it_has_begun(spec, tmp_path):
    launch(spec, tmp_path, rerun=False)
    folder = RunFolder.of_run(tmp_path, spec.run_id)
    before = folder.result.stat().st_mtime_ns
    task = {"spec": spec.to_json(), "home": str(tmp_path), "rerun": True, "stored": True, "begun": when_begun(folder)}
    main(task, None)
    anew = folder.result.stat().st_mtime_ns
    assert anew != before
    main(task, None)
    assert folder.result.stat().st_mtime_ns == anew, "the second start of the same job begins nothing anew"
