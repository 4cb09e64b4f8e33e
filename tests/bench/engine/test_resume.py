"""A run that was killed or stopped ends with the numbers of an uninterrupted one."""

import os
import re
import signal
import time
from pathlib import Path

import pytest
from cli_runs import EVERY_EPOCH, SMALL_AST, bench_here, environment, json_here, start

pytestmark = pytest.mark.slow

EPOCHS = 20
RUN = [*SMALL_AST, *EVERY_EPOCH, "--epochs", str(EPOCHS), "--set", "warmup_epochs=2"]


@pytest.fixture(scope="module")
def uninterrupted(small_data, small_cache, tmp_path_factory):
    env = environment(tmp_path_factory.mktemp("plain"), small_cache)
    return json_here("run", *RUN, "--data", str(small_data), env=env)


def current_state(home: Path) -> str:
    """The state that a run would go on from, as the text of its ``current.json``."""
    found = list(home.glob("runs/*/checkpoint/current.json"))
    return found[0].read_text() if found else ""


def wait_for_state(process, home: Path, epoch: int, step: str = "step000000") -> None:
    """Wait until a state after some epoch, or a later one, is the current one, while the run goes on."""
    deadline = time.monotonic() + 120
    later = "|".join(f"{number:04d}" for number in range(epoch, EPOCHS))
    while not re.match(rf'{{\s*"state": "epoch({later})-{step}"', current_state(home)):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline, "no state was saved"
        time.sleep(0.005)


def same_numbers(document, reference) -> None:
    for rule in ("last", "best-test"):
        ours = Path(document["predictions_by_rule"][rule]).read_text()
        assert ours == Path(reference["predictions_by_rule"][rule]).read_text(), rule
        assert document["metrics"][rule] == reference["metrics"][rule]
    assert [e["loss"] for e in document["epochs"]] == [e["loss"] for e in reference["epochs"]]


def test_kill_9_in_the_middle_of_an_epoch(small_data, small_cache, tmp_path, uninterrupted):
    """While states are saved all the time: one is being written as the process dies."""
    env = environment(tmp_path, small_cache)
    words = ["run", *RUN, "--set", "checkpoint_minutes=0.002", "--data", str(small_data)]
    with start(*words, env=env) as process:
        wait_for_state(process, tmp_path, 3, "step00000[12]")
        os.killpg(process.pid, signal.SIGKILL)
    assert current_state(tmp_path)
    assert not list(tmp_path.glob("runs/*/result.json"))
    document = json_here(*words, env=env)
    assert document["run_id"] == uninterrupted["run_id"]
    same_numbers(document, uninterrupted)


def test_signals_save_the_state_between_two_steps(small_data, small_cache, tmp_path, uninterrupted):
    """SIGTERM, later Ctrl-C, later a closed terminal, then the rest."""
    env = environment(tmp_path, small_cache)
    words = ["run", *RUN, "--data", str(small_data)]
    for number, epoch in ((signal.SIGTERM, 2), (signal.SIGINT, 6), (signal.SIGHUP, 10)):
        # Tests that are run under nohup hand down that a closed terminal is ignored.
        with start(*words, env=env, preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL)) as process:
            wait_for_state(process, tmp_path, epoch)
            process.send_signal(number)
            _, err = process.communicate(timeout=60)
        assert process.returncode == 130, err
        assert "the state is saved" in err
        assert "Go on with: " in err
        assert "bench run --model ast" in err
        assert "Traceback" not in err
    same_numbers(json_here(*words, env=env), uninterrupted)


def test_a_run_that_ignores_a_closed_terminal_goes_on_ignoring_it(small_data, small_cache, tmp_path):
    """As under nohup."""
    env = environment(tmp_path, small_cache)
    words = ["run", *RUN, "--data", str(small_data)]
    with start(*words, env=env, preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)) as process:
        wait_for_state(process, tmp_path, 2)
        process.send_signal(signal.SIGHUP)
        _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err


def test_a_finished_run_is_not_run_again(small_data, small_cache, tmp_path):
    env = environment(tmp_path, small_cache)
    words = ["run", *SMALL_AST, "--epochs", "2", "--data", str(small_data)]
    first = json_here(*words, env=env)
    second = bench_here(*words, env=env)
    assert "finished already" in second.stderr
    assert "epoch 1/2" not in second.stderr
    third = bench_here(*words, "--rerun", env=env)
    assert "epoch 1/2" in third.stderr
    assert first["run_id"] in third.stdout


def test_two_equal_commands_at_once_train_once(small_data, small_cache, tmp_path):
    env = environment(tmp_path, small_cache)
    words = ["run", *SMALL_AST, "--epochs", "8", "--data", str(small_data)]
    with start(*words, env=env) as one, start(*words, env=env) as two:
        errors = [process.communicate(timeout=240)[1] for process in (one, two)]
    assert [one.returncode, two.returncode] == [0, 0], errors
    assert sum("epoch 8/8" in text for text in errors) == 1
    assert sum("finished already" in text for text in errors) == 1


def test_a_broken_state_is_named_and_rerun_starts_anew(small_data, small_cache, tmp_path):
    env = environment(tmp_path, small_cache)
    words = ["run", *RUN, "--data", str(small_data)]
    with start(*words, env=env) as process:
        wait_for_state(process, tmp_path, 1)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    for path in tmp_path.glob("runs/*/checkpoint/epoch*/*.safetensors"):
        path.write_bytes(path.read_bytes()[:100])
    done = bench_here(*words, env=env, code=4)
    assert "cannot be read" in done.stderr
    assert "--rerun" in done.stderr
    assert "Traceback" not in done.stderr
    assert json_here(*words, "--rerun", env=env)["status"] == "finished"
