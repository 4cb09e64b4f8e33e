"""How a group of processes ends, whatever ends it: stand-ins for ranks that die, hang, complain or still import."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time

import pytest

from bench.core.errors import InterruptedRunError, LostProcessError, RunError, SpecError, StoreError
from bench.engine.hooks import Hooks
from bench.launch import group as processes
from bench.launch.group import run_group

HEADER = """
import json, os, pathlib, signal, sys, time
folder, rank = pathlib.Path(sys.argv[1]), int(os.environ["RANK"])
def report(kind, message):
    text = {"type": kind, "message": message, "hint": None, "exit_code": 1}
    (folder / f"error-{rank}.json").write_text(json.dumps(text))
def finish():
    (folder / "result.json").write_text("{}")
"""


@pytest.fixture
def group(tmp_path, monkeypatch):
    """Runs two processes of a script that stands in for a rank."""

    def run(script, **options):
        path = tmp_path / "rank.py"
        path.write_text(HEADER + script)
        monkeypatch.setattr(processes, "_command", lambda folder: [sys.executable, "-S", str(path), str(folder)])
        began = time.monotonic()
        try:
            run_group(tmp_path, 2, 2, **options)
        finally:
            assert time.monotonic() - began < 30
            assert not list(tmp_path.glob("error-*.json"))

    return run


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


def test_partners_of_a_failed_process_are_ended_after_a_grace_period(group, monkeypatch):
    monkeypatch.setattr(processes, "GRACE_SECONDS", 0.3)
    with pytest.raises(RunError, match="The loss is nan") as caught:
        group("if rank == 0:\n    report('RunError', 'The loss is nan.')\n    sys.exit(1)\ntime.sleep(60)")
    assert not isinstance(caught.value, LostProcessError)


def test_a_process_that_hangs_after_its_report_is_ended(group, monkeypatch):
    monkeypatch.setattr(processes, "GRACE_SECONDS", 0.3)
    with pytest.raises(RunError, match="The loss is nan"):
        group("report('RunError', 'The loss is nan.')\ntime.sleep(60)")


@pytest.mark.parametrize("who", ["rank == 0", "rank == 1", "True"])
def test_a_process_that_hangs_as_it_leaves_the_group_does_not_hold_a_finished_run(group, monkeypatch, who):
    monkeypatch.setattr(processes, "GRACE_SECONDS", 0.3)
    group(f"if rank == 0: finish()\nif {who}: time.sleep(60)")


def test_a_result_stands_whatever_its_processes_do_afterwards(group):
    group("if rank == 0: finish()\nelse: time.sleep(0.3); os.kill(os.getpid(), signal.SIGABRT)")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_the_processes_still_import_is_an_interruption(group, tmp_path, number):
    def stop():
        while not (tmp_path / "ready").exists():
            time.sleep(0.01)
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=stop)
    thread.start()
    with pytest.raises(InterruptedRunError):
        group("(folder / 'ready').write_text('')\ntime.sleep(60)")
    thread.join()


def test_a_signal_before_the_processes_start_starts_none(group, tmp_path):
    with pytest.raises(InterruptedRunError):
        group("(folder / f'started-{rank}').write_text('')", hooks=Hooks(stopped=lambda: True))
    assert not list(tmp_path.glob("started-*"))


def test_a_second_interruption_ends_processes_that_do_not_listen(group, tmp_path):
    def stop_twice():
        while len(list(tmp_path.glob("ready-*"))) < 2:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.2)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=stop_twice)
    thread.start()
    with pytest.raises(InterruptedRunError):
        group(
            "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n(folder / f'ready-{rank}').write_text('')\ntime.sleep(60)"
        )
    thread.join()


def test_an_error_while_saving_after_a_signal_is_told(group, tmp_path):
    def stop():
        while len(list(tmp_path.glob("ready-*"))) < 2:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)

    script = """
def save(*unused):
    report("StoreError", "Cannot save the state: the disk is full.")
    os._exit(4)
signal.signal(signal.SIGTERM, save)
(folder / f"ready-{rank}").write_text("")
time.sleep(60)
"""
    thread = threading.Thread(target=stop)
    thread.start()
    with pytest.raises(StoreError, match="the disk is full"):
        group(script)
    thread.join()


def test_processes_of_one_machine_talk_over_the_loopback(group, tmp_path, monkeypatch):
    for name in ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME"):
        monkeypatch.setenv(name, "ib0")
    group("(folder / f'told-{rank}').write_text(json.dumps(dict(os.environ)))\nif rank == 0: finish()")
    for rank in range(2):
        told = json.loads((tmp_path / f"told-{rank}").read_text())
        assert told["GLOO_SOCKET_IFNAME"] == told["NCCL_SOCKET_IFNAME"]
        assert told["NCCL_SOCKET_IFNAME"].startswith("lo")
