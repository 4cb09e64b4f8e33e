"""How a group of processes ends, whatever ends it: stand-ins for ranks that die, hang, complain or still import."""

from __future__ import annotations

import json
import signal
import time

import pytest
from stand_ins import once, stand_in

from bench.core.errors import DataError, InterruptedRunError, LostProcessError, RunError, SpecError, StoreError
from bench.core.lifetimes import StopRequest
from bench.launch.child import Grace
from bench.launch.group import run_group
from leaderboard.store.database import DamagedBoardError

RANK = """
folder, rank = pathlib.Path(task["folder"]), task["rank"]
def ready():
    (folder / f"ready-{rank}").write_text("")
def finish():
    (folder / "result.json").write_text("{}")
"""
SHORT = Grace(word=0.3, done=0.6, loss=0.1)


@pytest.fixture
def group(tmp_path, monkeypatch):
    """Runs two processes of a script that stands in for a rank."""

    def run(script, **options):
        stand_in(monkeypatch, tmp_path, RANK + script)
        began = time.monotonic()
        try:
            run_group(tmp_path, 2, 2, **options)
        finally:
            assert time.monotonic() - began < 20

    return run


@pytest.fixture
def both_ready(tmp_path):
    return lambda: len(list(tmp_path.glob("ready-*"))) == 2


@pytest.mark.parametrize("name", ["SIGKILL", "SIGSEGV", "SIGBUS", "SIGABRT"])
def test_a_killed_process_is_lost_and_its_signal_named(group, name):
    with pytest.raises(LostProcessError, match=f"Process 2 of the run's 2 was killed by {name}"):
        group(f"if rank == 1: os.kill(os.getpid(), signal.{name})\ntime.sleep(60)")


def test_a_killed_process_comes_before_what_its_partner_complains_of(group):
    script = """
if rank == 1:
    os.kill(os.getpid(), signal.SIGKILL)
time.sleep(0.2)
report("StoreError", "Cannot save the run's state: Connection closed by peer.")
sys.exit(4)
"""
    with pytest.raises(LostProcessError, match="killed by SIGKILL"):
        group(script)


def test_a_reported_error_comes_before_the_abort_that_follows_from_it(group):
    script = """
if rank == 0:
    report("SpecError", "The batch is too large.")
    sys.exit(2)
os.kill(os.getpid(), signal.SIGABRT)
"""
    with pytest.raises(SpecError, match="The batch is too large"):
        group(script)


def test_a_process_that_ends_without_a_word_is_lost(group):
    with pytest.raises(LostProcessError, match="ended with 3, 3 and left no result"):
        group("sys.exit(3)")


def test_partners_of_a_failed_process_are_ended_after_a_grace_period(group):
    with pytest.raises(RunError, match="The loss is nan") as caught:
        group("if rank == 0:\n    report('RunError', 'The loss is nan.')\n    sys.exit(1)\ntime.sleep(60)", grace=SHORT)
    assert not isinstance(caught.value, LostProcessError)


def test_a_process_that_hangs_after_its_report_is_ended(group):
    with pytest.raises(RunError, match="The loss is nan"):
        group("report('RunError', 'The loss is nan.')\ntime.sleep(60)", grace=SHORT)


def test_a_process_that_hangs_after_its_partner_is_done_is_ended(group):
    with pytest.raises(LostProcessError, match="left no result"):
        group("if rank == 1: tell({'event': 'done', 'value': None})\nelse: time.sleep(60)", grace=SHORT)


def test_a_process_that_writes_the_result_has_longer_than_one_that_is_done(group):
    group(
        "if rank == 1: tell({'event': 'done', 'value': None})\nelse: time.sleep(1); finish()",
        grace=Grace(word=0.3, done=20, loss=0.1),
    )


def test_a_process_that_hangs_after_it_saved_its_state_is_ended(group, both_ready):
    script = """
def save(*unused):
    if rank == 0: report("InterruptedRunError", "Stopped in epoch 2; the state is saved.")
signal.signal(signal.SIGTERM, save)
ready()
while True: time.sleep(60)
"""
    with once(both_ready, signal.SIGTERM), pytest.raises(InterruptedRunError, match="the state is saved"):
        group(script, grace=SHORT)


def test_the_error_of_a_rank_keeps_its_class_and_exit_code(group):
    with pytest.raises(DamagedBoardError) as caught:
        group("report('DamagedBoardError', 'The board is damaged.', 'leaderboard.store.database')\nsys.exit(4)")
    assert caught.value.exit_code == 4
    with pytest.raises(DataError, match="gone"):
        group("report('DataError', 'The data are gone.')\nsys.exit(3)")


@pytest.mark.parametrize("who", ["rank == 0", "rank == 1", "True"])
def test_a_process_that_hangs_as_it_leaves_the_group_does_not_hold_a_finished_run(group, who):
    group(f"if rank == 0: finish()\nif {who}: time.sleep(60)", grace=SHORT)


def test_a_result_stands_whatever_its_processes_do_afterwards(group):
    group("if rank == 0: finish()\nelse: time.sleep(0.3); os.kill(os.getpid(), signal.SIGABRT)")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_the_processes_still_import_is_an_interruption(group, both_ready, number):
    with once(both_ready, number), pytest.raises(InterruptedRunError) as caught:
        group("ready()\ntime.sleep(60)")
    assert caught.value.exit_code == 130


def test_a_signal_while_one_process_still_imports_is_an_interruption_whatever_the_other_complains_of(group, both_ready):
    script = """
if rank == 0: signal.signal(signal.SIGTERM, lambda *unused: None)
ready()
if rank == 1: time.sleep(60)
time.sleep(1)
report("RunError", "DistBackendError: Connection closed by peer.")
sys.exit(1)
"""
    with once(both_ready, signal.SIGINT), pytest.raises(InterruptedRunError):
        group(script, grace=Grace(loss=20))


def test_a_signal_before_the_processes_start_starts_none(group, tmp_path):
    with StopRequest():
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(InterruptedRunError):
            group("ready()")
    assert not list(tmp_path.glob("ready-*"))


def test_a_second_interruption_ends_processes_that_do_not_listen(group, both_ready):
    with once(both_ready, signal.SIGINT, signal.SIGINT), pytest.raises(InterruptedRunError):
        group("signal.signal(signal.SIGTERM, signal.SIG_IGN)\nready()\ntime.sleep(60)")


def test_a_second_sigterm_asks_again_and_ends_nothing(group, both_ready, tmp_path):
    script = """
asked = []
def save(*unused):
    asked.append(1)
    if len(asked) == 2:
        report("InterruptedRunError", "The state is saved.")
        os._exit(130)
signal.signal(signal.SIGTERM, save)
ready()
while True: time.sleep(60)
"""
    with once(both_ready, signal.SIGTERM, signal.SIGTERM), pytest.raises(InterruptedRunError, match="is saved"):
        group(script)


def test_an_error_while_saving_after_a_signal_is_told(group, both_ready):
    script = """
def save(*unused):
    report("StoreError", "Cannot save the state: the disk is full.")
    os._exit(4)
signal.signal(signal.SIGTERM, save)
ready()
time.sleep(60)
"""
    with once(both_ready, signal.SIGTERM), pytest.raises(StoreError, match="the disk is full"):
        group(script)


def test_each_process_has_a_log_in_the_folder_of_the_run(group, tmp_path, capfd):
    group("print(f'told by {rank}', file=sys.stderr, flush=True)\nif rank == 0: finish()")
    for rank in range(2):
        assert (tmp_path / f"rank-{rank}.log").read_text() == f"told by {rank}\n"
    assert "told by 0\n" in capfd.readouterr().err


def test_the_first_process_asks_the_watcher_after_an_epoch(group, tmp_path):
    script = """
if rank == 0:
    tell({"event": "epoch", "scores": {"1": 51.5}})
    (folder / "answer").write_text(wire.makefile().readline())
    finish()
"""
    asked = []
    group(script, watch=lambda scores: asked.append(scores) or "worse than others")
    assert asked == [{1: 51.5}]
    assert json.loads((tmp_path / "answer").read_text()) == "worse than others"


def test_processes_of_one_machine_talk_over_the_loopback(group, tmp_path, monkeypatch):
    for name in ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME"):
        monkeypatch.setenv(name, "ib0")
    group("(folder / f'told-{rank}').write_text(json.dumps(dict(os.environ)))\nif rank == 0: finish()")
    for rank in range(2):
        told = json.loads((tmp_path / f"told-{rank}").read_text())
        assert told["GLOO_SOCKET_IFNAME"] == told["NCCL_SOCKET_IFNAME"]
        assert told["NCCL_SOCKET_IFNAME"].startswith("lo")
