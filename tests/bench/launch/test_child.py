"""The one way to start a process: its task, its words, its log, signals, and its end."""

from __future__ import annotations

import contextlib
import os
import pty
import signal
import subprocess
import sys
import termios
import threading
import time
from pathlib import Path

import psutil
import pytest
from stand_ins import once, stand_in

from bench.core.errors import DataError, InterruptedRunError, LostProcessError, RunError, StoreError, UnexpectedError
from bench.launch.child import Children, Grace, Work
from bench.launch.child_log import LOG_BYTES
from leaderboard.store.database import DamagedBoardError

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def work(tmp_path):
    """Makes work of the body of a ``main(task, parent)``, which a real child does."""

    def made(body, task=None, **options):
        lines = "\n".join(f"    {line}" for line in body.splitlines())
        text = f"import logging, os, signal, sys, time\ndef main(task, parent):\n{lines}\n"
        (tmp_path / "tiny_work.py").write_text(text)
        environment = {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}", **options.pop("environment", {})}
        options = {"name": "the work", "log": tmp_path / "child.log", **options}
        return Work(module="tiny_work", task=task or {}, environment=environment, **options)

    return made


def done(work, **options):
    with Children(**options) as children:
        child = children.start(work)
        children.wait()
    return child


def log_of(child):
    return child.work.log.read_text()


def test_a_child_looks_for_garbage_seldom(work):
    """What it imports stays; looking through it while it is imported takes a sixth of that time."""
    assert done(work("import gc\nreturn gc.get_threshold()[0]")).value == 100_000


# --- what it does and tells ---------------------------------------------------------------------------------------


def test_a_child_does_its_task_and_gives_a_value(work):
    child = done(work("return {'twice': task['number'] * 2}", {"number": 21}))
    assert (child.value, child.error, child.code) == ({"twice": 42}, None, 0)
    child.raise_error()


def test_messages_are_heard_in_their_order_and_questions_answered(work):
    heard = []

    def hear(child, message):
        heard.append(message["number"])
        if "question" in message:
            child.answer(message["number"] + 1)

    body = "for i in range(500): parent.tell({'number': i})\nreturn parent.ask({'number': 500, 'question': True})"
    assert done(work(body), hear=hear).value == 501
    assert heard == list(range(501))


@pytest.mark.parametrize(
    ("raised", "kind", "code"),
    [
        ("from leaderboard.store.database import DamagedBoardError as E", DamagedBoardError, 4),
        ("from bench.core.errors import DataError as E", DataError, 3),
        ("from bench.core.errors import InterruptedRunError as E", InterruptedRunError, 130),
    ],
)
def test_an_error_comes_as_the_class_that_it_is(work, raised, kind, code):
    child = done(work(f"{raised}\nraise E('What is wrong.', 'What to do.')"))
    assert child.code == code
    with pytest.raises(kind) as caught:
        child.raise_error()
    assert type(caught.value) is kind
    assert (caught.value.message, caught.value.hint, caught.value.exit_code) == ("What is wrong.", "What to do.", code)
    assert "Traceback" not in log_of(child)


def test_an_error_that_nobody_has_thought_of_keeps_its_type_and_its_traceback_is_in_the_log(work):
    child = done(work("raise KeyError('lr')"))
    with pytest.raises(UnexpectedError, match="KeyError: 'lr'") as caught:
        child.raise_error()
    assert caught.value.hint == f"Its traceback is in {child.work.log}."
    assert "Traceback" in log_of(child)
    assert "in main" in log_of(child)


def test_a_module_that_cannot_be_imported_is_an_error_too(tmp_path):
    child = done(Work(module="bench.launch.no_such_module", task={}, name="the work", log=tmp_path / "log"))
    with pytest.raises(UnexpectedError, match="ModuleNotFoundError"):
        child.raise_error()


def test_a_process_that_cannot_be_started_is_a_sentence(work, monkeypatch, tmp_path):
    monkeypatch.setattr("bench.launch.child.child_command", lambda module: [str(tmp_path / "missing")])
    with pytest.raises(RunError, match="No process can be started for the work: No such file"):
        done(work(""))


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (
            "os.kill(os.getpid(), signal.SIGKILL)",
            r"The process of the work was lost \(exit code -9\): killed by SIGKILL",
        ),
        ("os.kill(os.getpid(), signal.SIGSEGV)", r"exit code -11\): killed by SIGSEGV"),
        ("wire.sendall(b'{broken'); sys.exit(3)", r"\(exit code 3\)\."),
    ],
)
def test_a_child_that_ends_without_its_last_word_is_lost(work, monkeypatch, tmp_path, script, words):
    stand_in(monkeypatch, tmp_path, script)
    with pytest.raises(LostProcessError, match=words):
        done(work("")).raise_error()


# --- what it writes -----------------------------------------------------------------------------------------------


def test_what_it_prints_is_logged_and_shown_and_no_output_of_the_parent(work, capfd):
    body = "print('printed')\nprint('said', file=sys.stderr)\nos.system('echo by a program >&2')"
    child = done(work(body))
    assert sorted(log_of(child).splitlines()) == ["by a program", "printed", "said"]
    captured = capfd.readouterr()
    assert captured.out == ""
    assert sorted(captured.err.splitlines()) == ["by a program", "printed", "said"]


HALF_LINES = """
for half in ("first half", " second half\\n"):
    os.write(2, f"{task['name']}: {half}".encode() if half[0] != " " else half.encode())
    (Path(task["folder"]) / f"{task['name']} {half.strip()}").touch()
    while len(list(Path(task["folder"]).glob(f"* {half.strip()}"))) < 2:
        time.sleep(0.01)
os.write(2, b"no end")
"""


def test_lines_of_children_that_share_one_stderr_are_shown_whole(work, capfd, tmp_path):
    with Children() as children:
        for name in ("a", "b"):
            task = {"name": name, "folder": str(tmp_path)}
            children.start(work(f"from pathlib import Path{HALF_LINES}", task, log=tmp_path / f"{name}.log"))
        children.wait()
    lines = sorted(capfd.readouterr().err.splitlines())
    assert lines == ["a: first half second half", "b: first half second half", "no end", "no end"]


def test_what_it_writes_may_be_kept_in_the_log_alone(work, capfd):
    child = done(work("print('said', file=sys.stderr)", shown=False))
    assert log_of(child) == "said\n"
    assert capfd.readouterr() == ("", "")


def test_lines_of_the_log_carry_the_label(work):
    body = "logging.getLogger('bench.x').info('at work')"
    assert log_of(done(work(body, label="3f2a1b0c"))) == "[3f2a1b0c] at work\n"
    (work("").log).unlink()
    assert log_of(done(work(body))) == "at work\n"


def test_a_log_that_cannot_be_written_is_a_sentence_before_anything_starts(work, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="Cannot write"):
        done(work("", log=tmp_path / "file" / "log"))


def test_variables_are_given_and_taken_away(work, monkeypatch):
    monkeypatch.setenv("BENCH_STORE", "elsewhere")
    child = done(
        work(
            "return [os.environ.get(n) for n in ('BENCH_STORE', 'MORE')]",
            environment={"BENCH_STORE": None, "MORE": "1"},
        )
    )
    assert child.value == [None, "1"]


ON_A_TERMINAL = """
import sys
from pathlib import Path
from bench.launch.child import Children, Work
with Children() as children:
    children.start(Work(module="tiny_work", task={}, name="the work", log=Path(sys.argv[1])))
    children.wait()
"""


BAR = """
import logging
from bench.engine.listeners import Listeners, Start
from bench.engine.progress import TrainingProgress
with Listeners([TrainingProgress(shown=True)], Start(label="ast", epochs=1, steps=2)) as progress:
    for step in (1, 2):
        progress.on_losses(1, step, [{"loss": 0.5}])
        logging.getLogger("bench.engine.progress").info(f"step {step}")
print(os.get_terminal_size(2).columns, file=sys.stderr)
"""


def test_on_a_terminal_the_bar_is_seen_and_the_log_holds_the_lines(work):
    made = work(BAR)
    here, there = pty.openpty()
    termios.tcsetwinsize(there, (30, 97))
    environment = {**os.environ, **made.environment, "TERM": "xterm"}
    command = [sys.executable, "-c", ON_A_TERMINAL, str(made.log)]
    with subprocess.Popen(command, env=environment, stderr=there) as process:
        os.close(there)
        seen = all_of(here)
    assert process.returncode == 0
    assert b"epoch 1/1" in seen, "the bar"
    *lines, bar, size = made.log.read_text().splitlines()
    assert (lines, size) == (["step 1", "step 2"], "97")
    assert "2/2" in bar, "its last state alone"


def all_of(terminal):
    """What is written to a terminal until nobody holds its other end any more."""
    seen = b""
    with contextlib.suppress(OSError):
        while part := os.read(terminal, 1 << 16):
            seen += part
    os.close(terminal)
    return seen


# --- signals ------------------------------------------------------------------------------------------------------


READY = "parent.tell({'event': 'ready', 'process': os.getpid()})"
WAITS = f"{READY}\ntime.sleep(60)"
LISTENS = f"""
from bench.core.errors import InterruptedRunError
from bench.core.lifetimes import StopRequest
with StopRequest() as stop:
    {READY}
    while not stop.wanted: time.sleep(0.01)
raise InterruptedRunError('The state is saved.')
"""


@pytest.fixture
def terminal():
    """A closing terminal is heard also where the tests themselves run under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
@pytest.mark.usefixtures("terminal")
def test_the_first_signal_asks_a_child_to_save_and_stop(work, name):
    ready, number = [], signal.Signals[name]
    before = signal.getsignal(number)
    with once(lambda: ready, number):
        child = done(work(LISTENS), hear=lambda child, message: ready.append(message))
    with pytest.raises(InterruptedRunError, match="The state is saved"):
        child.raise_error()
    assert child.code == 130
    assert signal.getsignal(number) is before


def test_a_child_that_does_not_listen_yet_ends_at_once(work):
    ready = []
    with once(lambda: ready, signal.SIGINT):
        child = done(work(WAITS), hear=lambda child, message: ready.append(message))
    assert child.code == -signal.SIGTERM


def test_a_second_ctrl_c_ends_a_child_that_does_not_stop(work):
    ready = []
    body = f"signal.signal(signal.SIGTERM, signal.SIG_IGN)\n{WAITS}"
    with once(lambda: ready, signal.SIGINT, signal.SIGINT):
        child = done(work(body), hear=lambda child, message: ready.append(message))
    assert (child.code, child.ended_here, child.lost) == (-signal.SIGKILL, True, False)


def test_under_nohup_nobody_is_asked_to_stop(work):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    ready = []
    try:
        with once(lambda: ready, signal.SIGHUP):
            child = done(work(f"{READY}\ntime.sleep(0.5)\nreturn 'done'"), hear=lambda child, said: ready.append(said))
    finally:
        signal.signal(signal.SIGHUP, before)
    assert child.value == "done"


def test_a_child_leaves_the_signals_of_the_terminal_to_its_parent(work):
    def hear(child, message):
        for number in (signal.SIGINT, signal.SIGHUP):
            os.kill(message["process"], number)

    child = done(work(f"{READY}\ntime.sleep(0.3)\nreturn 'done'"), hear=hear)
    assert child.value == "done"


def test_after_a_signal_no_child_is_started(work):
    with Children() as children:
        signal.raise_signal(signal.SIGTERM)
        assert children.asked
        with pytest.raises(InterruptedRunError):
            children.start(work(""))
        assert children.alive == []


def test_children_may_be_started_outside_the_main_thread(work):
    values = []
    thread = threading.Thread(target=lambda: values.append(done(work("return 1")).value))
    thread.start()
    thread.join()
    assert values == [1]


# --- the end ------------------------------------------------------------------------------------------------------


def test_a_child_that_hangs_after_its_last_word_is_ended_and_its_word_counts(work, monkeypatch, tmp_path):
    stand_in(monkeypatch, tmp_path, "tell({'event': 'done', 'value': 7})\ntime.sleep(60)")
    child = done(work(""), grace=Grace(word=0.2))
    assert (child.value, child.ended_here) == (7, True)
    child.raise_error()


def test_a_child_that_hangs_in_a_thread_of_its_own_ends(work):
    child = done(work("import threading\nthreading.Thread(target=time.sleep, args=(60,)).start()\nreturn 7"))
    assert (child.value, child.code) == (7, 0)


def test_one_that_has_ended_gives_no_deadline_to_those_that_do_not_wait_for_it(work, monkeypatch, tmp_path):
    stand_in(monkeypatch, tmp_path, "time.sleep(task['seconds'])\ntell({'event': 'done', 'value': None})")
    with Children(grace=Grace(word=0.1, done=0.1, loss=0.1)) as children:
        both = [children.start(work("", {"seconds": seconds})) for seconds in (0.01, 1)]
        children.wait()
    assert [child.code for child in both] == [0, 0]


def test_no_child_outlives_the_block(work):
    with Children() as children:
        child = children.start(work(WAITS))
    assert child.code == -signal.SIGKILL


def test_one_that_writes_without_an_end_is_ended_all_the_same(work, monkeypatch, tmp_path):
    stand_in(
        monkeypatch, tmp_path, "tell({'event': 'done', 'value': None})\nwhile True: os.write(2, b'x' * 4095 + b'\\n')"
    )
    child = done(work("", shown=False), grace=Grace(word=0.3))
    assert child.ended_here
    assert child.work.log.stat().st_size <= LOG_BYTES


def test_a_program_that_a_child_leaves_behind_holds_nobody(work):
    began = time.monotonic()
    child = done(work("import subprocess\nreturn subprocess.Popen(['sleep', '60'], start_new_session=True).pid"))
    os.kill(child.value, signal.SIGKILL)
    assert time.monotonic() - began < 30


KILLED_PARENT = """
import os
from bench.launch.child import Children, Work
with Children(lambda child, message: print(message["process"], flush=True)) as children:
    children.start(Work(module="tiny_work", task={}, name="the work"))
    children.wait()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")
def test_a_child_dies_with_its_parent_even_by_kill_9(work):
    made = work(WAITS)
    environment = {**os.environ, **made.environment}
    command = [sys.executable, "-c", KILLED_PARENT]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        child = psutil.Process(int(process.stdout.readline()))
        process.kill()
        process.stdout.read()
    _, alive = psutil.wait_procs([child], timeout=20)
    assert not [left for left in alive if left.status() != psutil.STATUS_ZOMBIE]
