"""Signals that ask a process to stop, and processes that end with their parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import pytest

from bench.core import lifetimes
from bench.core.lifetimes import StopRequest, leave_to_parent, stop_signals


@pytest.fixture(autouse=True)
def a_terminal(monkeypatch):
    """Signals as a terminal leaves them, also where the tests themselves run under nohup; all as before afterwards."""
    before = {number: signal.getsignal(number) for number in lifetimes.STOP_SIGNALS}
    monkeypatch.setattr(lifetimes, "_left_to_parent", set())
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_is_remembered_and_handlers_are_as_before(name):
    number = signal.Signals[name]
    before = signal.getsignal(number)
    with StopRequest() as stop:
        assert not stop.wanted
        signal.raise_signal(number)
        assert stop.wanted
    assert signal.getsignal(number) is before


def test_a_second_ctrl_c_stops_at_once_and_a_second_sigterm_does_not():
    with StopRequest() as stop:
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGHUP)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert stop.wanted


def test_what_is_to_be_done_is_called_by_kind_of_signal():
    called = []
    with StopRequest(lambda: called.append("ask"), lambda: called.append("end")):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGINT):
            signal.raise_signal(number)
    assert called == ["ask", "ask", "end"]


def test_nohup_is_respected():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with StopRequest() as stop:
        signal.raise_signal(signal.SIGHUP)
        assert not stop.wanted
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


def test_what_is_left_to_the_parent_is_not_heard():
    leave_to_parent(signal.SIGINT, signal.SIGHUP)
    assert stop_signals() == (signal.SIGTERM,)
    with StopRequest() as stop:
        signal.raise_signal(signal.SIGINT)
        assert not stop.wanted
        signal.raise_signal(signal.SIGTERM)
        assert stop.wanted


def test_a_signal_that_comes_as_inner_work_ends_is_not_lost():
    with StopRequest() as outer:
        with StopRequest() as inner:
            signal.raise_signal(signal.SIGTERM)
        assert inner.wanted
        assert outer.wanted


def test_a_signal_that_came_before_inner_work_counts_there():
    called = []
    with StopRequest(lambda: called.append("outer")):
        signal.raise_signal(signal.SIGTERM)
        with StopRequest(lambda: called.append("inner")) as inner:
            assert inner.wanted
    assert called == ["outer", "inner"]


def test_outside_the_main_thread_nothing_is_taken_over():
    seen = []

    def work():
        with StopRequest() as stop:
            seen.append((stop.wanted, signal.getsignal(signal.SIGTERM)))

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(False, before)]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")
def test_a_process_whose_parent_has_ended_before_it_looked_ends_too():
    code = f"from bench.core.lifetimes import die_with_parent; die_with_parent({os.getpid() + 1}); print('lives')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (-signal.SIGKILL, "")
