"""The file in which a run tells how far it is: what stands in it, when it is written, and that it goes away."""

from __future__ import annotations

import json
import os
import socket
import time
from dataclasses import replace

import pytest
from small_runs import SETTINGS
from speeds import limit

import bench
from bench.core.lifetimes import process_age_mark
from bench.engine.data import open_run_data
from bench.engine.listeners import Listener, Start
from bench.engine.progress_file import SECONDS, ProgressFile
from bench.engine.trainer import Trainer
from leaderboard.results.run_folder import RunFolder
from leaderboard.results.run_progress import RunProgress, read_progress

START = Start(label="run", epochs=4, steps=10)


@pytest.fixture
def clock():
    class Clock:
        now = 1000.0

        def __call__(self):
            return self.now

    return Clock()


@pytest.fixture
def told(tmp_path, clock):
    """A listener that has heard of the start, and its file."""
    path = tmp_path / "progress.json"
    listener = ProgressFile(path, clock)
    listener.on_start(START)
    return listener, path


def test_a_run_that_begins_says_so_and_nothing_that_it_does_not_know(told):
    found = read_progress(told[1])
    known = RunProgress(epoch=0, epochs=4, step=0, steps=10, started=1000.0, time=1000.0)
    assert found == replace(known, host=socket.gethostname(), process=os.getpid(), mark=process_age_mark(os.getpid()))


def test_within_an_epoch_it_is_written_from_time_to_time(told, clock):
    listener, path = told
    listener.on_losses(1, 2, [{"loss": 3.0}, {"loss": 2.0}])
    assert read_progress(path).step == 0
    clock.now += SECONDS
    listener.on_losses(1, 4, [{"loss": 1.5}])
    found = read_progress(path)
    assert (found.epoch, found.step, found.loss, found.score) == (1, 4, 1.5, None)


def test_a_run_that_diverges_tells_no_loss_that_json_does_not_know(told, clock):
    listener, path = told
    clock.now += SECONDS
    listener.on_losses(1, 4, [{"loss": float("nan")}])
    assert (read_progress(path).step, read_progress(path).loss) == (4, None)


def test_an_epoch_brings_its_loss_and_its_score_and_the_pace_the_time_that_is_left(told, clock):
    listener, path = told
    listener.on_losses(2, 5, [{"loss": 1.0}])
    clock.now += 10
    listener.on_losses(2, 10, [{"loss": 0.8}])
    listener.on_epoch(
        {
            "epoch": 2,
            "loss": 0.9,
            "cycles_per_second": 8.0,
            "test": {"strict": {"score": 57.5}, "relaxed": {"score": 70.0}},
        }
    )
    found = read_progress(path)
    assert (found.epoch, found.step, found.loss, found.score) == (2, 10, 0.9, 57.5)
    # A run that went on in its second epoch: five steps took ten seconds, and twenty are left.
    assert found.seconds_left == pytest.approx(40)
    assert found.remaining(lambda: clock.now + 15) == pytest.approx(25)
    listener.on_epoch({"epoch": 3, "loss": 0.7, "cycles_per_second": 8.0, "test": None})
    assert read_progress(path).score == 57.5, "that of the last epoch that was evaluated"


def test_the_end_takes_the_file_away(told):
    listener, path = told
    listener.on_end()
    assert not path.exists()
    assert read_progress(path) is None
    listener.on_end()


def test_a_run_goes_on_where_the_file_cannot_be_written(tmp_path):
    listener = ProgressFile(tmp_path / "gone" / "progress.json")
    listener.on_start(START)
    listener.on_epoch({"epoch": 1, "loss": 0.9, "cycles_per_second": 8.0, "test": None})
    listener.on_end()
    assert list(tmp_path.iterdir()) == []


SOUND = '{"epoch": 1, "epochs": 2, "step": 1, "steps": 4, "started": 1.0, "time": %s}'


def test_numbers_that_are_some_are_read(tmp_path):
    path = tmp_path / "progress.json"
    path.write_text(SOUND % "2")
    assert read_progress(path).time == 2


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", '{"epoch": 1}', '{"nobody": "knows"}', "[" * 100_000),
        *(SOUND % time for time in ('"now"', "NaN", "1e400", "null", "true", "[]", "9" * 30)),
    ],
)
def test_a_file_of_other_words_says_nothing(tmp_path, text):
    path = tmp_path / "progress.json"
    path.write_text(text)
    assert read_progress(path) is None


def test_what_a_later_version_tells_beyond_that_is_passed_over(told):
    document = json.loads(told[1].read_text())
    told[1].write_text(json.dumps({**document, "later": 1}))
    assert read_progress(told[1]).epochs == 4


def test_the_pace_is_that_of_the_steps_and_then_of_the_last_epoch(tmp_path, clock):
    listener = ProgressFile(tmp_path / "progress.json", clock, batch=8)
    listener.on_start(START)
    listener.on_losses(1, 1, [{"loss": 1.0}])
    clock.now += SECONDS
    listener.on_losses(1, 6, [{"loss": 1.0}])
    assert read_progress(listener.path).cycles_per_second == 5 * 8 / SECONDS
    listener.on_epoch({"epoch": 1, "loss": 1.0, "test": None, "cycles_per_second": 33.0})
    assert read_progress(listener.path).cycles_per_second == 33.0


def test_a_write_takes_less_than_a_millisecond(tmp_path):
    progress = RunProgress(epoch=1, epochs=2, step=3, steps=4, loss=0.5, score=50.0, started=1.0, time=2.0)
    seconds = []
    for _ in range(50):
        began = time.perf_counter()
        progress.write(tmp_path / "progress.json")
        seconds.append(time.perf_counter() - began)
    # The quickest of them: the others may have waited for other programs on a busy machine.
    assert min(seconds) < limit(0.001)


def test_a_real_run_tells_how_far_it_is_and_leaves_no_file(small_data, small_cache, tmp_path):
    spec = bench.resolve("ast", "ce", data=small_data, cache=small_cache, settings=SETTINGS, device="cpu", epochs=2)
    folder, seen = RunFolder(tmp_path), []

    class Look(Listener):
        def on_epoch(self, entry):
            seen.append((read_progress(folder.progress), entry))

    Trainer(spec, open_run_data(spec), tmp_path, listeners=[Look()]).fit()
    assert [(found.epoch, found.epochs) for found, _ in seen] == [(1, 2), (2, 2)]
    for found, entry in seen:
        assert found.step == found.steps > 0
        assert found.score == next(iter(entry["test"].values()))["score"]
        assert found.loss == entry["loss"]
    assert not folder.progress.exists()
